//! Where results go: every kind of store, its keys, and the rules between them.

use super::*;
use crate::storage::{Ipfs, IpfsCluster, S3, Target, Targets};

/// What makes a section one that is used.
type Base = &'static [(&'static str, &'static str)];

const S3_BASE: Base = &[("storage.kind", "s3"), ("s3.bucket", "out"), ("s3.endpoint", "https://s3.example")];
const IPFS_BASE: Base = &[("storage.kind", "ipfs"), ("ipfs.api", "http://kubo:5001")];
const CLUSTER_BASE: Base = &[
    ("storage.kind", "ipfs-cluster"),
    ("ipfs_cluster.api", "http://cluster:9094"),
    ("ipfs_cluster.node", "http://kubo:5001"),
    ("ipfs_cluster.replication_min", "1"),
    ("ipfs_cluster.replication_max", "3"),
];
const DIRECTORY_BASE: Base = &[("storage.kind", "directory"), ("storage.directory", "/srv")];

/// Other values for the keys that say something only where their section is used, below `adminlogs` as well.
const WITHIN: &[(Base, &[(&str, &str)])] = &[
    (DIRECTORY_BASE, &[("storage.directory", "/data/out")]),
    (
        S3_BASE,
        &[
            ("s3.bucket", "other"),
            ("s3.prefix", "/a/b/"),
            ("s3.region", "eu-central-1"),
            ("s3.endpoint", "https://minio.example:9000/"),
            ("s3.path_style", "true"),
            ("s3.allow_http", "true"),
            ("s3.ca_file", CA),
            ("s3.role_arn", "arn:aws:iam::1:role/publish"),
            ("s3.sts_endpoint", "https://sts.example"),
        ],
    ),
    (
        IPFS_BASE,
        &[
            ("ipfs.api", "https://kubo.example"),
            ("ipfs.folder", "/results/"),
            ("ipfs.url_prefix", "https://gateway.example/ipfs"),
            ("ipfs.double_slash", "true"),
            ("ipfs.ca_file", CA),
        ],
    ),
    (
        CLUSTER_BASE,
        &[
            ("ipfs_cluster.api", "https://cluster.example"),
            ("ipfs_cluster.node", "https://kubo.example"),
            ("ipfs_cluster.group", "results"),
            ("ipfs_cluster.replication_min", "2"),
            ("ipfs_cluster.replication_max", "4"),
            ("ipfs_cluster.pin_timeout", "1m"),
            ("ipfs_cluster.url_prefix", "https://gateway.example/ipfs"),
            ("ipfs_cluster.double_slash", "true"),
            ("ipfs_cluster.ca_file", CA),
        ],
    ),
];

/// Stands for the path of a file of certificates.
const CA: &str = "(a file of certificates)";

/// A certificate as OpenSSL makes it (EC, self-signed); only its form matters here.
const CERTIFICATE: &str = include_str!("stores/ca.pem");

pub(super) fn tried() -> Vec<String> {
    let outputs = WITHIN.iter().flat_map(|(base, others)| base.iter().chain(*others)).map(|(key, _)| (*key).to_owned());
    let outputs: Vec<_> = outputs.collect();
    outputs.iter().map(|key| below_adminlogs(key)).chain(outputs.iter().cloned()).collect()
}

fn below_adminlogs(key: &str) -> String {
    match key.strip_prefix("storage.") {
        Some(key) => format!("adminlogs.{key}"),
        None => format!("adminlogs.{key}"),
    }
}

fn set(pairs: &[(String, &str)]) -> Result<Loaded, ConfigErrors> {
    load(&[], pairs.iter().map(|(key, value)| (layers::variable_name(key), (*value).to_owned())))
}

fn outputs(pairs: &[(&str, &str)]) -> Target {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
    set(&pairs).unwrap().config.storage.targets.unwrap().outputs
}

#[test]
fn every_key_of_a_store_reaches_its_target_for_outputs_and_for_admin_logs() {
    let folder = tempfile::tempdir().unwrap();
    let ca = file(folder.path(), "ca.pem", CERTIFICATE);
    let plain = |key: &str| key.to_owned();
    let elsewhere = [("storage.kind".to_owned(), "directory"), ("storage.directory".to_owned(), "/elsewhere")];
    for (naming, beside) in [(&plain as &dyn Fn(&str) -> String, &[][..]), (&below_adminlogs, &elsewhere)] {
        for (base, others) in WITHIN {
            let mut pairs: Vec<_> = base.iter().map(|(key, value)| (naming(key), *value)).collect();
            pairs.extend_from_slice(beside);
            let before = set(&pairs).unwrap();
            for (key, other) in *others {
                let value = if *other == CA { ca.to_str().unwrap() } else { other };
                let mut pairs = pairs.clone();
                pairs.retain(|(set, _)| *set != naming(key));
                pairs.push((naming(key), value));
                let after = set(&pairs).unwrap();
                assert_ne!(after.config.storage.targets, before.config.storage.targets, "{key} = {other}");
                let changed = after.values.iter().zip(&before.values).filter(|(now, was)| now != was).count();
                assert_eq!(changed, 1, "{key} = {other}");
            }
        }
    }
}

#[test]
fn a_target_holds_what_its_keys_say_and_no_slash_too_many() {
    let s3 = S3 {
        bucket: "out".to_owned(),
        prefix: "a/b".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some("http://minio:9000".to_owned()),
        path_style: false,
        allow_http: true,
        ca: None,
        role_arn: None,
        sts_endpoint: None,
    };
    let more = [("s3.prefix", "/a/b/"), ("s3.endpoint", "http://minio:9000/"), ("s3.allow_http", "yes")];
    assert_eq!(outputs(&[S3_BASE, &more[..]].concat()), Target::S3(s3));
    let ipfs = |url_prefix: &str| {
        let [api, folder] = ["http://kubo:5001", "/operator-engine"].map(str::to_owned);
        Target::Ipfs(Ipfs { api, folder, url_prefix: url_prefix.to_owned(), double_slash: false, ca: None })
    };
    assert_eq!(outputs(IPFS_BASE), ipfs("ipfs://"));
    let gateway = [("ipfs.url_prefix", "https://gateway.example/ipfs")];
    assert_eq!(outputs(&[IPFS_BASE, &gateway].concat()), ipfs("https://gateway.example/ipfs/"));
    let Target::IpfsCluster(IpfsCluster { replication, pin_timeout_secs, .. }) = outputs(CLUSTER_BASE) else {
        panic!()
    };
    assert_eq!((replication, pin_timeout_secs), (Some((1, 3)), 600));
}

#[test]
fn admin_logs_are_kept_from_the_consumer_unless_it_is_said_otherwise() {
    let adminlogs = |more: &[(&str, &str)]| {
        let pairs: Vec<_> = S3_BASE.iter().chain(more).map(|(key, value)| ((*key).to_owned(), *value)).collect();
        set(&pairs).unwrap().config.storage.targets.unwrap().adminlogs
    };
    let Some(Target::S3(apart)) = adminlogs(&[]) else { panic!("not apart") };
    assert_eq!((apart.bucket.as_str(), apart.prefix.as_str()), ("out", "_adminlogs"));
    assert_eq!(adminlogs(&[("adminlogs.kind", "with-outputs")]), None);
    let own = [("adminlogs.kind", "directory"), ("adminlogs.directory", "/logs")];
    assert_eq!(adminlogs(&own), Some(Target::Directory { path: "/logs".into() }));
}

#[test]
fn what_could_go_to_the_wrong_place_does_not_start() {
    let told = |base: Base, more: &[(&str, &str)]| {
        let pairs: Vec<_> = base
            .iter()
            .filter(|(key, _)| more.iter().all(|(other, _)| other != key))
            .chain(more)
            .map(|(key, value)| ((*key).to_owned(), *value))
            .collect();
        let told = set(&pairs).unwrap_err().to_string();
        assert!(!told.contains("s3cret"), "{told}");
        told
    };
    let http = told(S3_BASE, &[("s3.endpoint", "http://minio:9000")]);
    assert!(http.contains("plain http") && http.contains("s3.allow_http = false (default)"), "{http}");
    let same =
        [("adminlogs.kind", "s3"), ("adminlogs.s3.bucket", "out"), ("adminlogs.s3.endpoint", "https://s3.example")];
    assert!(told(S3_BASE, &same).contains("among outputs"));
    let below = [same[0], same[1], same[2], ("adminlogs.s3.prefix", "logs")];
    assert!(told(S3_BASE, &below).contains("among outputs"));
    let amazon = [("adminlogs.kind", "s3"), ("adminlogs.s3.bucket", "logs")];
    assert!(told(S3_BASE, &amazon).contains("adminlogs.s3.endpoint must be set where s3.endpoint is"));
    let inside = [("adminlogs.kind", "directory"), ("adminlogs.directory", "/srv/logs")];
    assert!(told(DIRECTORY_BASE, &inside).contains("among outputs"));
    let claims = [("storage.claim", "results"), ("adminlogs.claim", "results")];
    assert!(told(DIRECTORY_BASE, &claims).contains("adminlogs.claim must not be storage.claim"));
    for (base, key, value, words) in [
        (S3_BASE, "s3.endpoint", "https://ann:s3cret@minio", "credentials belong into a Secret"),
        (S3_BASE, "s3.endpoint", "https://minio/?s3cret", "credentials belong into a Secret"),
        (S3_BASE, "s3.endpoint", "minio:9000", "must start with http:// or https://"),
        (S3_BASE, "s3.bucket", "a/b", "not the name of a bucket"),
        (S3_BASE, "s3.prefix", "a/../b", "not a prefix"),
        (S3_BASE, "s3.prefix", "a//b", "not a prefix"),
        (S3_BASE, "s3.region", "eu central", "not a region"),
        (S3_BASE, "s3.role_arn", "publish", "not a role"),
        (S3_BASE, "s3.sts_endpoint", "http://sts.example", "must be https"),
        (S3_BASE, "s3.ca_file", "/nowhere/ca.pem", "cannot be read"),
        (IPFS_BASE, "ipfs.api", "kubo:5001", "must start with http:// or https://"),
        (IPFS_BASE, "ipfs.folder", "/", "not a folder below the root"),
        (IPFS_BASE, "ipfs.folder", "/a/../..", "not a folder below the root"),
        (IPFS_BASE, "ipfs.folder", "results", "not a folder below the root"),
        (IPFS_BASE, "ipfs.url_prefix", "gateway", "or be ipfs://"),
        (CLUSTER_BASE, "ipfs_cluster.node", "", "must be set as well"),
        (CLUSTER_BASE, "ipfs_cluster.group", "a/b", "not a name for a group"),
        (CLUSTER_BASE, "ipfs_cluster.replication_min", "4", "must not be above"),
        (CLUSTER_BASE, "ipfs_cluster.replication_max", "0", "either both are 0 or none is"),
    ] {
        let told = told(base, &[(key, value)]);
        assert!(told.contains(words) && told.contains(key), "{key} = {value}: {told}");
    }
}

#[test]
fn only_certificates_come_out_of_a_file_of_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = |text: &str| {
        let path = file(folder.path(), "ca.pem", text);
        let ca = [("s3.ca_file", path.to_str().unwrap())];
        let pairs: Vec<_> = S3_BASE.iter().chain(&ca).map(|(key, value)| ((*key).to_owned(), *value)).collect();
        set(&pairs)
    };
    let key = "-----BEGIN PRIVATE KEY-----\nczNjcmV0\n-----END PRIVATE KEY-----\n";
    let text = format!("# ours\n{key}{CERTIFICATE}{key}{}", CERTIFICATE.replace('\n', "\r\n"));
    let Some(Target::S3(s3)) = loaded(&text).unwrap().config.storage.targets.map(|targets| targets.outputs) else {
        panic!()
    };
    assert_eq!(s3.ca.unwrap(), CERTIFICATE.repeat(2));
    for (text, words) in [
        (key, "holds no certificate"),
        ("", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "is no PEM"),
        (&CERTIFICATE.repeat(100), "larger than 32Ki"),
    ] {
        let told = loaded(text).unwrap_err().to_string();
        assert!(told.contains(words) && !told.contains("czNjcmV0"), "{told}");
    }
}

#[test]
fn old_variables_choose_ipfs_before_s3_and_a_directory_never() {
    let targets = |variables: &[(&str, &str)]| {
        let loaded = with(variables).unwrap();
        (loaded.config.storage.targets, loaded.warnings)
    };
    let bucket = [("AWS_BUCKET_OUTPUT", "out"), ("AWS_REGION", "eu-west-1"), ("AWS_BUCKET_ADMINLOGS", "logs")];
    let (Some(Targets { outputs: Target::S3(outputs), adminlogs: Some(Target::S3(adminlogs)) }), warnings) =
        targets(&bucket)
    else {
        panic!()
    };
    assert_eq!((outputs.bucket.as_str(), outputs.region.as_str()), ("out", "eu-west-1"));
    assert_eq!((adminlogs.bucket.as_str(), adminlogs.region.as_str()), ("logs", "eu-west-1"));
    assert_eq!(warnings, Vec::<String>::new());

    let node = [("IPFS_OUTPUT", "http://ipfs:5001"), ("IPFS_OUTPUT_PREFIX", "https://gateway.example/ipfs")];
    let (Some(Targets { outputs: Target::Ipfs(ipfs), adminlogs }), warnings) = targets(&[&node[..], &bucket].concat())
    else {
        panic!()
    };
    assert_eq!((ipfs.url_prefix.as_str(), ipfs.double_slash), ("https://gateway.example/ipfs/", false));
    assert_eq!(adminlogs, Some(Target::S3(adminlogs_of("logs"))));
    assert_eq!(
        warnings,
        ["AWS_BUCKET_OUTPUT is passed over: IPFS_OUTPUT is set, and IPFS goes before S3, as in the old engine"]
    );

    let same = [("IPFS_OUTPUT", "http://ipfs:5001/"), ("IPFS_ADMINLOGS", "http://ipfs:5001")];
    let (Some(Targets { outputs: Target::Ipfs(outputs), adminlogs: Some(Target::Ipfs(adminlogs)) }), _) =
        targets(&same)
    else {
        panic!()
    };
    assert_eq!(outputs.url_prefix, "http://ipfs:5001/ipfs/", "the old engine's, without a prefix");
    assert_ne!(outputs.folder, adminlogs.folder);

    let one = [("AWS_BUCKET_OUTPUT", "out"), ("AWS_BUCKET_ADMINLOGS", "out")];
    let (Some(Targets { adminlogs: Some(Target::S3(adminlogs)), .. }), _) = targets(&one) else { panic!() };
    assert_eq!(adminlogs.prefix, "_adminlogs", "one bucket for both, and still apart");
    assert_eq!(targets(&[("AWS_REGION", "eu-west-1"), ("IPFS_OUTPUT_PREFIX", "ipfs://")]).0, None);
}

fn adminlogs_of(bucket: &str) -> S3 {
    let base = [("AWS_BUCKET_OUTPUT", bucket), ("AWS_REGION", "eu-west-1")];
    match with(&base).unwrap().config.storage.targets.unwrap().outputs {
        Target::S3(s3) => s3,
        other => panic!("{other:?}"),
    }
}
