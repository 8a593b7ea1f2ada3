//! The operator's private key, out of the environment. Like the credentials of stores it is no part of the configuration.

use super::{ConfigErrors, fault::Fault};
use crate::{ethereum::OperatorKey, storage::secret_keys::OPERATOR_KEY};

/// The operator's key; none if the variable is absent or empty.
///
/// # Errors
/// A text that is no key; the message does not repeat it.
pub fn operator_key(environment: &[(String, String)]) -> Result<Option<OperatorKey>, ConfigErrors> {
    let found = environment.iter().rfind(|(name, _)| name == OPERATOR_KEY);
    let Some(text) = found.map(|(_, value)| value.trim()).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|error: crate::ethereum::InvalidKey| {
        let source = format!("environment variable {OPERATOR_KEY}");
        ConfigErrors { faults: vec![Fault { key: String::new(), value: None, source, message: error.to_string() }] }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_and_what_is_none_is_refused_without_being_shown() {
        let of = |value: &str| operator_key(&[(OPERATOR_KEY.to_owned(), value.to_owned())]);
        assert!(of(&format!(" 0x{}\n", "11".repeat(32))).unwrap().is_some());
        assert!(of("").unwrap().is_none() && operator_key(&[]).unwrap().is_none());
        let error = of("hunter2").unwrap_err().to_string();
        assert!(error.contains("OPERATOR_PRIVATE_KEY") && !error.contains("hunter2"), "{error}");
    }

    /// The old engine's image had one in it, and with it every deployment that did not notice signed alike.
    #[test]
    fn no_key_is_part_of_the_program() {
        assert!(operator_key(&[]).unwrap().is_none());
        assert!(!super::super::DEFAULTS.contains("private_key"));
    }
}
