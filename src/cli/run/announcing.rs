//! Announces the environment when what is said of it changes, and at least every minute.

use crate::{
    announce::Announcement,
    clock::Clock,
    cluster::kube::announce::{Announcer, NAME},
    config::Config,
    plan::{Failure, Plan, Verdict, View, WaitingOn},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The longest time between two announcements: readers take what is older for gone.
const AT_LEAST: Duration = Duration::from_secs(60);
/// The shortest, however much changes.
const AT_MOST: Duration = Duration::from_secs(2);

/// Takes note of every turn of the loop.
pub(super) struct Announcing {
    jobs: watch::Sender<Option<Jobs>>,
}

/// How many workflows are in work, and how many wait for their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Jobs {
    running: usize,
    waiting: usize,
}

impl Announcing {
    /// Announces `environment` with the jobs that turns bring, from the first turn that knows them until `stop` is cancelled.
    pub(super) fn begin(
        environment: Announcement,
        announcer: Announcer,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Self {
        let (jobs, news) = watch::channel(None);
        tokio::spawn(async move {
            stop.clone().run_until_cancelled(announce(environment, news, announcer, clock)).await;
        });
        Self { jobs }
    }

    /// Looks at a turn.
    pub(super) fn turn(&self, view: &View, plan: &Plan) {
        if !view.looks.audited() {
            return;
        }
        let queued = |verdict: &&Verdict| matches!(verdict, Verdict::Waiting(WaitingOn::Slot { .. }));
        let now = Jobs { running: view.running(), waiting: plan.verdicts.values().filter(queued).count() };
        self.jobs.send_if_modified(|jobs| jobs.replace(now) != Some(now));
    }
}

async fn announce(
    mut environment: Announcement,
    mut news: watch::Receiver<Option<Jobs>>,
    announcer: Announcer,
    clock: Arc<dyn Clock>,
) {
    let mut complained = false;
    if news.wait_for(Option::is_some).await.is_err() {
        return; // The engine ended before it had seen anything.
    }
    loop {
        if let Some(jobs) = *news.borrow_and_update() {
            (environment.current_jobs, environment.queue_length) = (jobs.running, jobs.waiting);
        }
        let text = environment.render(clock.now().wall);
        match announcer.announce(&text).await {
            Ok(()) => complained = false,
            Err(failure) if !complained => {
                complained = true;
                let hint = match failure {
                    Failure::NotFound => "create it, empty: the manifests have it",
                    Failure::Denied { .. } => "allow `patch` on it, or set environment.announce to false",
                    _ => "it is tried again",
                };
                tracing::warn!(configmap = NAME, error = %failure, "the environment cannot be announced; {hint}");
            }
            Err(_) => {}
        }
        tokio::time::sleep(AT_MOST).await;
        if let Ok(Err(_)) = tokio::time::timeout(AT_LEAST.saturating_sub(AT_MOST), news.changed()).await {
            return;
        }
    }
}

/// What the configuration says of the environment that `namespace` is.
pub(super) fn of(config: &Config, namespace: &str, consumer_address: Option<String>) -> Announcement {
    let Config { limits, environment, storage, .. } = config;
    Announcement {
        id: environment.id.clone().unwrap_or_else(|| namespace.to_owned()),
        cpu_millis: limits.cpus.millis(),
        cpu_type: environment.cpu_type.clone(),
        gpus: limits.gpus,
        gpu_type: environment.gpu_type.clone(),
        gpu_ram: environment.gpu_ram,
        memory: limits.memory,
        disk: limits.disk,
        price_per_minute: environment.price_per_minute,
        description: environment.description.clone(),
        current_jobs: 0,
        max_jobs: limits.max_jobs,
        queue_length: 0,
        consumer_address,
        storage_expiry: storage.expiry,
        max_job_duration: limits.max_job_duration,
        allowed_chain_ids: environment.allowed_chain_ids.clone(),
        as_text: environment.as_text,
    }
}
