//! The configuration as a whole: every key, every layer, every old variable, every kind of fault.

mod old;
mod stores;

use super::*;
use std::{collections::BTreeSet, path::Path, time::Duration};

fn with(environment: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    load(&[], environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn faults(environment: &[(&str, &str)]) -> Vec<String> {
    with(environment).unwrap_err().faults.iter().map(ToString::to_string).collect()
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn value<'a>(loaded: &'a Loaded, key: &str) -> &'a Effective {
    loaded.values.iter().find(|effective| effective.key == key).unwrap()
}

/// Keys of `default.toml` in the order of its lines, with the line above each.
fn documented() -> Vec<(String, &'static str)> {
    let (mut section, mut above, mut keys) = ("", "", Vec::new());
    for line in DEFAULTS.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.push((format!("{section}.{key}"), above));
        }
        above = line;
    }
    keys
}

#[test]
fn the_defaults_are_a_configuration() {
    let loaded = with(&[]).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert!(loaded.values.iter().all(|effective| effective.source == "default"));
    let config = loaded.config;
    assert_eq!((config.limits.max_jobs, config.limits.memory, config.limits.cpus.millis()), (10, 1 << 30, 1000));
    assert_eq!(config.limits.max_job_duration, Duration::from_secs(60), "the old engine's");
    assert_eq!(config.cadence.finished_young_every, Duration::from_millis(250));
    let secret = "operator-engine-storage".to_owned();
    let storage = Storage { targets: None, claim: None, adminlogs_claim: None, secret, expiry: None };
    assert_eq!(config.storage, storage);
    assert_eq!(config.http.listen, Some("0.0.0.0:8080".parse().unwrap()));
}

#[test]
fn every_key_is_explained_on_the_line_above_it_and_is_read() {
    let documented = documented();
    for (key, above) in &documented {
        assert!(above.starts_with("# "), "{key} has no comment directly above it");
    }
    let documented: Vec<_> = documented.iter().map(|(key, _)| key.as_str()).collect();
    let loaded = with(&[]).unwrap();
    let read: Vec<_> = loaded.values.iter().map(|effective| effective.key).collect();
    assert_eq!(read, documented, "what the sections read, and what default.toml has");
}

/// Another value for every key, good by itself.
const OTHERS: &[(&str, &str)] = &[
    ("engine.jobs_namespace", "jobs"),
    ("engine.instance", "pod-1"),
    ("engine.events", "true"),
    ("engine.log_format", "json"),
    ("engine.log_level", "debug,hyper=off"),
    ("limits.max_jobs", "0"),
    ("limits.cpus", "2.5"),
    ("limits.memory", "4Gi"),
    ("limits.disk", "100Gi"),
    ("limits.max_job_duration", "48h"),
    ("limits.gpus", "1"),
    ("limits.gpu_resource", "amd.com/gpu"),
    ("limits.max_log", "1Mi"),
    ("limits.stop_grace", "10s"),
    ("environment.cpu_type", "EPYC"),
    ("environment.gpu_type", "L4"),
    ("environment.gpu_ram", "24Gi"),
    ("environment.price_per_minute", "0.25"),
    ("environment.description", "Two racks, one fan"),
    ("images.engine", "registry.example/engine:1"),
    ("images.configure", "registry.example/engine:2"),
    ("images.publish", "registry.example/engine:3"),
    ("images.filter", "registry.example/filter@sha256:00"),
    ("images.filter_command", "python /filter.py --strict"),
    ("images.pull_policy", "Never"),
    ("images.pull_secret", "registry"),
    ("pods.service_account", "jobs"),
    ("pods.node_selector_scope", "compute"),
    ("pods.tolerations", "jobs=only:NoSchedule, spot"),
    ("pods.gpu_tolerations", "nvidia.com/gpu:NoSchedule"),
    ("pods.gpu_node_labels", "accelerator=l4"),
    ("pods.templates", "/etc/operator-engine/templates"),
    ("pods.runtime_class", "gvisor"),
    ("pods.allow_root", "true"),
    ("pods.storage_class", "gp2"),
    ("loop.attention_every", "2s"),
    ("loop.finished_every", "3s"),
    ("loop.finished_young_every", "300ms"),
    ("loop.audit_every", "1m"),
    ("loop.jitter_percent", "3"),
    ("loop.request_timeout", "5s"),
    ("loop.concurrency", "9"),
    ("lease.duration", "20s"),
    ("lease.retry_period", "1s"),
    ("waiting.image", "1m"),
    ("waiting.unschedulable", "2m"),
    ("waiting.volume", "3m"),
    ("waiting.start", "4m"),
    ("waiting.configure", "2h"),
    ("waiting.filter", "5m"),
    ("waiting.publish", "6m"),
    ("retries.platform", "0"),
    ("retries.publish_for", "0s"),
    ("retries.backoff_first", "1s"),
    ("retries.backoff_max", "1m"),
    ("cleaning.enabled", "false"),
    ("limits.gpus_on_request", "true"),
    ("limits.total_cpus", "8"),
    ("limits.total_memory", "8Gi"),
    ("limits.total_gpus", "8"),
    ("environment.announce", "false"),
    ("environment.id", "ocean-compute"),
    ("environment.as_text", "true"),
    ("environment.allowed_chain_ids", "1, 137"),
    ("leaks.max_size", "1Gi"),
    ("leaks.max_files", "9"),
    ("leaks.allowed_types", ".csv, image/*"),
    ("leaks.refuse_copies", "true"),
    ("leaks.shortest_copy", "2Ki"),
    ("leaks.max_time", "10s"),
    ("fetch.max_file", "1Gi"),
    ("fetch.max_total", "2Ti"),
    ("fetch.max_files", "7"),
    ("fetch.connect_timeout", "1s"),
    ("fetch.read_timeout", "2s"),
    ("fetch.total_timeout", "30m"),
    ("fetch.retries", "0"),
    ("fetch.allow_networks", "10.1.2.0/24, fd00::/8"),
    ("fetch.deny_networks", "192.0.2.0/24"),
    ("fetch.max_redirects", "0"),
    ("fetch.ipfs_gateways", "https://a.example/, https://b.example/x"),
    ("fetch.arweave_gateways", "https://a.example"),
    ("fetch.s3_buckets", "data, More_data"),
    ("fetch.s3_region", "eu-central-1"),
    ("fetch.s3_endpoint", "https://minio.example:9000"),
    ("fetch.s3_path_style", "true"),
    ("fetch.s3_allow_http", "true"),
    ("fetch.provider_double_slash", "true"),
    ("fetch.secret", "inputs"),
    ("storage.claim", "results"),
    ("storage.secret", "store"),
    ("storage.expiry", "30d"),
    ("adminlogs.claim", "logs"),
    ("expiry.schedule", "0 0 3 * * *"),
    ("expiry.max_per_run", "7"),
    ("expiry.confirm_after", "1h"),
    ("expiry.clock_tolerance", "1m"),
    ("expiry.orphans_after", "30d"),
    ("expiry.keep_records", "90d"),
    ("notify.start_url", "https://example.org/start"),
    ("notify.stop_url", "https://example.org/stop"),
    ("notify.timeout", "1s"),
    ("notify.redirects", "true"),
    ("notify.backoff_first", "1s"),
    ("notify.backoff_max", "1m"),
    ("notify.give_up_after", "1h"),
    ("http.listen", "[::1]:9000"),
    ("workflows.secrets", "true"),
];

#[test]
fn every_key_reaches_the_checked_configuration() {
    let defaults = with(&[]).unwrap();
    for (key, other) in OTHERS {
        let variable = layers::variable_name(key);
        let loaded = with(&[(&variable, other)]).unwrap();
        assert_ne!(loaded.config, defaults.config, "{key} = {other} changes nothing");
        assert_eq!(value(&loaded, key).source, format!("environment variable {variable}"));
        assert_ne!(value(&loaded, key).value, value(&defaults, key).value, "{key}");
        let changed = loaded.values.iter().zip(&defaults.values).filter(|(now, before)| now != before).count();
        assert_eq!(changed, 1, "{key} = {other} changes other keys as well");
    }
    let mut tried: BTreeSet<_> = OTHERS.iter().map(|(key, _)| (*key).to_owned()).collect();
    tried.extend(stores::tried());
    assert_eq!(tried, documented().into_iter().map(|(key, _)| key).collect(), "a key is missing in this test");
}

#[test]
fn a_schedule_that_is_none_or_never_fires_stops_the_start() {
    for (schedule, reason) in
        [("0 * * * *", "six fields"), ("0 0 0 31 2 *", "never fires"), ("hourly", "not a schedule")]
    {
        let errors = with(&[("OPERATOR_ENGINE__EXPIRY__SCHEDULE", schedule)]).unwrap_err().to_string();
        assert!(errors.contains("expiry.schedule") && errors.contains(reason), "{errors}");
    }
}

#[test]
fn later_layers_cover_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let first = file(folder.path(), "first.toml", "[limits]\nmax_jobs = 1\ngpus = 1\ncpus = 3\n[fetch]\nretries = 1\n");
    let more = folder.path().join("more");
    std::fs::create_dir(&more).unwrap();
    file(&more, "20.toml", "limits.gpus = 3\n[fetch]\nallow_networks = [\"10.0.0.0/8\"]");
    file(&more, "10.toml", "limits.gpus = 2\nfetch.retries = 2");
    file(&more, ".hidden.toml", "nonsense");
    file(&more, "notes.txt", "nonsense");
    let environment =
        [("OPERATOR_ENGINE__LIMITS__MAX_JOBS", "2"), ("OPERATOR_ENGINE__LIMITS__CPUS", "4"), ("nCPU", "500m")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let loaded = load(&[first, more.clone()], environment.into_iter()).unwrap();

    let limits = &loaded.config.limits;
    assert_eq!((limits.max_jobs, limits.gpus, limits.cpus.millis()), (2, 3, 500));
    assert_eq!(loaded.config.fetch.retries, 2);
    assert_eq!(loaded.config.fetch.allow_networks, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(value(&loaded, "limits.gpus").source, format!("file {}", more.join("20.toml").display()));
    assert_eq!(value(&loaded, "limits.cpus").source, "environment variable nCPU");
    let twice =
        "limits.cpus is set twice: environment variable nCPU covers environment variable OPERATOR_ENGINE__LIMITS__CPUS";
    assert_eq!(loaded.warnings, [twice]);
}

#[test]
fn an_empty_variable_is_not_set() {
    let empty =
        [("OPERATOR_ENGINE__LIMITS__MAX_JOBS", ""), ("maxJobs", " "), ("STORAGE_EXPIRY", ""), ("AWS_REGION", "")];
    assert_eq!(with(&empty).unwrap(), with(&[]).unwrap());
}

#[test]
fn all_faults_are_told_at_once_each_with_key_value_and_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        folder.path(),
        "a.toml",
        "[limits]\nmemory = 1073741824\nmax_jbos = 7\n[fetch]\nallow_networks = [\"10.0.0.1/8\", \"x\"]\n[lease]\nduration = 15\n",
    );
    let broken = file(folder.path(), "b.toml", "[limits]\nmax_jobs = = 'hush'\n");
    let missing = folder.path().join("c.toml");
    let environment = [("nCPU", "many"), ("maxJobs", "-1"), ("OPERATOR_ENGINE__ENGINE__LOG_LEVEL", "WARNING")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let errors = load(&[path, broken, missing], environment.into_iter()).unwrap_err();
    let text = errors.to_string().replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!(text);
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_right_one_and_without_its_value() {
    let nearest = |key: &str, right: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "a.toml", &format!("{key} = \"s3cret\"\n"));
        let errors = load(&[path], std::iter::empty()).unwrap_err().to_string();
        assert!(errors.contains(right), "{key}: {errors}");
        assert!(!errors.contains("s3cret"), "{errors}");
    };
    nearest("limits.max_job", "did you mean limits.max_jobs?");
    nearest("limits.max_jobs_duration", "did you mean limits.max_job_duration?");
    nearest("max_jobs", "did you mean limits.max_jobs?");
    nearest("engine.max_jobs", "did you mean limits.max_jobs?");
    nearest("limit.memry", "did you mean limits.memory?");
    nearest("waiting.max_redirect", "did you mean fetch.max_redirects?");
    nearest("limits.nCPU", "did you mean limits.cpus?");
    nearest("limits.ramgb", "did you mean limits.memory?");
    nearest("image.configure", "did you mean images.configure?");
    nearest("storage.dir", "did you mean storage.directory?");
    nearest("storage.access_key", "a.toml): unknown key");
    nearest("limits", "is a section: write [limits]");
    nearest("limits.cpus.max", "limits.cpus is one value, not a section");

    let told = faults(&[("OPERATOR_ENGINE__LIMITS__CPU", "s3cret")]);
    assert_eq!(
        told,
        ["limits.cpu (environment variable OPERATOR_ENGINE__LIMITS__CPU): unknown key; did you mean \
          OPERATOR_ENGINE__LIMITS__CPUS?"]
    );
    assert!(!faults(&[("OPERATOR_ENGINE__STORAGE__ZZZ", "x")])[0].contains("did you mean"));
}

#[test]
fn empty_sections_are_fine_and_unknown_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(folder.path(), "a.toml", "[limits]\n[fetch]\n");
    assert_eq!(load(&[good], std::iter::empty()).unwrap(), with(&[]).unwrap());
    let bad = file(folder.path(), "b.toml", "[floppy]\n[limits.cpus]\n");
    let told = load(&[bad], std::iter::empty()).unwrap_err();
    assert_eq!(told.faults.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), ["floppy", "limits.cpus"]);
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for text in [
        "environment.cpu_type = 5",
        "limits.max_jobs = 1.5",
        "limits.max_jobs = 99999999999",
        "limits.max_jobs = []",
        "limits.cpus = 0",
        "limits.cpus = \"1Gi\"",
        "limits.memory = \"1Ki\"",
        "cleaning.enabled = 2",
        "environment.price_per_minute = -1",
        "environment.price_per_minute = inf",
        "environment.price_per_minute = nan",
        "environment.description = \"a\\u001b[31m\"",
        "images.pull_policy = \"always\"",
        "fetch.allow_networks = [1]",
        "fetch.deny_networks = [\"cluster.local\"]",
        "http.listen = \"8080\"",
        "notify.start_url = \"ftp://example.org\"",
        "storage.directory = \"out\"",
        "s3.region = \"\"",
        "ipfs.url_prefix = \"\"",
        "loop.attention_every = \"1ms\"",
        "limits.max_job_duration = \"0s\"",
        "pods.node_selector_scope = 'a\"b'",
    ] {
        let path = file(folder.path(), "a.toml", text);
        let errors = load(&[path], std::iter::empty()).unwrap_err();
        assert_eq!(errors.faults.len(), 1, "{text}: {errors}");
        let key = text.split(' ').next().unwrap();
        assert_eq!(errors.faults[0].key, key, "{errors}");
        assert!(!errors.to_string().contains('\u{1b}'), "{errors:?}");
    }
}

#[test]
fn numbers_in_files_may_be_written_as_toml_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        folder.path(),
        "a.toml",
        "limits.max_jobs = 1_000\nlimits.cpus = 1.5\nenvironment.price_per_minute = 0.5\n",
    );
    let loaded = load(&[path], std::iter::empty()).unwrap();
    assert_eq!((loaded.config.limits.max_jobs, loaded.config.limits.cpus.millis()), (1000, 1500));
    assert!((loaded.config.environment.price_per_minute - 0.5).abs() < f64::EPSILON);
}

#[test]
fn rules_between_keys_are_one_sentence_with_the_values_and_their_sources() {
    let told = faults(&[("OPERATOR_ENGINE__RETRIES__BACKOFF_FIRST", "6m")]);
    assert_eq!(
        told,
        ["retries.backoff_first: retries.backoff_first must not be longer than retries.backoff_max; now \
             retries.backoff_first = \"6m\" (environment variable OPERATOR_ENGINE__RETRIES__BACKOFF_FIRST), \
             retries.backoff_max = \"5m\" (default)"]
    );
    for (key, other) in [
        ("lease.retry_period", "10s"),
        ("lease.duration", "15500ms"),
        ("loop.request_timeout", "13s"),
        ("loop.finished_young_every", "2s"),
        ("retries.backoff_first", "6m"),
        ("fetch.total_timeout", "1h"),
        ("fetch.connect_timeout", "56m"),
        ("fetch.read_timeout", "56m"),
        ("fetch.max_file", "21Gi"),
        ("limits.max_log", "1Gi"),
        ("storage.kind", "directory"),
        ("storage.kind", "s3"),
        ("storage.directory", "/srv"),
        ("s3.bucket", "out"),
        ("ipfs.api", "http://kubo:5001"),
        ("adminlogs.kind", "ipfs-cluster"),
        ("adminlogs.directory", "/srv"),
    ] {
        let told = faults(&[(&layers::variable_name(key), other)]);
        assert!(told.iter().any(|fault| fault.contains(&format!("{key} = \"{other}\""))), "{key}: {told:?}");
    }
}

#[test]
fn a_rule_is_not_asked_about_a_value_that_is_itself_at_fault() {
    let told = faults(&[("OPERATOR_ENGINE__LEASE__DURATION", "soon")]);
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn names_that_are_nearly_right_are_warned_of() {
    let loaded = with(&[
        ("maxjobs", "5"),
        ("NCPU", "5"),
        ("OPERATOR_ENGINE_LIMITS_MAX_JOBS", "5"),
        ("operator_engine__limits__gpus", "5"),
        ("OPERATOR_ENGINE_PORT", "tcp://10.0.0.1:8080"),
        ("OPERATOR_ENGINE_SERVICE_HOST", "10.0.0.1"),
        ("DESCRIPTION", "not ours"),
    ])
    .unwrap();
    assert_eq!(loaded.values, with(&[]).unwrap().values);
    assert_eq!(
        loaded.warnings,
        [
            "maxjobs is not read: the name is maxJobs",
            "NCPU is not read: the name is nCPU",
            "OPERATOR_ENGINE_LIMITS_MAX_JOBS is not read: the name is OPERATOR_ENGINE__LIMITS__MAX_JOBS",
            "operator_engine__limits__gpus is not read: the name is OPERATOR_ENGINE__LIMITS__GPUS",
        ]
    );
}

#[test]
fn the_query_and_the_user_of_a_url_are_never_shown() {
    let url = "https://ann:s3cret@example.org/hook?token=s3cret#s3cret";
    let loaded = with(&[("NOTIFY_START_URL", url)]).unwrap();
    assert_eq!(loaded.config.notify.start_url.as_deref(), Some(url));
    assert_eq!(value(&loaded, "notify.start_url").value, "https://example.org/hook");
    assert!(!format!("{loaded:?}").contains("s3cret"));
    for url in ["ftp://ann:s3cret@example.org/?s3cret", "s3cret", "https://s3cret@:1/", "data:s3cret"] {
        let told = faults(&[("NOTIFY_STOP_URL", url)]);
        assert!(told[0].starts_with("notify.stop_url") && !told[0].contains("s3cret"), "{told:?}");
    }
}

#[test]
fn files_that_cannot_be_a_configuration_are_refused_and_an_empty_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = load(&[folder.path().to_owned()], std::iter::empty()).unwrap();
    assert!(loaded.warnings[0].contains("holds no *.toml file"));
    let large = file(folder.path(), "large.toml", &"#\n".repeat(600_000));
    assert!(load(&[large], std::iter::empty()).unwrap_err().to_string().contains("larger than 1Mi"));
    let bytes = folder.path().join("bytes.toml");
    std::fs::write(&bytes, [0xff, 0xfe]).unwrap();
    assert_eq!(load(&[bytes], std::iter::empty()).unwrap_err().faults.len(), 1);
    let deep = file(folder.path(), "deep.toml", &format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000)));
    assert!(load(&[deep], std::iter::empty()).is_err());
}
