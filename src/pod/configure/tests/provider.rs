//! `remote`: files through a provider that checks orders, nonces and signatures.

mod market;

use super::{
    server::{Server, Then, raw},
    *,
};
use crate::{storage::secret_keys::OPERATOR_KEY, workflow::document::Remote};
use market::{DID, Market, TX};
use serde_json::{Value, json};

const KEY: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

fn remote(service: &str, user_data: Option<Value>) -> Source {
    Source::Remote(Remote { tx_id: TX.to_owned(), service_id: service.to_owned(), user_data, sha256: Vec::new() })
}

fn input(source: Source) -> Input {
    Input { id: DID.parse().unwrap(), did: DID.to_owned(), source }
}

/// A workflow with one input from the market, and its operator's key.
fn case(market: &Market) -> Case {
    let mut case = Case::new();
    case.task.document.metadata_uri = Some(market.url());
    case.task.document.inputs.push(input(remote("access", None)));
    case.task.keys = Keys::of(&[(OPERATOR_KEY.to_owned(), KEY.to_owned())]);
    case
}

#[tokio::test]
async fn all_files_of_a_service_are_bought_with_one_order() {
    let market = Market::new(&["first", "second", "third"]).await;
    let mut case = case(&market);
    case.task.document.inputs.push(input(remote("access", Some(json!({"age": 3, "q": "a&b #+é"})))));
    let done = case.run().await;
    assert_eq!((done.fine().files, done.fine().bytes), (6, 2 * (5 + 6 + 5)));
    let read = |n: usize| case.read(&format!("inputs/aa/{n}"));
    assert_eq!((read(0), read(1), read(2), read(3)), ("first".into(), "second".into(), "third".into(), "first".into()));
    assert!(case.read("ddos/aa").contains(DID), "the DDO is there for the algorithm too");
    let queries = market.downloads();
    assert_eq!(queries.len(), 6);
    let names: Vec<_> = queries[3].split('&').map(|pair| pair.split('=').next().unwrap()).collect();
    let order = "fileIndex documentId transferTxId serviceId consumerAddress nonce signature userdata";
    assert_eq!(names.join(" "), order);
    assert!(queries[0].starts_with(&format!("fileIndex=0&documentId={DID}&transferTxId={TX}&serviceId=access&consumerAddress=0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A&nonce=")));
    let given = market.user_data();
    assert!(given[..3].iter().all(Option::is_none));
    assert!(given[3..].iter().all(|data| *data == Some(json!({"age": 3, "q": "a&b #+é"}))), "{given:?}");
}

#[tokio::test]
async fn an_algorithm_of_a_provider_is_executable_and_gets_its_user_data() {
    let market = Market::new(&["#!/bin/sh", "library"]).await;
    let mut case = case(&market);
    case.task.document.inputs.clear();
    let algorithm = &mut case.task.document.algorithm;
    (algorithm.id, algorithm.did) = (Some(DID.parse().unwrap()), Some(DID.to_owned()));
    algorithm.source = AlgorithmSource::Files(remote("access", Some(json!("x"))));
    case.run().await.fine();
    assert_eq!(case.tree()["transformations/algorithm"], (0o777, "#!/bin/sh".to_owned()));
    assert_eq!(case.tree()["transformations/1"], (0o644, "library".to_owned()));
    assert_eq!(market.user_data(), [Some(json!("x")), Some(json!("x"))]);
}

#[tokio::test]
async fn every_attempt_has_a_nonce_and_a_signature_of_its_own() {
    // A provider notes the nonce before it sends the file, so the same URL is refused after a transfer that broke.
    let market = Market::new(&["0123456789", "x"]).await;
    market.breaks_off(3);
    let case = case(&market);
    let done = case.run().await;
    done.fine();
    assert_eq!(case.read("inputs/aa/0"), "0123456789");
    assert_eq!((market.downloads().len(), market.refused()), (5, 0), "{}", done.out);
    let part = |name: &str| -> std::collections::BTreeSet<String> {
        market.downloads().iter().map(|query| market::parameter(query, name).unwrap()).collect()
    };
    assert_eq!((part("nonce").len(), part("signature").len()), (5, 5));
}

#[tokio::test]
async fn a_provider_that_has_seen_a_later_nonce_is_asked_again() {
    let market = Market::new(&["x"]).await;
    market.sees_later_nonces(2);
    case(&market).run().await.fine();
    assert_eq!((market.downloads().len(), market.refused()), (3, 2));
    // A refusal that stays is believed.
    let market = Market::new(&["x"]).await;
    market.sees_later_nonces(1000);
    assert_eq!(case(&market).run().await.fault(), (31, "HttpStatus"));
    assert_eq!(market.refused(), 3);
}

#[tokio::test]
async fn an_order_of_another_service_buys_nothing() {
    let market = Market::new(&["x"]).await;
    let mut case = case(&market);
    case.task.document.inputs[0].source = remote("other", None);
    let done = case.run().await;
    assert_eq!(done.fault(), (31, "HttpStatus"), "{}", done.out);
    assert!(!case.exists("inputs/aa/0"));
}

#[tokio::test]
async fn the_old_double_slash_is_a_switch() {
    for double in [false, true] {
        let market = Market::new(&["x"]).await;
        let mut case = case(&market);
        case.task.policy.provider_double_slash = double;
        case.run().await.fine();
        let path = if double { "//api/services/fileinfo" } else { "/api/services/fileinfo" };
        assert!(market.paths().contains(&path.to_owned()), "{:?}", market.paths());
        assert!(market.paths().contains(&"/api/services/download".to_owned()));
    }
}

#[tokio::test]
async fn digests_of_the_document_and_of_the_provider_are_checked() {
    let market = Market::new(&["first", "second"]).await;
    let mut case = case(&market);
    let with = |digests: Vec<Option<Sha256>>| {
        let mut source = remote("access", None);
        if let Source::Remote(remote) = &mut source {
            remote.sha256 = digests;
        }
        source
    };
    case.task.document.inputs[0].source = with(vec![None, Some(Sha256::of("second"))]);
    case.run().await.fine();
    case.task.document.inputs[0].source = with(vec![Some(Sha256::of("another"))]);
    assert_eq!(case.run().await.fault(), (31, "DigestMismatch"));
    market.claims(Sha256::of("another"));
    case.task.document.inputs[0].source = remote("access", None);
    assert_eq!(case.run().await.fault(), (31, "DigestMismatch"));
    case.task.document.inputs[0].source = with(vec![Some(Sha256::of("first")), Some(Sha256::of("second"))]);
    case.run().await.fine();
}

#[tokio::test]
async fn the_files_of_a_provider_count_like_any_others() {
    let market = Market::new(&["first", &"second".repeat(1000)]).await;
    let mut case = case(&market).with_key("k", "x").with_input("bb", &["inline:k"]);
    case.task.policy.max_files = 2;
    assert_eq!(case.run().await.fault(), (31, "TooManyFiles"));
    assert!(market.downloads().is_empty());
    case.task.policy.max_files = 3;
    case.run().await.fine();
    case.task.policy.max_file_bytes = 5000;
    assert_eq!(case.run().await.fault(), (31, "FileTooLarge"));
    case.task.policy.max_file_bytes = 10_000;
    case.task.policy.max_total_bytes = 5000;
    assert_eq!(case.run().await.fault(), (31, "TotalTooLarge"));
    let nothing = Market::new(&[]).await;
    assert_eq!(self::case(&nothing).run().await.fault(), (31, "NothingToFetch"));
}

#[tokio::test]
async fn without_a_key_or_a_ddo_no_provider_is_asked() {
    let market = Market::new(&["x"]).await;
    let mut case = case(&market);
    case.task.keys = Keys::default();
    let done = case.run().await;
    assert_eq!(done.fault(), (31, "NoOperatorKey"));
    assert!(done.out.contains("fetch.secret"), "{}", done.out);
    case.task.keys = Keys::of(&[(OPERATOR_KEY.to_owned(), "no key".to_owned())]);
    let done = case.run().await;
    assert_eq!(done.fault(), (31, "NoOperatorKey"));
    assert!(!done.out.contains("no key"), "{}", done.out);
    case.task.keys = self::case(&market).task.keys;
    case.task.document.metadata_uri = None;
    assert_eq!(case.run().await.fault(), (31, "DdoUnusable"));
    assert!(market.downloads().is_empty());
}

#[tokio::test]
async fn a_ddo_that_is_needed_is_asked_for_until_it_comes() {
    let market = Market::new(&["x"]).await;
    market.metadata_fails(3);
    case(&market).run().await.fine();
    let market = Market::new(&["x"]).await;
    market.metadata_fails(1000);
    assert_eq!(case(&market).run().await.fault(), (31, "DdoUnusable"));
}

#[tokio::test]
async fn a_provider_that_answers_nonsense_is_told() {
    let endpoints = |fileinfo: &str, download: &str| {
        json!({"serviceEndpoints": {"fileinfo": ["POST", fileinfo], "download": ["GET", download]}}).to_string()
    };
    let good = endpoints("/info", "/download");
    for (answers, reason) in [
        (["<html>".to_owned(), String::new()], "ProviderUnusable"),
        (["[]".to_owned(), String::new()], "ProviderUnusable"),
        ([json!({"serviceEndpoints": {"fileinfo": []}}).to_string(), String::new()], "ProviderUnusable"),
        ([endpoints("/info", "/download?x"), "[{}]".to_owned()], "ProviderUnusable"),
        ([good.clone(), "{}".to_owned()], "ProviderUnusable"),
        ([good.clone(), "[".repeat(100_000)], "ProviderUnusable"),
        ([good.clone(), " ".repeat((4 << 20) + 1)], "AnswerTooLong"),
        ([good.clone(), format!("[{}]", vec!["{}"; 2000].join(","))], "TooManyFiles"),
        ([good, "[]".to_owned()], "NothingToFetch"),
    ] {
        let server =
            Server::start(move |_, head| super::server::ok(&answers[usize::from(!head.starts_with("GET"))])).await;
        let ddo = json!({"id": DID, "services": [{"id": "access", "serviceEndpoint": server.url("")}]}).to_string();
        let registry = Server::start(move |_, _| super::server::ok(&ddo)).await;
        let market = Market::new(&["x"]).await;
        let mut case = case(&market);
        case.task.document.metadata_uri = Some(registry.url(""));
        let done = case.run().await;
        assert_eq!(done.fault(), (31, reason), "{}", done.out);
    }
}

#[tokio::test]
async fn a_silent_provider_is_left_and_one_inside_the_cluster_is_not_asked() {
    let silent = Server::start(|_, _| (Vec::new(), Then::Hang)).await;
    let ddo = json!({"id": DID, "services": [{"id": "access", "serviceEndpoint": silent.url("")}]}).to_string();
    let registry = Server::start(move |_, _| super::server::ok(&ddo)).await;
    let market = Market::new(&["x"]).await;
    let mut case = case(&market);
    case.task.document.metadata_uri = Some(registry.url(""));
    (case.task.policy.read_ms, case.task.policy.retries) = (50, 1);
    assert_eq!(case.run().await.fault(), (31, "ConnectionFailed"));
    assert_eq!(silent.requests().len(), 2);

    for endpoint in ["http://169.254.169.254/", "http://10.0.0.1:8030", "file:///etc/passwd"] {
        let ddo = json!({"id": DID, "services": [{"id": "access", "serviceEndpoint": endpoint}]}).to_string();
        let registry = Server::start(move |_, _| super::server::ok(&ddo)).await;
        case.task.document.metadata_uri = Some(registry.url(""));
        let reason = if endpoint.starts_with("file") { "SchemeNotSupported" } else { "AddressRefused" };
        assert_eq!(case.run().await.fault(), (31, reason), "{endpoint}");
    }
}

#[tokio::test]
async fn no_signed_url_is_told_anywhere_whatever_the_provider_does() {
    let signed =
        |text: &str| ["signature=", "nonce=", "transferTxId", TX, "c4nary"].iter().any(|word| text.contains(word));
    for broken in 0..5 {
        let market = Market::new(&[&"0123456789".repeat(1000)]).await;
        let mut case = case(&market);
        case.task.document.inputs[0].source = remote("access", Some(json!("c4nary")));
        case.task.policy.retries = 1;
        match broken {
            0 => {}
            1 => market.breaks_off(1000),
            2 => market.sees_later_nonces(1000),
            3 => market.redirects_to("http://10.0.0.1/"),
            _ => case.task.policy.max_file_bytes = 5000,
        }
        let done = case.run().await;
        assert_eq!(done.report.fault.is_none(), broken == 0, "{}", done.out);
        assert!(!market.downloads().is_empty() && signed(&market.downloads()[0]));
        let report = crate::workflow::report::render(&done.report);
        let log = case.read("adminlogs/configure.log");
        for text in [&done.out, &report, &log] {
            assert!(!signed(text), "{text}");
        }
        assert!(log.contains("of service access"), "{log}");
    }
}

#[tokio::test]
async fn a_fileinfo_that_moved_is_followed_only_where_its_question_may_go_along() {
    for (status, fine) in [("308 Permanent Redirect", true), ("302 Found", false)] {
        let market = Market::new(&["x"]).await;
        let there = market.url();
        let moved = Server::start(move |_, head| {
            let path = head.split(' ').nth(1).unwrap();
            raw(status, &[&format!("location: {there}{path}"), "content-length: 0"], "")
        })
        .await;
        let ddo = json!({"id": DID, "services": [{"id": "access", "serviceEndpoint": moved.url("")}]}).to_string();
        let registry = Server::start(move |_, _| super::server::ok(&ddo)).await;
        let mut case = case(&market);
        case.task.document.metadata_uri = Some(registry.url(""));
        let done = case.run().await;
        assert_eq!(done.report.fault.is_none(), fine, "{}", done.out);
    }
}
