//! `run`: the engine in a cluster, until it is told to stop.

mod announcing;
mod expiry;
mod milestones;
mod notifying;
mod stores_asked;
#[cfg(test)]
mod tests;

use super::{
    chain,
    config_args::ConfigArgs,
    runtime, stores,
    templates::{self, TemplateErrors},
};
use crate::{
    clock::{Clock, SystemClock},
    cluster::{
        command,
        kube::{ConnectError, Kube, announce::Announcer, connect, events},
        manifest::Settings,
        placement,
    },
    config::{self, Config, ConfigErrors, LogFormat, Taint},
    exit::Exit,
    http::{Pages, serve},
    notify::{DeliverError, Round},
    plan::{Plan, View},
    supervisor::{Ended, Supervisor},
    telemetry::{self, Form},
    workflow::{digest::Sha256, record::Holder},
};
use announcing::Announcing;
use milestones::Milestones;
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
};
use stores_asked::Outdated;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Drive the workflows of a namespace, until told to stop (SIGTERM).
///
/// In a pod it uses the pod's service account; elsewhere a kubeconfig. Any number of engines may share a namespace.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// The kubeconfig to use instead of the pod's service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Why the engine ended, other than by request.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("nothing says where results go: set storage.kind and what it needs")]
    NoStorage,
    #[error(transparent)]
    Templates(#[from] TemplateErrors),
    #[error("the cluster cannot be reached")]
    Connect(#[from] ConnectError),
    #[error("the pages cannot be served on {0}; set http.listen to a free address, or to \"\" for none")]
    Listen(std::net::SocketAddr, #[source] io::Error),
    #[error(transparent)]
    Credentials(#[from] ConfigErrors),
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] Outdated),
    #[error("the operator's key cannot be used")]
    Key(#[source] ConfigErrors),
    #[error("notifications cannot be sent")]
    Notify(#[from] DeliverError),
    #[error(transparent)]
    Ended(#[from] Ended),
}

impl RunError {
    fn exit(&self) -> Exit {
        let of_configuration =
            matches!(self, Self::NoStorage | Self::Credentials(_) | Self::Key(_) | Self::Templates(_) | Self::Store(_));
        if of_configuration { Exit::Configuration } else { Exit::Failure }
    }
}

/// Runs the command.
pub fn run(args: &RunArgs) -> Exit {
    let complain = |text: &str| {
        let _ = writeln!(io::stderr(), "error: {text}");
    };
    let loaded = match args.config.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            complain(&errors.to_string());
            return Exit::Configuration;
        }
    };
    let form = match loaded.config.engine.log_format {
        LogFormat::Auto => Form::Auto,
        LogFormat::Human => Form::Human,
        LogFormat::Json => Form::Json,
    };
    telemetry::start(form, &loaded.config.engine.log_level);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&error);
            return Exit::Failure;
        }
    };
    match runtime.block_on(drive(args, &loaded.config)) {
        Ok(()) => Exit::Success,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            error.exit()
        }
    }
}

async fn drive(args: &RunArgs, config: &Config) -> Result<(), RunError> {
    let settings = Settings { templates: templates::load(&args.config, config)?, ..settings(config)? };
    templates::try_on(&settings, &config.plan_policy())?;
    let key = config::operator_key(&config::environment()).map_err(RunError::Key)?;
    let (environment, stop) = (config::environment(), CancellationToken::new());
    stores_asked::ask(stores::opener(config, &environment)?, stop.clone()).await?;
    let connection = connect(args.kubeconfig.as_deref(), config.cadence.request_timeout).await?;
    let namespace = config.engine.jobs_namespace.clone().unwrap_or(connection.namespace);
    let clock = Arc::new(SystemClock::new());
    let me = identity(config, &*clock);
    tracing::info!(
        namespace,
        lease = me.lease,
        identity = me.identity,
        version = env!("CARGO_PKG_VERSION"),
        "the engine starts"
    );

    let pages = Pages::new(clock.clone());
    let kube = Kube::new(&connection.client, &namespace, settings).with_secrets(config.workflows.secrets);
    let cluster = Arc::new(pages.counted(kube));
    if let Some(address) = config.http.listen {
        let listener =
            tokio::net::TcpListener::bind(address).await.map_err(|error| RunError::Listen(address, error))?;
        tokio::spawn(serve(listener, pages.clone(), stop.clone()));
    }
    end_on_signal(stop.clone())?;
    let announcing = config.environment.announce.then(|| {
        let announcement = announcing::of(config, &namespace, key.as_ref().map(|key| key.address().to_string()));
        let announcer = Announcer::new(&connection.client, &namespace);
        Announcing::begin(announcement, announcer, clock.clone(), stop.clone())
    });
    let outbox = notifying::outbox(config, cluster.clone(), clock.clone(), key)?.map(|outbox| {
        let (pages, stop) = (pages.clone(), stop.clone());
        tokio::spawn(async move {
            let count = |round: &Round| {
                if let Some((occasion, outcome)) = round.outcome() {
                    pages.told(occasion, outcome);
                }
            };
            outbox.run(stop, &count).await
        })
    });
    let mut milestones =
        config.engine.events.then(|| (Milestones::default(), events::tell(&connection.client, &namespace)));
    let sweep = (cluster.clone(), clock.clone(), me.identity.clone());
    let sweeps = expiry::start(config, &environment, sweep.0, sweep.1, sweep.2, pages.clone(), stop.clone())?;
    let engine = Supervisor::new(
        cluster,
        clock,
        config.plan_policy(),
        me,
        usize::try_from(config.cadence.concurrency).unwrap_or(1),
    );
    let mut watch = |view: &View, plan: &Plan| {
        pages.turn(view, plan);
        if let Some(announcing) = &announcing {
            announcing.turn(view, plan);
        }
        if let Some((milestones, told)) = &mut milestones {
            // A full queue drops what is new: events are a courtesy.
            milestones.new_ones(view).into_iter().for_each(|milestone| drop(told.try_send(milestone)));
        }
    };
    let ended = engine.run(stop.clone(), &mut watch).await;
    stop.cancel();
    if let Some(outbox) = outbox {
        // An attempt under way is carried to its end; it is bounded by its own time limits.
        let _ = outbox.await;
    }
    if let Some(sweeps) = sweeps {
        // The run in hand. It may be broken off at any point, so whoever insists loses nothing.
        let _ = sweeps.await;
    }
    tracing::info!("the engine ends");
    Ok(ended?)
}

/// The first signal asks for an orderly end, the second one insists.
pub(super) fn end_on_signal(stop: CancellationToken) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                // Nothing is lost by leaving at once: the records say how far everything is.
                std::process::exit(i32::from(Exit::Interrupted as u8));
            }
            tracing::info!("told to stop: nothing new is begun, and the lease is released");
            stop.cancel();
        }
    });
    Ok(())
}

/// The Lease's name comes from the configured instance (a pod's UID), the identity is this process's own.
pub(super) fn identity(config: &Config, clock: &dyn Clock) -> Holder {
    let random = Sha256::of(format!("{} {}", clock.now().wall, std::process::id())).to_string();
    let short: String = random.chars().take(10).collect();
    let instance = config.engine.instance.clone().unwrap_or_else(|| short.clone());
    let lease = format!("operator-engine-{instance}");
    Holder { identity: format!("{lease}-{short}"), lease }
}

/// What pods are made of, by the configuration, without templates.
pub(super) fn settings(config: &Config) -> Result<Settings, RunError> {
    let Config { limits, images, pods, storage, .. } = config;
    let Some(targets) = storage.targets.clone() else { return Err(RunError::NoStorage) };
    let tolerated = |taints: &[Taint]| {
        taints.iter().map(|taint| placement::toleration(&taint.key, taint.value.as_deref(), taint.effect)).collect()
    };
    let own = |image: &Option<String>| image.clone().unwrap_or_else(|| images.engine.clone());
    Ok(Settings {
        commands: command::Settings {
            fetch: config.fetch.policy(),
            targets,
            max_log: limits.max_log,
            filter_command: images.filter_command.clone(),
            leaks: config.leaks.rules(),
        },
        configure_image: own(&images.configure),
        publish_image: own(&images.publish),
        pull_policy: images.pull_policy.as_str().to_owned(),
        pull_secret: images.pull_secret.clone(),
        service_account: pods.service_account.clone(),
        node_scope: pods.node_selector_scope.clone(),
        runtime_class: pods.runtime_class.clone(),
        tolerations: tolerated(&pods.tolerations),
        gpu_tolerations: tolerated(&pods.gpu_tolerations),
        gpu_node_selector: pods.gpu_node_labels.iter().map(|l| (l.key.clone(), l.value.clone())).collect(),
        templates: BTreeMap::new(),
        storage_class: pods.storage_class.clone(),
        disk: limits.disk,
        resources: limits.resources(),
        gpu_resource: limits.gpu_resource.clone(),
        allow_root: pods.allow_root,
        results_claim: storage.claim.clone(),
        adminlogs_claim: storage.adminlogs_claim.clone(),
        storage_secret: storage.secret.clone(),
        inputs_secret: config.fetch.secret.clone(),
    })
}
