//! The old engine's variables.

use super::*;

/// What the old engine's constants and README name.
const OLD: &[&str] = &[
    "POSTGRES_USER",
    "POSTGRES_PASSWORD",
    "POSTGRES_HOST",
    "POSTGRES_PORT",
    "POSTGRES_DB",
    "OPERATOR_PRIVATE_KEY",
    "NETWORK",
    "ACCOUNT_JSON",
    "ACCOUNT_PASSWORD",
    "INPUTS_FOLDER",
    "TRANSFORMATIONS_FOLDER",
    "OUTPUTS_FOLDER",
    "WORKFLOW",
    "LOG_LEVEL",
    "LOG_CFG",
    "POD_CONFIGURATION_CONTAINER",
    "POD_PUBLISH_CONTAINER",
    "FILTERING_CONTAINER",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_BUCKET_OUTPUT",
    "AWS_BUCKET_ADMINLOGS",
    "IPFS_OUTPUT",
    "IPFS_ADMINLOGS",
    "IPFS_OUTPUT_PREFIX",
    "IPFS_ADMINLOGS_PREFIX",
    "IPFS_API_KEY",
    "IPFS_API_CLIENT",
    "IPFS_EXPIRY_TIME",
    "IPFS_TYPE",
    "STORAGE_EXPIRY",
    "NOTIFY_START_URL",
    "NOTIFY_STOP_URL",
    "NODE_SELECTOR",
    "SERVICE_ACCOUNT",
    "PULL_SECRET",
    "PULL_POLICY",
    "STORAGE_CLASS",
    "nCPU",
    "cpuType",
    "nGPU",
    "gpuRam",
    "gpuType",
    "ramGB",
    "diskGB",
    "priceMinute",
    "description",
    "maxJobs",
    "maxJobDuration",
    "DEBUG_NO_CLEANUP",
];

#[test]
fn every_variable_of_the_old_engine_has_an_answer() {
    let known: Vec<_> = seed::VARIABLES.iter().map(|(name, _)| *name).collect();
    assert_eq!(known, OLD);
    let keys: BTreeSet<_> = documented().into_iter().map(|(key, _)| key).collect();
    for (name, meaning) in seed::VARIABLES {
        if let seed::Meaning::Sets(key, _) | seed::Meaning::Store(key) = meaning {
            assert!(keys.contains(*key), "{name} sets {key}, which is no key");
            continue;
        }
        let loaded = with(&[(name, "hush-hush")]).unwrap();
        let told = usize::from(matches!(meaning, seed::Meaning::Nothing(_)));
        assert_eq!(loaded.warnings.len(), told, "{name}");
        assert!(loaded.warnings.iter().all(|warning| warning.starts_with(name)), "{loaded:?}");
        assert!(!format!("{loaded:?}").contains("hush-hush"), "{loaded:?}");
        assert_eq!(loaded.values, with(&[]).unwrap().values);
    }
}

#[test]
fn old_variables_keep_their_units() {
    let loaded = with(&[
        ("nCPU", "2"),
        ("ramGB", "4"),
        ("diskGB", "1.5"),
        ("gpuRam", "24"),
        ("maxJobDuration", "3600"),
        ("maxJobs", "3"),
        ("LOG_LEVEL", "WARNING"),
        ("FILTERING_CONTAINER", "filter:1"),
        ("NODE_SELECTOR", "compute"),
        ("STORAGE_CLASS", "gp2"),
        ("priceMinute", "0.5"),
        ("description", "words"),
    ])
    .unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let Config { limits, environment, engine, images, pods, .. } = loaded.config;
    assert_eq!((limits.cpus.millis(), limits.memory, limits.disk, limits.max_jobs), (2000, 4 << 30, 3 << 29, 3));
    assert_eq!(limits.max_job_duration, Duration::from_secs(3600));
    assert_eq!((environment.gpu_ram, environment.description.as_str()), (24 << 30, "words"));
    assert_eq!((engine.log_level.as_str(), images.filter.as_deref()), ("warn", Some("filter:1")));
    assert_eq!((pods.node_selector_scope.as_deref(), pods.storage_class.as_deref()), (Some("compute"), Some("gp2")));
}

#[test]
fn a_job_duration_is_understood_or_refused_but_never_dropped() {
    let duration = |text| with(&[("maxJobDuration", text)]).map(|loaded| loaded.config.limits.max_job_duration);
    assert_eq!(duration("60.5").unwrap(), Duration::from_millis(60_500));
    assert_eq!(duration("1h").unwrap(), Duration::from_secs(3600));
    for text in ["0", "-5", "forever", "1e3", "60.", "inf"] {
        let told = duration(text).unwrap_err().to_string();
        assert!(told.contains("environment variable maxJobDuration"), "{told}");
    }
}

#[test]
fn a_bare_expiry_is_hours_and_the_three_readings_are_named() {
    let loaded = with(&[("STORAGE_EXPIRY", "48")]).unwrap();
    assert_eq!(loaded.config.storage.expiry, Some(Duration::from_secs(48 * 3600)));
    let warning = &loaded.warnings[0];
    for word in ["hours (2d)", "seconds", "divided by 60", "\"48h\""] {
        assert!(warning.contains(word), "{warning}");
    }
    let clear = with(&[("STORAGE_EXPIRY", "48h")]).unwrap();
    assert_eq!((clear.config.storage.expiry, clear.warnings.len()), (loaded.config.storage.expiry, 0));
    assert_eq!(with(&[("STORAGE_EXPIRY", "0")]).unwrap().config.storage.expiry, None, "the old default: for ever");
    assert!(
        faults(&[("STORAGE_EXPIRY", "2592000")])[0].contains("the unit is probably another one"),
        "a month in seconds"
    );
}

#[test]
fn false_does_not_turn_cleaning_off() {
    let enabled = |value| {
        let loaded = with(&[("DEBUG_NO_CLEANUP", value)]).unwrap();
        assert_eq!(loaded.warnings.len(), 1, "{value}: {:?}", loaded.warnings);
        loaded.config.cleaning.enabled
    };
    assert!(enabled("false") && enabled("0") && enabled("No") && enabled(""));
    assert!(!enabled("true") && !enabled("1") && !enabled("whatever"));
}

#[test]
fn images_of_the_old_engine_are_passed_over_with_a_word() {
    for image in ["oceanprotocol/pod-configuration:latest", "registry.example:5000/x/pod-configuration@sha256:00"] {
        let loaded = with(&[("POD_CONFIGURATION_CONTAINER", image)]).unwrap();
        assert_eq!((loaded.config.images.configure, loaded.warnings.len()), (None, 1));
    }
    let loaded = with(&[("POD_PUBLISH_CONTAINER", "registry.example/engine:2")]).unwrap();
    assert_eq!(
        (loaded.config.images.publish.as_deref(), loaded.warnings.len()),
        (Some("registry.example/engine:2"), 0)
    );
}
