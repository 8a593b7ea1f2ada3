//! How credentials reach the pod that stores results and the one that fetches inputs, and no other: by reference to a Secret,
//! which the engine itself may not read, or by a token that the kubelet makes for this pod.

use super::Settings;
use crate::{
    cluster::command,
    plan::pod::PodSpec,
    storage::secret_keys::{WEB_IDENTITY_TOKEN_FILE, needs_web_identity, secret_keys},
    workflow::Stage,
};
use k8s_openapi::api::core::v1::{
    EnvVar, EnvVarSource, ProjectedVolumeSource, SecretKeySelector, ServiceAccountTokenProjection, Volume, VolumeMount,
    VolumeProjection,
};

/// Where the token is.
const FOLDER: &str = "/var/run/secrets/operator-engine/web-identity";
const FILE: &str = "token";
const VOLUME: &str = "web-identity";
/// Whom the token is for. Amazon's security token service asks for this one, and other servers take it as well.
const AUDIENCE: &str = "sts.amazonaws.com";
/// How long the token holds; the kubelet renews it. A role's session, once begun, is longer than that by itself.
const TOKEN_SECONDS: i64 = 3600;

pub(super) fn variables(spec: &PodSpec, settings: &Settings) -> Vec<EnvVar> {
    match spec.stage {
        // A key that is missing is for configure to miss: it says which input needed it.
        Stage::Configure => command::input_keys(spec, &settings.commands.fetch)
            .into_iter()
            .map(|name| from_secret(&settings.inputs_secret, name, false))
            .collect(),
        Stage::Publish => publish(settings),
        Stage::Algorithm | Stage::Filter => Vec::new(),
    }
}

fn from_secret(secret: &str, name: &str, required: bool) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.to_owned(),
                key: name.to_owned(),
                optional: Some(!required),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn publish(settings: &Settings) -> Vec<EnvVar> {
    let targets = &settings.commands.targets;
    let from_secret = |name, required| from_secret(&settings.storage_secret, name, required);
    let mut variables: Vec<_> =
        secret_keys(targets).into_iter().map(|key| from_secret(key.name, key.required)).collect();
    if needs_web_identity(targets) {
        variables.push(EnvVar {
            name: WEB_IDENTITY_TOKEN_FILE.to_owned(),
            value: Some(format!("{FOLDER}/{FILE}")),
            ..Default::default()
        });
    }
    variables
}

pub(super) fn mount(stage: Stage, settings: &Settings) -> Option<VolumeMount> {
    (stage == Stage::Publish && needs_web_identity(&settings.commands.targets)).then(|| VolumeMount {
        name: VOLUME.to_owned(),
        mount_path: FOLDER.to_owned(),
        read_only: Some(true),
        ..Default::default()
    })
}

pub(super) fn volume(stage: Stage, settings: &Settings) -> Option<Volume> {
    let token = ServiceAccountTokenProjection {
        audience: Some(AUDIENCE.to_owned()),
        expiration_seconds: Some(TOKEN_SECONDS),
        path: FILE.to_owned(),
    };
    let source = VolumeProjection { service_account_token: Some(token), ..Default::default() };
    (stage == Stage::Publish && needs_web_identity(&settings.commands.targets)).then(|| Volume {
        name: VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource { sources: Some(vec![source]), default_mode: None }),
        ..Default::default()
    })
}
