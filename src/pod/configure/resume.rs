//! Going on where a transfer broke off: which bytes a server may add to those already here (RFC 9110 §13.1.5, §14).
//!
//! Two halves of two different files are the worst result a download can have, so bytes are only ever added under a
//! *strong* validator, and only when the answer says that they are the ones that follow.

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::header::{CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED};

/// What tells one version of a file from another, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validator {
    name: HeaderName,
    value: HeaderValue,
}

impl Validator {
    /// The strong validator of an answer, if it has one: an entity tag that is not weak, or else a modification date
    /// that lies at least a second before the answer (§8.8.2.2: within that second the file may have changed twice).
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        if let Some(value) = headers.get(ETAG) {
            let strong = value.as_bytes().starts_with(b"\"");
            return strong.then(|| Self { name: ETAG, value: value.clone() });
        }
        let value = headers.get(LAST_MODIFIED)?;
        let strong = date(value)? < date(headers.get(DATE)?)?;
        strong.then(|| Self { name: LAST_MODIFIED, value: value.clone() })
    }

    /// The value for `If-Range`.
    pub(super) fn value(&self) -> HeaderValue {
        self.value.clone()
    }

    /// Whether an answer of 206 is about the same version. A server that does not know `If-Range` may well send a range
    /// of another. With 206 an entity tag must come along (§15.3.7), a modification date need not.
    pub(super) fn confirmed_by(&self, headers: &HeaderMap) -> bool {
        headers.get(&self.name).map_or(self.name == LAST_MODIFIED, |value| value == self.value)
    }
}

fn date(value: &HeaderValue) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(value.to_str().ok()?).ok()
}

/// Which bytes an answer of 206 holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// The first byte.
    pub(super) start: u64,
    /// The byte after the last.
    pub(super) end: u64,
    /// The length of the whole file, where the server knows it.
    pub(super) total: Option<u64>,
}

impl ContentRange {
    /// Reads `bytes 5-9/10` or `bytes 5-9/*`; anything else is no range that could be added to a file.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |digits: &str| digits.trim().parse::<u64>().ok();
        let total = if total.trim() == "*" { None } else { Some(number(total)?) };
        let (start, end) = (number(first)?, number(last)?.checked_add(1)?);
        (start < end && total.is_none_or(|total| end <= total)).then_some(Self { start, end, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_weak_tag_and_a_fresh_date_do_not_vouch_for_bytes() {
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        for weak in [
            headers(&[]),
            headers(&[(&ETAG, "W/\"a\"")]),
            headers(&[(&ETAG, "W/\"a\""), (&LAST_MODIFIED, "Sun, 06 Nov 1994 08:00:00 GMT"), (&DATE, now)]),
            headers(&[(&LAST_MODIFIED, now), (&DATE, now)]),
            headers(&[(&LAST_MODIFIED, now)]),
            headers(&[(&LAST_MODIFIED, "yesterday"), (&DATE, now)]),
        ] {
            assert_eq!(Validator::of(&weak), None, "{weak:?}");
        }
        assert!(Validator::of(&headers(&[(&ETAG, "\"a\"")])).is_some());
        let dated = headers(&[(&LAST_MODIFIED, "Sun, 06 Nov 1994 08:49:36 GMT"), (&DATE, now)]);
        assert!(Validator::of(&dated).is_some());
    }

    #[test]
    fn a_range_of_another_version_is_not_confirmed() {
        let tag = Validator::of(&headers(&[(&ETAG, "\"a\"")])).unwrap();
        assert!(tag.confirmed_by(&headers(&[(&ETAG, "\"a\"")])));
        assert!(!tag.confirmed_by(&headers(&[(&ETAG, "\"b\"")])) && !tag.confirmed_by(&headers(&[])));
        let (then, now) = ("Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:37 GMT");
        let date = Validator::of(&headers(&[(&LAST_MODIFIED, then), (&DATE, now)])).unwrap();
        assert!(date.confirmed_by(&headers(&[])) && !date.confirmed_by(&headers(&[(&LAST_MODIFIED, now)])));
    }

    #[test]
    fn only_a_sane_range_of_bytes_is_read() {
        let range = |text| ContentRange::of(&headers(&[(&CONTENT_RANGE, text)]));
        assert_eq!(range("bytes 5-9/10"), Some(ContentRange { start: 5, end: 10, total: Some(10) }));
        assert_eq!(range("bytes 5-9/*"), Some(ContentRange { start: 5, end: 10, total: None }));
        for text in [
            "bytes */10",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "items 5-9/10",
            "bytes 5-9",
            "bytes -9/10",
            "",
            "bytes 0-18446744073709551615/*",
        ] {
            assert_eq!(range(text), None, "{text}");
        }
    }
}
