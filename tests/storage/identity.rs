//! Who we are for a store, and how we know who it is.

use crate::{
    proxy::{Fault, Proxy},
    stores,
};
use http::Method;
use operator_engine::storage::{Credentials, ResultStore as _, S3, Storage, StorageError, Target};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};
use tokio_rustls::TlsAcceptor;

/// A certificate for 127.0.0.1 that nobody else knows, with its server's side.
pub(crate) fn certificate(dir: &Path) -> (String, TlsAcceptor) {
    stores::use_ring();
    let (key, certificate, config) = (dir.join("key.pem"), dir.join("certificate.pem"), dir.join("config"));
    let text = "[req]\ndistinguished_name = dn\nx509_extensions = all\n[dn]\n[all]\nsubjectAltName = IP:127.0.0.1\n";
    fs::write(&config, text).unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=a store of ours", "-config"])
        .arg(&config)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let chain = vec![CertificateDer::from_pem_file(&certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&key).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    (fs::read_to_string(certificate).unwrap(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_a_certificate_of_ones_own_is_trusted_when_its_ca_is_named_and_not_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let (pem, tls) = certificate(dir.path());
    let (target, credentials) = stores::s3();
    let proxy = Proxy::start(target.endpoint.as_deref().unwrap(), Some(tls), |_| None).await;
    let target = S3 { endpoint: Some(proxy.endpoint.clone()), allow_http: false, ..target };
    let stranger = stores::open(&target, &credentials);
    let error = stranger.put(&"wf/x".into(), "x".into(), "text/plain").await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(matches!(error, StorageError::Misconfigured { .. }) && source.contains("certificate"), "{error} {source}");
    assert_eq!(proxy.asked(), 0);

    let trusted = stores::open(&S3 { ca: Some(pem), ..target.clone() }, &credentials);
    trusted.put(&"wf/x".into(), "x".into(), "text/plain").await.unwrap();
    assert_eq!(trusted.get(&"wf/x".into(), 1).await.unwrap(), "x");
    assert_eq!(trusted.jobs().await.unwrap().len(), 1, "our own requests trust it too");
    assert!(trusted.now().await.unwrap().is_some());

    for ca in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let target = Target::S3(S3 { ca: Some(ca.into()), ..target.clone() });
        let error = Storage::open(&target, &credentials).unwrap_err();
        assert!(matches!(error, StorageError::Misconfigured { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_identity_becomes_keys_of_a_role() {
    let dir = tempfile::tempdir().unwrap();
    let (pem, tls) = certificate(dir.path());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = seen.clone();
    let proxy = Proxy::start("http://127.0.0.1:9", Some(tls), move |asked| {
        let header = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if asked.path.starts_with("/sts") {
            log.lock().unwrap().push(asked.path.clone());
            let credentials = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
                               <AccessKeyId>ROLEKEY</AccessKeyId><SecretAccessKey>hunter2</SecretAccessKey>\
                               <SessionToken>of-a-session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
                               </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
            return Some(Fault::Answer(200, credentials.into()));
        }
        let (user, signed) = (header("user-agent"), header("authorization"));
        log.lock().unwrap().push(format!("{user} {} {signed}", header("x-amz-security-token")));
        let empty = if asked.method == Method::GET { "<ListBucketResult></ListBucketResult>" } else { "" };
        Some(Fault::Answer(200, empty.into()))
    })
    .await;
    let (target, _) = stores::s3();
    let token = dir.path().join("token");
    let target = S3 {
        endpoint: Some(proxy.endpoint.clone()),
        allow_http: false,
        ca: Some(pem),
        role_arn: Some("arn:aws:iam::1:role/publish".into()),
        sts_endpoint: Some(format!("{}/sts", proxy.endpoint)),
        ..target
    };
    let credentials = Credentials { web_identity_token_file: Some(token.clone()), ..Credentials::default() };
    let storage = stores::open(&target, &credentials);
    let missing = storage.list(&"wf".into()).await.unwrap_err();
    assert!(matches!(missing, StorageError::Misconfigured { .. }), "{missing}");
    fs::write(&token, "who-we-are").unwrap();
    assert_eq!(storage.list(&"wf".into()).await.unwrap(), []);
    storage.drop_unfinished(&"wf".into()).await.unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 3, "the keys are asked for once: {seen:?}");
    for part in [
        "Action=AssumeRoleWithWebIdentity",
        "WebIdentityToken=who-we-are",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fpublish",
    ] {
        assert!(seen[0].contains(part), "{}", seen[0]);
    }
    let version = env!("CARGO_PKG_VERSION");
    for request in &seen[1..] {
        let begins = format!("operator-engine/{version} of-a-session AWS4-HMAC-SHA256 Credential=ROLEKEY/");
        assert!(request.starts_with(&begins), "{request}");
    }
    assert!(!format!("{storage:?} {missing:?}").contains("hunter2"));

    let no_file = Storage::open(&Target::S3(target), &Credentials::default()).unwrap_err();
    assert!(format!("{no_file:?}").contains("no file with a web identity token"), "{no_file:?}");
}

#[test]
fn what_contradicts_itself_is_told_before_anything_is_sent() {
    let (good, credentials) = stores::s3();
    let with = |change: fn(&mut S3)| {
        let mut target = good.clone();
        change(&mut target);
        target
    };
    let cases: [(S3, Credentials, &str); 13] = [
        (good.clone(), Credentials::default(), "there are no credentials"),
        (good.clone(), stores::keys("", "x"), "incomplete"),
        (good.clone(), stores::keys("AK", ""), "incomplete"),
        (good.clone(), stores::keys("AK\n", "x"), "a line break"),
        (with(|s3| s3.allow_http = false), credentials.clone(), "plain http"),
        (with(|s3| s3.endpoint = Some("ftp://h".into())), credentials.clone(), "https://"),
        (with(|s3| s3.endpoint = Some("no url".into())), credentials.clone(), "no URL"),
        (with(|s3| s3.endpoint = Some("https://u:hunter2@h".into())), credentials.clone(), "without user"),
        (with(|s3| s3.endpoint = Some("https://h/?k=hunter2".into())), credentials.clone(), "without user"),
        (with(|s3| s3.path_style = false), credentials.clone(), "path style"),
        (with(|s3| s3.bucket = "a/b".into()), credentials.clone(), "no name of a bucket"),
        (with(|s3| s3.region = String::new()), credentials.clone(), "region"),
        (with(|s3| s3.prefix = "a//b".into()), credentials.clone(), "prefix"),
    ];
    for (target, credentials, says) in cases {
        let error = Storage::open(&Target::S3(target), &credentials).unwrap_err();
        let text = format!("{error} {}", std::error::Error::source(&error).unwrap());
        assert!(matches!(error, StorageError::Misconfigured { .. }) && text.contains(says), "{says}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn buckets_have_the_addresses_that_amazon_gives_them() {
    stores::use_ring();
    let url = |change: fn(&mut S3)| {
        let mut target = S3 {
            bucket: "outputs".into(),
            prefix: String::new(),
            region: "eu-central-1".into(),
            endpoint: None,
            path_style: false,
            allow_http: false,
            ca: None,
            role_arn: None,
            sts_endpoint: None,
        };
        change(&mut target);
        let storage = stores::open(&target, &stores::keys("AK", "SK"));
        format!("{} {}", storage.name(), storage.url("wf/data/outputs/a b"))
    };
    let tail = "/wf/data/outputs/a%20b";
    assert_eq!(url(|_| {}), format!("s3://outputs https://outputs.s3.eu-central-1.amazonaws.com{tail}"));
    let prefixed = url(|s3| s3.prefix = "ü/x".into());
    assert_eq!(prefixed, format!("s3://outputs/%C3%BC/x https://outputs.s3.eu-central-1.amazonaws.com/%C3%BC/x{tail}"));
    let dotted = url(|s3| s3.bucket = "my.outputs".into());
    assert_eq!(dotted, format!("s3://my.outputs https://s3.eu-central-1.amazonaws.com/my.outputs{tail}"));
    let china = url(|s3| s3.region = "cn-north-1".into());
    assert_eq!(china, format!("s3://outputs https://outputs.s3.cn-north-1.amazonaws.com.cn{tail}"));
    let hosted = url(|s3| s3.endpoint = Some("https://s3.example:9000/".into()));
    assert_eq!(hosted, format!("https://outputs.s3.example:9000 https://outputs.s3.example:9000{tail}"));
    let below = |s3: &mut S3| (s3.path_style, s3.endpoint) = (true, Some("https://example.org/s3/".into()));
    assert_eq!(url(below), format!("https://example.org/s3/outputs https://example.org/s3/outputs{tail}"));
}
