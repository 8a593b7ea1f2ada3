//! What the pods of a workflow get, and what they do not.

use crate::program::{self, OLD, SECRETS, STAGES};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MARKET: &str = "https://market.example.org";

/// What each stage gets of a document that a provider sends.
async fn pods(environment: &[(&str, &str)]) -> impl Iterator<Item = (&'static str, Value)> {
    let folder = program::documents_for(MARKET);
    STAGES.into_iter().zip(program::pods(&folder.path().join("provider.json"), environment).await)
}

fn container(pod: &Value) -> &Value {
    assert_eq!(pod["spec"]["containers"].as_array().unwrap().len(), 1);
    &pod["spec"]["containers"][0]
}

#[tokio::test]
async fn gpus_are_requested_by_the_algorithm_alone() {
    for (gpus, resource) in [("0", None), ("3", None), ("2", Some("amd.com/gpu"))] {
        let mut environment = OLD.to_vec();
        environment.retain(|(name, _)| *name != "nGPU");
        environment.push(("nGPU", gpus));
        environment.extend(resource.map(|name| ("OPERATOR_ENGINE__LIMITS__GPU_RESOURCE", name)));
        let name = resource.unwrap_or("nvidia.com/gpu");
        for (stage, pod) in pods(&environment).await {
            let resources = &container(&pod)["resources"];
            let expected = if stage == "algorithm" && gpus != "0" { json!(gpus) } else { Value::Null };
            assert_eq!((&resources["limits"][name], &resources["requests"][name]), (&expected, &expected), "{stage}");
            assert_eq!(resources.to_string().contains("gpu"), !expected.is_null(), "{stage}: {resources}");
        }
    }
}

#[tokio::test]
async fn every_pod_is_bounded() {
    for (stage, pod) in pods(&OLD).await {
        let resources = &container(&pod)["resources"];
        assert_eq!(resources["limits"], resources["requests"], "{stage}: what it was promised it has, and no more");
        for name in ["cpu", "memory", "ephemeral-storage"] {
            assert!(resources["limits"][name].is_string(), "{stage} has no limit of {name}: {resources}");
        }
        assert!(pod["spec"]["activeDeadlineSeconds"].as_i64().unwrap() > 0, "{stage}");
        assert_eq!(pod["spec"]["restartPolicy"], "Never", "{stage}");
        for volume in pod["spec"]["volumes"].as_array().unwrap() {
            let empty = &volume["emptyDir"];
            assert!(empty.is_null() || empty["sizeLimit"].is_string(), "{stage}: {volume}");
        }
    }
}

#[tokio::test]
async fn waiting_for_its_image_is_not_charged_to_an_algorithm() {
    let environment = [&OLD[..], &[("OPERATOR_ENGINE__WAITING__START", "20m")]].concat();
    let (_, pod) = pods(&environment).await.nth(1).unwrap();
    let command = container(&pod)["command"].as_array().unwrap();
    let at = command.iter().position(|word| word == "--max-time").unwrap();
    assert_eq!(command[at + 1], "3600", "its wrapper counts from the algorithm's own start");
    let grace = 30;
    assert_eq!(pod["spec"]["activeDeadlineSeconds"], 3600 + 20 * 60 + grace, "the pod has what it waited for on top");
}

#[tokio::test]
async fn only_configure_sees_the_document() {
    for (stage, pod) in pods(&OLD).await {
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let documents = volumes.iter().filter(|volume| !volume["configMap"].is_null()).count();
        assert_eq!(documents, usize::from(stage == "configure"), "{stage}");
        // Nor does what is told of it say where data sets are.
        let text = pod.to_string();
        for word in ["0x0000000000000000000000000000000000000000000000000000000000000abc", "access\"", MARKET] {
            assert!(!text.contains(word), "{stage}: {word}");
        }
    }
}

#[tokio::test]
async fn each_stage_mounts_what_it_is_for() {
    for (stage, pod) in pods(&OLD).await {
        let mounts = container(&pod)["volumeMounts"].as_array().unwrap();
        let of_data = mounts.iter().filter(|mount| mount["name"] == "data");
        let of_data: BTreeSet<_> = of_data
            .map(|mount| {
                let (path, part) = (mount["mountPath"].as_str().unwrap(), mount["subPath"].as_str());
                assert_eq!(part.map_or("/data".to_owned(), |part| format!("/data/{part}")), path, "{stage}");
                (path, mount["readOnly"] != true)
            })
            .collect();
        let expected: &[(&str, bool)] = match stage {
            "configure" => &[("/data", true)],
            "algorithm" => &[
                ("/data/bin", false),
                ("/data/ddos", false),
                ("/data/inputs", false),
                ("/data/logs", true),
                ("/data/outputs", true),
                ("/data/transformations", false),
            ],
            "filter" => &[("/data/inputs", false), ("/data/logs", true), ("/data/outputs", true)],
            _ => &[("/data", false), ("/data/adminlogs", true)],
        };
        assert_eq!(of_data, expected.iter().copied().collect(), "{stage}");
        let claims = pod["spec"]["volumes"].as_array().unwrap().iter();
        let claims: Vec<_> =
            claims.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str()).collect();
        assert_eq!(claims, ["example-data"], "{stage}: one volume for a job");
    }
}

#[tokio::test]
async fn credentials_reach_pods_by_reference_only() {
    for (stage, pod) in pods(&OLD).await {
        let text = pod.to_string();
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{stage}: {text}");
        assert_eq!(pod["spec"]["automountServiceAccountToken"], false, "{stage}");
        let variables = container(&pod)["env"].as_array().cloned().unwrap_or_default();
        let mut referred = Vec::new();
        for variable in &variables {
            let reference = &variable["valueFrom"]["secretKeyRef"];
            if reference.is_object() {
                assert_eq!(variable["name"], reference["key"], "{stage}");
                assert_eq!(variable.get("value"), None, "{stage}");
                referred.push(variable["name"].as_str().unwrap());
            }
        }
        let expected: &[&str] = match stage {
            "configure" => &["OPERATOR_PRIVATE_KEY"],
            "publish" => &["OPERATOR_PRIVATE_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
            _ => &[],
        };
        let of_outputs: Vec<_> = referred.iter().copied().filter(|name| !name.ends_with("_ADMINLOGS")).collect();
        assert_eq!(of_outputs, expected, "{stage}");
        assert!(stage == "publish" || of_outputs.len() == referred.len(), "{stage}: {referred:?}");
    }
}
