//! `[leaks]`: what publish refuses to let out.

use super::{
    duration,
    values::{Values, optional},
};
use crate::{
    pod::publish::{LeakRules, TypeRule},
    workflow::quantity,
};
use std::time::Duration;

/// `[leaks]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaks {
    /// Bytes of outputs and logs; none: no bound.
    pub max_size: Option<u64>,
    /// Files in outputs and logs; none: no bound.
    pub max_files: Option<u64>,
    /// What outputs may be; empty: anything.
    pub allowed_types: Vec<TypeRule>,
    /// Whether copies of inputs are looked for.
    pub refuse_copies: bool,
    /// Bytes of the shortest input that is looked for inside of files.
    pub shortest_copy: u64,
    /// The limit of all checks together.
    pub max_time: Duration,
}

/// Less would find copies everywhere by chance.
const SHORTEST: u64 = 16;

impl Leaks {
    pub(super) fn read(values: &mut Values) -> Self {
        Self {
            max_size: values.checked_text("leaks.max_size", |text| {
                optional(text, |text| quantity::bytes(text).map_err(|error| error.to_string()))
            }),
            max_files: values.optional("leaks.max_files"),
            allowed_types: values.list("leaks.allowed_types"),
            refuse_copies: values.switch("leaks.refuse_copies"),
            shortest_copy: values.size("leaks.shortest_copy", SHORTEST),
            max_time: values.duration("leaks.max_time", Duration::from_secs(1)..=duration::MAX),
        }
    }

    /// The same as the publish stage is told it.
    pub fn rules(&self) -> LeakRules {
        LeakRules {
            max_bytes: self.max_size,
            max_files: self.max_files,
            allowed_types: self.allowed_types.clone(),
            refuse_copies: self.refuse_copies,
            shortest_copy: self.shortest_copy,
            max_time_ms: u64::try_from(self.max_time.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_reaches_the_stage_and_each_its_own_place() {
        let with = |pairs: &[(&str, &str)]| {
            let variables =
                pairs.iter().map(|(key, value)| (format!("OPERATOR_ENGINE__LEAKS__{key}"), (*value).to_owned()));
            crate::config::load(&[], variables).map(|loaded| loaded.config.leaks.rules())
        };
        assert!(!with(&[]).unwrap().any(), "all is off unless it is asked for");
        assert_eq!(with(&[]).unwrap(), LeakRules::default());
        let all = [
            ("MAX_SIZE", "1Mi"),
            ("MAX_FILES", "2"),
            ("ALLOWED_TYPES", ".csv,image/*"),
            ("REFUSE_COPIES", "true"),
            ("SHORTEST_COPY", "3Ki"),
            ("MAX_TIME", "4s"),
        ];
        let rules = with(&all).unwrap();
        let json = serde_json::to_value(&rules).unwrap();
        let expected = serde_json::json!({
            "maxBytes": 1 << 20, "maxFiles": 2, "allowedTypes": [".csv", "image/*"], "refuseCopies": true,
            "shortestCopy": 3072, "maxTimeMs": 4000,
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<LeakRules>(json).unwrap(), rules);
        for one in &all[..4] {
            assert!(with(&[*one]).unwrap().any(), "{one:?}");
        }
        for wrong in [("ALLOWED_TYPES", "csv"), ("ALLOWED_TYPES", "."), ("MAX_FILES", "-1"), ("SHORTEST_COPY", "1")] {
            assert!(with(&[wrong]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_check_may_not_take_longer_than_publishing() {
        let with = |more: &[(&str, &str)]| {
            let variables = [("OPERATOR_ENGINE__WAITING__PUBLISH", "30m")];
            let variables = variables.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            crate::config::load(&[], variables).map(|_| ()).map_err(|errors| errors.to_string())
        };
        assert_eq!(with(&[]), Ok(()), "nothing is checked, so nothing takes long");
        let told = with(&[("OPERATOR_ENGINE__LEAKS__REFUSE_COPIES", "true")]).unwrap_err();
        assert!(told.contains("leaks.max_time must be shorter than waiting.publish"), "{told}");
    }
}
