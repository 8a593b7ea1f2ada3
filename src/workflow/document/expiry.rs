//! `compute.storageExpiry`: how long results are wanted to be kept.
//!
//! `"48h"`: a duration whose unit cannot be mistaken. The old engine wrote a bare number of its own there and had three
//! readings of it; its README's, hours, is the longest, so that nothing goes sooner than was meant.

use super::fields::{Log, Object};
use crate::workflow::duration;
use serde_json::Value;
use std::time::Duration;

const KEY: &str = "storageExpiry";
const EXPECTED: &str = "a duration with its unit is expected, such as \"48h\" or \"30d\"";

pub(super) fn read(compute: &mut Object, log: &mut Log) -> Option<Duration> {
    let path = compute.path_of(KEY);
    let text = match compute.take(KEY)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => {
            log.fault(path, format!("is no duration: {EXPECTED}"));
            return None;
        }
    };
    let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let no_wish = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if no_wish {
        // The old engine's default, for ever, and what an empty text says.
        return None;
    }
    let parsed = if bare { duration::parse(&format!("{text}h")) } else { duration::parse(&text) };
    match parsed {
        Ok(expiry) if expiry >= Duration::from_secs(1) => {
            if bare {
                let message = format!(
                    "has no unit and is taken for hours ({}), as the old engine's README has it; its operator-service took \
                     it for seconds, and its publishing image divided by 60: write \"{text}h\" to be sure",
                    duration::text(expiry)
                );
                log.note(path, message);
            }
            Some(expiry)
        }
        Ok(_) => {
            log.fault(path, "is shorter than a second; results that nobody could fetch need not be made");
            None
        }
        Err(error) => {
            log.fault(path, format!("{error}; {EXPECTED}"));
            None
        }
    }
}
