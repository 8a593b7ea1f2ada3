//! What a document asks for of the machine, and until when it may start.
//!
//! The old engine wrote `compute.resources` over with the admin's numbers, so documents hold anything there: what is no
//! amount is passed over, never a fault.

use super::fields::{Log, Object};
use crate::workflow::{
    Wish, order,
    quantity::{self, Cpus},
};
use jiff::Timestamp;
use serde_json::Value;

/// `compute.resources`, in the old engine's spelling; of a request and a limit the smaller one counts.
pub(super) fn resources(mut object: Object, log: &mut Log) -> Wish {
    let cpus = |text: &str| text.parse::<Cpus>().ok().map(Cpus::millis).filter(|millis| *millis > 0);
    let memory = |text: &str| quantity::bytes(text).ok().filter(|bytes| *bytes > 0);
    let gpus = |text: &str| text.parse::<u64>().ok();
    let wish = Wish {
        cpu_millis: least(&mut object, ["requests_cpu", "limits_cpu"], cpus, log),
        memory: least(&mut object, ["requests_memory", "limits_memory"], memory, log),
        gpus: least(&mut object, ["requests_gpu", "limits_gpu"], gpus, log).and_then(|gpus| u32::try_from(gpus).ok()),
    };
    object.end(log);
    wish
}

fn least(object: &mut Object, keys: [&str; 2], read: impl Fn(&str) -> Option<u64>, log: &mut Log) -> Option<u64> {
    let amounts = keys.into_iter().filter_map(|key| {
        let text = match object.take(key)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let amount = read(text.trim());
        if amount.is_none() {
            log.ignore(object.path_of(key));
        }
        amount
    });
    amounts.min()
}

/// `validUntil`: seconds since 1970, as providers send it, or a time as in RFC 3339. 0 stands for no limit.
pub(super) fn valid_until(object: &mut Object, log: &mut Log) -> Option<Timestamp> {
    let text = match object.take("validUntil")? {
        Value::Null => return None,
        Value::String(text) => text,
        other => other.to_string(),
    };
    if matches!(text.trim(), "" | "0") {
        return None;
    }
    let time = order::time(text.trim());
    if time.is_none() {
        let message = "is no time: seconds since 1970, or \"2026-01-01T00:00:00Z\", is expected";
        log.fault(object.path_of("validUntil"), message);
    }
    time
}
