//! The volumes of a pod, and which parts of them its stage sees: the one place that decides who can read and write what.

use super::{Settings, bytes, command, credentials, results, rounds};
use crate::{
    plan::{kind::Kind, pod::PodSpec, seen::volume_name},
    workflow::Stage,
};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume,
    VolumeMount,
};

/// Where configure finds the workflow: the keys of its ConfigMap or Secret, as files.
pub(super) const DOCUMENTS: &str = "/workflow";
pub(super) const DATA_VOLUME: &str = "data";
const DOCUMENTS_VOLUME: &str = "workflow";
const TMP_VOLUME: &str = "tmp";
/// The names of the engine's own volumes in a pod.
pub(in crate::cluster) const RESERVED_VOLUMES: [&str; 5] =
    [DATA_VOLUME, DOCUMENTS_VOLUME, TMP_VOLUME, "results", "adminlogs"];

/// What a stage sees of them, and where.
pub(super) fn mounts(spec: &PodSpec, settings: &Settings) -> Vec<VolumeMount> {
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

/// The volumes themselves.
pub(super) fn volumes(spec: &PodSpec, settings: &Settings) -> Vec<Volume> {
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
