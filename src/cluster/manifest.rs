//! What is wanted, as exact Kubernetes objects. Pure: the same wish gives the same bytes.
//!
//! Every pod passes Pod Security *restricted* ([`super::restricted`] checks it before it is sent): no root, no privilege to
//! gain, no capability, the runtime's seccomp profile. None gets a service-account token. Each sees the parts of the
//! workflow's one volume that its stage is for, by `subPath` mounts; the folders behind them are made by the configure
//! stage, and no other pod mounts their parent writable, so none can be swapped for a link (CVE-2021-25741).

mod credentials;
mod results;
mod rounds;

use super::{
    command::{self, Places},
    placement,
    template::Template,
};
use crate::{
    plan::{
        kind::Kind,
        pod::{PodSpec, Task},
        seen::{Uid, volume_name},
    },
    pod::{layout::Layout, termination},
    workflow::{JobId, Resources, Stage},
};
use k8s_openapi::{
    api::core::v1::{
        Capabilities, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, LocalObjectReference,
        PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource, Pod, PodSecurityContext,
        PodSpec as Spec, ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, Toleration, Volume,
        VolumeMount, VolumeResourceRequirements,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, OwnerReference},
    },
};
use std::{collections::BTreeMap, time::Duration};

/// The label that every object of ours carries, so that a list finds them all and nothing else.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "operator-engine");
/// The label with the job id; log viewers and network policies of the old engine select by it.
pub const WORKFLOW_LABEL: &str = "workflow";
/// The label with the stage; likewise.
pub const COMPONENT_LABEL: &str = "component";
/// The label with the workflow's UID: deletions select by it, since a name may be another workflow's by then.
pub const OWNER_LABEL: &str = "operator-engine/workflow-uid";
/// The label with the number of the document's stage, from the second on.
pub const STAGE_LABEL: &str = "operator-engine/stage";
/// The label with a pod's [`Cohort`](crate::plan::cohort::Cohort).
pub const COHORT_LABEL: &str = "operator-engine/cohort";
/// The container's name, as in the old engine.
pub(super) const CONTAINER: &str = "workflow-executor";
/// Where our own image has the program.
const PROGRAM: &str = "/operator-engine";
/// The user of pods whose image says nothing better: not root, and the owner of nothing.
const USER: i64 = 65532;

/// What the admin decided about pods.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What goes onto the command lines.
    pub commands: command::Settings,
    /// The image of configure.
    pub configure_image: String,
    /// The image of publish.
    pub publish_image: String,
    /// `imagePullPolicy`.
    pub pull_policy: String,
    /// A Secret for pulling images.
    pub pull_secret: Option<String>,
    /// The service account; its token is not mounted.
    pub service_account: String,
    /// The value of the node label `scope`.
    pub node_scope: Option<String>,
    /// `runtimeClassName`.
    pub runtime_class: Option<String>,
    /// Tolerations of all pods.
    pub tolerations: Vec<Toleration>,
    /// Tolerations of algorithms that get GPUs.
    pub gpu_tolerations: Vec<Toleration>,
    /// The node labels that algorithms with GPUs need.
    pub gpu_node_selector: BTreeMap<String, String>,
    /// What lies under the pods of a stage.
    pub templates: BTreeMap<Stage, Template>,
    /// The volume's storage class; the cluster's default if none.
    pub storage_class: Option<String>,
    /// The volume's size in bytes, and the limit of local storage.
    pub disk: u64,
    /// The most that an algorithm gets, and what a filter gets, GPUs apart.
    pub resources: Resources,
    /// The name of the GPU resource.
    pub gpu_resource: String,
    /// Whether algorithm and filter may run as root in their container, for images that insist. Weaker than restricted.
    pub allow_root: bool,
    /// The claim that publish finds mounted at the directory of outputs.
    pub results_claim: Option<String>,
    /// The same for a directory of admin logs with a claim of its own.
    pub adminlogs_claim: Option<String>,
    /// The Secret that publish takes its credentials from.
    pub storage_secret: String,
    /// The Secret with the keys that inputs may need.
    pub inputs_secret: String,
}

/// What the engine's own stages get. They stream, so it does not depend on what they move.
const OWN: Resources = Resources { cpu_millis: 500, memory: 256 << 20, gpus: 0 };

/// The volume of a workflow: one, for all its stages.
pub fn volume(job: &JobId, owner: &Uid, kind: Kind, settings: &Settings) -> PersistentVolumeClaim {
    let size = BTreeMap::from([("storage".to_owned(), bytes(settings.disk))]);
    PersistentVolumeClaim {
        metadata: metadata(volume_name(job), job, owner, kind),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: settings.storage_class.clone(),
            resources: Some(VolumeResourceRequirements { requests: Some(size), ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The pod that `spec` describes.
pub fn pod(spec: &PodSpec, settings: &Settings) -> Pod {
    let root = settings.allow_root && matches!(spec.stage, Stage::Algorithm | Stage::Filter);
    let grace = spec.grace + REPORTING;
    let mut metadata = metadata(spec.name(), &spec.job, &spec.owner, spec.kind);
    metadata.labels.get_or_insert_default().extend([
        (COMPONENT_LABEL.to_owned(), spec.stage.to_string()),
        (COHORT_LABEL.to_owned(), spec.cohort.to_string()),
    ]);
    metadata.labels.get_or_insert_default().extend(rounds::label(spec.round));
    let pod = Pod {
        metadata,
        spec: Some(Spec {
            restart_policy: Some("Never".to_owned()),
            active_deadline_seconds: Some(seconds(spec.deadline)),
            termination_grace_period_seconds: Some(seconds(grace)),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            service_account_name: Some(settings.service_account.clone()),
            image_pull_secrets: settings
                .pull_secret
                .as_ref()
                .map(|name| vec![LocalObjectReference { name: name.clone() }]),
            node_selector: placement::node_selector(spec, settings),
            runtime_class_name: settings.runtime_class.clone(),
            tolerations: placement::tolerations(spec, settings),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(!root),
                run_as_user: (!root).then_some(USER),
                run_as_group: (!root).then_some(USER),
                // The volume is everybody's in this pod, whatever user its image brings.
                fs_group: Some(USER),
                fs_group_change_policy: Some("OnRootMismatch".to_owned()),
                seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..Default::default() }),
                ..Default::default()
            }),
            containers: vec![container(spec, settings, root)],
            volumes: Some(volumes(spec, settings)),
            ..Default::default()
        }),
        ..Default::default()
    };
    match settings.templates.get(&spec.stage) {
        Some(template) => template.under(pod),
        None => pod,
    }
}

/// What the wrapper gets beyond the algorithm's grace to write its report.
const REPORTING: Duration = Duration::from_secs(5);

fn container(spec: &PodSpec, settings: &Settings, root: bool) -> Container {
    let places = Places {
        layout: Layout::new(Layout::IN_POD),
        earlier: command::earlier(spec).map(|round| (round, rounds::place(round).into())).collect(),
        documents: DOCUMENTS.into(),
        termination_log: termination::DEFAULT_PATH.into(),
        local_folder: None,
        parent: None,
    };
    let program = match spec.stage {
        Stage::Algorithm | Stage::Filter => places.layout.bin().join("operator-engine").to_string_lossy().into_owned(),
        _ => PROGRAM.to_owned(),
    };
    let line = command::arguments(spec, &settings.commands, &places);
    let own = matches!(spec.stage, Stage::Configure | Stage::Publish);
    let variables = variables(spec, settings, &places);
    Container {
        name: CONTAINER.to_owned(),
        image: Some(image(spec, settings)),
        image_pull_policy: Some(settings.pull_policy.clone()),
        // A filter's image knows what to run, unless the admin says it.
        command: line.map(|line| std::iter::once(program).chain(line).collect()),
        env: (!variables.is_empty()).then_some(variables),
        resources: Some(resources(spec, settings)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            privileged: Some(false),
            // Algorithm images of the old engine write where they like in their own file system.
            read_only_root_filesystem: Some(own),
            run_as_non_root: Some(!root),
            ..Default::default()
        }),
        termination_message_policy: Some("File".to_owned()),
        volume_mounts: Some(mounts(spec, settings)),
        ..Default::default()
    }
}

fn variables(spec: &PodSpec, settings: &Settings, places: &Places) -> Vec<EnvVar> {
    let plain =
        |(name, value): (&str, String)| EnvVar { name: name.to_owned(), value: Some(value), ..Default::default() };
    let plain = command::variables(spec, &places.layout).into_iter().map(plain);
    plain.chain(credentials::variables(spec, settings)).collect()
}

fn image(spec: &PodSpec, settings: &Settings) -> String {
    match &spec.task {
        Task::Configure { .. } => settings.configure_image.clone(),
        Task::Publish { .. } => settings.publish_image.clone(),
        Task::Algorithm { image, .. } | Task::Filter { image, .. } => image.clone(),
    }
}

/// Requests are limits: what a job was promised it has, and no more.
fn resources(spec: &PodSpec, settings: &Settings) -> ResourceRequirements {
    let Resources { cpu_millis, memory, gpus } = match &spec.task {
        Task::Algorithm { resources, .. } => *resources,
        Task::Filter { .. } => Resources { gpus: 0, ..settings.resources },
        Task::Configure { .. } | Task::Publish { .. } => OWN,
    };
    let mut amounts = BTreeMap::from([
        ("cpu".to_owned(), Quantity(format!("{cpu_millis}m"))),
        ("memory".to_owned(), bytes(memory)),
        ("ephemeral-storage".to_owned(), bytes(settings.disk)),
    ]);
    if gpus > 0 {
        amounts.insert(settings.gpu_resource.clone(), Quantity(gpus.to_string()));
    }
    ResourceRequirements { limits: Some(amounts.clone()), requests: Some(amounts), claims: None }
}

/// Where configure finds the workflow: the keys of its ConfigMap or Secret, as files.
const DOCUMENTS: &str = "/workflow";
const DATA_VOLUME: &str = "data";
const DOCUMENTS_VOLUME: &str = "workflow";
const TMP_VOLUME: &str = "tmp";
/// The names of the engine's own volumes in a pod.
pub(super) const RESERVED_VOLUMES: [&str; 5] = [DATA_VOLUME, DOCUMENTS_VOLUME, TMP_VOLUME, "results", "adminlogs"];

fn mounts(spec: &PodSpec, settings: &Settings) -> Vec<VolumeMount> {
    let whole = |read_only| rounds::whole(spec.round, read_only);
    let part = |folder: &str, read_only| rounds::part(spec.round, folder, read_only);
    let other = |volume: &str, path: &str, read_only: bool| VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..Default::default()
    };
    let mut mounts = match spec.stage {
        Stage::Configure => vec![whole(false), other(DOCUMENTS_VOLUME, DOCUMENTS, true)],
        Stage::Algorithm => vec![
            part("inputs", true),
            part("transformations", true),
            part("ddos", true),
            part("bin", true),
            part("outputs", false),
            part("logs", false),
        ],
        Stage::Filter => {
            let mut mounts = vec![part("inputs", true), part("outputs", false), part("logs", false)];
            if settings.commands.filter_command.is_some() {
                // The wrapper, and a place for what it keeps, which is not that of the other stages' logs.
                mounts.push(part("bin", true));
                mounts.push(rounds::filter(spec.round));
            }
            mounts
        }
        Stage::Publish => vec![whole(true), part("adminlogs", false)],
    };
    mounts.extend(command::earlier(spec).map(rounds::mount));
    mounts.extend(results::mounts(spec.stage, settings));
    mounts.extend(credentials::mount(spec.stage, settings));
    mounts.push(other(TMP_VOLUME, "/tmp", false));
    mounts
}

fn volumes(spec: &PodSpec, settings: &Settings) -> Vec<Volume> {
    let claim = |name: &str, claim_name: String| Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None }),
        ..Default::default()
    };
    let mut volumes = vec![claim(DATA_VOLUME, volume_name(&spec.job))];
    if spec.stage == Stage::Configure {
        let (name, object) = (DOCUMENTS_VOLUME.to_owned(), spec.job.to_string());
        volumes.push(match spec.kind {
            Kind::ConfigMap => {
                let config_map = Some(ConfigMapVolumeSource { name: object, ..Default::default() });
                Volume { name, config_map, ..Default::default() }
            }
            Kind::Secret => {
                let secret = Some(SecretVolumeSource { secret_name: Some(object), ..Default::default() });
                Volume { name, secret, ..Default::default() }
            }
        });
    }
    volumes.extend(results::volumes(spec.stage, settings));
    volumes.extend(credentials::volume(spec.stage, settings));
    let tmp = EmptyDirVolumeSource { size_limit: Some(bytes(settings.disk)), medium: None };
    volumes.push(Volume { name: TMP_VOLUME.to_owned(), empty_dir: Some(tmp), ..Default::default() });
    volumes
}

fn metadata(name: String, job: &JobId, owner: &Uid, kind: Kind) -> ObjectMeta {
    let labels = BTreeMap::from([
        (MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned()),
        (WORKFLOW_LABEL.to_owned(), job.to_string()),
        ("app".to_owned(), job.to_string()),
        (OWNER_LABEL.to_owned(), owner.to_string()),
    ]);
    ObjectMeta {
        name: Some(name),
        labels: Some(labels),
        owner_references: Some(vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: kind.as_str().to_owned(),
            name: job.to_string(),
            uid: owner.0.clone(),
            // Blocking the owner's deletion would need a right that the engine does not have.
            block_owner_deletion: None,
            controller: Some(true),
        }]),
        ..Default::default()
    }
}

fn bytes(amount: u64) -> Quantity {
    Quantity(amount.to_string())
}

/// Whole seconds, rounded up, at least one: Kubernetes takes no fraction, and 0 is no deadline.
fn seconds(duration: Duration) -> i64 {
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i64::try_from(whole.max(1)).unwrap_or(i64::MAX)
}
