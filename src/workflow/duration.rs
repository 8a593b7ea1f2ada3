//! Durations in units that cannot be mistaken: "250ms", "15s", "1h 30m", "7d".
//!
//! The old engine read one bare number as hours, as seconds and divided by 60, depending on the file. So a number without
//! a unit is refused here, and nothing guesses.

use crate::workflow::quantity::Decimal;
use std::time::Duration;

/// The longest duration: ten years. It keeps sums far from every overflow, and below the 2^31 - 1 seconds that
/// Kubernetes takes for `activeDeadlineSeconds`.
pub const MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A text that is no duration; what it says is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// A bare number.
    #[error("a duration needs a unit: write \"{0}s\", \"{0}m\" or \"{0}h\", whichever is meant")]
    NoUnit(String),
    /// Anything else.
    #[error("not a duration: write \"250ms\", \"15s\", \"90m\", \"48h\", \"7d\" or \"1h 30m\"")]
    Wrong,
    /// More than [`MAX`].
    #[error("longer than {}, so the unit is probably another one", text(MAX))]
    TooLong,
}

/// A pause that doubles with each failure, up to the longest.
pub fn doubled(first: Duration, doublings: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << doublings.min(20)).min(longest)
}

/// Reads a duration: one or more numbers, each with its unit, spaces allowed between them. Parts of a millisecond are
/// dropped.
///
/// # Errors
/// See [`InvalidDuration`].
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(InvalidDuration::Wrong);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, tail) = Decimal::split(rest).ok_or(InvalidDuration::Wrong)?;
        let tail = tail.trim_start();
        let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        if unit.is_empty() {
            let bare = next.is_empty() && total.is_zero();
            return Err(if bare { InvalidDuration::NoUnit(rest.to_owned()) } else { InvalidDuration::Wrong });
        }
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(InvalidDuration::Wrong)?;
        let millis = number.digits * u128::from(*millis) / number.scale;
        let millis = u64::try_from(millis).map_err(|_| InvalidDuration::TooLong)?;
        total = total.saturating_add(Duration::from_millis(millis));
        rest = next.trim_start();
    }
    if total > MAX { Err(InvalidDuration::TooLong) } else { Ok(total) }
}

/// Writes a duration so that [`parse`] reads it back, to the millisecond: `1h 30m`, `250ms`, `0s`.
pub fn text(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut parts = Vec::new();
    for (name, millis) in UNITS {
        let millis = u128::from(millis);
        if rest >= millis {
            parts.push(format!("{}{name}", rest / millis));
            rest %= millis;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_unit_is_read() {
        for (text, millis) in [
            ("250ms", 250),
            ("15s", 15_000),
            ("60.5s", 60_500),
            ("90m", 5_400_000),
            ("48h", 172_800_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            (" 1h 30 m ", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_a_word_on_units() {
        assert_eq!(parse("3600").unwrap_err(), InvalidDuration::NoUnit("3600".to_owned()));
        assert!(parse("60.5").unwrap_err().to_string().contains("\"60.5s\""));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", " ", "s", "-1s", "+1s", "1x", "1M", "1 2s", "1h 30", "PT1H", "1e3s", "1.s", "1s,2s", "é"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["11000d", "999999999999999999d", "3650d 1ms"] {
            assert_eq!(parse(text).unwrap_err(), InvalidDuration::TooLong, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_back(millis in 0..=u64::try_from(MAX.as_millis()).unwrap()) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&text(duration)), Ok(duration));
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
