//! Requests that try to get where they must not.

use super::{
    server::{Server, Then, ok, redirect},
    *,
};

/// Fetches one URL with loopback forbidden.
async fn from_outside(url: &str) -> Done {
    let mut case = Case::new().with_input("aa", &[url]);
    case.task.policy.allow_networks.clear();
    case.run().await
}

#[tokio::test]
async fn loopback_is_refused_in_every_spelling_and_no_connection_is_made() {
    let server = Server::of("secret").await;
    let port = server.port();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.1",
        "127.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
    ] {
        assert_eq!(from_outside(&format!("http://{host}:{port}/")).await.fault(), (31, "AddressRefused"), "{host}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_name_is_judged_by_its_addresses() {
    let server = Server::of("secret").await;
    let case = Case::new().with_input("aa", &[&format!("http://internal.example:{}/", server.port())]);
    for addrs in [["169.254.169.254", "10.0.0.1"], ["fd00::1", "::ffff:192.168.0.1"]] {
        case.names.set("internal.example", &[&addrs]);
        let done = case.run().await;
        assert_eq!(done.fault(), (31, "AddressRefused"));
        assert!(!done.out.contains("trying again"), "a refusal is final: {}", done.out);
        assert!(addrs.iter().all(|addr| !done.out.contains(addr)), "what a name resolves to is not told: {}", done.out);
    }
    // Of a mixed answer only the allowed address is used.
    case.names.set("internal.example", &[&["10.255.255.1", "127.0.0.1"]]);
    case.run().await.fine();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_name_that_changes_its_address_between_attempts_is_judged_each_time() {
    let server = Server::start(|_, _| (Vec::new(), Then::Close)).await;
    let case = Case::new().with_input("aa", &[&format!("http://rebinding.example:{}/", server.port())]);
    case.names.set("rebinding.example", &[&["127.0.0.1"], &["169.254.169.254"]]);
    assert_eq!(case.run().await.fault(), (31, "AddressRefused"));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn every_redirect_is_judged_like_a_first_url() {
    for (to, reason) in [
        ("http://169.254.169.254/latest/meta-data/", "AddressRefused"),
        ("http://[fd00:ec2::254]/", "AddressRefused"),
        ("http://metadata.example/", "AddressRefused"),
        ("//10.0.0.1/", "AddressRefused"),
        ("file:///etc/passwd", "SchemeNotSupported"),
        ("inline:key", "SchemeNotSupported"),
        ("http://user:password@127.0.0.1/", "CredentialsInUrl"),
        ("http://[", "BadRedirect"),
    ] {
        let server = Server::start(move |_, _| redirect(to)).await;
        let case = Case::new().with_input("aa", &[&server.url("/f")]).with_key("key", "x");
        case.names.set("metadata.example", &[&["169.254.169.254"]]);
        assert_eq!(case.run().await.fault(), (31, reason), "{to}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn redirects_are_followed_and_counted() {
    let server = Server::start(|n, _| if n < 5 { redirect(&format!("/hop{n}")) } else { ok("found") }).await;
    let case = Case::new().with_input("aa", &[&server.url("/f")]);
    case.run().await.fine();
    assert_eq!(case.read("inputs/aa/0"), "found");
    assert!(server.requests()[5].starts_with("GET /hop4 "));

    let server = Server::start(|_, _| redirect("/f")).await;
    let case = Case::new().with_input("aa", &[&server.url("/f")]);
    assert_eq!(case.run().await.fault(), (31, "TooManyRedirects"));
    assert_eq!(server.requests().len(), 6, "the first and five more");
}

#[tokio::test]
async fn a_redirect_to_loopback_is_refused_where_only_its_origin_is_allowed() {
    let inside = Server::of("secret").await;
    let to = format!("http://127.0.0.2:{}/", inside.port());
    let outside = Server::start(move |_, _| redirect(&to)).await;
    let mut case = Case::new().with_input("aa", &[&outside.url("/f")]);
    case.task.policy.allow_networks = vec!["127.0.0.1/32".parse().unwrap()];
    assert_eq!(case.run().await.fault(), (31, "AddressRefused"));
    assert!(inside.requests().is_empty());
}

#[tokio::test]
async fn a_metadata_uri_is_guarded_too() {
    let server = Server::of("{}").await;
    let mut case = Case::new().with_key("k", "x").with_input("aa", &["inline:k"]);
    case.task.document.metadata_uri = Some(server.url(""));
    case.task.policy.allow_networks.clear();
    let done = case.run().await;
    done.fine();
    assert!(server.requests().is_empty() && !case.exists("ddos/aa") && done.out.contains("DDO of aa: its host is"));
}

#[tokio::test]
async fn urls_that_are_not_for_us_end_with_a_reason() {
    for (url, reason) in [
        ("s3://bucket/key", "BucketNotAllowed"),
        ("ipfs://bafy", "NoGateway"),
        ("ar://tx", "NoGateway"),
        ("ftp://127.0.0.1/x", "SchemeNotSupported"),
        ("data:,x", "SchemeNotSupported"),
        ("gopher://127.0.0.1/", "SchemeNotSupported"),
        ("/etc/passwd", "InvalidUrl"),
        ("", "InvalidUrl"),
        ("http://", "InvalidUrl"),
        ("http://user@127.0.0.1/", "CredentialsInUrl"),
        ("http://user:password@127.0.0.1/", "CredentialsInUrl"),
        ("file:///etc/passwd", "FileNotAllowed"),
        ("inline:../data/bin", "InvalidKey"),
        ("inline:%2e%2e", "InvalidKey"),
        ("inline:/etc/passwd", "InvalidKey"),
        ("inline:..data", "InvalidKey"),
        ("inline:absent", "NotFound"),
    ] {
        let done = Case::new().with_input("aa", &[url]).run().await;
        assert_eq!(done.fault(), (31, reason), "{url}");
    }
}
