//! Where inputs and algorithms come from, and under which names the algorithm finds them.

use crate::bench::{Bench, document};
use serde_json::json;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
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

/// A provider that has one file of one service, and the registry that knows of it.
fn market() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let ddo = json!({"id": "did:op:aa", "services": [{"id": "s", "serviceEndpoint": url}]}).to_string();
    let endpoints =
        json!({"serviceEndpoints": {"fileinfo": ["POST", "/fileinfo"], "download": ["GET", "/download"]}}).to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut from = BufReader::new(stream.try_clone().unwrap());
            let mut lines = from.by_ref().lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            let path = first.split(' ').nth(1).unwrap_or_default();
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
            let mut sent = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            from.read_exact(&mut sent).unwrap();
            let body = match path.split('?').next().unwrap() {
                "/" => &endpoints,
                "/fileinfo" => r#"[{"index": 0, "valid": true}]"#,
                "/download" if path.contains("&signature=0x") => "sold",
                _ => &ddo,
            };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}

#[test]
fn keys_reach_the_stage_that_fetches_and_only_for_a_document_that_needs_them() {
    const KEYS: [(&str, &str); 3] = [
        ("OPERATOR_PRIVATE_KEY", "5ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4e75ec4"),
        ("AWS_ACCESS_KEY_ID", "5ec4e7"),
        ("AWS_SECRET_ACCESS_KEY", "5ec4e7"),
    ];
    let bench = Bench::new();
    let run = |job: &serde_json::Value, name: &str, settings: &[(&str, &str)]| {
        bench.write(&format!("{name}.json"), job.to_string());
        let mut local = bench.program(&["local", &format!("{name}.json"), "--out", name, "-o", "json"]);
        local.env("OPERATOR_ENGINE__FETCH__ALLOW_NETWORKS", "127.0.0.0/8").envs(settings.iter().copied());
        let ended = bench.end(local);
        assert!(!format!("{ended:?}").contains("5ec4e7"), "{ended:?}");
        ended
    };
    let mut job = document("sh $ALGO", "cat $INPUTS/aa/0; env");
    job["stages"][0]["output"] = json!({"metadataUri": market()});
    job["stages"][0]["input"] = json!([{"id": "did:op:aa", "remote": {"txId": "0x1", "serviceId": "s"}}]);
    let sold = run(&job, "sold", &KEYS).with(0);
    let log = sold.log();
    assert!(log.starts_with("sold") && log.contains("OUTPUTS=") && !log.contains("5ec4e7"), "{log}");
    let log = sold.file("adminlogs/configure.log");
    assert!(log.contains("file 0 of its provider") && !log.contains("signature") && !log.contains("5ec4e7"), "{log}");
    let without = run(&job, "without", &KEYS[1..]).with(10).json();
    assert!(without["message"].as_str().unwrap().contains("OPERATOR_PRIVATE_KEY"), "{without}");

    job["stages"][0]["input"] = json!([{"id": "aa", "url": "s3://data/a.csv"}]);
    let refused = run(&job, "refused", &KEYS).with(10).json();
    assert!(refused["message"].as_str().unwrap().contains("fetch.s3_buckets"), "{refused}");
    let listed = [
        ("OPERATOR_ENGINE__FETCH__S3_BUCKETS", "data"),
        ("OPERATOR_ENGINE__FETCH__S3_ENDPOINT", "https://127.0.0.1:1"),
    ];
    let style = [("OPERATOR_ENGINE__FETCH__S3_PATH_STYLE", "true"), ("OPERATOR_ENGINE__FETCH__RETRIES", "0")];
    let none = run(&job, "none", &[&listed[..], &style].concat()).with(10).json();
    assert!(none["message"].as_str().unwrap().contains("there are no keys"), "{none}");
    let tried = run(&job, "tried", &[&listed[..], &style, &KEYS].concat()).with(10).json();
    let message = tried["message"].as_str().unwrap();
    assert!(
        message.contains("s3://data/a.csv") && message.contains("gave up") && !message.contains("X-Amz"),
        "{message}"
    );
}
