//! `s3:` through signed requests.

use super::{
    server::{Server, raw},
    *,
};

fn case(server: &Server) -> Case {
    let mut case = Case::new().with_input("aa", &["s3://data/some/key%20x.csv"]);
    let s3 = &mut case.task.policy.s3;
    (s3.buckets, s3.endpoint) = (vec!["data".to_owned()], Some(server.url("")));
    (s3.path_style, s3.allow_http) = (true, true);
    case.task.keys = Keys::of(&[
        ("AWS_ACCESS_KEY_ID".to_owned(), "AK".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "c4nary".to_owned()),
    ]);
    case
}

#[tokio::test]
async fn an_object_is_fetched_and_resumed_under_a_signature_of_its_own_each_time() {
    let tag = "etag: \"v1\"";
    let server = Server::start(move |n, _| match n {
        0 => raw("200 OK", &["content-length: 10", tag], "01234"),
        _ => raw("206 Partial Content", &["content-length: 5", "content-range: bytes 5-9/10", tag], "56789"),
    })
    .await;
    let case = case(&server);
    let done = case.run().await;
    done.fine();
    assert_eq!(case.read("inputs/aa/0"), "0123456789");
    let requests = server.requests();
    assert!(requests[0].starts_with("GET /data/some/key%20x.csv?"), "{}", requests[0]);
    assert!(requests[1].contains("\r\nrange: bytes=5-\r\n") && requests[1].contains("X-Amz-Signature="));
    for text in [&done.out, &requests.concat(), &case.read("adminlogs/configure.log")] {
        assert!(!text.contains("c4nary"));
    }
    assert!(done.out.contains("s3://data/some/key%20x.csv") && !done.out.contains("X-Amz"), "{}", done.out);
}

#[tokio::test]
async fn without_the_admins_leave_or_keys_no_bucket_is_asked() {
    let server = Server::of("x").await;
    let mut other = case(&server);
    other.task.policy.s3.buckets = vec!["data2".to_owned(), "dat".to_owned()];
    let done = other.run().await;
    assert_eq!(done.fault(), (31, "BucketNotAllowed"));
    assert!(done.out.contains("fetch.s3_buckets"), "{}", done.out);
    let mut anonymous = case(&server);
    anonymous.task.keys = Keys::default();
    assert_eq!(anonymous.run().await.fault(), (31, "NoS3Keys"));
    let mut guarded = case(&server);
    guarded.task.policy.allow_networks.clear();
    assert_eq!(guarded.run().await.fault(), (31, "AddressRefused"));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn caps_and_digests_hold_for_objects_too() {
    let server = Server::of("0123456789").await;
    let mut large = case(&server);
    large.task.policy.max_file_bytes = 9;
    assert_eq!(large.run().await.fault(), (31, "FileTooLarge"));
    assert_eq!(case(&server).with_digest(Sha256::of("x")).run().await.fault(), (31, "DigestMismatch"));
    case(&server).with_digest(Sha256::of("0123456789")).run().await.fine();
}
