//! The outbox over a cluster in memory, and receivers that do what receivers do.

use super::*;
use crate::{
    clock::SystemClock,
    ethereum::Signature,
    sandbox::{
        Sandbox,
        kubelet::{Kubelet, Run, Stop},
    },
    workflow::{notice::NoticeState, record::Holder},
};
use async_trait::async_trait;
use axum::{
    Router,
    extract::{Request, State as Given},
    http::StatusCode,
    response::IntoResponse as _,
};
use std::sync::Mutex;
use tokio::net::TcpListener;

struct Idle;

#[async_trait]
impl Kubelet for Idle {
    async fn run(&self, _: &Run<'_>, _: Stop) -> crate::plan::end::End {
        std::future::pending().await
    }
}

/// What a receiver does with the n-th request, from 0.
type Manner = Arc<dyn Fn(usize) -> Reply + Send + Sync>;

#[derive(Clone, Copy)]
enum Reply {
    Status(u16),
    Redirect(u16),
    Hang,
}

/// What a receiver was sent: idempotency key and body.
type Inbox = Arc<Mutex<Vec<(String, String)>>>;

async fn receiver(manner: Manner) -> (reqwest::Url, Inbox) {
    let inbox = Inbox::default();
    let handle = async |Given((inbox, manner)): Given<(Inbox, Manner)>, request: Request| {
        let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or("").to_owned();
        let elsewhere = request.uri().path() == "/elsewhere";
        let body = axum::body::to_bytes(request.into_body(), 65536).await.unwrap();
        let n = {
            let mut inbox = inbox.lock().unwrap();
            inbox.push((key, String::from_utf8(body.to_vec()).unwrap()));
            inbox.len() - 1
        };
        match manner(n) {
            _ if elsewhere => StatusCode::OK.into_response(),
            Reply::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
            Reply::Redirect(status) => {
                (StatusCode::from_u16(status).unwrap(), [("location", "/elsewhere")]).into_response()
            }
            Reply::Hang => std::future::pending().await,
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/told", listener.local_addr().unwrap()).parse().unwrap();
    let router = Router::new().fallback(handle).with_state((inbox.clone(), manner));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, inbox)
}

struct World {
    sandbox: Sandbox,
    inbox: Inbox,
    outbox: Outbox,
}

const DOCUMENT: &str = r#"{"kind": "WorkFlow", "metadata": {"secret": "s3cret"}, "spec": {"metadata": {"stages": [
    {"input": [{"id": "did:op:aa", "url": "https://example.org/x"}], "algorithm": {"rawcode": "x",
     "container": {"image": "busybox", "tag": "1", "entrypoint": "sh $ALGO"}}}]}}}"#;

/// One workflow, `wf-1`, which owes a word about its start; nothing tries to send it yet.
async fn world(manner: impl Fn(usize) -> Reply + Send + Sync + 'static) -> World {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let sandbox = Sandbox::new(Arc::new(Idle), clock.clone());
    owes(&sandbox, &*clock, "wf-1").await;
    let (url, inbox) = receiver(Arc::new(manner)).await;
    let outbox = Outbox {
        cluster: Arc::new(sandbox.clone()),
        clock,
        courier: Courier::new(Duration::from_millis(300), false).unwrap(),
        urls: BTreeMap::from([(Occasion::Start, url.clone()), (Occasion::Stop, url)]),
        key: Some("11".repeat(32).parse().unwrap()),
        patience: Patience {
            backoff_first: Duration::from_millis(20),
            backoff_max: Duration::from_millis(40),
            give_up_after: Duration::from_secs(60),
        },
        every: Duration::from_millis(10),
        request_timeout: Duration::from_secs(5),
    };
    World { sandbox, inbox, outbox }
}

/// A workflow that owes a word about its start.
async fn owes(sandbox: &Sandbox, clock: &dyn Clock, name: &str) {
    sandbox.submit(name, BTreeMap::from([("workflow.json".to_owned(), DOCUMENT.as_bytes().to_vec())]));
    let seen = sandbox.workflow(name).unwrap();
    let holder = Holder { lease: "a".to_owned(), identity: "a".to_owned() };
    let mut record =
        crate::plan::transition::claimed(&holder, crate::workflow::digest::Sha256::of("x"), clock.now().wall);
    record.notices.owe(Occasion::Start);
    let write = Write { step: WriteStep::Claim, uid: seen.uid, version: seen.version, state: State::Active, record };
    sandbox.write_workflow(name, &write).await.unwrap();
}

#[tokio::test]
async fn a_secret_owes_as_a_config_map_does_and_its_job_is_told_by_its_id() {
    let World { sandbox, inbox, outbox } = world(|_| Reply::Status(200)).await;
    owes(&sandbox.clone().with_secrets(), &*outbox.clock, "secret/wf-2").await;
    let stop = CancellationToken::new();
    let nothing = |_: &Round| {};
    let told = async {
        for _ in 0..500 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if inbox.lock().unwrap().len() == 2 {
                break;
            }
        }
        stop.cancel();
    };
    tokio::join!(outbox.run(stop.clone(), &nothing), told);
    let said = inbox.lock().unwrap().iter().map(|(_, body)| body.clone()).collect::<Vec<_>>().join("\n");
    assert!(said.contains(r#""jobId": "wf-1""#) && said.contains(r#""jobId": "wf-2""#), "{said}");
    assert!(!said.contains("secret/"), "{said}");
}

impl World {
    fn record(&self) -> Record {
        Record::parse(&self.sandbox.workflow("wf-1").unwrap().status.unwrap()).unwrap()
    }

    fn state(&self) -> NoticeState {
        self.record().notices.start.unwrap().state
    }

    /// Runs the outbox until nothing is owed.
    async fn empty(&self) {
        let stop = CancellationToken::new();
        let settled = async {
            while self.record().notices.owed() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            stop.cancel();
        };
        let both = async { tokio::join!(self.outbox.run(stop.clone(), &|_| ()), settled) };
        tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    }
}

#[tokio::test]
async fn a_receiver_is_told_once_signed_and_by_a_key_of_its_own() {
    let world = world(|_| Reply::Status(204)).await;
    world.empty().await;
    let inbox = world.inbox.lock().unwrap().clone();
    let [(key, body)] = inbox.as_slice() else { panic!("{inbox:?}") };
    assert_eq!(*key, format!("{}-start", world.sandbox.uid("wf-1").unwrap()));
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let signature: Signature = body["signature"].as_str().unwrap().parse().unwrap();
    let signer = signature.signer(br#""s3cret"["did:op:aa"]"wf-1"null"#).unwrap();
    assert_eq!(signer.to_string(), "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A");
    assert_eq!((world.state(), world.record().notices.start.unwrap().attempts), (NoticeState::Delivered, 1));
}

#[tokio::test]
async fn a_receiver_that_fails_hangs_or_is_elsewhere_is_told_until_it_answers() {
    let manners = [Reply::Status(500), Reply::Hang, Reply::Redirect(302), Reply::Redirect(307), Reply::Status(429)];
    let world = world(move |n| manners.get(n).copied().unwrap_or(Reply::Status(200))).await;
    world.empty().await;
    let inbox = world.inbox.lock().unwrap().clone();
    assert_eq!(inbox.len(), 6, "a redirect is not followed: {inbox:?}");
    assert!(inbox.iter().all(|told| *told == inbox[0]), "the same message each time");
    assert_eq!((world.state(), world.record().notices.start.unwrap().error), (NoticeState::Delivered, None));
}

#[tokio::test]
async fn a_redirect_is_followed_only_where_it_may_be_and_keeps_the_message() {
    let mut world = world(|n| if n == 0 { Reply::Redirect(302) } else { Reply::Redirect(308) }).await;
    world.outbox.courier = Courier::new(Duration::from_secs(5), true).unwrap();
    world.empty().await;
    let inbox = world.inbox.lock().unwrap().clone();
    assert_eq!(inbox.len(), 3, "302 is not followed, 308 is: {inbox:?}");
    assert_eq!(inbox[2], inbox[0]);
}

#[tokio::test]
async fn what_is_never_received_is_given_up_and_says_why() {
    let mut world = world(|_| Reply::Status(503)).await;
    world.outbox.patience.give_up_after = Duration::from_millis(100);
    world.empty().await;
    let notice = world.record().notices.start.unwrap();
    assert_eq!(notice.state, NoticeState::Undelivered);
    assert!(notice.attempts >= 2 && notice.error.unwrap().contains("503"));
}

#[tokio::test]
async fn an_outbox_that_dies_at_any_time_is_followed_by_one_that_delivers() {
    for at in 0..60 {
        let world = world(|_| Reply::Status(200)).await;
        // Dropped wherever it is then: before, between and after the attempt's record, the request and the outcome's record.
        let dies = Duration::from_micros(at * 400);
        let _ = tokio::time::timeout(dies, world.outbox.run(CancellationToken::new(), &|_| ())).await;
        world.empty().await;
        let told = world.inbox.lock().unwrap().len();
        assert_eq!(world.state(), NoticeState::Delivered);
        assert!((1..=2).contains(&told), "{at}: told {told} times with one death");
    }
}

#[tokio::test]
async fn two_outboxes_make_one_attempt_at_a_time() {
    let world = world(|n| if n < 3 { Reply::Status(500) } else { Reply::Status(200) }).await;
    tokio::join!(world.empty(), world.empty(), world.empty());
    let attempts = world.record().notices.start.unwrap().attempts;
    assert_eq!((world.inbox.lock().unwrap().len(), attempts), (4, 4), "an attempt is recorded before it is made");
}

#[tokio::test]
async fn what_others_write_meanwhile_is_kept() {
    let world = Arc::new(world(|_| Reply::Status(200)).await);
    // Every write of the outbox meets a record that has just changed.
    let other = world.clone();
    let writer = tokio::spawn(async move {
        let mut writes = 0;
        while other.record().notices.owed() && writes < 200 {
            let seen = other.sandbox.workflow("wf-1").unwrap();
            let mut record = Record::parse(seen.status.as_deref().unwrap()).unwrap();
            record.failures += 1;
            let (uid, version) = (seen.uid, seen.version);
            let write = Write { step: WriteStep::Transition, uid, version, state: State::Active, record };
            writes += u32::from(other.sandbox.write_workflow("wf-1", &write).await.is_ok());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        writes
    });
    world.empty().await;
    assert_eq!(world.record().failures, writer.await.unwrap(), "no write was lost");
}
