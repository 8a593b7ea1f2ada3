//! What becomes of a result, and of an error, when the network or the server does not do what it should.

use crate::{
    contract::{self, prepared, task},
    proxy::{Asked, Fault, Proxy},
    stores,
};
use operator_engine::{
    pod::publish,
    storage::{
        Credentials, ResultStore as _, S3, S3Credentials, Secret, Storage, StorageError, Stored, manifest::Manifest,
    },
    workflow::{digest::Sha256, report::PublishReport},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

const SECRETS: [&str; 3] = ["hunter2hunter2", "Signature=", "X-Amz-"];

/// A part of the bucket behind a proxy, and the same without it.
struct Line {
    proxy: Proxy,
    behind: Storage,
    direct: Storage,
    stored: Stored,
}

impl Line {
    async fn new(script: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let (target, credentials) = stores::s3();
        let direct = stores::open(&target, &credentials);
        let proxy = Proxy::start(target.endpoint.as_deref().unwrap(), None, script).await;
        let target = S3 { endpoint: Some(proxy.endpoint.clone()), ..target };
        let behind = stores::open(&target, &credentials);
        let stored = Stored { job: "wf-1".parse().unwrap(), root: None };
        Self { proxy, behind, direct, stored }
    }

    /// Publishes twenty small files and one that goes in two parts.
    async fn publish(&self, through: &Storage) -> PublishReport {
        let big: Vec<u8> = (0..through.part_len() + 1000).map(|n| (n % 251) as u8).collect();
        let names: Vec<String> = (0..20).map(|n| format!("small {n}")).collect();
        let mut files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
        files.push(("big", &big));
        let (dir, facts) = prepared("wf-1", &files);
        publish::run(task(dir.path(), facts), &through.clone().into()).await
    }

    /// Whole or absent; nothing beside it, no upload left open.
    async fn whole(&self) -> Option<usize> {
        let manifest = Manifest::parse(&self.direct.manifest(&self.stored).await.unwrap()?).unwrap();
        for file in &manifest.files {
            let bytes = contract::read(&self.direct, &self.stored, &file.key).await;
            assert_eq!((bytes.len() as u64, Sha256::of(&bytes)), (file.size, file.sha256), "{}", file.key);
        }
        let listed = self.direct.list(&"wf-1".into()).await.unwrap();
        assert_eq!(listed.len(), manifest.files.len() + 2);
        self.assert_no_upload_is_open(listed.len()).await;
        Some(manifest.files.len())
    }

    /// With all its objects deleted, nothing of it is left; then only an open upload would be.
    async fn assert_no_upload_is_open(&self, objects: usize) {
        for meta in self.direct.list(&"wf-1".into()).await.unwrap() {
            self.direct.delete(&meta.location).await.unwrap();
        }
        assert_eq!(self.direct.last_written(&self.stored).await.unwrap(), None, "beside {objects} objects");
    }
}

fn xml(code: &str, message: &str) -> String {
    format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>")
}

/// A script that does this to the first `times` requests that `which` is for.
fn first(times: usize, which: fn(&Asked) -> bool, fault: Fault) -> impl Fn(&Asked) -> Option<Fault> + Send + Sync {
    let left = AtomicUsize::new(times);
    move |asked| {
        let taken = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        (which(asked) && taken()).then(|| fault.clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_sat_out() {
    let busy = |code, name| Fault::Answer(code, xml(name, "Please try again."));
    type Which = fn(&Asked) -> bool;
    let scripts: [(&str, Fault, Which); 9] = [
        ("500", busy(500, "InternalError"), |asked| asked.number % 3 == 1),
        ("503", busy(503, "SlowDown"), |asked| asked.number % 3 == 1),
        ("429", busy(429, "TooManyRequests"), |asked| asked.number % 3 == 1),
        ("a page for people", Fault::Answer(502, "<html>Bad Gateway</html>".into()), |asked| asked.number % 3 == 1),
        ("cut in the middle of a part", Fault::CutInTheMiddle, Asked::is_part),
        ("cut after a part", Fault::CutAfter, Asked::is_part),
        ("too late", Fault::LateAnswer(504, String::new()), |asked| asked.number % 3 == 1 && !asked.completes()),
        ("200 that is an error", Fault::Answer(200, xml("InternalError", "We are sorry.")), Asked::completes),
        ("an upload begun in vain", Fault::CutAfter, Asked::begins),
    ];
    for (name, fault, which) in scripts {
        let line = Line::new(first(4, which, fault)).await;
        let report = line.publish(&line.behind).await;
        assert_eq!(report.fault, None, "{name}");
        assert!(line.proxy.injected() > 0, "{name}");
        assert_eq!(line.whole().await, Some(22), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_acknowledgement_of_the_end_of_an_upload_costs_another_attempt_at_most() {
    for fault in [Fault::CutAfter, Fault::LateAnswer(500, xml("InternalError", "")), Fault::HalfAnswer] {
        let line = Line::new(first(1, Asked::completes, fault.clone())).await;
        let report = line.publish(&line.behind).await;
        assert_eq!(line.proxy.injected(), 1);
        if let Some(fault) = report.fault {
            assert!(fault.retry && fault.reason == "StorageUnavailable", "{fault:?}");
            assert_eq!(line.publish(&line.behind).await.fault, None);
        }
        assert_eq!(line.whole().await, Some(22), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_down_asks_for_another_attempt_and_leaves_nothing_open() {
    // From the second part on nothing goes through; a while later everything does.
    let down = Arc::new(AtomicUsize::new(1));
    let switch = down.clone();
    let line = Line::new(move |asked| {
        let late = asked.path.contains("partNumber=2") || asked.completes();
        (late && switch.load(Ordering::Relaxed) == 1).then(|| Fault::Answer(503, xml("ServiceUnavailable", "Later.")))
    })
    .await;
    let fault = line.publish(&line.behind).await.fault.unwrap();
    assert!(fault.retry && fault.reason == "StorageUnavailable", "{fault:?}");
    assert!(line.direct.manifest(&line.stored).await.unwrap().is_none());
    line.assert_no_upload_is_open(0).await;
    down.store(0, Ordering::Relaxed);
    assert_eq!(line.publish(&line.behind).await.fault, None);
    assert_eq!(line.whole().await, Some(22));
}

/// Keys that expire, a bucket that goes: in the middle of a result, and until an admin has seen to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_denies_from_some_moment_on_has_the_whole_result_once_it_is_mended() {
    let refusals = [
        (400, "ExpiredToken", "StorageDenied"),
        (403, "AccessDenied", "StorageDenied"),
        (404, "NoSuchBucket", "StorageMisconfigured"),
    ];
    for (status, code, reason) in refusals {
        for asked_before in [0, 1, 7, 24] {
            let (denies, asked) = (Arc::new(AtomicUsize::new(1)), AtomicUsize::new(0));
            let switch = denies.clone();
            let line = Line::new(move |_| {
                let late = asked.fetch_add(1, Ordering::Relaxed) >= asked_before;
                (late && switch.load(Ordering::Relaxed) == 1).then(|| Fault::Answer(status, xml(code, "No.")))
            })
            .await;
            for _ in 0..2 {
                let fault = line.publish(&line.behind).await.fault.unwrap();
                assert_eq!((fault.reason.as_str(), fault.retry), (reason, true), "{code} {asked_before}: {fault:?}");
                assert!(line.direct.manifest(&line.stored).await.unwrap().is_none());
            }
            denies.store(0, Ordering::Relaxed);
            assert_eq!(line.publish(&line.behind).await.fault, None, "{code} {asked_before}");
            assert_eq!(line.whole().await, Some(22), "{code} {asked_before}");
        }
    }
}

/// The server's own word on it, not a proxy's.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_know_the_keys_any_more_takes_the_result_with_new_ones() {
    let line = Line::new(|_| None).await;
    let (target, good) = stores::s3();
    let mut old = good.clone();
    old.s3.as_mut().unwrap().secret_access_key = Secret::new("hunter2hunter2");
    let refused = line.publish(&stores::open(&target, &old)).await.fault.unwrap();
    assert_eq!((refused.reason.as_str(), refused.retry), ("StorageDenied", true), "{refused:?}");
    assert_no_secret(&refused);
    let gone = S3 { bucket: "no-such-bucket".to_owned(), ..target.clone() };
    let refused = line.publish(&stores::open(&gone, &good)).await.fault.unwrap();
    assert_eq!((refused.reason.as_str(), refused.retry), ("StorageMisconfigured", true), "{refused:?}");
    assert_eq!(line.publish(&line.behind).await.fault, None);
    assert_eq!(line.whole().await, Some(22));
}

/// What a fault that does not pass is taken for, and what is said of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_pass_is_told_by_what_can_be_done() {
    let expired = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message>\
                   <Token-0>hunter2hunter2</Token-0></Error>";
    let mismatch = "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match.\
                    </Message><AWSAccessKeyId>AK</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256 hunter2hunter2</StringToSign>\
                    <SignatureProvided>hunter2hunter2</SignatureProvided></Error>";
    let too_long = xml("KeyTooLongError", "Your key is too long");
    let cases: Vec<(u16, String, &str, bool, &str)> = vec![
        (400, too_long, "UnfitForStorage", false, "shorter names"),
        (400, xml("EntityTooLarge", "x"), "UnfitForStorage", false, "smaller ones"),
        (400, expired.into(), "StorageDenied", true, "put a new one into the Secret"),
        (403, mismatch.into(), "StorageDenied", true, "does not belong to the access key's id"),
        (403, xml("InvalidAccessKeyId", "No."), "StorageDenied", true, "does not know this access key"),
        (
            403,
            xml("AccessDenied", "Access Denied."),
            "StorageDenied",
            true,
            "check the storage credentials and their rights",
        ),
        (403, String::new(), "StorageDenied", true, "status 403"),
        (
            403,
            xml("RequestTimeTooSkewed", "Too large."),
            "StorageUnavailable",
            true,
            "clocks of this machine and of the store",
        ),
        (
            404,
            xml("NoSuchBucket", "The specified bucket does not exist"),
            "StorageMisconfigured",
            true,
            "make the bucket",
        ),
        (301, String::new(), "StorageMisconfigured", true, "incorrectly configured region"),
        (400, xml("AuthorizationHeaderMalformed", "x"), "StorageMisconfigured", true, "correct the region"),
        (413, "<html>".into(), "StorageMisconfigured", true, "status 413"),
        (
            507,
            xml("XMinioStorageFull", "Storage backend has reached its minimum free drive"),
            "StorageUnavailable",
            true,
            "make room in it",
        ),
        (500, xml("InternalError", "no free volumes left"), "StorageUnavailable", true, "no free volumes left"),
        (503, xml("SlowDown", "Reduce your request rate."), "StorageUnavailable", true, "SlowDown"),
    ];
    let each = cases.into_iter().map(|(code, body, reason, retry, says)| {
        tokio::spawn(async move {
            // What is listed before may be seen: the fault comes with the first byte to be stored.
            let line =
                Line::new(move |asked| (!asked.method.is_safe()).then(|| Fault::Answer(code, body.clone()))).await;
            let fault = line.publish(&line.behind).await.fault.unwrap();
            assert_eq!((fault.reason.as_str(), fault.retry), (reason, retry), "{code}: {fault:?}");
            assert!(fault.message.contains(says), "{code}: {}", fault.message);
            assert_no_secret(&fault);
        })
    });
    for case in each.collect::<Vec<_>>() {
        case.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_of_any_act_shows_a_secret() {
    let body = "<Error><Code>AccessDenied</Code><Message>No.</Message><Token>hunter2hunter2</Token></Error>";
    for fault in [Fault::Answer(403, body.into()), Fault::Answer(200, "not XML".into()), Fault::CutAfter] {
        let ((target, _), shown) = (stores::s3(), format!("{fault:?}"));
        let proxy = Proxy::start(target.endpoint.as_deref().unwrap(), None, move |_| Some(fault.clone())).await;
        let credentials = Credentials {
            s3: Some(S3Credentials {
                access_key_id: "AK".into(),
                secret_access_key: Secret::new("hunter2hunter2"),
                session_token: Some(Secret::new("hunter2hunter2-token")),
            }),
            ..Credentials::default()
        };
        let storage = stores::open(&S3 { endpoint: Some(proxy.endpoint.clone()), ..target }, &credentials);
        let stored = Stored { job: "wf-1".parse().unwrap(), root: None };
        let (key, prefix) = ("wf-1/data/outputs/a".into(), "wf-1".into());
        let acts = tokio::join!(
            storage.jobs(),
            storage.manifest(&stored),
            storage.read(&stored, "wf-1/data/outputs/a"),
            storage.last_written(&stored),
            storage.remove(&stored),
            storage.now(),
            storage.put_in_parts(&key, "text/plain"),
            storage.drop_unfinished(&prefix),
            storage.list(&prefix),
        );
        let mut errors: Vec<Option<StorageError>> = vec![
            acts.0.err(),
            acts.1.err(),
            acts.2.err(),
            acts.3.err(),
            acts.4.err(),
            acts.5.err(),
            acts.6.err(),
            acts.7.err(),
            acts.8.err(),
        ];
        if !shown.contains("200") {
            errors.push(storage.put(&key, "x".into(), "text/plain").await.err());
        }
        assert!(errors.iter().flatten().count() > 4, "{errors:?}");
        for error in errors.into_iter().flatten() {
            let source = std::error::Error::source(&error).map(|source| format!("{source} {source:?}"));
            assert_no_secret(&format!("{error} {error:?} {error:#?} {source:?}"));
        }
        assert_no_secret(&format!("{storage:?} {storage:#?} {credentials:?} {}", storage.name()));
        assert!(proxy.asked() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_reached_says_why() {
    let (target, credentials) = stores::s3();
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let storage = stores::open(&S3 { endpoint: Some(format!("http://{nobody}")), ..target.clone() }, &credentials);
    let refused = storage.put(&"wf/x".into(), "x".into(), "text/plain").await.unwrap_err();
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert!(refused.retry() && source.contains("Connection refused"), "{refused} {source}");
}

#[track_caller]
fn assert_no_secret(shown: &(impl std::fmt::Debug + ?Sized)) {
    let text = format!("{shown:?}");
    for secret in SECRETS {
        assert!(!text.contains(secret), "{text}");
    }
    let key = stores::s3_server().text("secretKey");
    assert!(!text.contains(key), "{text}");
}
