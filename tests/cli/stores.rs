//! The engine's start where the store is a node that is too old, or not there.

use crate::bench::{Bench, Running};
use nix::sys::signal::Signal;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
};

/// A node that says that it is of this version, and nothing else. Its port.
fn node(version: &'static str) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            let asked = lines.next().unwrap().unwrap();
            lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            let (status, body) = match asked.contains("/api/v0/version") {
                true => ("200 OK", format!("{{\"Version\":\"{version}\"}}")),
                false => ("404 Not Found", "404 page not found".to_owned()),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = connection.write_all(format!("{head}{body}").as_bytes());
        }
    });
    port
}

/// A configuration for that node, and a kubeconfig that leads nowhere.
fn bench(port: u16) -> Bench {
    let bench = Bench::new();
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
        contexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {}}]\n\
        clusters: [{name: x, cluster: {server: 'http://127.0.0.1:9'}}]\n";
    let config = format!(
        "[engine]\nlog_format = \"json\"\n[storage]\nkind = \"ipfs\"\n[ipfs]\napi = \"http://127.0.0.1:{port}\"\n\
         [http]\nlisten = \"\"\n"
    );
    bench.write("site.toml", config).write("kubeconfig", kubeconfig);
    bench
}

const RUN: [&str; 5] = ["run", "--config", "site.toml", "--kubeconfig", "kubeconfig"];

#[test]
fn a_node_that_is_too_old_is_refused_as_the_engine_starts() {
    for version in ["0.42.0", "0.43.0-rc1"] {
        let run = bench(node(version)).run(&RUN).with(3);
        let said = format!("must not be used: it is Kubo {version}, and 0.43 or later is needed: update it");
        assert!(run.err.contains(&said), "{}", run.err);
    }
}

#[test]
fn a_node_that_is_new_enough_or_not_there_is_no_reason_not_to_start() {
    let told = "a store for results cannot be asked whether it can be used; it is asked again";
    for (port, is_told) in [(node("0.43.1"), false), (9, true)] {
        let bench = bench(port);
        let mut running = Running::start(bench.program(&RUN), &bench);
        running.until("the engine starts").signal(Signal::SIGTERM);
        let run = running.end();
        assert_eq!(run.err.contains(told), is_told, "{}", run.err);
        assert!(!run.err.contains("must not be used") && !run.err.contains("panicked"), "{}", run.err);
    }
}
