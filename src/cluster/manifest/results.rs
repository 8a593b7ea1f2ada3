//! The volumes that results are kept on, where they go to a directory: publish pods mount them, and no other pod does.

use super::Settings;
use crate::{storage::Target, workflow::Stage};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Volume, VolumeMount};
use std::path::Path;

/// Name of the volume, its claim, and where it is mounted.
fn all(stage: Stage, settings: &Settings) -> Vec<(&'static str, &str, &Path)> {
    let targets = &settings.commands.targets;
    let places = [
        ("results", &settings.results_claim, Some(&targets.outputs)),
        ("adminlogs", &settings.adminlogs_claim, targets.adminlogs.as_ref()),
    ];
    places
        .into_iter()
        .filter(|_| stage == Stage::Publish)
        .filter_map(|(name, claim, target)| match (claim, target) {
            (Some(claim), Some(Target::Directory { path })) => Some((name, claim.as_str(), path.as_path())),
            _ => None,
        })
        .collect()
}

pub(super) fn mounts(stage: Stage, settings: &Settings) -> impl Iterator<Item = VolumeMount> {
    all(stage, settings).into_iter().map(|(name, _, path)| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_string_lossy().into_owned(),
        read_only: Some(false),
        ..Default::default()
    })
}

pub(super) fn volumes(stage: Stage, settings: &Settings) -> impl Iterator<Item = Volume> {
    all(stage, settings).into_iter().map(|(name, claim, _)| Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim.to_owned(),
            read_only: None,
        }),
        ..Default::default()
    })
}
