//! `s3:` from a real S3 server with a private bucket.

use crate::{
    fetching::{fetch, noise, policy},
    server::Server,
};
use object_store::{ObjectStoreExt as _, aws::AmazonS3Builder, path::Path};
use operator_engine::{
    pod::configure::{FetchPolicy, Keys, S3Policy},
    workflow::digest::Sha256,
};
use serde_json::{Value, json};

fn reading(server: &Server) -> FetchPolicy {
    let s3 = S3Policy {
        buckets: vec![server.text("bucket").to_owned()],
        region: server.text("region").to_owned(),
        endpoint: Some(server.text("endpoint").to_owned()),
        path_style: true,
        allow_http: true,
    };
    FetchPolicy { s3, ..policy() }
}

fn keys(pair: &Value) -> Keys {
    let text = |key: &str| pair[key].as_str().unwrap().to_owned();
    Keys::of(&[
        ("AWS_ACCESS_KEY_ID".to_owned(), text("accessKey")),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), text("secretKey")),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn private_objects_are_read_by_whoever_the_admin_lets_and_by_nobody_else() {
    let server = Server::start("s3", &[]);
    let bucket = server.text("bucket");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(server.text("region"))
        .with_endpoint(server.text("endpoint"))
        .with_access_key_id(server.text("accessKey"))
        .with_secret_access_key(server.text("secretKey"))
        .with_allow_http(true)
        .build()
        .unwrap();
    let reader = || keys(&server.said()["readOnly"]);
    for (key, url, len) in [
        ("plain.csv", "plain.csv", 10),
        ("deep/er/a b+c%41=&ü.csv", "deep/er/a%20b+c%2541=&%C3%BC.csv", 1000),
        ("large.bin", "large.bin", 20_000_000),
        ("empty", "empty", 0),
    ] {
        let bytes = noise(len);
        store.put(&Path::parse(key).unwrap(), bytes.clone().into()).await.unwrap();
        let file = json!({"url": format!("s3://{bucket}/{url}"), "sha256": Sha256::of(&bytes)});
        let done = fetch(file, reading(&server), reader()).await;
        assert!(done.file() == bytes, "{key}\n{}", done.log);
        assert!(!done.log.contains("X-Amz") && !done.log.contains(server.text("secretKey")), "{}", done.log);
    }
    let one = json!(format!("s3://{bucket}/plain.csv"));
    let wrong = keys(&json!({"accessKey": server.text("accessKey"), "secretKey": "wrong"}));
    assert_eq!(fetch(one.clone(), reading(&server), wrong).await.reason(), "HttpStatus");
    assert_eq!(fetch(one.clone(), reading(&server), Keys::default()).await.reason(), "NoS3Keys");
    let absent = json!(format!("s3://{bucket}/absent"));
    assert_eq!(fetch(absent, reading(&server), reader()).await.reason(), "HttpStatus");
    let mut none = reading(&server);
    none.s3.buckets.clear();
    assert_eq!(fetch(one.clone(), none, reader()).await.reason(), "BucketNotAllowed");
    let mut short = reading(&server);
    short.max_file_bytes = 9;
    assert_eq!(fetch(one, short, reader()).await.reason(), "FileTooLarge");
}
