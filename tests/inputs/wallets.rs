//! Signatures, byte for byte those of the libraries that providers check them with (PyPI's eth-account and web3).

use crate::python::python;
use operator_engine::ethereum::{Address, OperatorKey, Signature, keccak256};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

/// What a wallet made of a key and a text.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    key: String,
    text: String,
    address: String,
    signature: String,
    of_hash: String,
}

#[test]
fn over_a_thousand_keys_and_texts_wallets_sign_what_we_sign_and_accept_it() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs/wallets.py");
    let mut wallets = Command::new(python()).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(wallets.stdout.take().unwrap()).lines();
    let cases: Vec<Case> = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert!(cases.len() >= 1000);
    let mut ours = Vec::new();
    let mut vs = [0, 0];
    for case in &cases {
        let key: OperatorKey = case.key.parse().unwrap();
        assert_eq!(key.address().to_string(), case.address, "{}", case.key);
        assert_eq!(case.address.parse::<Address>(), Ok(key.address()));
        let text = case.text.as_bytes();
        let (message, of_hash) = (key.sign(text), key.sign(&keccak256(text)));
        assert_eq!(message.to_string(), case.signature, "{case:?}");
        assert_eq!(of_hash.to_string(), case.of_hash, "{case:?}");
        let theirs: Signature = case.signature.parse().unwrap();
        assert_eq!(theirs.signer(text), Some(key.address()));
        vs[usize::from(case.signature.ends_with("1c"))] += 1;
        ours.push(json!([message.to_string(), of_hash.to_string()]));
    }
    assert!(vs.iter().all(|count| *count > 100), "both kinds of v: {vs:?}");
    writeln!(wallets.stdin.take().unwrap(), "{}", Value::from(ours)).unwrap();
    let told: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(told, json!({"recovered": cases.len(), "wrong": 0}));
    assert!(wallets.wait().unwrap().success());
}
