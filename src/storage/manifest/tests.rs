//! What stands in a manifest, and its signature.

use super::*;

#[test]
fn kinds_go_by_exact_place_and_keep_their_old_spelling() {
    for (folder, name, kind) in [
        (Folder::Adminlogs, "configure.log", "\"configrationLog\""),
        (Folder::Adminlogs, "filter.log", "\"filteringLog\""),
        (Folder::Adminlogs, "publish.log", "\"publishLog\""),
        (Folder::Logs, "algorithm.log", "\"algorithmLog\""),
        (Folder::Adminlogs, "algorithm.log", "\"algorithmLog\""),
        (Folder::Outputs, "algorithm.log", "\"output\""),
        (Folder::Logs, "x/algorithm.log", "\"output\""),
        (Folder::Logs, "publish.log", "\"output\""),
    ] {
        assert_eq!(serde_json::to_string(&Kind::of(folder, name)).unwrap(), kind, "{folder}/{name}");
    }
}

fn manifest() -> Manifest {
    let facts = serde_json::json!({
        "job": "wf-1", "outcome": "timed-out", "reason": "MaxTimeExceeded", "message": "é \u{1f600} \u{7f}\"\\", "exitCode": 143,
        "image": "python:3.12", "imageId": null, "document": Sha256::of("x"),
        "usage": {"wallMs": 1, "cpuMs": 2, "peakMemoryBytes": 3}, "times": {}, "expiresAt": null, "release": true,
    });
    let (key, path) = ("wf-1/data/outputs/ü.csv".to_owned(), "outputs/ü.csv".to_owned());
    let (size, sha256, content_type) = (5, Sha256::of("hello"), "text/csv".to_owned());
    Manifest {
        version: VERSION,
        facts: serde_json::from_value(facts).unwrap(),
        part: None,
        partial: true,
        inputs: Some(vec![Input { path: "inputs/a/0".to_owned(), size: 1, sha256: Sha256::of("a"), stage: None }]),
        files: vec![File { key, path, kind: Kind::Output, size, sha256, content_type, cid: None }],
        refused: vec![Refused { path: "outputs/x".to_owned(), reason: "a FIFO".to_owned() }],
        signer: None,
        signature: None,
    }
}

fn key(digit: &str) -> crate::ethereum::OperatorKey {
    digit.repeat(64).parse().unwrap()
}

#[test]
fn a_signed_manifest_names_its_signer_and_is_the_same_each_time() {
    let mut manifest = manifest();
    assert_eq!(signed::signer(&manifest.render()), Err(signed::Unsigned::None));
    manifest.sign(&key("1"));
    let bytes = manifest.render();
    assert_eq!(signed::signer(&bytes), Ok(key("1").address()));
    assert_eq!(Manifest::parse(&bytes).as_ref(), Some(&manifest));
    manifest.sign(&key("1"));
    assert_eq!(manifest.render(), bytes);
    manifest.sign(&key("2"));
    assert_eq!(signed::signer(&manifest.render()), Ok(key("2").address()));
}

#[test]
fn the_signature_does_not_depend_on_white_space_or_order_and_covers_what_a_later_version_adds() {
    let mut manifest = manifest();
    manifest.sign(&key("1"));
    let value = serde_json::to_value(&manifest).unwrap();
    let mut reversed = serde_json::Map::new();
    reversed.extend(value.as_object().unwrap().clone().into_iter().rev());
    assert_eq!(signed::signer(&serde_json::to_vec(&reversed).unwrap()), Ok(key("1").address()));
    reversed.insert("more".to_owned(), serde_json::json!(1));
    assert_eq!(signed::signer(&serde_json::to_vec(&reversed).unwrap()), Err(signed::Unsigned::Wrong));
}

#[test]
fn whatever_is_changed_the_signature_does_not_hold() {
    let mut manifest = manifest();
    manifest.sign(&key("1"));
    let text = String::from_utf8(manifest.render()).unwrap();
    let other = key("2").address().to_string();
    for (from, to) in [
        ("timed-out", "succeeded"),
        ("\"partial\": true", "\"partial\": false"),
        ("\"size\": 5", "\"size\": 6"),
        ("outputs/ü.csv", "outputs/u.csv"),
        (&key("1").address().to_string(), &other),
        ("\"signature\": \"0x", "\"signature\": \"0x00"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        assert_eq!(signed::signer(changed.as_bytes()), Err(signed::Unsigned::Wrong), "{from}");
    }
    let twice = text.replacen('{', "{\"partial\": false,", 1);
    let fraction = text.replace("\"size\": 5", "\"size\": 5.0");
    for ambiguous in [twice.as_bytes(), fraction.as_bytes(), b"a: 1", b"\xff"] {
        let signer = signed::signer(ambiguous);
        assert!(matches!(signer, Err(signed::Unsigned::Ambiguous(_))), "{signer:?}");
    }
}

/// Signed with eth-account, in the way that [`signed`] describes.
#[test]
fn a_signature_that_others_made_in_the_described_way_holds() {
    let text = concat!(
        r#"{"version": 1, "job": "wf-1", "message": "\u00e9 \ud83d\ude00 \u007f\"\\\n\u0001", "exitCode": -1, "times": {}, "files": [{"size": 5, "path": "outputs/\u00fc.csv"}], "expiresAt": null, "release": true, "signer": "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A", "#,
        r#""signature": "0x6105c1e00c89a3533b9b95d8c8f0c8d43e5da7d80a8f622659dfa0cc197835ec3696c435c4da30649a4341de6288b12096d02284866f96f9909ebbb42d4f7ac81b"}"#,
    );
    assert_eq!(signed::signer(text.as_bytes()), Ok(key("1").address()));
}
