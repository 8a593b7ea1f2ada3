//! Limits of size, number and time.

use super::{
    server::{Server, Then, raw},
    *,
};
use std::time::Duration;

#[tokio::test]
async fn an_endless_body_ends_at_the_limit_of_one_file() {
    let server = Server::start(|_, _| (raw("200 OK", &[], "").0, Then::Endless)).await;
    let mut case = Case::new().with_input("aa", &[&server.url("/f")]);
    case.task.policy.max_file_bytes = 100_000;
    assert_eq!(case.run().await.fault(), (31, "FileTooLarge"));
    assert_eq!(server.requests().len(), 1, "it would not be smaller the next time");
    assert!(!case.exists("inputs/aa/0") && !case.exists("inputs/aa/.0.part"));
}

#[tokio::test]
async fn an_announced_length_beyond_the_limit_is_refused_before_the_first_byte() {
    // The body never comes: only the header can tell.
    let server = Server::start(|_, _| (raw("200 OK", &["content-length: 100001"], "").0, Then::Hang)).await;
    let mut case = Case::new().with_input("aa", &[&server.url("/f")]);
    case.task.policy.max_file_bytes = 100_000;
    assert_eq!(case.run().await.fault(), (31, "FileTooLarge"));
}

#[tokio::test]
async fn all_files_of_a_workflow_share_one_limit() {
    let server = Server::of("12345").await;
    let mut case = Case::new().with_key("k", "12345").with_input("aa", &[&server.url("/f"), "inline:k", "inline:k"]);
    case.task.policy.max_total_bytes = 14;
    let done = case.run().await;
    assert_eq!(done.fault(), (31, "TotalTooLarge"));
    assert!(case.exists("inputs/aa/1") && !case.exists("inputs/aa/2"));

    case.task.document.inputs.clear();
    case.task.document.algorithm.source = AlgorithmSource::Raw("x".repeat(15));
    assert_eq!(case.run().await.fault(), (32, "TotalTooLarge"), "raw code counts");
}

#[tokio::test]
async fn too_many_files_are_refused_before_the_first() {
    let server = Server::of("x").await;
    let mut case = Case::new().with_input("aa", &[&server.url("/f"), &server.url("/g")]);
    case.task.document.algorithm.source = AlgorithmSource::Files(Source::Urls(vec![file(&server.url("/a"))]));
    case.task.policy.max_files = 2;
    assert_eq!(case.run().await.fault(), (31, "TooManyFiles"));
    assert!(server.requests().is_empty());
    case.task.policy.max_files = 3;
    case.run().await.fine();
}

#[tokio::test]
async fn a_silent_server_is_left_after_the_read_timeout() {
    for head in [Vec::new(), raw("200 OK", &["content-length: 10"], "01234").0] {
        let server = Server::start(move |_, _| (head.clone(), Then::Hang)).await;
        let mut case = Case::new().with_input("aa", &[&server.url("/f")]);
        (case.task.policy.read_ms, case.task.policy.retries) = (50, 1);
        assert_eq!(case.run().await.fault(), (31, "ConnectionFailed"));
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn the_time_of_all_files_together_is_bounded() {
    let server = Server::start(|_, _| (Vec::new(), Then::Hang)).await;
    let mut case = Case::new().with_input("aa", &[&server.url("/f")]).with_input("bb", &[&server.url("/f")]);
    case.task.policy.total_ms = 100;
    let done = tokio::time::timeout(Duration::from_secs(8), case.run()).await.unwrap();
    assert_eq!(done.fault(), (31, "TimedOut"));
    assert!(!case.exists("inputs/aa/.0.part"));
}

#[tokio::test]
async fn a_stage_that_is_dropped_leaves_no_half_file() {
    let server = Server::start(|_, _| (raw("200 OK", &["content-length: 10"], "01234").0, Then::Hang)).await;
    let case = Case::new().with_input("aa", &[&server.url("/f")]);
    assert!(tokio::time::timeout(Duration::from_millis(300), case.run()).await.is_err());
    assert!(case.exists("inputs/aa") && !case.exists("inputs/aa/.0.part"));
}

#[tokio::test]
async fn a_report_fits_whatever_the_document_says() {
    let long = format!("https://{}.example/{}", "h".repeat(60), "\"\\".repeat(4000));
    let case = Case::new().with_input("aa", &[&long]).with_input("bb", &[&format!("inline:{}", "\\\"".repeat(4000))]);
    let mut alone = Case::new().with_input("bb", &[&format!("inline:{}", "\\\"".repeat(4000))]);
    alone.task.policy.max_files = u64::MAX;
    for done in [case.run().await, alone.run().await] {
        let text = crate::workflow::report::render(&done.report);
        assert!(text.len() <= crate::workflow::report::MAX_LEN, "{}", text.len());
    }
}
