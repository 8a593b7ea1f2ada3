//! Our own check of every pod before it is sent: Pod Security *restricted*, and what we add to it.
//!
//! kubernetes.io/docs/concepts/security/pod-security-standards lists the profile. The cluster's admission may enforce it as
//! well; this one holds where it does not, and a pod template that loosened something stops here. What we add: limits,
//! a deadline, and that nothing secret is handed to what a stranger wrote.

use super::manifest::COMPONENT_LABEL;
use crate::workflow::Stage;
use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, Pod, PodSpec, SecurityContext, Volume, VolumeProjection,
};

/// How strict to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// All of it.
    Restricted,
    /// The same, but the container may run as root (inside its own namespaces), for images that insist.
    RootAllowed,
}

/// What in `pod` violates the profile, in words. Empty is good.
pub fn violations(pod: &Pod, profile: Profile) -> Vec<String> {
    let mut found = Vec::new();
    let Some(spec) = &pod.spec else { return vec!["the pod has no spec".to_owned()] };
    let mut rule = |holds: bool, text: &str| {
        if !holds {
            found.push(text.to_owned());
        }
    };
    pod_rules(spec, profile, &mut rule);
    let component = pod.metadata.labels.as_ref().and_then(|labels| labels.get(COMPONENT_LABEL));
    let strangers =
        [Stage::Algorithm, Stage::Filter].iter().any(|stage| component.is_some_and(|c| c == stage.as_str()));
    rule(!strangers || !has_secrets(spec), "no Secret and no token reaches an algorithm or a filter");
    let extra = spec.init_containers.iter().flatten();
    for container in spec.containers.iter().chain(extra) {
        container_rules(container, spec, profile, &mut rule);
    }
    for volume in spec.volumes.iter().flatten() {
        rule(
            is_allowed(volume),
            "volumes are configMap, secret, emptyDir, projected, ephemeral, csi, downwardAPI or claims",
        );
    }
    found
}

fn pod_rules(spec: &PodSpec, profile: Profile, rule: &mut impl FnMut(bool, &str)) {
    let off = |flag: Option<bool>| flag != Some(true);
    rule(off(spec.host_network) && off(spec.host_pid) && off(spec.host_ipc), "no namespace of the host");
    rule(spec.automount_service_account_token == Some(false), "automountServiceAccountToken is false");
    rule(spec.restart_policy.as_deref() == Some("Never"), "restartPolicy is Never");
    rule(spec.active_deadline_seconds.is_some_and(|seconds| seconds > 0), "activeDeadlineSeconds is set");
    rule(spec.ephemeral_containers.is_none(), "no ephemeral containers");
    let security = spec.security_context.as_ref();
    let seccomp = security.and_then(|security| security.seccomp_profile.as_ref()).map(|profile| profile.type_.as_str());
    rule(matches!(seccomp, Some("RuntimeDefault" | "Localhost")), "seccompProfile is RuntimeDefault or Localhost");
    rule(security.is_none_or(|security| security.sysctls.is_none()), "no sysctls");
    if profile == Profile::Restricted {
        let non_root = security.is_some_and(|s| s.run_as_non_root == Some(true) && s.run_as_user != Some(0));
        rule(non_root, "runAsNonRoot is true and runAsUser is not 0");
    }
}

fn container_rules(container: &Container, pod: &PodSpec, profile: Profile, rule: &mut impl FnMut(bool, &str)) {
    let none = SecurityContext::default();
    let security = container.security_context.as_ref().unwrap_or(&none);
    rule(security.allow_privilege_escalation == Some(false), "allowPrivilegeEscalation is false");
    rule(security.privileged != Some(true), "no privileged container");
    let capabilities = security.capabilities.as_ref();
    let drops_all = capabilities.and_then(|c| c.drop.as_ref()).is_some_and(|drop| drop.iter().any(|c| c == "ALL"));
    rule(drops_all, "all capabilities are dropped");
    let added =
        capabilities.and_then(|c| c.add.as_ref()).is_some_and(|add| add.iter().any(|c| c != "NET_BIND_SERVICE"));
    rule(!added, "no capability is added but NET_BIND_SERVICE");
    let seccomp = security.seccomp_profile.as_ref().map(|profile| profile.type_.as_str());
    rule(matches!(seccomp, None | Some("RuntimeDefault" | "Localhost")), "no container is unconfined by seccomp");
    rule(matches!(security.proc_mount.as_deref(), None | Some("Default")), "procMount is Default");
    rule(container.ports.iter().flatten().all(|port| port.host_port.is_none_or(|port| port == 0)), "no host port");
    if profile == Profile::Restricted {
        let as_root = security.run_as_user == Some(0) || security.run_as_non_root == Some(false);
        rule(!as_root, "no container overrules runAsNonRoot");
    }
    let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let limited = |what: &str| limits.is_some_and(|limits| limits.contains_key(what));
    rule(
        ["cpu", "memory", "ephemeral-storage"].into_iter().all(limited),
        "cpu, memory and ephemeral-storage are limited",
    );
    // A subPath is safe only on a volume whose root no pod of strangers can change.
    let names: Vec<_> = pod.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    let known = |name: &str| names.contains(&name);
    rule(
        container.volume_mounts.iter().flatten().all(|mount| known(&mount.name)),
        "every mount names a volume of the pod",
    );
    let propagated = |propagation: Option<&str>| !matches!(propagation, None | Some("None"));
    rule(
        !container.volume_mounts.iter().flatten().any(|mount| propagated(mount.mount_propagation.as_deref())),
        "no mount is propagated",
    );
}

/// Whether anything of a Secret, or a token, is handed to a container. The Secret that images are pulled with is the kubelet's.
fn has_secrets(spec: &PodSpec) -> bool {
    let extra = spec.init_containers.iter().flatten();
    let variables = spec.containers.iter().chain(extra).any(|container| {
        let one = |variable: &EnvVar| variable.value_from.as_ref().is_some_and(|from| from.secret_key_ref.is_some());
        let all = |source: &EnvFromSource| source.secret_ref.is_some();
        container.env.iter().flatten().any(one) || container.env_from.iter().flatten().any(all)
    });
    let volumes = spec.volumes.iter().flatten().any(|volume| {
        let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        let secret = |source: &VolumeProjection| source.secret.is_some() || source.service_account_token.is_some();
        volume.secret.is_some() || projected.into_iter().any(secret)
    });
    variables || volumes
}

fn is_allowed(volume: &Volume) -> bool {
    let allowed = [
        volume.config_map.is_some(),
        volume.secret.is_some(),
        volume.empty_dir.is_some(),
        volume.projected.is_some(),
        volume.ephemeral.is_some(),
        volume.csi.is_some(),
        volume.downward_api.is_some(),
        volume.persistent_volume_claim.is_some(),
    ];
    allowed.into_iter().any(|is| is)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn good() -> Value {
        let amounts = json!({"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"});
        json!({"spec": {
            "automountServiceAccountToken": false, "restartPolicy": "Never", "activeDeadlineSeconds": 60,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "c", "image": "i", "resources": {"limits": amounts},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "x"}}],
        }})
    }

    fn found(pod: Value, profile: Profile) -> Vec<String> {
        violations(&serde_json::from_value(pod).unwrap(), profile)
    }

    #[test]
    fn each_rule_bites() {
        assert_eq!(found(good(), Profile::Restricted), Vec::<String>::new());
        let breaks: [(&str, Value); 18] = [
            ("/spec/hostNetwork", json!(true)),
            ("/spec/hostPID", json!(true)),
            ("/spec/automountServiceAccountToken", json!(null)),
            ("/spec/restartPolicy", json!("OnFailure")),
            ("/spec/activeDeadlineSeconds", json!(null)),
            ("/spec/securityContext/seccompProfile", json!(null)),
            ("/spec/securityContext/seccompProfile/type", json!("Unconfined")),
            ("/spec/securityContext/runAsUser", json!(0)),
            ("/spec/securityContext/runAsNonRoot", json!(null)),
            ("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(null)),
            ("/spec/containers/0/securityContext/privileged", json!(true)),
            ("/spec/containers/0/securityContext/capabilities/drop", json!(["NET_RAW"])),
            ("/spec/containers/0/securityContext/capabilities/add", json!(["SYS_ADMIN"])),
            ("/spec/containers/0/securityContext/runAsUser", json!(0)),
            ("/spec/containers/0/resources", json!(null)),
            ("/spec/containers/0/ports", json!([{"containerPort": 1, "hostPort": 1}])),
            ("/spec/volumes/0", json!({"name": "data", "hostPath": {"path": "/"}})),
            ("/spec/containers/0/volumeMounts/0/mountPropagation", json!("Bidirectional")),
        ];
        for (pointer, value) in breaks {
            let mut pod = good();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            match pod.pointer_mut(parent).unwrap() {
                Value::Object(members) => {
                    members.insert(key.to_owned(), value);
                }
                Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
                _ => panic!("{pointer}"),
            }
            assert_eq!(found(pod, Profile::Restricted).len(), 1, "{pointer}");
        }
    }

    #[test]
    fn nothing_secret_reaches_what_a_stranger_wrote() {
        let secret = json!({"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}});
        let token = json!({"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}});
        for (pointer, value) in [
            ("/spec/containers/0/env", json!([secret])),
            ("/spec/containers/0/envFrom", json!([{"secretRef": {"name": "s"}}])),
            ("/spec/initContainers", json!([{"name": "i", "env": [secret], "image": "i"}])),
            ("/spec/volumes/1", json!({"name": "s", "secret": {"secretName": "s"}})),
            ("/spec/volumes/1", json!({"name": "s", "projected": {"sources": [{"secret": {"name": "s"}}]}})),
            ("/spec/volumes/1", token),
        ] {
            for (component, allowed) in [("algorithm", false), ("filter", false), ("publish", true)] {
                let mut pod = good();
                pod["metadata"] = json!({"labels": {"component": component}});
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                match pod.pointer_mut(parent).unwrap() {
                    Value::Object(members) => drop(members.insert(key.to_owned(), value.clone())),
                    Value::Array(items) => items.push(value.clone()),
                    _ => panic!("{pointer}"),
                }
                let told = found(pod, Profile::Restricted).iter().any(|text| text.starts_with("no Secret"));
                assert_eq!(told, !allowed, "{component}: {pointer}");
            }
        }
    }

    #[test]
    fn root_is_allowed_only_where_it_is_spelled_out() {
        let mut pod = good();
        pod["spec"]["securityContext"]["runAsUser"] = json!(0);
        pod["spec"]["securityContext"]["runAsNonRoot"] = json!(false);
        assert_eq!(found(pod.clone(), Profile::RootAllowed), Vec::<String>::new());
        assert_eq!(found(pod, Profile::Restricted).len(), 1);
    }
}
