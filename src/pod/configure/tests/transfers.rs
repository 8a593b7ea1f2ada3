//! Transfers that break, and what is made of them.

use super::{
    server::{Server, Then, ok, raw},
    *,
};

const TAG: &str = "etag: \"v1\"";
const TEN: &str = "content-length: 10";

async fn fetched(server: &Server) -> (Case, Done) {
    let case = Case::new().with_input("aa", &[&server.url("/f")]);
    let done = case.run().await;
    (case, done)
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_ended() {
    let server = Server::start(|n, _| match n {
        0 => raw("200 OK", &[TEN, TAG], "01234"),
        1 => raw("206 Partial Content", &["content-length: 5", "content-range: bytes 5-9/10", TAG], "567"),
        _ => raw("206 Partial Content", &["content-length: 2", "content-range: bytes 8-9/10", TAG], "89"),
    })
    .await;
    let (case, done) = fetched(&server).await;
    assert_eq!((done.fine().files, done.fine().bytes), (1, 10));
    assert_eq!(case.read("inputs/aa/0"), "0123456789");
    let requests = server.requests();
    assert!(!requests[0].contains("\r\nrange:") && !requests[0].contains("\r\nif-range:"), "{}", requests[0]);
    assert!(requests[1].contains("\r\nrange: bytes=5-\r\n") && requests[1].contains("\r\nif-range: \"v1\"\r\n"));
    assert!(requests[2].contains("\r\nrange: bytes=8-\r\n"), "{}", requests[2]);
    assert!(done.out.contains("2 retries") && done.out.contains(&Sha256::of("0123456789").to_string()), "{}", done.out);
}

#[tokio::test]
async fn a_server_that_knows_no_ranges_sends_everything_again() {
    // Without a length, nothing but the status tells that these bytes do not follow the others.
    for second in [&[TEN, TAG][..], &[]] {
        let server = Server::start(move |n, _| match n {
            0 => raw("200 OK", &[TEN, TAG], "01234"),
            _ => raw("200 OK", second, "0123456789"),
        })
        .await;
        let (case, done) = fetched(&server).await;
        done.fine();
        assert_eq!((case.read("inputs/aa/0").as_str(), server.requests().len()), ("0123456789", 2));
    }
}

#[tokio::test]
async fn bytes_from_another_place_are_not_added_even_if_the_length_comes_out_right() {
    let server = Server::start(|n, head| match n {
        0 => raw("200 OK", &["content-length: 11", TAG], "01234"),
        1 => raw("206 Partial Content", &["content-length: 5", "content-range: bytes 6-10/11", TAG], "6789x"),
        _ if head.contains("\r\nrange: bytes=10-") => {
            raw("206 Partial Content", &["content-length: 1", "content-range: bytes 10-10/11", TAG], "x")
        }
        _ => ok("0123456789x"),
    })
    .await;
    let (case, done) = fetched(&server).await;
    done.fine();
    assert_eq!(case.read("inputs/aa/0"), "0123456789x");
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_never_a_mixture() {
    // One server answers as it should, two do not know If-Range, one lies about the position.
    let changed: [fn() -> server::Reply; 4] = [
        || raw("200 OK", &[TEN, "etag: \"v2\""], "abcdefghij"),
        || raw("206 Partial Content", &["content-length: 5", "content-range: bytes 5-9/10", "etag: \"v2\""], "fghij"),
        || raw("206 Partial Content", &["content-length: 5", "content-range: bytes 5-9/10"], "fghij"),
        || raw("206 Partial Content", &["content-length: 6", "content-range: bytes 4-9/10", TAG], "efghij"),
    ];
    for second in changed {
        let server = Server::start(move |n, _| match n {
            0 => raw("200 OK", &[TEN, TAG], "01234"),
            1 => second(),
            _ => raw("200 OK", &[TEN, "etag: \"v2\""], "abcdefghij"),
        })
        .await;
        let (case, done) = fetched(&server).await;
        done.fine();
        assert_eq!(case.read("inputs/aa/0"), "abcdefghij");
    }
}

#[tokio::test]
async fn a_range_that_cannot_be_satisfied_starts_over() {
    let server = Server::start(|n, _| match n {
        0 => raw("200 OK", &[TEN, TAG], "01234"),
        1 => raw("416 Range Not Satisfiable", &["content-range: bytes */3", "content-length: 0"], ""),
        _ => ok("abc"),
    })
    .await;
    let (case, done) = fetched(&server).await;
    done.fine();
    assert_eq!(case.read("inputs/aa/0"), "abc");
    assert!(!server.requests()[2].contains("\r\nrange:"));
}

#[tokio::test]
async fn without_a_strong_validator_no_range_is_asked_for() {
    for weak in ["etag: W/\"v1\"", "x-none: 1"] {
        let server = Server::start(move |n, _| match n {
            0 => raw("200 OK", &[TEN, weak], "01234"),
            _ => ok("abcdefghij"),
        })
        .await;
        let (case, done) = fetched(&server).await;
        done.fine();
        assert_eq!(case.read("inputs/aa/0"), "abcdefghij");
        assert!(!server.requests()[1].contains("\r\nrange:"));
    }
}

#[tokio::test]
async fn a_digest_that_fails_after_a_resumption_is_worth_one_whole_transfer() {
    let server = Server::start(|n, _| match n {
        0 => raw("200 OK", &[TEN, TAG], "01234"),
        1 => raw("206 Partial Content", &["content-length: 5", "content-range: bytes 5-9/10", TAG], "WRONG"),
        _ => raw("200 OK", &[TEN, TAG], "0123456789"),
    })
    .await;
    let mut case = Case::new();
    let wanted = FileRef { url: server.url("/f"), sha256: Some(Sha256::of("0123456789")) };
    case.task.document.inputs.push(Input {
        id: "aa".parse().unwrap(),
        did: "aa".to_owned(),
        source: Source::Urls(vec![wanted]),
    });
    case.run().await.fine();
    assert_eq!(case.read("inputs/aa/0"), "0123456789");
}

#[tokio::test]
async fn another_content_than_the_document_says_is_refused_and_not_asked_for_again() {
    let server = Server::of("tampered").await;
    let mut case = Case::new().with_key("k", "tampered");
    for (id, url) in [("aa", server.url("/f")), ("bb", "inline:k".to_owned())] {
        let source = Source::Urls(vec![FileRef { url, sha256: Some(Sha256::of("original")) }]);
        case.task.document.inputs.push(Input { id: id.parse().unwrap(), did: id.to_owned(), source });
    }
    let done = case.run().await;
    assert_eq!(done.fault(), (31, "DigestMismatch"));
    assert!(done.report.fault.as_ref().unwrap().message.ends_with("(1 more: see configure.log)"));
    assert_eq!(server.requests().len(), 1);
    assert!(!case.exists("inputs/aa/0") && !case.exists("inputs/bb/0"));
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_clear_no_is_taken() {
    for status in ["429 Too Many Requests", "503 Service Unavailable", "408 Request Timeout", "500 Oops"] {
        let server = Server::start(move |n, _| match n {
            // The policy's longest wait is 5 ms: a server cannot make us wait for an hour.
            0 => raw(status, &["retry-after: 3600", "content-length: 0"], ""),
            _ => ok("x"),
        })
        .await;
        fetched(&server).await.1.fine();
        assert_eq!(server.requests().len(), 2, "{status}");
    }
    for status in [
        "404 Not Found",
        "403 Forbidden",
        "401 Unauthorized",
        "204 No Content",
        "304 Not Modified",
        "206 Partial Content",
    ] {
        let server = Server::start(move |_, _| raw(status, &[], "")).await;
        assert_eq!(fetched(&server).await.1.fault(), (31, "HttpStatus"), "{status}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_server_that_always_breaks_off_is_given_up() {
    for (reply, reason) in [
        (raw("200 OK", &[TEN], "01234"), "ConnectionFailed"),
        (raw("200 OK", &["transfer-encoding: chunked"], "5\r\n01234\r\n"), "ConnectionFailed"),
        ((Vec::new(), Then::Close), "ConnectionFailed"),
        ((b"no http at all\r\n\r\n".to_vec(), Then::Close), "ConnectionFailed"),
        (raw("503 Busy", &["content-length: 0"], ""), "HttpStatus"),
    ] {
        let server = Server::start(move |_, _| reply.clone()).await;
        let (case, done) = fetched(&server).await;
        assert_eq!(done.fault(), (31, reason));
        assert!(done.report.fault.as_ref().unwrap().message.contains("gave up after 4 attempts"), "{}", done.out);
        assert_eq!(server.requests().len(), 4, "the first and three retries");
        assert_eq!(fs::read_dir(case.task.layout.inputs().join("aa")).unwrap().count(), 0, "nothing half is left");
    }
}

#[tokio::test]
async fn bytes_are_stored_as_they_are_served() {
    let gzip = "\u{1f}not really gzip";
    let server = Server::start(move |_, _| {
        let length = format!("content-length: {}", gzip.len());
        raw("200 OK", &["content-encoding: gzip", "content-type: text/plain", &length], gzip)
    })
    .await;
    let (case, done) = fetched(&server).await;
    done.fine();
    assert_eq!(case.read("inputs/aa/0"), gzip);
    assert!(server.requests()[0].contains("\r\naccept-encoding: identity\r\n"), "{}", server.requests()[0]);
    assert!(done.out.contains("content encoding 'gzip'"));
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_its_connection() {
    let server = Server::start(|_, _| raw("200 OK", &[], "to the end")).await;
    let (case, done) = fetched(&server).await;
    done.fine();
    assert_eq!(case.read("inputs/aa/0"), "to the end");
}

#[tokio::test]
async fn an_ordinary_server_keeps_its_connection() {
    let app = axum::Router::new().route("/{name}", axum::routing::get(|| async { "hello" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let case = Case::new().with_input("aa", &[&format!("http://{at}/a"), &format!("http://{at}/b")]);
    case.run().await.fine();
    assert_eq!((case.read("inputs/aa/0"), case.read("inputs/aa/1")), ("hello".to_owned(), "hello".to_owned()));
    serving.abort();
}
