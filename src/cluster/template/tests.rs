//! What of a template comes to be in a pod, and what is refused.

use super::Template;
use crate::cluster::restricted::{Profile, violations};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// A pod as the engine makes it, in what counts here.
fn ours() -> Value {
    let amounts = json!({"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"});
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "wf-algorithm-0", "labels": {"workflow": "wf", "component": "algorithm"}},
        "spec": {"automountServiceAccountToken": false, "restartPolicy": "Never", "activeDeadlineSeconds": 60,
            "serviceAccountName": "default", "nodeSelector": {"scope": "jobs"},
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "workflow-executor", "image": "busybox:1", "command": ["run"],
                "env": [{"name": "DIDS", "value": "[]"}], "resources": {"limits": amounts},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "wf-data"}}]}})
}

fn under(template: &str) -> Value {
    let template = Template::parse(template).unwrap_or_else(|faults| panic!("{faults:?}"));
    let pod: Pod = template.under(serde_json::from_value(ours()).unwrap());
    assert_eq!(violations(&pod, Profile::Restricted), Vec::<String>::new());
    serde_json::to_value(pod).unwrap()
}

/// The paths that are refused.
fn refused(template: &Value) -> Vec<String> {
    let faults = Template::parse(&template.to_string()).expect_err("refused");
    faults.into_iter().map(|fault| fault.path).collect()
}

#[test]
fn a_job_of_the_old_engine_changes_nothing_but_the_scheduler_it_names() {
    let mut expected = ours();
    expected["spec"]["schedulerName"] = json!("default-scheduler");
    expected["spec"]["dnsPolicy"] = json!("ClusterFirst");
    assert_eq!(under(include_str!("samples/job.yaml")), expected);
    let template = Template::parse(include_str!("samples/job.yaml")).unwrap();
    for path in ["spec.template.spec.restartPolicy", "spec.template.spec.containers[0].name"] {
        assert!(template.overruled.iter().any(|overruled| overruled == path), "{:?}", template.overruled);
    }
}

#[test]
fn what_an_admin_adds_is_taken_and_what_the_engine_sets_stays() {
    let spec = json!({
        "nodeSelector": {"scope": "theirs", "disk": "ssd"}, "restartPolicy": "Always", "priorityClassName": "jobs",
        "tolerations": [{"key": "jobs", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}]}},
        "containers": [{"image": "evil", "command": ["sh"],
            "env": [{"name": "DIDS", "value": "theirs"}, {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "volumeMounts": [{"name": "certificates", "mountPath": "/etc/certificates", "readOnly": true}]}],
        "volumes": [{"name": "certificates", "configMap": {"name": "certificates"}}],
    });
    let metadata = json!({"labels": {"workflow": "theirs", "team": "a"}, "annotations": {"example.com/note": "b"}});
    for whole in [
        json!({"metadata": metadata, "spec": spec}),
        json!({"kind": "Pod", "metadata": metadata, "spec": spec}),
        json!({"kind": "PodTemplate", "metadata": {"name": "x"}, "template": {"metadata": metadata, "spec": spec}}),
        json!({"kind": "Job", "spec": {"backoffLimit": 3, "template": {"metadata": metadata, "spec": spec}}}),
    ] {
        let pod = under(&whole.to_string());
        let mut expected = ours();
        expected["metadata"]["labels"]["team"] = json!("a");
        expected["metadata"]["annotations"] = json!({"example.com/note": "b"});
        let wanted = &mut expected["spec"];
        wanted["nodeSelector"] = json!({"scope": "jobs", "disk": "ssd"});
        for key in ["priorityClassName", "tolerations", "affinity"] {
            wanted[key] = spec[key].clone();
        }
        wanted["volumes"].as_array_mut().unwrap().push(spec["volumes"][0].clone());
        let container = &mut wanted["containers"][0];
        container["env"].as_array_mut().unwrap().push(spec["containers"][0]["env"][1].clone());
        container["volumeMounts"].as_array_mut().unwrap().push(spec["containers"][0]["volumeMounts"][0].clone());
        assert_eq!(pod, expected, "{whole}");
    }
}

#[test]
fn what_would_weaken_a_pod_is_refused_with_its_path() {
    let container = |container: Value| json!({ "containers": [container] });
    let mount = |mount: Value| json!({"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}], "containers": [{"volumeMounts": [mount]}]});
    let table = [
        (json!({"hostNetwork": true}), "spec.hostNetwork"),
        (json!({"hostPID": true}), "spec.hostPID"),
        (json!({"hostIPC": true}), "spec.hostIPC"),
        (json!({"nodeName": "node-1"}), "spec.nodeName"),
        (json!({"shareProcessNamespace": true}), "spec.shareProcessNamespace"),
        (json!({"automountServiceAccountToken": true}), "spec.automountServiceAccountToken"),
        (json!({"initContainers": [{"name": "a", "image": "b"}]}), "spec.initContainers"),
        (json!({"containers": [{"name": "a"}, {"name": "b"}]}), "spec.containers"),
        (json!({"securityContext": {"runAsUser": 0}}), "spec.securityContext.runAsUser"),
        (json!({"securityContext": {"sysctls": [{"name": "a", "value": "b"}]}}), "spec.securityContext.sysctls"),
        (container(json!({"securityContext": {"privileged": true}})), "spec.containers[0].securityContext.privileged"),
        (
            container(json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}})),
            "spec.containers[0].securityContext.capabilities",
        ),
        (container(json!({"ports": [{"containerPort": 1, "hostPort": 1}]})), "spec.containers[0].ports"),
        (container(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 1}}}})), "spec.containers[0].lifecycle"),
        (json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}), "spec.volumes[0].hostPath"),
        (
            json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
            "spec.volumes[0].projected",
        ),
        (json!({"volumes": [{"name": "data", "emptyDir": {"medium": "Memory"}}]}), "spec.volumes[0].name"),
        (mount(json!({"name": "data", "mountPath": "/all"})), "spec.containers[0].volumeMounts[0].name"),
        (mount(json!({"name": "v", "mountPath": "/data/outputs"})), "spec.containers[0].volumeMounts[0].mountPath"),
        (mount(json!({"name": "v", "mountPath": "/a/../data"})), "spec.containers[0].volumeMounts[0].mountPath"),
        (
            mount(json!({"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"})),
            "spec.containers[0].volumeMounts[0].mountPropagation",
        ),
        (json!({"tolerations": [{"key": "a", "efect": "NoSchedule"}]}), "spec.tolerations[0].efect"),
        (json!({"priorityClass": "a"}), "spec.priorityClass"),
        (json!({"nodeSelector": {"a": 1}}), "spec"),
    ];
    for (spec, path) in table {
        assert_eq!(refused(&json!({ "spec": spec })), [path], "{spec}");
    }
    let unconfined = json!({"annotations": {"container.apparmor.security.beta.kubernetes.io/x": "unconfined"}});
    assert_eq!(refused(&json!({"metadata": unconfined, "spec": {"priorityClassName": "a"}})).len(), 1);
    assert_eq!(refused(&json!({"kind": "Deployment", "spec": {"priorityClassName": "a"}})), ["kind"]);
    assert_eq!(refused(&json!({"kind": "Job", "spec": {"backoffLimit": 1}})), ["spec.template"]);
    assert_eq!(refused(&json!({"specs": {"priorityClassName": "a"}})), ["specs"]);
}
