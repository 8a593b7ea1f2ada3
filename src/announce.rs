//! What is said of this environment to those who choose among several: what a job gets, what it costs, how busy it is.
//!
//! The members, their order and their spelling are the old engine's; what it lacked stands behind them. The old engine
//! announced a value as text where a variable had set it, and as a number where it was a default, so readers of it take
//! both; [`Announcement::as_text`] says which they get.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// What is announced, apart from the time.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// The environment's id.
    pub id: String,
    /// Cores of a job, in thousandths.
    pub cpu_millis: u64,
    /// Their kind.
    pub cpu_type: String,
    /// GPUs of a job.
    pub gpus: u32,
    /// Their kind.
    pub gpu_type: String,
    /// Bytes of memory of one; 0: not told.
    pub gpu_ram: u64,
    /// Bytes of memory of a job.
    pub memory: u64,
    /// Bytes of a job's volume.
    pub disk: u64,
    /// The price of a minute.
    pub price_per_minute: f64,
    /// For people.
    pub description: String,
    /// Workflows in work.
    pub current_jobs: usize,
    /// The most of them.
    pub max_jobs: u32,
    /// Workflows that wait.
    pub queue_length: usize,
    /// The address of the operator's key, if there is one.
    pub consumer_address: Option<String>,
    /// How long results are kept; none: for ever, announced as 0 like in the old engine.
    pub storage_expiry: Option<Duration>,
    /// The longest that an algorithm may run.
    pub max_job_duration: Duration,
    /// The chains whose orders are taken; empty: all.
    pub allowed_chain_ids: Vec<u64>,
    /// Whether what the admin sets is announced as text.
    pub as_text: bool,
}

/// The version of the program, for readers that need to know.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const GIBIBYTE: u64 = 1 << 30;

impl Announcement {
    /// The announcement, as it was last true at `now`.
    pub fn render(&self, now: Timestamp) -> String {
        let set = |value: Value| match value {
            Value::Number(number) if self.as_text => Value::String(number.to_string()),
            other => other,
        };
        let gibibytes = |bytes: u64| set(ratio(bytes, GIBIBYTE));
        let page = Page {
            id: &self.id,
            cpu_number: set(ratio(self.cpu_millis, 1000)),
            cpu_type: &self.cpu_type,
            gpu_number: set(self.gpus.into()),
            gpu_type: &self.gpu_type,
            ram: gibibytes(self.memory),
            disk: gibibytes(self.disk),
            price_min: set(whole_or_not(self.price_per_minute)),
            desc: &self.description,
            current_jobs: self.current_jobs,
            max_jobs: set(self.max_jobs.into()),
            consumer_address: self.consumer_address.as_deref(),
            storage_expiry: set(self.storage_expiry.map_or(json!(0), |expiry| ratio(expiry.as_secs(), 3600))),
            max_job_duration: set(self.max_job_duration.as_secs().into()),
            gpu_ram: gibibytes(self.gpu_ram),
            queue_length: self.queue_length,
            engine_version: VERSION,
            allowed_chain_id: &self.allowed_chain_ids,
            last_seen: now.as_second().to_string(),
        };
        serde_json::to_string(&page).unwrap_or_default()
    }
}

/// The members in their order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    id: &'a str,
    cpu_number: Value,
    cpu_type: &'a str,
    gpu_number: Value,
    gpu_type: &'a str,
    #[serde(rename = "ramGB")]
    ram: Value,
    #[serde(rename = "diskGB")]
    disk: Value,
    price_min: Value,
    desc: &'a str,
    current_jobs: usize,
    max_jobs: Value,
    consumer_address: Option<&'a str>,
    /// In hours, as its variable always was.
    storage_expiry: Value,
    /// In seconds.
    max_job_duration: Value,
    // What follows is new.
    gpu_ram: Value,
    queue_length: usize,
    engine_version: &'static str,
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    allowed_chain_id: &'a [u64],
    /// In seconds since 1970, as a text.
    last_seen: String,
}

/// A whole number where it is one, else a fraction.
fn ratio(amount: u64, unit: u64) -> Value {
    if amount.is_multiple_of(unit) {
        return (amount / unit).into();
    }
    // To three digits, and never down to nothing.
    let thousandths = (u128::from(amount) * 1000).div_ceil(u128::from(unit));
    whole_or_not(thousandths as f64 / 1000.0)
}

fn whole_or_not(number: f64) -> Value {
    if number.fract() == 0.0 && (0.0..9e15).contains(&number) { json!(number as u64) } else { json!(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement() -> Announcement {
        Announcement {
            id: "ocean-compute".to_owned(),
            cpu_millis: 1500,
            cpu_type: "AMD".to_owned(),
            gpus: 2,
            gpu_type: "A100".to_owned(),
            gpu_ram: 40 * GIBIBYTE,
            memory: 4 * GIBIBYTE,
            disk: GIBIBYTE / 2,
            price_per_minute: 2.0,
            description: "a place".to_owned(),
            current_jobs: 3,
            max_jobs: 10,
            queue_length: 4,
            consumer_address: Some("0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A".to_owned()),
            storage_expiry: Some(Duration::from_hours(48)),
            max_job_duration: Duration::from_secs(3600),
            allowed_chain_ids: vec![1, 137],
            as_text: false,
        }
    }

    #[test]
    fn the_announcement_has_the_old_keys_and_what_they_lacked() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let expected = concat!(
            r#"{"id":"ocean-compute","cpuNumber":1.5,"cpuType":"AMD","gpuNumber":2,"gpuType":"A100","ramGB":4,"#,
            r#""diskGB":0.5,"priceMin":2,"desc":"a place","currentJobs":3,"maxJobs":10,"#,
            r#""consumerAddress":"0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A","storageExpiry":48,"#,
            r#""maxJobDuration":3600,"gpuRam":40,"queueLength":4,"engineVersion":"VERSION","#,
            r#""allowedChainId":[1,137],"lastSeen":"1700000000"}"#
        );
        assert_eq!(announcement().render(now), expected.replace("VERSION", VERSION));
    }

    #[test]
    fn what_the_admin_sets_may_be_announced_as_text() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let text = Announcement { as_text: true, storage_expiry: None, ..announcement() }.render(now);
        let page: Value = serde_json::from_str(&text).unwrap();
        for (key, value) in [
            ("cpuNumber", json!("1.5")),
            ("maxJobs", json!("10")),
            ("ramGB", json!("4")),
            ("storageExpiry", json!("0")),
            ("currentJobs", json!(3)),
        ] {
            assert_eq!(page[key], value, "{key}");
        }
    }
}
