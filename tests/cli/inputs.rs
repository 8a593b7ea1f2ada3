//! Where inputs and algorithms come from, and under which names the algorithm finds them.

use crate::bench::{Bench, document};
use serde_json::json;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
};

/// A server on loopback whose every path answers with the path, for as long as the test's process lives.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            lines.find(String::is_empty);
            let body = first.split(' ').nth(1).unwrap_or_default().to_owned();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    format!("http://{address}")
}

const SHOW: &str = "cd $INPUTS; find . -type f | sort | while read f; do echo \"$f=$(cat $f)\"; done; echo DIDS=$DIDS";

#[test]
fn files_from_a_server_have_the_names_of_the_old_engine() {
    let bench = Bench::new();
    let url = server();
    let mut job = document("sh $ALGO", SHOW);
    job["stages"][0]["input"] = json!([
        {"id": "did:op:aa", "url": [format!("{url}/one?token=s3cret"), format!("{url}/two")]},
        {"id": "did:op:bb", "url": format!("{url}/three")},
        // One data set twice, for two of its services: its files go on counting.
        {"id": "did:op:aa", "url": format!("{url}/four")},
    ]);
    bench.write("job.json", job.to_string());
    let mut local = bench.program(&["local", "job.json", "--out", "out", "-o", "json"]);
    local.env("OPERATOR_ENGINE__FETCH__ALLOW_NETWORKS", "127.0.0.0/8");
    let ended = bench.end(local).with(0);
    assert_eq!(
        ended.log(),
        "./aa/0=/one?token=s3cret\n./aa/1=/two\n./aa/2=/four\n./bb/0=/three\nDIDS=[\"aa\", \"bb\", \"aa\"]\n"
    );
    let log = ended.file("adminlogs/configure.log");
    let said = ended.err.lines().filter(|line| line.starts_with("configure")).collect::<String>();
    assert!(log.contains("/one") && !log.contains("s3cret") && !said.contains("s3cret"), "{log}\n{said}");
}

#[test]
fn loopback_is_out_of_reach_unless_the_admin_allows_it() {
    let bench = Bench::new();
    let mut job = document("sh $ALGO", "echo ran");
    job["stages"][0]["input"] = json!([{"id": "aa", "url": format!("{}/?token=s3cret", server())}]);
    let ended = bench.local(&job, &["-o", "json"]).with(10);
    let answer = ended.json();
    assert_eq!((&answer["outcome"], &answer["code"]), (&json!("failed"), &json!(31)));
    assert_eq!(answer["text"], "Data provisioning failed");
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("127.0.0.1") && message.contains("fetch.allow_networks"), "{message}");
    assert!(!message.contains("s3cret"), "{message}");
    assert!(ended.paths().contains(&"adminlogs/configure.log".to_owned()), "why is stored: {:?}", ended.paths());
    assert!(!ended.err.contains("ran"), "the algorithm does not run without its inputs");
}

#[test]
fn a_file_beside_the_document_is_an_input_and_one_above_it_is_not() {
    let bench = Bench::new();
    bench.write("flow/data/a b.csv", "1,2").write("secret.txt", "s3cret");
    let mut job = document("sh $ALGO", SHOW);
    job["stages"][0]["input"] = json!([{"id": "here", "url": "file:data/a%20b.csv"}]);
    bench.write("flow/workflow.json", job.to_string());
    let ended = bench.run(&["local", "flow/workflow.json", "--out", "out", "-o", "json"]).with(0);
    assert_eq!(ended.log(), "./here/0=1,2\nDIDS=[\"here\"]\n");

    job["stages"][0]["input"][0]["url"] = json!("file:../secret.txt");
    bench.write("flow/workflow.json", job.to_string());
    let ended = bench.run(&["local", "flow/workflow.json", "--out", "out", "-o", "json"]);
    assert!(matches!(ended.code, Some(10 | 14)), "{ended:?}");
    assert!(!format!("{ended:?}").contains("s3cret"));
}

#[test]
fn parameters_and_the_shortest_scripts_reach_the_algorithm() {
    let bench = Bench::new();
    // The old engine took code of 10 characters and less for none.
    let mut job = document("sh -c 'cat $INPUTS/algoCustomData.json; cat $ALGO' # $ALGO", "dir");
    job["stages"][0]["algorithm"]["algocustomdata"] = json!({"b": 1.10, "a": [true, "ü"]});
    let ended = bench.local(&job, &["-o", "json"]).with(0);
    assert_eq!(ended.log(), "{\"b\":1.1,\"a\":[true,\"ü\"]}dir");

    assert_eq!(bench.local(&document("sh $ALGO", "pwd"), &["-o", "json"]).with(0).log().lines().count(), 1);
}

#[test]
fn an_expected_digest_that_does_not_match_fails_the_workflow_before_the_algorithm_runs() {
    let bench = Bench::new();
    bench.write("a.csv", "1");
    let mut job = document("sh $ALGO", "echo ran");
    job["stages"][0]["input"] = json!([{"id": "aa", "url": [{"url": "inline:a.csv", "sha256": "0".repeat(64)}]}]);
    let ended = bench.local(&job, &["-o", "json"]).with(10);
    let message = ended.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("6b86b273ff34fce1"), "it says what it is instead: {message}");
}
