//! Receivers that do what receivers do, and engines that are killed meanwhile.

use crate::{
    cluster::{CANARY_KEY, Cluster, eventually},
    engine::{Engine, Setup},
    kubelet::Act,
    namespace::{Namespace, PATIENCE},
    python::python,
    runner::figure,
};
use kube::ResourceExt as _;
use operator_engine::{
    ethereum::OperatorKey,
    workflow::{Outcome, Record, notice::NoticeState},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// What a receiver does when it is told of something for the first time. The second time it takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Takes,
    Fails,
    Hangs,
    Redirects,
    /// It ends after the headers, and has nothing.
    DiesUnread,
    /// It has all, and ends without a word.
    DiesReceived,
    /// It has all, and ends in the middle of its answer.
    DiesMidway,
    /// It hangs every time.
    Deaf,
}

/// When the engine is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    Never,
    /// When it first asks.
    Asking,
    /// When it was answered with 2xx, and may have recorded that or not.
    Answered,
}

const MANNERS: [Manner; 7] = [
    Manner::Takes,
    Manner::Fails,
    Manner::Hangs,
    Manner::Redirects,
    Manner::DiesUnread,
    Manner::DiesReceived,
    Manner::DiesMidway,
];
const KILLS: [Kill; 3] = [Kill::Never, Kill::Asking, Kill::Answered];

/// The receiver.
struct Receiver {
    /// What it does, by the UID of the workflow.
    manners: BTreeMap<String, (Manner, Kill)>,
    inbox: Mutex<Inbox>,
    kill: UnboundedSender<()>,
}

#[derive(Default)]
struct Inbox {
    /// How often each was asked for, by idempotency key.
    asked: BTreeMap<String, usize>,
    /// The bodies that came whole, by idempotency key.
    bodies: BTreeMap<String, BTreeSet<String>>,
    /// Keys that were answered with 2xx.
    taken: BTreeSet<String>,
    /// Requests to where redirects lead, or without a key.
    astray: Vec<String>,
}

impl Receiver {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let receiver = self.clone();
            tokio::spawn(async move {
                // An engine that was killed sends half a request.
                let _ = receiver.answer(stream).await;
            });
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let header =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned));
        let known = header("idempotency-key").and_then(|key| {
            let manner = self.manners.get(key.rsplit_once('-')?.0).copied()?;
            Some((key, manner))
        });
        let Some((key, (manner, kill))) = known.filter(|_| head.starts_with("post /told ")) else {
            self.inbox().astray.push(head);
            return Ok(());
        };
        let first = {
            let mut inbox = self.inbox();
            let asked = inbox.asked.entry(key.clone()).or_default();
            *asked += 1;
            *asked == 1
        };
        if first && kill == Kill::Asking {
            let _ = self.kill.send(());
        }
        if first && manner == Manner::DiesUnread {
            return Ok(());
        }
        let length = header("content-length").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        self.inbox().bodies.entry(key.clone()).or_default().insert(String::from_utf8(body).unwrap());
        let bad = match manner {
            Manner::Deaf => return std::future::pending().await,
            Manner::Hangs if first => return std::future::pending().await,
            Manner::DiesReceived if first => return Ok(()),
            Manner::Fails if first => Some("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"),
            Manner::Redirects if first => {
                Some("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")
            }
            Manner::DiesMidway if first => Some("HTTP/1.1 20"),
            _ => None,
        };
        if let Some(bad) = bad {
            return stream.write_all(bad.as_bytes()).await;
        }
        let answered_before = !self.inbox().taken.insert(key);
        stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await?;
        if !answered_before && kill == Kill::Answered {
            let _ = self.kill.send(());
        }
        Ok(())
    }
}

/// As providers send it, with what needs escaping in it.
fn document() -> String {
    json!({"kind": "WorkFlow", "metadata": {"secret": "0123\"é\u{1f427}"}, "spec": {"metadata": {"stages": [{
        "input": [{"id": "did:op:aa", "url": "https://data.example/a"}, {"id": "did:op:bb", "url": "https://data.example/b"}],
        "algorithm": {"id": "did:op:cc", "rawcode": "print(1)",
            "container": {"image": "python", "tag": "3.12", "entrypoint": "python3 $ALGO"}},
    }]}}})
    .to_string()
}

/// Short leases and pauses; an engine is restarted as a container is.
fn setup(url: &str) -> Setup {
    Setup::named("same")
        .without_notifications()
        .eager()
        .with("LOOP__REQUEST_TIMEOUT", "1s")
        .with("LEASE__DURATION", "2s")
        .with("LEASE__RETRY_PERIOD", "300ms")
        .with("NOTIFY__START_URL", url)
        .with("NOTIFY__STOP_URL", url)
        .with("NOTIFY__TIMEOUT", "1s")
        .with("NOTIFY__BACKOFF_FIRST", "1s")
        .with("NOTIFY__BACKOFF_MAX", "2s")
}

/// Every manner with every moment of a kill, for starts and for stops alike.
pub(crate) async fn all_is_told_whatever_receivers_do_and_whoever_dies(cluster: &'static Cluster) {
    let namespace = Namespace::new(cluster, "notifications").await;
    let _kubelet = namespace.kubelet(|_| Act::Succeed(Duration::from_millis(50)));
    let mut cases = vec![("deaf".to_owned(), Manner::Deaf, Kill::Never)];
    for manner in MANNERS {
        cases.extend(KILLS.map(|kill| (format!("{manner:?}-{kill:?}").to_lowercase(), manner, kill)));
    }
    let mut manners = BTreeMap::new();
    let mut uids = BTreeMap::new();
    for (name, manner, kill) in &cases {
        namespace.submit_document(name, &document()).await;
        let uid = namespace.workflows.get_metadata(name).await.unwrap().uid().unwrap();
        manners.insert(uid.clone(), (*manner, *kill));
        uids.insert(name.as_str(), uid);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/told", listener.local_addr().unwrap());
    let (kill, mut to_kill) = unbounded_channel();
    let receiver = Arc::new(Receiver { manners, inbox: Mutex::default(), kill });
    let serving = tokio::spawn(receiver.clone().serve(listener));

    let began = Instant::now();
    let names: Vec<&str> = uids.keys().copied().filter(|name| *name != "deaf").collect();
    let (last, kills) = live(cluster, &namespace, &setup(&url), &mut to_kill, &names).await;
    let took = began.elapsed();

    // The one whose receiver never answers is at its end like all the others, and still owes both words.
    let deaf = namespace.finished("deaf").await;
    assert_eq!(deaf.outcome, Some(Outcome::Succeeded));
    assert_eq!(states(&deaf), [Some(NoticeState::Owed); 2], "{deaf:?}");
    assert!(last.terminate().await.success());
    serving.abort();

    let inbox = receiver.inbox();
    assert_eq!(inbox.astray, Vec::<String>::new(), "no redirect is followed, and every request has its key");
    let mut bodies = Vec::new();
    for name in &names {
        for occasion in ["start", "stop"] {
            let key = format!("{}-{occasion}", uids[name]);
            assert!(inbox.taken.contains(&key), "{name}: nobody was told of its {occasion}");
            let told = &inbox.bodies[&key];
            assert_eq!(told.len(), 1, "{name}: the same message each time: {told:?}");
            let body: Value = serde_json::from_str(told.first().unwrap()).unwrap();
            assert_eq!((&body["jobId"], &body["algoDID"]), (&json!(name), &json!("did:op:cc")));
            bodies.push(told.first().unwrap().clone());
        }
    }
    let keys = |of_deaf: bool| inbox.asked.keys().filter(|key| key.starts_with(&uids["deaf"]) == of_deaf).count();
    assert_eq!(keys(false), 2 * names.len(), "a key for each workflow and occasion, and no others");
    assert!(keys(true) >= 1 && !inbox.taken.iter().any(|key| key.starts_with(&uids["deaf"])));
    let again = inbox.asked.iter().filter(|(key, asked)| !key.starts_with(&uids["deaf"]) && **asked > 1).count();
    assert!(again >= names.len(), "most were told more than once: {again}");
    checked_by_wallets(&bodies);
    namespace.no_pod_twice();
    assert!(kills >= 10, "{kills}");
    figure(
        "notifications under bad receivers and kill -9",
        format!("{} told, {again} of them again, {kills} kills, {:.1} s", bodies.len(), took.as_secs_f64()),
    );
}

/// Engines one after the other, each until it is to be killed; the last one is there when all is told.
async fn live(
    cluster: &'static Cluster,
    namespace: &Namespace,
    setup: &Setup,
    to_kill: &mut UnboundedReceiver<()>,
    names: &[&str],
) -> (Engine, usize) {
    let settled = async |name: &str| {
        let record = namespace.record(name).await;
        record.is_some_and(|record| states(&record) == [Some(NoticeState::Delivered); 2])
    };
    for kills in 0.. {
        let engine = Engine::start(cluster, namespace, setup);
        let all = async {
            for name in names {
                eventually(format!("all is told of {name}"), 3 * PATIENCE, async || settled(name).await.then_some(()))
                    .await;
            }
        };
        tokio::select! {
            () = all => {
                for name in names {
                    assert_eq!(namespace.finished(name).await.outcome, Some(Outcome::Succeeded), "{name}");
                }
                return (engine, kills);
            }
            _ = to_kill.recv() => engine.kill().await,
        }
        // Those were about the one that is dead.
        while to_kill.try_recv().is_ok() {}
    }
    unreachable!("there is an end of kills")
}

fn states(record: &Record) -> [Option<NoticeState>; 2] {
    [&record.notices.start, &record.notices.stop].map(|notice| notice.as_ref().map(|notice| notice.state))
}

/// As receivers check them: with PyPI's web3 and eth-account, against the address that the environment announces.
fn checked_by_wallets(bodies: &[String]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seed/receiver.py");
    let mut wallets = Command::new(python()).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wallets.stdin.take().unwrap().write_all((bodies.join("\n") + "\n").as_bytes()).unwrap();
    let output = wallets.wait_with_output().unwrap();
    let signers: BTreeMap<String, usize> = serde_json::from_slice(&output.stdout).unwrap();
    let ours = CANARY_KEY.parse::<OperatorKey>().unwrap().address().to_string();
    assert_eq!(signers, BTreeMap::from([(ours, bodies.len())]));
}
