//! Files of S3: `s3://bucket/key`, from buckets that the admin lists, with his keys.
//!
//! object_store signs a URL for each attempt, and the file is then fetched like any other ([`super::http`]): same guard, same
//! caps, resumed likewise. So no credential but a signature that ends with its minutes ever leaves this process, and the
//! server of the configuration is reached under the same rules as anybody's.

use super::{
    fault::FetchError,
    http::{Ask, choose_tls},
    keys::S3Keys,
    percent,
    policy::S3Policy,
};
use async_trait::async_trait;
use object_store::{
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
    signer::Signer,
};
use reqwest::{Method, Url};
use std::time::Duration;

/// How long a signed URL is good for: an attempt begins at once, and goes on however long it takes.
const VALID: Duration = Duration::from_secs(300);

/// A file of a bucket.
#[derive(Debug)]
pub(super) struct Object {
    store: AmazonS3,
    key: Path,
}

impl Object {
    /// The file that `url` names. Fails unless its bucket is on the admin's list and there are keys for it.
    pub(super) fn new(url: &Url, policy: &S3Policy, keys: Option<&S3Keys>) -> Result<Self, FetchError> {
        let bucket = url.host_str().unwrap_or_default();
        if !policy.buckets.iter().any(|allowed| allowed == bucket) {
            return Err(FetchError::BucketNotAllowed(bucket.to_owned()));
        }
        let keys = keys.ok_or(FetchError::NoS3Keys)?;
        let key = url.path().strip_prefix('/').unwrap_or_default();
        let key = String::from_utf8(percent::decoded(key)).ok().and_then(|key| Path::parse(key).ok());
        let key = key.filter(|key| !key.as_ref().is_empty()).ok_or(FetchError::InvalidS3Key)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(FetchError::InvalidS3Key);
        }
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&policy.region)
            .with_access_key_id(&keys.id)
            .with_secret_access_key(&keys.secret)
            .with_virtual_hosted_style_request(!policy.path_style);
        if let Some(token) = &keys.token {
            builder = builder.with_token(token);
        }
        if let Some(endpoint) = &policy.endpoint {
            builder = builder.with_endpoint(at(endpoint, bucket, policy.path_style)?);
        }
        choose_tls();
        let store = builder.build().map_err(|error| FetchError::S3(error.to_string()))?;
        Ok(Self { store, key })
    }
}

#[async_trait]
impl Ask for Object {
    async fn url(&mut self) -> Result<Url, FetchError> {
        let signed = self.store.signed_url(Method::GET, &self.key, VALID).await;
        // What signing says may hold what was signed.
        signed.map_err(|_| FetchError::S3("the request could not be signed".to_owned()))
    }
}

/// The endpoint with the bucket in its host name, unless that is to stand in the path.
fn at(endpoint: &str, bucket: &str, path_style: bool) -> Result<String, FetchError> {
    if path_style {
        return Ok(endpoint.to_owned());
    }
    let wrong = || FetchError::S3("fetch.s3_endpoint has no host name to put the bucket before".to_owned());
    let mut url: Url = endpoint.parse().map_err(|_| wrong())?;
    let host = format!("{bucket}.{}", url.domain().ok_or_else(wrong)?);
    url.set_host(Some(&host)).map_err(|_| wrong())?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> S3Policy {
        S3Policy { buckets: vec!["data".to_owned()], region: "eu-west-1".to_owned(), ..S3Policy::default() }
    }

    fn keys() -> S3Keys {
        S3Keys { id: "AK".to_owned(), secret: "c4nary".to_owned(), token: Some("tok".to_owned()) }
    }

    async fn signed(url: &str, policy: &S3Policy) -> Result<Url, &'static str> {
        let object = Object::new(&url.parse().unwrap(), policy, Some(&keys()));
        object.map_err(|error| error.reason())?.url().await.map_err(|error| error.reason())
    }

    #[tokio::test]
    async fn a_signed_url_names_the_bucket_the_key_and_no_secret() {
        let url = signed("s3://data/a%20b/%C3%BC.csv", &S3Policy { path_style: true, ..policy() }).await.unwrap();
        assert!(url.as_str().starts_with("https://s3.eu-west-1.amazonaws.com/data/a%20b/%C3%BC.csv?X-Amz-"), "{url}");
        assert!(!url.as_str().contains("c4nary") && url.as_str().contains("X-Amz-Security-Token=tok"), "{url}");
        let url = signed("s3://data/a", &policy()).await.unwrap();
        assert_eq!(url.host_str(), Some("data.s3.eu-west-1.amazonaws.com"));
        let elsewhere = S3Policy { endpoint: Some("https://minio.example:9000".to_owned()), ..policy() };
        let url = signed("s3://data/a", &elsewhere).await.unwrap();
        assert!(url.as_str().starts_with("https://data.minio.example:9000/a?"), "{url}");
        let url = signed("s3://data/a", &S3Policy { path_style: true, ..elsewhere }).await.unwrap();
        assert!(url.as_str().starts_with("https://minio.example:9000/data/a?"), "{url}");
    }

    #[tokio::test]
    async fn what_is_not_the_admins_to_give_is_refused() {
        for (url, reason) in [
            ("s3://other/a", "BucketNotAllowed"),
            ("s3://Data/a", "BucketNotAllowed"),
            ("s3://data", "InvalidS3Key"),
            ("s3://data/", "InvalidS3Key"),
            ("s3://data/a//b", "InvalidS3Key"),
            ("s3://data/%ff", "InvalidS3Key"),
            ("s3://data/a?versionId=1", "InvalidS3Key"),
            ("s3://data/a#b", "InvalidS3Key"),
        ] {
            assert_eq!(signed(url, &policy()).await, Err(reason), "{url}");
        }
        let anonymous = Object::new(&"s3://data/a".parse().unwrap(), &policy(), None);
        assert_eq!(anonymous.map_err(|error| error.reason()).err(), Some("NoS3Keys"));
    }
}
