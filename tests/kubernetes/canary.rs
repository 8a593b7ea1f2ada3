//! A secret that every engine was given, in its configuration and its environment, and where it must not be.

use crate::{
    cluster::{CANARY, Cluster, sings},
    engine::{Engine, Setup},
    kubelet::{self, Act, exits},
    namespace::{Namespace, PATIENCE},
    runner::figure,
};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        coordination::v1::Lease,
        core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod},
    },
};
use kube::Api;
use operator_engine::workflow::{Outcome, Stage};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, fs, net::TcpListener, time::Duration};

pub(crate) async fn a_secret_of_the_engine_appears_nowhere(cluster: &'static Cluster) {
    // One engine that says all it can, has pages and is killed by nobody.
    let namespace = Namespace::new(cluster, "canary").await;
    let kubelet = namespace.kubelet(|job| match (job.name, job.stage) {
        ("fails", Stage::Algorithm) => Act::End(Duration::from_millis(100), exits(1)),
        _ => Act::Succeed(Duration::from_millis(100)),
    });
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = Setup::new().eager().with("HTTP__LISTEN", address.to_string()).with("ENGINE__LOG_LEVEL", "trace");
    let engine = Engine::start(cluster, &namespace, &setup);
    namespace.submit("wf").await;
    namespace.submit("fails").await;
    assert_eq!(namespace.outcome("wf").await.0, Outcome::Succeeded);
    assert_eq!(namespace.outcome("fails").await.0, Outcome::Failed);
    assert!(sings(&engine.environment()), "it was given the secret, or this proves nothing");
    let mut places = 0;
    let mut quiet = |place: &str, text: &str| {
        let around = |at: usize| text.get(at.saturating_sub(200)..at + CANARY.len()).unwrap_or_default().to_owned();
        assert!(!sings(text), "{place}: …{}", around(text.find(CANARY).unwrap_or_default()));
        assert!(!text.contains(cluster.engine_token()), "the engine's token is in {place}");
        places += 1;
    };
    for page in ["livez", "readyz", "metrics", "workflows"] {
        let answer = reqwest::get(format!("http://{address}/{page}")).await.unwrap();
        assert!(answer.status().is_success(), "{page}: {}", answer.status());
        let text = answer.text().await.unwrap();
        assert!(!text.is_empty());
        quiet(page, &text);
    }
    namespace.clean(PATIENCE).await;
    assert!(engine.terminate().await.success());
    drop(kubelet);

    // And all that all the others left.
    for file in fs::read_dir(&cluster.directory).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            quiet(&path.display().to_string(), &String::from_utf8_lossy(&fs::read(&path).unwrap()));
        }
    }
    quiet("the audit log", &fs::read_to_string(&cluster.environment.audit).unwrap());
    quiet("workflows", &all::<ConfigMap>(cluster).await);
    quiet("pods", &all::<Pod>(cluster).await);
    quiet("volumes", &all::<PersistentVolumeClaim>(cluster).await);
    quiet("leases", &all::<Lease>(cluster).await);
    quiet("events", &all::<Event>(cluster).await);
    let (seen, sang) = kubelet::canaries();
    assert!(sang.is_empty(), "{sang:?}");
    figure("a secret of the engine's: places without it", format!("{places}, and {seen} pods as they were created"));
}

async fn all<K>(cluster: &Cluster) -> String
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
{
    let items = Api::<K>::all(cluster.admin.clone()).list(&Default::default()).await.unwrap().items;
    serde_json::to_string(&items).unwrap()
}
