//! Requests that fail, in every way they can: what each failure is taken for, and that work goes on through all of them.

use crate::{
    audit,
    cluster::Cluster,
    contract::kube_at,
    engine::{Engine, Setup},
    kills::Dice,
    kubelet::Act,
    namespace::{DOCUMENT, Namespace, PATIENCE},
    proxy::{Asked, Fault, Proxy},
    runner::{Group, Test, figure},
};
use operator_engine::{
    cluster::{Cluster as _, Freshness},
    plan::{
        Failure,
        action::{Write, WriteStep},
        cohort::{Cohort, Cohorts},
        look::Look,
        pod::{PodSpec, Task},
        seen::Version,
        transition,
    },
    workflow::{Outcome, Stage, State, digest::Sha256, record::Holder},
};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// What a failure is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Conflict,
    NotFound,
    NotDone,
    Unknown,
    Refused,
    Quota,
    NotYet,
    Denied,
}

impl Kind {
    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Conflict => Self::Conflict,
            Failure::NotFound => Self::NotFound,
            Failure::NotDone { .. } => Self::NotDone,
            Failure::Unknown { .. } => Self::Unknown,
            Failure::Refused { .. } => Self::Refused,
            Failure::Quota { .. } => Self::Quota,
            Failure::NotYet { .. } => Self::NotYet,
            Failure::Denied { .. } => Self::Denied,
        }
    }
}

const fn status(code: u16, reason: &'static str, message: &'static str) -> Fault {
    Fault::Status { code, reason, message, after: None }
}

const BUSY: Fault = Fault::Status {
    code: 429,
    reason: "TooManyRequests",
    message: "the server has received too many requests",
    after: Some(1),
};

/// Each fault: its name, what a read takes it for, and what a write does. Texts are the API server's own.
#[rustfmt::skip]
const FAULTS: [(&str, Fault, Kind, Kind); 28] = {
    use Kind::{Conflict, Denied, NotDone, NotFound, NotYet, Quota, Refused, Unknown};
    [
        ("unauthorized", status(401, "Unauthorized", "Unauthorized"), NotDone, NotDone),
        ("rbac", status(403, "Forbidden", "pods is forbidden: User \"system:serviceaccount:x:y\" cannot create resource \"pods\" in API group \"\" in the namespace \"z\""), Denied, Denied),
        ("quota", status(403, "Forbidden", "pods \"a\" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=2, limited: pods=2"), Quota, Quota),
        ("new-quota", status(403, "Forbidden", "pods \"a\" is forbidden: status unknown for quota: pods, resources: pods"), Quota, Quota),
        ("service-account", status(403, "Forbidden", "pods \"a\" is forbidden: error looking up service account z/jobs: serviceaccount \"jobs\" not found"), NotYet, NotYet),
        ("admission", status(403, "Forbidden", "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true"), Refused, Refused),
        ("webhook-denies", status(403, "Forbidden", "admission webhook \"x.example\" denied the request: a User cannot use this resource"), Refused, Refused),
        ("missing", status(404, "NotFound", "pods \"a\" not found"), NotFound, NotFound),
        ("conflict", status(409, "Conflict", "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"), Conflict, Conflict),
        ("expired", status(410, "Expired", "The resourceVersion for the provided list is too old"), NotDone, NotDone),
        ("too-large", status(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728"), Refused, Refused),
        ("invalid", status(422, "Invalid", "Pod \"a\" is invalid: spec.containers[0].image: Required value"), Refused, Refused),
        ("bad-request", status(400, "BadRequest", "the object provided is unrecognized"), Refused, Refused),
        ("busy", BUSY, NotDone, NotDone),
        ("internal", status(500, "InternalError", "Internal error occurred: failed calling webhook \"x.example\": context deadline exceeded"), NotDone, Unknown),
        ("unavailable", status(503, "ServiceUnavailable", "the server is currently unable to handle the request"), NotDone, Unknown),
        ("timeout", status(504, "Timeout", "Timeout: request did not complete within requested timeout"), NotDone, Unknown),
        ("late-internal", Fault::LateStatus { code: 500, reason: "InternalError" }, NotDone, Unknown),
        ("late-timeout", Fault::LateStatus { code: 504, reason: "Timeout" }, NotDone, Unknown),
        ("reset-before", Fault::ResetBefore, NotDone, Unknown),
        ("reset-after", Fault::ResetAfter, NotDone, Unknown),
        ("hangs", Fault::Hangs, NotDone, Unknown),
        ("cut", Fault::Cut, NotDone, Unknown),
        ("half-json", Fault::HalfJson, NotDone, Unknown),
        ("page-502", Fault::Page { code: 502 }, NotDone, Unknown),
        // Pages for people come from something between, which speaks for itself and not for the API server.
        ("page-200", Fault::Page { code: 200 }, NotDone, Unknown),
        ("page-403", Fault::Page { code: 403 }, NotDone, NotDone),
        ("page-404", Fault::Page { code: 404 }, NotDone, NotDone),
    ]
};

pub(crate) async fn each_failure_is_taken_for_what_it_is(cluster: &'static Cluster) {
    let namespace = Namespace::new(cluster, "classes").await;
    let faults: &'static Mutex<Option<Fault>> = Box::leak(Box::new(Mutex::new(None)));
    let proxy = Proxy::start(cluster, "classes", move |_| *faults.lock().unwrap()).await;
    let kube = kube_at(&proxy.kubeconfig, "classes", Duration::from_millis(300)).await;
    namespace.submit("wf").await;
    let seen = kube.read_workflow("wf").await.unwrap().unwrap();
    let holder = Holder { lease: "l".to_owned(), identity: "l-1".to_owned() };
    let record = transition::claimed(&holder, Sha256::of(""), jiff::Timestamp::UNIX_EPOCH);
    for (name, fault, read, write) in FAULTS {
        let before = kube.read_workflow("wf").await.unwrap().unwrap();
        // A name of its own, since some faults let the request through.
        let spec = PodSpec {
            job: format!("wf-{name}").parse().unwrap(),
            owner: seen.uid.clone(),
            kind: operator_engine::plan::kind::Kind::ConfigMap,
            round: 0,
            stage: Stage::Configure,
            attempt: 0,
            cohort: Cohort(1),
            task: Task::Configure {
                document: Sha256::of(""),
                remote: false,
                buckets: Default::default(),
                earlier: Default::default(),
            },
            deadline: Duration::from_secs(60),
            grace: Duration::from_secs(1),
        };
        let mut record = record.clone();
        record.message = Some(name.to_owned());
        let (uid, version) = (before.uid, before.version);
        let patch = Write { step: WriteStep::Claim, uid, version, state: State::Active, record };
        *faults.lock().unwrap() = Some(fault);
        let old = Freshness::NotOlderThan(Version(1));
        let reads = [
            ("list_pods", kube.list_pods(Look::Finished, &Cohorts::All, old).await.map(drop)),
            ("list_workflows", kube.list_workflows(Look::Attention, Freshness::Consistent).await.map(drop)),
            ("list_leases", kube.list_leases().await.map(drop)),
            // What an object's own read says of a missing one is no failure but an answer.
            (
                "read_pod",
                kube.read_pod("wf-x-configure-0").await.and_then(|pod| pod.ok_or(Failure::NotFound)).map(drop),
            ),
            ("read_document", kube.read_document("wf").await.and_then(|read| read.ok_or(Failure::NotFound)).map(drop)),
        ];
        for (method, answer) in reads {
            assert_eq!(Kind::of(&answer.unwrap_err()), read, "{method}: {name}");
        }
        let writes = [
            ("create_pod", kube.create_pod(&spec).await.map(drop)),
            ("write_workflow", kube.write_workflow("wf", &patch).await.map(drop)),
        ];
        for (method, answer) in writes {
            let failure = answer.unwrap_err();
            assert_eq!(Kind::of(&failure), write, "{method}: {name}: {failure}");
            if let (Fault::Status { after: Some(seconds), .. }, Failure::NotDone { after, .. }) = (fault, &failure) {
                assert_eq!(*after, Some(Duration::from_secs(seconds.into())), "{name}");
            }
        }
        *faults.lock().unwrap() = None;
    }
    // A name that is taken is looked at; whatever is wrong with the look, the object is not given up.
    *faults.lock().unwrap() = Some(status(409, "AlreadyExists", "leases \"a\" already exists"));
    let failure = kube.create_lease("a", "b", Duration::from_secs(15)).await.unwrap_err();
    assert_eq!(Kind::of(&failure), Kind::NotDone, "also the look at it is answered so: {failure}");
    // A new connection, to where nobody listens any more.
    let gone = proxy.kubeconfig.clone();
    proxy.end().await;
    let kube = kube_at(&gone, "classes", Duration::from_millis(300)).await;
    let failure = kube.create_lease("a", "b", Duration::from_secs(15)).await.unwrap_err();
    assert_eq!(Kind::of(&failure), Kind::NotDone, "nobody listens, so nobody can have done it: {failure}");
    figure("failures told apart", format!("{} kinds, each for 5 reads and 2 writes", FAULTS.len() + 2));
}

/// A run through each fault.
pub(crate) fn runs() -> Vec<Test> {
    let test = |(name, fault): (&'static str, Fault)| Test {
        name: format!("faults::a_run_ends_right_through::{name}"),
        group: Group::Together,
        body: Box::new(move |cluster| Box::pin(run(cluster, name, fault))),
    };
    let exists = ("exists", status(409, "AlreadyExists", "pods \"a\" already exists"));
    FAULTS.iter().map(|(name, fault, ..)| (*name, *fault)).chain([exists]).map(test).collect()
}

const WORKFLOWS: usize = 3;
/// Faults cease after so many: what ends right is what comes after them, too.
const MOST: usize = 40;

/// One request in five fails, whichever it is, until there were [`MOST`] failures.
async fn run(cluster: &'static Cluster, name: &'static str, fault: Fault) {
    let namespace = Namespace::new(cluster, &format!("fault-{name}")).await;
    let kubelet = namespace.kubelet(|_| Act::Succeed(Duration::from_millis(200)));
    let dice = Mutex::new((Dice(name.bytes().map(u64::from).sum()), 0));
    let refused_pod = AtomicBool::new(false);
    let refused_pod: &'static AtomicBool = Box::leak(Box::new(refused_pod));
    let proxy = Proxy::start(cluster, &namespace.name, move |asked: &Asked| {
        let mut dice = dice.lock().unwrap();
        if dice.1 >= MOST || dice.0.below(5) != 0 {
            return None;
        }
        dice.1 += 1;
        if asked.method == "POST" && !asked.path.contains("/leases") {
            refused_pod.store(true, Ordering::Relaxed);
        }
        Some(fault)
    })
    .await;
    let mut setup = Setup::named("pod-uid").eager().with("RETRIES__BACKOFF_FIRST", "100ms");
    // What hangs is given up soon, so that a run through 40 of them ends.
    setup = setup.with("LOOP__REQUEST_TIMEOUT", "700ms").with("LEASE__DURATION", "4s");
    setup = setup.with("LEASE__RETRY_PERIOD", "500ms");
    setup.kubeconfig = Some(proxy.kubeconfig.clone());
    let mut engine = Engine::start(cluster, &namespace, &setup);
    for n in 0..WORKFLOWS {
        namespace.submit(&format!("wf-{n}")).await;
    }
    let done = async {
        loop {
            // An engine that is denied what it needs ends and says so; its container is restarted.
            if engine.ended().is_some() {
                assert!(!engine.said().contains("configuration cannot be used"), "{}", engine.said());
                engine = Engine::start(cluster, &namespace, &setup);
            }
            if namespace.done().await == WORKFLOWS && namespace.left().await.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, done).await.is_err() {
        panic!("not done, or left behind: {:?}; {} faults", namespace.left().await, proxy.injected());
    }
    let mut failed = 0;
    for n in 0..WORKFLOWS {
        let record = namespace.finished(&format!("wf-{n}")).await;
        match record.outcome {
            Some(Outcome::Succeeded) => {}
            // The cluster said that this object will never be taken: that is the workflow's end, and it says why.
            Some(Outcome::Failed | Outcome::Withheld) if refuses(fault) && refused_pod.load(Ordering::Relaxed) => {
                failed += 1;
                let message = record.message.clone().unwrap_or_default();
                let Fault::Status { message: said, .. } = fault else { panic!("{record:?}") };
                assert!(message.contains(&said[..20]), "{record:?}");
            }
            _ => panic!("{record:?}"),
        }
    }
    namespace.no_pod_twice();
    kubelet.saw(|saw| assert!(saw.ran.values().all(|uids| uids.len() == 1), "{:?}", saw.ran));
    // Where every write is refused for good, a run is short.
    assert!(proxy.injected() >= 3, "only {} faults", proxy.injected());
    // No hot loop: a bounded number of requests, whatever fails.
    let requests = audit::in_namespace(cluster, &namespace.name).len();
    assert!(requests < 1500, "{requests} requests");
    let said = engine.said();
    assert!(!said.contains("python3 $ALGO") && !said.contains(&DOCUMENT[..30]), "a document in the log");
    assert!(!said.contains("panic"), "{said}");
    if failed > 0 {
        figure(
            format!("  {name}: workflows that were refused for good, with the reason"),
            format!("{failed} of {WORKFLOWS}"),
        );
    }
}

fn refuses(fault: Fault) -> bool {
    FAULTS.iter().any(|(_, listed, _, write)| *listed == fault && *write == Kind::Refused)
}
