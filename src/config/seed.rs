//! The variables of Ocean Protocol's operator-engine, under their own names, so that its deployments keep working.
//!
//! [`VARIABLES`] is every one that engine read or its README named. Most set a key of ours; some are credentials, which no
//! key holds; the rest are answered with one warning that says why they do nothing, and their values are never shown.

mod stores;

use super::{duration, layers::Layer};

/// What one of the old variables means here.
pub(super) enum Meaning {
    /// It sets this key, to what the translation makes of its value.
    Sets(&'static str, fn(&str) -> Translation),
    /// It sets this key, and what it means depends on the others of its kind: see [`stores`].
    Store(&'static str),
    /// It is a credential: a key of the Secret that pods take it from, and the engine's own where it is in its environment.
    Credential,
    /// It means nothing any more. The rest of the sentence "has no effect: …".
    Nothing(&'static str),
}
use Meaning::{Credential, Nothing, Sets, Store};

/// What has become of one of the old variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old {
    /// It is honoured: it sets this key.
    Sets(&'static str),
    /// It is honoured, as a credential.
    Credential,
    /// It does nothing, for this reason.
    Dropped(&'static str),
}

/// Every variable that the old engine read or its README named, with what has become of it.
pub fn old_variables() -> impl Iterator<Item = (&'static str, Old)> {
    VARIABLES.iter().map(|(name, meaning)| {
        let old = match meaning {
            Sets(key, _) | Store(key) => Old::Sets(key),
            Credential => Old::Credential,
            Nothing(why) => Old::Dropped(why),
        };
        (*name, old)
    })
}

/// What a translation makes of a value.
pub(super) struct Translation {
    /// The value for our key; none: the variable is passed over.
    value: Option<String>,
    /// What the admin should know, as the rest of a sentence that begins with the variable's name.
    warning: Option<String>,
}

impl Translation {
    fn to(value: impl Into<String>) -> Self {
        Self { value: Some(value.into()), warning: None }
    }

    fn but(self, warning: impl Into<String>) -> Self {
        Self { warning: Some(warning.into()), ..self }
    }
}

const DATABASE: &str = "there is no database; workflows and their records are ConfigMaps";
const FOLDERS: &str = "the folders are always those below /data that algorithm images know";
const ACCOUNT: &str = "the old publishing image was given it and never used it";

/// Every variable, in the order in which warnings are given.
pub(super) const VARIABLES: &[(&str, Meaning)] = &[
    ("POSTGRES_USER", Nothing(DATABASE)),
    ("POSTGRES_PASSWORD", Nothing(DATABASE)),
    ("POSTGRES_HOST", Nothing(DATABASE)),
    ("POSTGRES_PORT", Nothing(DATABASE)),
    ("POSTGRES_DB", Nothing(DATABASE)),
    ("OPERATOR_PRIVATE_KEY", Credential),
    ("NETWORK", Nothing("the old engine did not use it either")),
    ("ACCOUNT_JSON", Nothing(ACCOUNT)),
    ("ACCOUNT_PASSWORD", Nothing(ACCOUNT)),
    ("INPUTS_FOLDER", Nothing(FOLDERS)),
    ("TRANSFORMATIONS_FOLDER", Nothing(FOLDERS)),
    ("OUTPUTS_FOLDER", Nothing(FOLDERS)),
    ("WORKFLOW", Nothing("the document is no longer mounted into pods under a name of its own")),
    ("LOG_LEVEL", Sets("engine.log_level", log_level)),
    ("LOG_CFG", Nothing("it named a file for Python's logging; see engine.log_format and engine.log_level")),
    ("POD_CONFIGURATION_CONTAINER", Sets("images.configure", stage_image)),
    ("POD_PUBLISH_CONTAINER", Sets("images.publish", stage_image)),
    ("FILTERING_CONTAINER", Sets("images.filter", as_it_is)),
    ("AWS_ACCESS_KEY_ID", Credential),
    ("AWS_SECRET_ACCESS_KEY", Credential),
    ("AWS_REGION", Store("s3.region")),
    ("AWS_BUCKET_OUTPUT", Store("s3.bucket")),
    ("AWS_BUCKET_ADMINLOGS", Store("adminlogs.s3.bucket")),
    ("IPFS_OUTPUT", Store("ipfs.api")),
    ("IPFS_ADMINLOGS", Store("adminlogs.ipfs.api")),
    ("IPFS_OUTPUT_PREFIX", Store("ipfs.url_prefix")),
    ("IPFS_ADMINLOGS_PREFIX", Store("adminlogs.ipfs.url_prefix")),
    ("IPFS_API_KEY", Credential),
    ("IPFS_API_CLIENT", Credential),
    ("IPFS_EXPIRY_TIME", Nothing("the old engine never passed it on; see STORAGE_EXPIRY and storage.expiry")),
    ("IPFS_TYPE", Nothing("the old engine only wrote of it in its README; storage.kind says which kind of IPFS it is")),
    ("STORAGE_EXPIRY", Sets("storage.expiry", expiry)),
    ("NOTIFY_START_URL", Sets("notify.start_url", as_it_is)),
    ("NOTIFY_STOP_URL", Sets("notify.stop_url", as_it_is)),
    ("NODE_SELECTOR", Sets("pods.node_selector_scope", as_it_is)),
    ("SERVICE_ACCOUNT", Sets("pods.service_account", as_it_is)),
    ("PULL_SECRET", Sets("images.pull_secret", as_it_is)),
    ("PULL_POLICY", Sets("images.pull_policy", as_it_is)),
    ("STORAGE_CLASS", Sets("pods.storage_class", as_it_is)),
    ("nCPU", Sets("limits.cpus", as_it_is)),
    ("cpuType", Sets("environment.cpu_type", as_it_is)),
    ("nGPU", Sets("limits.gpus", as_it_is)),
    ("gpuRam", Sets("environment.gpu_ram", gibibytes)),
    ("gpuType", Sets("environment.gpu_type", as_it_is)),
    ("ramGB", Sets("limits.memory", gibibytes)),
    ("diskGB", Sets("limits.disk", gibibytes)),
    ("priceMinute", Sets("environment.price_per_minute", as_it_is)),
    ("description", Sets("environment.description", as_it_is)),
    ("maxJobs", Sets("limits.max_jobs", as_it_is)),
    ("maxJobDuration", Sets("limits.max_job_duration", seconds)),
    (NO_CLEANUP, Sets("cleaning.enabled", no_cleanup)),
];

/// The one variable that counted even when it was empty.
const NO_CLEANUP: &str = "DEBUG_NO_CLEANUP";

/// Puts what the old variables set into a layer, and says what is to be known about them.
pub(super) fn layer(environment: &[(String, String)], warnings: &mut Vec<String>) -> Layer {
    let mut layer = Layer::default();
    for (name, meaning) in VARIABLES {
        let Some((_, value)) = environment.iter().rfind(|(given, _)| given == name) else { continue };
        if value.trim().is_empty() {
            if *name == NO_CLEANUP {
                warnings.push(format!(
                    "{name} is empty, which counts as not set, so finished workflows are cleaned up; the old engine took \
                     even an empty value for yes: set it to true if that is meant"
                ));
            }
            continue;
        }
        match meaning {
            Sets(key, translate) => {
                let translation = translate(value.trim());
                warnings.extend(translation.warning.map(|warning| format!("{name} {warning}")));
                if let Some(value) = translation.value {
                    layer.set_variable(key, value, name);
                }
            }
            Store(_) | Credential => {}
            Nothing(why) => warnings.push(format!("{name} has no effect: {why}")),
        }
    }
    stores::set(environment, &mut layer, warnings);
    warnings.extend(misspelt(environment));
    layer
}

/// The key that an old variable sets, whatever the case of its name: for those who write `nCPU` into a file.
pub(super) fn key_of(name: &str) -> Option<&'static str> {
    VARIABLES.iter().find_map(|(variable, meaning)| match meaning {
        Sets(key, _) | Store(key) if variable.eq_ignore_ascii_case(name) => Some(*key),
        _ => None,
    })
}

/// Old names of mixed case, written in another: the old engine passed over them without a word.
fn misspelt(environment: &[(String, String)]) -> impl Iterator<Item = String> {
    let mixed = |name: &str| name.contains(char::is_lowercase) && name.contains(char::is_uppercase);
    environment.iter().filter_map(move |(given, _)| {
        let (right, _) =
            VARIABLES.iter().find(|(name, _)| mixed(name) && name.eq_ignore_ascii_case(given) && name != given)?;
        Some(format!("{given} is not read: the name is {right}"))
    })
}

fn as_it_is(value: &str) -> Translation {
    Translation::to(value)
}

fn is_bare_number(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_digit()) && value.chars().all(|c| c.is_ascii_digit() || c == '.')
}

fn gibibytes(value: &str) -> Translation {
    Translation::to(if is_bare_number(value) { format!("{value}Gi") } else { value.to_owned() })
}

/// `60.5` and `1h` silently took the limit away in the old engine; here they are durations.
fn seconds(value: &str) -> Translation {
    Translation::to(if is_bare_number(value) { format!("{value}s") } else { value.to_owned() })
}

fn expiry(value: &str) -> Translation {
    if !is_bare_number(value) {
        return Translation::to(value);
    }
    if value.chars().all(|c| matches!(c, '0' | '.')) {
        return Translation::to("");
    }
    let hours = format!("{value}h");
    let shown = duration::parse(&hours).map(duration::text).unwrap_or_else(|_| hours.clone());
    Translation::to(hours).but(format!(
        "is taken for hours ({shown}), as the old engine's README has it; its operator-service took it for seconds, and \
         its publishing image divided by 60: give it a unit (\"48h\") to be sure"
    ))
}

/// Python's names for levels.
fn log_level(value: &str) -> Translation {
    Translation::to(match value.to_ascii_uppercase().as_str() {
        "WARNING" => "warn".to_owned(),
        "CRITICAL" => "error".to_owned(),
        "DEBUG" | "INFO" | "ERROR" => value.to_ascii_lowercase(),
        _ => value.to_owned(),
    })
}

/// The old engine's own images do not hold this program, so a stage could not start in them.
fn stage_image(value: &str) -> Translation {
    let name = value.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    if matches!(name, "pod-configuration" | "pod-publishing") {
        let warning = "is passed over: it names an image of the old engine, which does not hold this program; the engine's \
                       own image does that stage's work";
        return Translation { value: None, warning: None }.but(warning);
    }
    Translation::to(value)
}

/// Any value kept all objects in the old engine, `false` as well.
fn no_cleanup(value: &str) -> Translation {
    match value.to_ascii_lowercase().as_str() {
        "false" | "no" | "off" | "0" => {
            Translation::to("true").but("leaves cleaning on; the old engine took every value for yes, this one as well")
        }
        _ => Translation::to("false")
            .but("is set: pods and volumes of finished workflows stay until somebody deletes them"),
    }
}
