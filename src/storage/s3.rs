//! S3: a bucket of Amazon's or of any server that speaks its protocol.
//!
//! object_store's client does the work; here it is told everything by name. It would otherwise look into the environment,
//! and without keys it would ask the cloud's metadata address for some: the rights of the node, which nobody gave us.

mod signed;
mod unfinished;

use super::{Credentials, S3, Secret, Storage, StorageError, Traits};
use http::HeaderValue;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3CopyIfNotExists},
    client::{HttpClient, HttpConnector as _, ReqwestConnector},
    path::Path,
    prefix::PrefixStore,
};
use reqwest::Url;
use std::{fmt, sync::Arc, time::Duration};

/// S3 takes no parts below 5 MiB but the last, and 10,000 at most ("Amazon S3 multipart upload limits").
const PART_LEN: u64 = 8 * 1024 * 1024;
/// How long nothing may be heard of a request, its sending included: what is on its way at once (32 MiB) takes that long
/// on 1.5 Mbit/s. A peer that is gone is noticed sooner, by TCP.
const SILENCE: Duration = Duration::from_secs(180);
const CONNECT: Duration = Duration::from_secs(10);
/// A request and its repetitions, 7 in some 10 s; a store that is away for longer is the caller's to wait for. Signatures
/// are not renewed, so this must end well before they do, after a quarter of an hour.
const RETRIES: usize = 6;
const RETRY_FOR: Duration = Duration::from_secs(120);

/// What [`Storage`] needs of a bucket beyond what all stores can do.
pub(super) struct Bucket {
    store: AmazonS3,
    client: HttpClient,
    /// Where it is, without a slash at the end.
    url: String,
    region: String,
    /// What all our keys begin with; may be empty.
    prefix: Path,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bucket").field(&self.url).finish_non_exhaustive()
    }
}

impl Bucket {
    /// The whole key of an object whose key below our prefix this is.
    fn whole_key(&self, key: &Path) -> Path {
        self.prefix.parts().chain(key.parts()).collect()
    }
}

/// Opens a bucket. It is not asked whether it is there.
///
/// # Errors
///
/// [`StorageError::Misconfigured`], with what is missing or contradicts itself.
pub(super) fn open(target: &S3, credentials: &Credentials) -> Result<Storage, StorageError> {
    let plain_name = format!("s3://{}", target.bucket);
    let unusable = |cause: String| StorageError::misconfigured(cause, &plain_name);
    let prefix = Path::parse(&target.prefix).map_err(|error| unusable(format!("its prefix: {error}")))?;
    if target.region.is_empty() {
        return Err(unusable("it has no region; servers that are not Amazon's mostly take us-east-1".into()));
    }
    let url = bucket_url(target).map_err(unusable)?;
    // Amazon's buckets have names that are unique in the world; others only at their address.
    let mut name = if target.endpoint.is_some() { url.clone() } else { plain_name.clone() };
    let mut base_url = format!("{url}/");
    if !prefix.as_ref().is_empty() {
        let prefix = super::target::percent_encode(prefix.as_ref());
        name = format!("{name}/{prefix}");
        base_url = format!("{base_url}{prefix}/");
    }

    let options = client_options(target).map_err(unusable)?;
    let store = authorized(AmazonS3Builder::new(), target, credentials)
        .map_err(|missing| unusable(missing.to_owned()))?
        .with_bucket_name(&target.bucket)
        .with_region(&target.region)
        // The whole address, so that it is also the one that our own requests go to.
        .with_endpoint(&url)
        .with_virtual_hosted_style_request(true)
        .with_client_options(options.clone())
        .with_retry(retry())
        // TLS protects what is sent; without it the signature has to.
        .with_unsigned_payload(url.starts_with("https:"))
        // One request for each key: every server has that, and its keys need not be written as XML.
        .with_disable_bulk_delete(true)
        // Nothing here needs it; with it the store has all that object_store knows.
        .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    let client = ReqwestConnector::default().connect(&options).map_err(|error| unusable(error.to_string()))?;
    let bucket = Bucket { store: store.clone(), client, url, region: target.region.clone(), prefix: prefix.clone() };
    Ok(Storage {
        store: Arc::new(PrefixStore::new(store, prefix)),
        name,
        base_url,
        traits: Traits { content_type: true, part_len: PART_LEN, refuses: refused },
        folder: None,
        bucket: Some(Arc::new(bucket)),
    })
}

/// Who we are, for the bucket.
fn authorized(
    builder: AmazonS3Builder,
    target: &S3,
    credentials: &Credentials,
) -> Result<AmazonS3Builder, &'static str> {
    if let Some(role) = &target.role_arn {
        let Some(token) = credentials.web_identity_token_file.as_ref().and_then(|path| path.to_str()) else {
            return Err("a role is to be taken on, but no file with a web identity token is named");
        };
        let builder = builder
            .with_config(AmazonS3ConfigKey::RoleArn, role)
            .with_config(AmazonS3ConfigKey::WebIdentityTokenFile, token)
            .with_config(AmazonS3ConfigKey::RoleSessionName, env!("CARGO_PKG_NAME"));
        return Ok(match &target.sts_endpoint {
            Some(endpoint) => builder.with_config(AmazonS3ConfigKey::StsEndpoint, endpoint),
            None => builder,
        });
    }
    let Some(keys) = credentials.s3.as_ref() else {
        return Err("there are no credentials: it needs an access key, or a role with a web identity token");
    };
    if keys.access_key_id.is_empty() || keys.secret_access_key.expose().is_empty() {
        return Err("the access key is incomplete: it needs both its id and its secret");
    }
    // They go into a header; a line break at the end is what careless copying leaves.
    let token = keys.session_token.as_ref().map_or("", Secret::expose);
    if ![&keys.access_key_id, keys.secret_access_key.expose(), token].iter().all(|text| is_plain(text)) {
        return Err("the access key or the session token has a blank or a line break in it");
    }
    let builder =
        builder.with_access_key_id(&keys.access_key_id).with_secret_access_key(keys.secret_access_key.expose());
    Ok(match &keys.session_token {
        Some(token) => builder.with_token(token.expose()),
        None => builder,
    })
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn client_options(target: &S3) -> Result<ClientOptions, String> {
    let mut options = ClientOptions::new()
        .with_user_agent(HeaderValue::from_static(concat!("operator-engine/", env!("CARGO_PKG_VERSION"))))
        .with_allow_http(target.allow_http)
        // That one would include the body, however large.
        .with_timeout_disabled()
        .with_read_timeout(SILENCE)
        .with_connect_timeout(CONNECT);
    if let Some(pem) = &target.ca {
        let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| format!("its CA: {error}"))?;
        if certificates.is_empty() {
            return Err("its CA: there is no certificate in it".into());
        }
        for certificate in certificates {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

fn retry() -> RetryConfig {
    let (init_backoff, max_backoff) = (Duration::from_millis(200), Duration::from_secs(15));
    RetryConfig {
        backoff: BackoffConfig { init_backoff, max_backoff, base: 3.0 },
        max_retries: RETRIES,
        retry_timeout: RETRY_FOR,
    }
}

/// Where the bucket is, without a slash at the end.
fn bucket_url(target: &S3) -> Result<String, String> {
    let bucket = &target.bucket;
    let named = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if bucket.is_empty() || !bucket.chars().all(named) || bucket.starts_with('.') {
        return Err(format!("{bucket:?} is no name of a bucket"));
    }
    if !target.region.chars().all(named) {
        return Err(format!("{:?} is no region", target.region));
    }
    let Some(endpoint) = &target.endpoint else {
        let region = &target.region;
        let top = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        // Amazon's certificate covers one level of names.
        return Ok(if target.path_style || bucket.contains('.') {
            format!("https://s3.{region}.{top}/{bucket}")
        } else {
            format!("https://{bucket}.s3.{region}.{top}")
        });
    };
    // Not repeated in messages: it may hold a password.
    let mut url = Url::parse(endpoint).map_err(|error| format!("its endpoint is no URL: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if target.allow_http => {}
        "http" => return Err("its endpoint is plain http, which is not allowed unless the settings say so".into()),
        _ => return Err("its endpoint has to begin with https:// or http://".into()),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("its endpoint has to be a plain address, without user, password, query or fragment".into());
    }
    if target.path_style {
        let path = format!("{}/{bucket}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    } else {
        let host = url.domain().map(|host| format!("{bucket}.{host}"));
        let host = host.ok_or("its endpoint is an IP address, which needs path style: the bucket in the URL's path")?;
        url.set_host(Some(&host)).map_err(|error| format!("its endpoint cannot carry the bucket's name: {error}"))?;
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Why a bucket cannot hold an object of this key: servers list keys as XML, which cannot hold two characters.
pub(super) fn refused(key: &Path) -> Option<&'static str> {
    key.as_ref().contains(['\u{fffe}', '\u{ffff}']).then_some("a name with a character that XML does not have")
}
