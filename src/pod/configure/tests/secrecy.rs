//! What must not be told is told nowhere.

use super::{
    server::{Server, ok, raw, redirect},
    *,
};

const CANARY: &str = "c4nary";

#[tokio::test]
async fn a_query_a_fragment_and_credentials_appear_in_no_log_and_no_report() {
    let good = Server::start(|n, _| if n == 0 { raw("503 Busy", &[], "") } else { ok("x") }).await;
    let bad = Server::start(|_, _| raw("404 Not Found", &[], "")).await;
    let broken = Server::start(|_, _| raw("200 OK", &["content-length: 9"], "x")).await;
    let moving = Server::start(|_, _| redirect(&format!("/there?sig={CANARY}#{CANARY}"))).await;
    let closed = {
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        gone.local_addr().unwrap().port()
    };
    let query = format!("?X-Amz-Signature={CANARY}#{CANARY}");
    let urls = [
        good.url(&format!("/good{query}")),
        bad.url(&format!("/bad{query}")),
        broken.url(&format!("/broken{query}")),
        moving.url(&format!("/moving{query}")),
        format!("http://127.0.0.1:{closed}/closed{query}"),
        format!("http://no.such.name/nowhere{query}"),
        format!("http://10.0.0.1/private{query}"),
        format!("http://{CANARY}:{CANARY}@127.0.0.1/"),
        format!("http://[{CANARY}]/"),
        format!("s3://bucket/key{query}"),
        format!("file:x{query}"),
        format!("inline:x{query}"),
        format!("data:,{CANARY}"),
    ];
    for url in &urls {
        for (local, ddo) in [(false, false), (true, true)] {
            let mut case = Case::new().with_input("aa", &[url]);
            case.task.policy.retries = 1;
            case.task.local_folder = local.then(|| case.dir.path().to_owned());
            case.task.document.metadata_uri = ddo.then(|| url.clone());
            let done = case.run().await;
            let report = crate::workflow::report::render(&done.report);
            for text in [&done.out, &report, &case.read("adminlogs/configure.log")] {
                assert!(!text.contains(CANARY), "{url}: {text}");
            }
        }
    }
    let heads = bad.requests().join("");
    assert!(heads.contains(&format!("GET /bad?X-Amz-Signature={CANARY} ")), "it is sent where it belongs: {heads}");
}

#[tokio::test]
async fn raw_code_and_parameters_are_not_logged() {
    let mut case = Case::new();
    case.task.document.algorithm.source = AlgorithmSource::Raw(CANARY.to_owned());
    case.task.document.algorithm.custom_data = Some(serde_json::json!({ "token": CANARY }));
    case.task.document.secret = Some(CANARY.to_owned());
    let done = case.run().await;
    done.fine();
    assert!(!done.out.contains(CANARY), "{}", done.out);
}
