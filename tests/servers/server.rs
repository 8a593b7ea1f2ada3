//! A real server of `tests/servers/up`, for a test: started, killed as by a power cut, started again on the same data.

#![allow(dead_code, reason = "not every test that has this file uses all of it")]

use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A running server. Dropped, it is ended and its data removed; if the test is killed, likewise.
pub(crate) struct Server {
    up: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    said: Value,
}

impl Server {
    /// Starts a `kubo`, an `ipfs-cluster` or an `s3`, with arguments of `tests/servers/up`, and waits until it is ready.
    ///
    /// Panics if it does not start; why is on standard error.
    pub(crate) fn start(server: &str, arguments: &[&str]) -> Self {
        let mut up = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/up"))
            .arg(server)
            .args(arguments)
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/servers/up is there and Python runs it");
        let orders = up.stdin.take();
        let answers = BufReader::new(up.stdout.take().expect("it is piped"));
        let mut started = Self { up, orders, answers, said: Value::Null };
        started.said = started.answer(server);
        started
    }

    /// What it said when it was ready, by name: `api`, `endpoint`, `accessKey` …
    #[track_caller]
    pub(crate) fn text(&self, key: &str) -> &str {
        self.said[key].as_str().unwrap_or_else(|| panic!("there is no text {key:?} in {}", self.said))
    }

    /// Everything that it said when it was ready.
    pub(crate) fn said(&self) -> &Value {
        &self.said
    }

    /// Kills it (SIGKILL): what it had not written is lost.
    pub(crate) fn kill(&mut self) {
        self.order("kill");
    }

    /// Starts it again after [`Server::kill`], on the same data and at the same address.
    ///
    /// Panics if it does not start.
    pub(crate) fn start_again(&mut self) {
        self.said = self.order("start");
    }

    fn order(&mut self, order: &str) -> Value {
        writeln!(self.orders.as_mut().expect("it is not being dropped"), "{order}").expect("it takes orders");
        self.answer(order)
    }

    fn answer(&mut self, asked: &str) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("what it says is text");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("tests/servers/up did not do {asked:?}; why is above"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.up.wait();
    }
}
