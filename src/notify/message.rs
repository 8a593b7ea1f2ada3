//! What a receiver is told, byte for byte as the old engine told it.
//!
//! Body: `algoDID`, `jobId`, `secret`, `DID`, `signature`, as Python's `json.dumps` writes them. Signed is the texts of
//! `secret`, `DID`, `jobId` and `algoDID`, one behind the other, as a wallet signs a message (EIP-191). Start and stop have the
//! same body: the URL tells them apart.

use crate::{ethereum::OperatorKey, workflow::Document};

/// A message, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The request's body, ASCII only.
    pub body: String,
}

impl Message {
    /// The message about a workflow. Of a document that cannot be read it says nothing but the job's id.
    pub fn of(job: &str, document: Option<&Document>, key: Option<&OperatorKey>) -> Self {
        let secret = text(document.and_then(|document| document.secret.as_deref()));
        let dids =
            document.map(|document| document.inputs.iter().map(|input| text(Some(&input.did))).collect::<Vec<_>>());
        let dids = format!("[{}]", dids.unwrap_or_default().join(", "));
        let algorithm = text(document.and_then(|document| document.algorithm.did.as_deref()));
        let job = text(Some(job));
        let signature = key.map(|key| key.sign(format!("{secret}{dids}{job}{algorithm}").as_bytes()).to_string());
        let signature = text(signature.as_deref());
        let body = format!(
            r#"{{"algoDID": {algorithm}, "jobId": {job}, "secret": {secret}, "DID": {dids}, "signature": {signature}}}"#
        );
        Self { body }
    }
}

/// A text as `json.dumps` writes it: all but printable ASCII escaped, as UTF-16; none is `null`.
fn text(text: Option<&str>) -> String {
    use std::fmt::Write as _;
    let Some(text) = text else { return "null".to_owned() };
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "fedcba9876543210fedcba9876543210";

    fn key() -> OperatorKey {
        "11".repeat(32).parse().unwrap()
    }

    fn document(dids: &[&str], algorithm: Option<&str>) -> Document {
        let inputs: Vec<_> =
            dids.iter().map(|did| serde_json::json!({"id": did, "url": "https://example.org/x"})).collect();
        let mut section = serde_json::json!({"rawcode": "print(1)",
            "container": {"image": "busybox", "tag": "1", "entrypoint": "sh $ALGO"}});
        if let Some(did) = algorithm {
            section["id"] = did.into();
        }
        let text = serde_json::json!({"kind": "WorkFlow", "metadata": {"secret": "0123456789abcdef0123456789abcdef"},
            "spec": {"metadata": {"stages": [{"input": inputs, "algorithm": section}]}}});
        Document::parse(&text.to_string()).unwrap()
    }

    /// Signed by eth-account, apart from the one id that documents no longer may have.
    #[test]
    fn notifications_are_signed_as_the_old_engine_signed_them() {
        for (dids, algorithm, signature) in [
            (
                &["did:op:aa", "did:op:bb"][..],
                Some("did:op:cc"),
                "0x7ac04bba9db7380b41c7b06df48ef2e1efdc9967b443aa271901c8d1239f989d44dda105de3063621718292e5273484ffbc815d63d4e9e0621569f0ee775e4e21b",
            ),
            (
                &[],
                None,
                "0xf826f78b73e71f615ce56d7a0f25900f4b1a06edd4fb5b9ef04013370d5c795b2d0fb3a1e6c1027ec5b3239bfb696f9cb6516a777aaf4b1338297e6a3382b8141b",
            ),
            (
                &["did:op:aa"],
                Some(""),
                "0xb52984348530ab1dea2330a898bc8ae70284a21a53689dea403df36f2ede5c15629913715b43a16fdca473f26c34156b1c9a7fc59ceb31d79de8ef4751b2a2101c",
            ),
        ] {
            let message = Message::of(JOB, Some(&document(dids, algorithm)), Some(&key()));
            let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
            assert_eq!(body["signature"], signature, "{}", message.body);
        }
    }

    #[test]
    fn the_body_is_the_old_engines_to_the_byte() {
        let message = Message::of("wf-1", Some(&document(&["did:op:aa", "did:op:bb"], None)), None);
        let expected = r#"{"algoDID": null, "jobId": "wf-1", "secret": "0123456789abcdef0123456789abcdef", "DID": ["did:op:aa", "did:op:bb"], "signature": null}"#;
        assert_eq!(message.body, expected);
        let unread = r#"{"algoDID": null, "jobId": "wf-1", "secret": null, "DID": [], "signature": null}"#;
        assert_eq!(Message::of("wf-1", None, None).body, unread);
    }

    #[test]
    fn texts_are_escaped_as_python_escapes_them() {
        assert_eq!(text(Some("did:op:é\"")), r#""did:op:\u00e9\"""#);
        assert_eq!(text(Some("\u{1f427}\u{7f}\u{1}\n\\/")), r#""\ud83d\udc27\u007f\u0001\n\\/""#);
    }
}
