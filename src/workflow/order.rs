//! What a workflow's annotations say of its place in the queue. They stand beside the document, since the queue is made from
//! lists of metadata alone.

use jiff::Timestamp;

/// Whose workflow it is: owners take turns.
pub const OWNER_ANNOTATION: &str = "operator-engine/owner";
/// An integer; of two that wait, the one with the higher goes first. 0 if it is absent, or is none.
pub const PRIORITY_ANNOTATION: &str = "operator-engine/priority";
/// When its order ends, as seconds since 1970 or as in RFC 3339: it is refused rather than started later.
pub const VALID_UNTIL_ANNOTATION: &str = "operator-engine/valid-until";
/// The most bytes of an owner's name that count: it is a stranger's.
const MAX_OWNER_LEN: usize = 256;

/// What a workflow's annotations say of its place in the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// Its owner; empty: nobody's in particular.
    pub owner: String,
    /// Higher goes first.
    pub priority: i32,
    /// It may not start later.
    pub valid_until: Option<Timestamp>,
}

impl Order {
    /// Reads the annotations; `annotation` gives the value of one. Total: what cannot be understood is as if absent.
    pub fn read<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Self {
        let owner = annotation(OWNER_ANNOTATION).unwrap_or_default();
        let end = (0..=owner.len().min(MAX_OWNER_LEN)).rev().find(|at| owner.is_char_boundary(*at)).unwrap_or(0);
        Self {
            owner: owner.get(..end).unwrap_or_default().to_owned(),
            priority: annotation(PRIORITY_ANNOTATION).and_then(|text| text.trim().parse().ok()).unwrap_or(0),
            valid_until: annotation(VALID_UNTIL_ANNOTATION).and_then(|text| time(text.trim())),
        }
    }
}

/// A time as seconds since 1970, or as in RFC 3339.
pub fn time(text: &str) -> Option<Timestamp> {
    match text.parse::<i64>() {
        Ok(seconds) => Timestamp::from_second(seconds).ok(),
        Err(_) => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_read_and_what_is_none_is_as_if_absent() {
        let order = Order::read(|name| match name {
            OWNER_ANNOTATION => Some("0xabc"),
            PRIORITY_ANNOTATION => Some(" -3 "),
            VALID_UNTIL_ANNOTATION => Some("2026-01-01T00:00:00Z"),
            _ => None,
        });
        assert_eq!((order.owner.as_str(), order.priority), ("0xabc", -3));
        assert_eq!(order.valid_until.unwrap().as_second(), 1_767_225_600);
        assert_eq!(time("1767225600"), order.valid_until);
        let long = "é".repeat(400);
        let odd = Order::read(|name| (name == OWNER_ANNOTATION).then_some(long.as_str()).or(Some("soon")));
        assert_eq!((odd.owner.len(), odd.priority, odd.valid_until), (MAX_OWNER_LEN, 0, None));
    }
}
