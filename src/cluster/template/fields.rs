//! The fields that a template may have, and those that it must not.

use super::read::is_empty;
use serde_json::{Value, json};

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    Taken,
    Overruled,
}

/// The fields of a pod's spec that a template may have.
pub(super) const POD: [(&str, Fate); 23] = [
    ("nodeSelector", Fate::Taken),
    ("tolerations", Fate::Taken),
    ("affinity", Fate::Taken),
    ("topologySpreadConstraints", Fate::Taken),
    ("priorityClassName", Fate::Taken),
    ("preemptionPolicy", Fate::Taken),
    ("schedulerName", Fate::Taken),
    ("runtimeClassName", Fate::Taken),
    ("imagePullSecrets", Fate::Taken),
    ("dnsPolicy", Fate::Taken),
    ("dnsConfig", Fate::Taken),
    ("hostAliases", Fate::Taken),
    ("volumes", Fate::Taken),
    ("containers", Fate::Taken),
    ("restartPolicy", Fate::Overruled),
    ("activeDeadlineSeconds", Fate::Overruled),
    ("terminationGracePeriodSeconds", Fate::Overruled),
    ("serviceAccount", Fate::Overruled),
    ("serviceAccountName", Fate::Overruled),
    ("enableServiceLinks", Fate::Overruled),
    ("securityContext", Fate::Overruled),
    // Said with the value that the engine sets anyway.
    ("automountServiceAccountToken", Fate::Overruled),
    ("hostUsers", Fate::Overruled),
];

/// The fields of the one container that a template may have.
pub(super) const CONTAINER_FIELDS: [(&str, Fate); 12] = [
    ("env", Fate::Taken),
    ("envFrom", Fate::Taken),
    ("volumeMounts", Fate::Taken),
    ("name", Fate::Overruled),
    ("image", Fate::Overruled),
    ("imagePullPolicy", Fate::Overruled),
    ("command", Fate::Overruled),
    ("args", Fate::Overruled),
    ("resources", Fate::Overruled),
    ("securityContext", Fate::Overruled),
    ("terminationMessagePath", Fate::Overruled),
    ("terminationMessagePolicy", Fate::Overruled),
];

/// The kinds of volumes that a template may bring: none reaches into the node, none carries a token for the API server.
pub(super) const VOLUMES: [&str; 7] =
    ["emptyDir", "configMap", "secret", "persistentVolumeClaim", "downwardAPI", "ephemeral", "csi"];

/// Whether a value loosens something.
type Loosens = fn(&Value) -> bool;

/// The settings of a security context that would loosen what the engine sets: refused rather than overruled, so that nobody
/// believes them to be in force.
pub(super) const LOOSENED: [(&str, Loosens); 7] = [
    ("privileged", |value| value == &json!(true)),
    ("allowPrivilegeEscalation", |value| value == &json!(true)),
    ("runAsUser", |value| value == &json!(0)),
    ("procMount", |value| value != &json!("Default")),
    ("seccompProfile", |value| value.get("type") == Some(&json!("Unconfined"))),
    ("capabilities", |value| value.get("add").is_some_and(|added| !is_empty(added))),
    ("sysctls", |_| true),
];

/// Annotations by which older Kubernetes switches off a container's confinement.
pub(super) const UNCONFINING: [&str; 2] =
    ["container.apparmor.security.beta.kubernetes.io/", "seccomp.security.alpha.kubernetes.io/"];

/// What becomes of the field `key`; none: it is refused.
pub(super) fn fate(fields: &[(&str, Fate)], key: &str) -> Option<Fate> {
    fields.iter().find(|(name, _)| *name == key).map(|(_, fate)| *fate)
}
