//! From the environment to the pods: what of it is in them, and what is not.

use super::settings;
use crate::{
    cluster::{
        manifest,
        restricted::{self, Profile},
    },
    config,
    plan::{
        cohort::Cohort,
        kind::Kind,
        pod::{PodSpec, Subject, Task},
        seen::Uid,
    },
    workflow::{Facts, Outcome, Stage, digest::Sha256},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const CANARY: &str = "canary-4f1d";

/// Everything secret that an engine can be given, and what needs it.
const SECRETS: [&str; 13] = [
    "OPERATOR_PRIVATE_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "IPFS_API_KEY",
    "IPFS_API_CLIENT",
    "IPFS_AUTHORIZATION",
    "AWS_ACCESS_KEY_ID_ADMINLOGS",
    "AWS_SECRET_ACCESS_KEY_ADMINLOGS",
    "AWS_SESSION_TOKEN_ADMINLOGS",
    "IPFS_API_KEY_ADMINLOGS",
    "IPFS_API_CLIENT_ADMINLOGS",
    "IPFS_AUTHORIZATION_ADMINLOGS",
];

fn task(stage: Stage) -> Task {
    let subject = || Subject { dids: "[]".to_owned(), transformation_did: String::new(), secret: String::new() };
    match stage {
        Stage::Configure => Task::Configure {
            document: Sha256::of(""),
            remote: false,
            buckets: Default::default(),
            earlier: Default::default(),
        },
        Stage::Algorithm => Task::Algorithm {
            image: "python:3".to_owned(),
            entrypoint: "python $ALGO".to_owned(),
            subject: subject(),
            max_time: Duration::from_secs(60),
            resources: Default::default(),
        },
        Stage::Filter => Task::Filter { image: "filter:1".to_owned(), subject: subject() },
        Stage::Publish => Task::Publish {
            facts: Box::new(Facts {
                job: "wf-1".parse().unwrap(),
                stage: 0,
                outcome: Outcome::Succeeded,
                reason: None,
                message: None,
                exit_code: Some(0),
                image: String::new(),
                image_id: None,
                document: Sha256::of(""),
                usage: None,
                times: BTreeMap::new(),
                expires_at: None,
                release: true,
            }),
        },
    }
}

fn spec(stage: Stage, task: Task) -> PodSpec {
    PodSpec {
        job: "wf-1".parse().unwrap(),
        owner: Uid("uid-1".to_owned()),
        kind: Kind::ConfigMap,
        round: 0,
        stage,
        attempt: 0,
        cohort: Cohort(0),
        task,
        deadline: Duration::from_secs(60),
        grace: Duration::from_secs(30),
    }
}

/// The pods of a workflow under an engine with this environment and all the secrets there are.
fn pods(environment: &[(&str, &str)]) -> Vec<(Stage, Value)> {
    let secrets = SECRETS.map(|name| (name, CANARY));
    let environment = environment.iter().chain(&secrets).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let settings = settings(&config::load(&[], environment).unwrap().config).unwrap();
    let pod = |stage| {
        let pod = manifest::pod(&spec(stage, task(stage)), &settings);
        assert_eq!(restricted::violations(&pod, Profile::Restricted), Vec::<String>::new(), "{stage}");
        (stage, serde_json::to_value(&pod).unwrap())
    };
    Stage::ALL.map(pod).into()
}

fn publish(environment: &[(&str, &str)]) -> Value {
    pods(environment).pop().unwrap().1
}

const S3: [(&str, &str); 4] = [
    ("AWS_BUCKET_OUTPUT", "out"),
    ("AWS_REGION", "eu-central-1"),
    ("OPERATOR_ENGINE__ADMINLOGS__KIND", "ipfs"),
    ("OPERATOR_ENGINE__ADMINLOGS__IPFS__API", "http://kubo:5001"),
];
const ROLE: (&str, &str) = ("OPERATOR_ENGINE__S3__ROLE_ARN", "arn:aws:iam::123456789012:role/publish");

#[test]
fn no_pod_has_a_credential_in_it_and_only_publish_is_told_where_they_are() {
    for environment in [&S3[..], &[&S3[..], &[ROLE]].concat(), &[("IPFS_OUTPUT", "http://kubo:5001")]] {
        for (stage, pod) in pods(environment) {
            let text = pod.to_string();
            assert!(!text.contains(CANARY), "{stage}: {text}");
            let told = text.contains("secretKeyRef") || text.contains("serviceAccountToken");
            assert_eq!(told, stage == Stage::Publish, "{stage}: {text}");
        }
    }
}

#[test]
fn configure_is_told_of_the_keys_that_its_document_needs_and_of_no_others() {
    let environment = [
        ("OPERATOR_ENGINE__STORAGE__KIND", "ipfs"),
        ("OPERATOR_ENGINE__IPFS__API", "http://kubo:5001"),
        ("OPERATOR_ENGINE__FETCH__S3_BUCKETS", "data,more"),
        ("OPERATOR_ENGINE__FETCH__SECRET", "keys-of-inputs"),
    ];
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let settings = settings(&config::load(&[], environment).unwrap().config).unwrap();
    let told = |remote, buckets: &[&str]| {
        let buckets = buckets.iter().map(|bucket| (*bucket).to_owned()).collect();
        let task = Task::Configure { document: Sha256::of(""), remote, buckets, earlier: Default::default() };
        let pod = manifest::pod(&spec(Stage::Configure, task), &settings);
        assert_eq!(restricted::violations(&pod, Profile::Restricted), Vec::<String>::new());
        let env = pod.spec.unwrap().containers.remove(0).env.unwrap_or_default();
        let from = |variable: k8s_openapi::api::core::v1::EnvVar| {
            let from = variable.value_from.unwrap().secret_key_ref.unwrap();
            assert_eq!((from.name.as_str(), &from.key, from.optional), ("keys-of-inputs", &variable.name, Some(true)));
            variable.name
        };
        env.into_iter().map(from).collect::<Vec<_>>()
    };
    assert_eq!(told(false, &[]), Vec::<String>::new());
    assert_eq!(told(false, &["other", "dat"]), Vec::<String>::new());
    assert_eq!(told(true, &["other"]), ["OPERATOR_PRIVATE_KEY"]);
    let s3 = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    assert_eq!(told(false, &["more"]), s3);
    assert_eq!(told(true, &["data", "other"]), [&["OPERATOR_PRIVATE_KEY"][..], &s3].concat());
}

#[test]
fn publish_takes_what_its_stores_need_from_the_secret() {
    let pod = publish(&S3);
    insta::assert_json_snapshot!("publish_env", pod["spec"]["containers"][0]["env"]);
    let command: Vec<_> = pod["spec"]["containers"][0]["command"].as_array().unwrap().iter().collect();
    let after = |name: &str| {
        let at = command.iter().position(|word| *word == name).unwrap();
        command[at + 1].as_str().unwrap()
    };
    assert_eq!(
        after("--target"),
        r#"{"kind":"s3","bucket":"out","prefix":"","region":"eu-central-1","endpoint":null,"pathStyle":false,"allowHttp":false,"ca":null,"roleArn":null,"stsEndpoint":null}"#
    );
    assert!(
        after("--adminlogs")
            .starts_with(r#"{"kind":"ipfs","api":"http://kubo:5001","folder":"/operator-engine-adminlogs""#)
    );
}

#[test]
fn a_role_takes_the_place_of_keys_by_a_token_made_for_the_pod() {
    let pod = publish(&[&S3[..3], &[("OPERATOR_ENGINE__ADMINLOGS__KIND", "apart"), ROLE]].concat());
    let container = &pod["spec"]["containers"][0];
    insta::assert_json_snapshot!(
        "publish_role",
        serde_json::json!([container["env"], container["volumeMounts"], pod["spec"]["volumes"]])
    );
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
}

#[test]
fn a_filter_runs_what_its_image_says_or_by_the_wrapper_what_the_admin_says() {
    let container = |environment: &[(&str, &str)]| {
        let directory = [
            ("OPERATOR_ENGINE__STORAGE__KIND", "directory"),
            ("OPERATOR_ENGINE__STORAGE__DIRECTORY", "/results"),
            ("FILTERING_CONTAINER", "filter:1"),
        ];
        let (_, pod) = pods(&[&directory[..], environment].concat()).swap_remove(2);
        pod["spec"]["containers"][0].clone()
    };
    let mounts = |container: &Value| {
        let mounts = container["volumeMounts"].as_array().unwrap();
        let data = mounts.iter().filter(|mount| mount["name"] == "data");
        let told = data.map(|mount| {
            let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
            format!("{} {} {mode}", mount["subPath"].as_str().unwrap(), mount["mountPath"].as_str().unwrap())
        });
        told.collect::<Vec<_>>()
    };
    let own = container(&[]);
    let usual = ["inputs /data/inputs ro", "outputs /data/outputs rw", "logs /data/logs rw"];
    assert_eq!((&own["command"], mounts(&own)), (&Value::Null, usual.map(str::to_owned).to_vec()));
    let wrapped = container(&[("OPERATOR_ENGINE__IMAGES__FILTER_COMMAND", "python /filter.py | cat")]);
    let more = ["bin /data/bin ro", "filter /data/adminlogs rw"];
    assert_eq!(mounts(&wrapped), [&usual[..], &more[..]].concat(), "of the admin's logs it has a folder of its own");
    let command: Vec<_> = wrapped["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(command[..3], ["/data/bin/operator-engine", "exec", "--filter"]);
    assert_eq!(command[command.len() - 2..], ["--", "python /filter.py | cat"]);
    use clap::Parser as _;
    crate::cli::Cli::try_parse_from(&command).unwrap();
}

#[test]
fn publish_is_told_what_may_not_leave_if_there_is_such() {
    let directory =
        [("OPERATOR_ENGINE__STORAGE__KIND", "directory"), ("OPERATOR_ENGINE__STORAGE__DIRECTORY", "/results")];
    let command = |more: &[(&str, &str)]| {
        publish(&[&directory[..], more].concat())["spec"]["containers"][0]["command"].to_string()
    };
    assert!(!command(&[]).contains("--leaks"));
    assert!(
        command(&[("OPERATOR_ENGINE__LEAKS__MAX_FILES", "7")])
            .contains(r#""--leaks","{\"maxBytes\":null,\"maxFiles\":7,"#)
    );
}

#[test]
fn each_directory_with_a_claim_is_mounted_where_it_is_looked_for() {
    let directory = [
        ("OPERATOR_ENGINE__STORAGE__KIND", "directory"),
        ("OPERATOR_ENGINE__STORAGE__DIRECTORY", "/results"),
        ("OPERATOR_ENGINE__STORAGE__CLAIM", "results"),
    ];
    let mounts = |more: &[(&str, &str)]| {
        let pods = pods(&[&directory[..], more].concat());
        let mounted = |pod: &Value| {
            let text = pod["spec"]["volumes"].to_string() + &pod["spec"]["containers"][0]["volumeMounts"].to_string();
            ["\"claimName\":\"results\"", "\"/results\"", "\"claimName\":\"logs\"", "\"/logs\""]
                .map(|word| text.contains(word))
        };
        for (stage, pod) in &pods[..3] {
            assert_eq!(mounted(pod), [false; 4], "{stage}");
        }
        mounted(&pods[3].1)
    };
    assert_eq!(mounts(&[]), [true, true, false, false]);
    let own = [
        ("OPERATOR_ENGINE__ADMINLOGS__KIND", "directory"),
        ("OPERATOR_ENGINE__ADMINLOGS__DIRECTORY", "/logs"),
        ("OPERATOR_ENGINE__ADMINLOGS__CLAIM", "logs"),
    ];
    assert_eq!(mounts(&own), [true; 4]);
}

const DIRECTORY: [(&str, &str); 2] =
    [("OPERATOR_ENGINE__STORAGE__KIND", "directory"), ("OPERATOR_ENGINE__STORAGE__DIRECTORY", "/results")];

/// The volume's folders that a pod mounts: where, from where, and whether it may only read.
fn folders(pod: &Value) -> Vec<(String, String, bool)> {
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap().iter();
    let of_volume = mounts.filter(|mount| mount["name"] == "data").map(|mount| {
        let text = |key: &str| mount[key].as_str().unwrap_or_default().to_owned();
        (text("mountPath"), text("subPath"), mount["readOnly"] == true)
    });
    of_volume.collect()
}

#[test]
fn a_later_stage_mounts_its_own_folder_and_of_those_before_only_what_it_takes_to_be_read() {
    let filter = [("OPERATOR_ENGINE__IMAGES__FILTER", "f:1"), ("OPERATOR_ENGINE__IMAGES__FILTER_COMMAND", "look")];
    let environment = DIRECTORY.iter().chain(&filter).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let settings = settings(&config::load(&[], environment).unwrap().config).unwrap();
    for stage in Stage::ALL {
        let earlier = BTreeSet::from([0, 1]);
        let task = match task(stage) {
            Task::Configure { document, remote, buckets, .. } => Task::Configure { document, remote, buckets, earlier },
            task => task,
        };
        let spec = PodSpec { round: 2, ..spec(stage, task) };
        let pod = manifest::pod(&spec, &settings);
        assert_eq!(restricted::violations(&pod, Profile::Restricted), Vec::<String>::new(), "{stage}");
        assert_eq!(pod.metadata.name.as_deref(), Some(format!("wf-1-{stage}-2-0").as_str()));
        assert_eq!(pod.metadata.labels.as_ref().unwrap()["operator-engine/stage"], "2");
        let pod = serde_json::to_value(&pod).unwrap();
        let command = pod["spec"]["containers"][0]["command"].as_array().cloned().unwrap_or_default();
        let mut others = 0;
        for (place, from, read_only) in folders(&pod) {
            match from.strip_prefix("stage-2") {
                Some("/filter") => assert_eq!((place.as_str(), stage), ("/data/adminlogs", Stage::Filter)),
                Some(rest) => assert_eq!(place, format!("/data{rest}"), "{stage}"),
                None => {
                    others += 1;
                    let expected = match place.as_str() {
                        "/earlier/0" => "outputs",
                        "/earlier/1" => "stage-1/outputs",
                        other => panic!("{stage} mounts {from} at {other}"),
                    };
                    assert_eq!((from.as_str(), read_only), (expected, true), "{stage}");
                    assert!(
                        command.contains(&format!("{}={place}", &place["/earlier/".len()..]).into()),
                        "{command:?}"
                    );
                }
            }
        }
        assert_eq!(others, if stage == Stage::Configure { 2 } else { 0 }, "{stage}");
    }
}

#[test]
fn the_pods_of_a_first_stage_know_nothing_of_others() {
    for (stage, pod) in pods(&DIRECTORY) {
        let text = pod.to_string();
        assert!(
            !text.contains("operator-engine/stage") && !text.contains("stage-") && !text.contains("/earlier"),
            "{text}"
        );
        assert_eq!(pod["metadata"]["name"], format!("wf-1-{stage}-0"));
    }
}
