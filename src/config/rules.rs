//! What must hold between keys, checked once all values are good. Each rule is one sentence.

use super::{Config, fault::Fault, values::Values};

/// Asks every rule; what does not hold becomes a fault.
pub(super) fn check(config: &Config, values: &mut Values) {
    let Config { limits, cadence, lease, waiting, retries, fetch, leaks, notify, .. } = config;
    values.rule(
        &["leaks.max_time", "waiting.publish"],
        !leaks.rules().any() || leaks.max_time < waiting.publish,
        "leaks.max_time must be shorter than waiting.publish, so that a check that takes too long ends by itself and says so",
    );
    values.rule(
        &["lease.duration"],
        lease.duration.subsec_nanos() == 0,
        "lease.duration must be whole seconds, because a Lease holds nothing finer",
    );
    values.rule(
        &["loop.request_timeout", "lease.retry_period", "lease.duration"],
        cadence.request_timeout + lease.retry_period < lease.duration,
        "loop.request_timeout and lease.retry_period together must be shorter than lease.duration, because a write is sent \
         only if it would time out while the Lease still counts",
    );
    values.rule(
        &["loop.finished_young_every", "loop.finished_every"],
        cadence.finished_young_every <= cadence.finished_every,
        "loop.finished_young_every must not be longer than loop.finished_every, because young stages are looked at more often",
    );
    values.rule(
        &["retries.backoff_first", "retries.backoff_max"],
        retries.backoff_first <= retries.backoff_max,
        "retries.backoff_first must not be longer than retries.backoff_max",
    );
    values.rule(
        &["notify.backoff_first", "notify.backoff_max"],
        notify.backoff_first <= notify.backoff_max,
        "notify.backoff_first must not be longer than notify.backoff_max",
    );
    values.rule(
        &["fetch.total_timeout", "waiting.configure"],
        fetch.total_timeout < waiting.configure,
        "fetch.total_timeout must be shorter than waiting.configure, so that configure ends by itself and says why",
    );
    values.rule(
        &["fetch.connect_timeout", "fetch.total_timeout"],
        fetch.connect_timeout <= fetch.total_timeout,
        "fetch.connect_timeout must not be longer than fetch.total_timeout",
    );
    values.rule(
        &["fetch.read_timeout", "fetch.total_timeout"],
        fetch.read_timeout <= fetch.total_timeout,
        "fetch.read_timeout must not be longer than fetch.total_timeout",
    );
    values.rule(
        &["fetch.max_file", "fetch.max_total"],
        fetch.max_file <= fetch.max_total,
        "fetch.max_file must not be larger than fetch.max_total",
    );
    values.rule(
        &[
            "limits.total_cpus",
            "limits.cpus",
            "limits.total_memory",
            "limits.memory",
            "limits.total_gpus",
            "limits.gpus",
        ],
        limits.resources().fits(limits.budget),
        "limits.total_cpus, total_memory and total_gpus must be enough for one algorithm, or none could ever start",
    );
    values.rule(
        &["limits.max_log", "limits.disk"],
        limits.max_log < limits.disk,
        "limits.max_log must be smaller than limits.disk, because the log lies on the workflow's volume",
    );
}

impl Values {
    /// A rule between keys: if it does not hold, `sentence` says so, followed by the values and their sources. Not asked
    /// while one of the keys is itself at fault.
    pub(super) fn rule(&mut self, keys: &[&str], holds: bool, sentence: &str) {
        if holds {
            return;
        }
        let Some(values) =
            keys.iter().map(|key| self.effective.iter().find(|e| e.key == *key)).collect::<Option<Vec<_>>>()
        else {
            return;
        };
        let values: Vec<_> = values.iter().map(|e| format!("{} = {} ({})", e.key, e.value, e.source)).collect();
        self.faults.push(Fault {
            key: keys.first().copied().unwrap_or_default().to_owned(),
            value: None,
            source: String::new(),
            message: format!("{sentence}; now {}", values.join(", ")),
        });
    }
}
