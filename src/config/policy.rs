//! From the configuration to the rules that plans follow.

use super::Config;
use crate::plan::policy::{Cadence, Deadlines, LeaseTimes, Policy, Retries};

impl Config {
    /// What plans depend on. What they do not – sizes, images of our own stages, the store – is not in it.
    pub fn plan_policy(&self) -> Policy {
        let Self {
            limits,
            images,
            cadence,
            lease,
            waiting,
            retries,
            cleaning,
            storage,
            notify,
            environment,
            workflows,
            ..
        } = self;
        Policy {
            max_jobs: limits.max_jobs,
            resources: limits.resources(),
            gpus_on_request: limits.gpus_on_request,
            budget: limits.budget,
            max_job_duration: limits.max_job_duration,
            filter_image: images.filter.clone(),
            stop_grace: limits.stop_grace,
            storage_expiry: storage.expiry,
            lease: LeaseTimes { duration: lease.duration, retry_period: lease.retry_period },
            request_timeout: cadence.request_timeout,
            waiting: Deadlines {
                image: waiting.image,
                unschedulable: waiting.unschedulable,
                volume: waiting.volume,
                start: waiting.start,
                configure: waiting.configure,
                filter: waiting.filter,
                publish: waiting.publish,
            },
            retries: Retries {
                platform: retries.platform,
                publish_for: retries.publish_for,
                backoff_first: retries.backoff_first,
                backoff_max: retries.backoff_max,
            },
            cadence: Cadence {
                attention: cadence.attention_every,
                finished_young: cadence.finished_young_every,
                finished: cadence.finished_every,
                audit: cadence.audit_every,
                jitter_percent: cadence.jitter_percent,
            },
            cleaning: cleaning.enabled,
            allowed_chain_ids: environment.allowed_chain_ids.clone(),
            secrets: workflows.secrets,
            notify_start: notify.start_url.is_some(),
            notify_stop: notify.stop_url.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config,
        pod::configure::FetchPolicy,
        workflow::{Budget, Resources},
    };
    use std::time::Duration;

    fn with(environment: &[(&str, &str)]) -> Config {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        config::load(&[], environment).unwrap().config
    }

    #[test]
    fn the_defaults_that_plans_and_tests_have_are_those_of_the_file() {
        let config = with(&[]);
        assert_eq!(config.plan_policy(), Policy::default());
        assert_eq!(config.fetch.policy(), FetchPolicy::default());
    }

    #[test]
    fn every_key_that_plans_depend_on_reaches_them_and_each_its_own_place() {
        let seconds = Duration::from_secs;
        let policy = with(&[
            ("OPERATOR_ENGINE__LIMITS__MAX_JOBS", "3"),
            ("OPERATOR_ENGINE__LIMITS__CPUS", "2"),
            ("OPERATOR_ENGINE__LIMITS__MEMORY", "2Gi"),
            ("OPERATOR_ENGINE__LIMITS__GPUS", "1"),
            ("OPERATOR_ENGINE__LIMITS__GPUS_ON_REQUEST", "true"),
            ("OPERATOR_ENGINE__LIMITS__TOTAL_CPUS", "5"),
            ("OPERATOR_ENGINE__LIMITS__TOTAL_MEMORY", "6Gi"),
            ("OPERATOR_ENGINE__LIMITS__TOTAL_GPUS", "7"),
            ("OPERATOR_ENGINE__LIMITS__MAX_JOB_DURATION", "31s"),
            ("OPERATOR_ENGINE__LIMITS__STOP_GRACE", "32s"),
            ("OPERATOR_ENGINE__IMAGES__FILTER", "filter:1"),
            ("OPERATOR_ENGINE__STORAGE__EXPIRY", "33s"),
            ("OPERATOR_ENGINE__LOOP__ATTENTION_EVERY", "34s"),
            ("OPERATOR_ENGINE__LOOP__FINISHED_YOUNG_EVERY", "35s"),
            ("OPERATOR_ENGINE__LOOP__FINISHED_EVERY", "36s"),
            ("OPERATOR_ENGINE__LOOP__AUDIT_EVERY", "37s"),
            ("OPERATOR_ENGINE__LOOP__JITTER_PERCENT", "8"),
            ("OPERATOR_ENGINE__LOOP__REQUEST_TIMEOUT", "11s"),
            ("OPERATOR_ENGINE__LEASE__DURATION", "38s"),
            ("OPERATOR_ENGINE__LEASE__RETRY_PERIOD", "3s"),
            ("OPERATOR_ENGINE__WAITING__IMAGE", "39s"),
            ("OPERATOR_ENGINE__WAITING__UNSCHEDULABLE", "40s"),
            ("OPERATOR_ENGINE__WAITING__VOLUME", "41s"),
            ("OPERATOR_ENGINE__WAITING__START", "42s"),
            ("OPERATOR_ENGINE__WAITING__CONFIGURE", "2h"),
            ("OPERATOR_ENGINE__WAITING__FILTER", "43s"),
            ("OPERATOR_ENGINE__WAITING__PUBLISH", "44s"),
            ("OPERATOR_ENGINE__RETRIES__PLATFORM", "4"),
            ("OPERATOR_ENGINE__RETRIES__PUBLISH_FOR", "45s"),
            ("OPERATOR_ENGINE__RETRIES__BACKOFF_FIRST", "6s"),
            ("OPERATOR_ENGINE__RETRIES__BACKOFF_MAX", "46s"),
            ("OPERATOR_ENGINE__CLEANING__ENABLED", "false"),
            ("OPERATOR_ENGINE__ENVIRONMENT__ALLOWED_CHAIN_IDS", "137"),
            ("OPERATOR_ENGINE__WORKFLOWS__SECRETS", "true"),
            ("OPERATOR_ENGINE__NOTIFY__START_URL", "https://example.org/start"),
        ])
        .plan_policy();
        let expected = Policy {
            max_jobs: 3,
            resources: Resources { cpu_millis: 2000, memory: 2 << 30, gpus: 1 },
            gpus_on_request: true,
            budget: Budget { cpu_millis: Some(5000), memory: Some(6 << 30), gpus: Some(7) },
            max_job_duration: seconds(31),
            filter_image: Some("filter:1".to_owned()),
            stop_grace: seconds(32),
            storage_expiry: Some(seconds(33)),
            lease: LeaseTimes { duration: seconds(38), retry_period: seconds(3) },
            request_timeout: seconds(11),
            waiting: Deadlines {
                image: seconds(39),
                unschedulable: seconds(40),
                volume: seconds(41),
                start: seconds(42),
                configure: seconds(7200),
                filter: seconds(43),
                publish: seconds(44),
            },
            retries: Retries {
                platform: 4,
                publish_for: seconds(45),
                backoff_first: seconds(6),
                backoff_max: seconds(46),
            },
            cadence: Cadence {
                attention: seconds(34),
                finished_young: seconds(35),
                finished: seconds(36),
                audit: seconds(37),
                jitter_percent: 8,
            },
            cleaning: false,
            allowed_chain_ids: vec![137],
            secrets: true,
            notify_start: true,
            notify_stop: false,
        };
        assert_eq!(policy, expected);
    }
}
