//! From merged values to checked ones, one key at a time.
//!
//! The sections are not deserialised with serde: that stops at a section's first fault and forgets where a value is from,
//! and here all faults are told at once, each with its source. So a section asks for each of its keys by name and type.
//! A key at fault yields a placeholder, which never leaves this module's caller: a configuration with a fault is not
//! handed out.

use super::{Effective, duration, fault::Fault};
use crate::workflow::quantity;
use crate::workflow::report::clip;
use config::{Value, ValueKind};
use serde_json::Value as Json;
use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

/// The merged values, and what was found while reading them.
pub(super) struct Values {
    merged: BTreeMap<String, Value>,
    /// Every key read without a fault, in the order of reading.
    pub(super) effective: Vec<Effective>,
    /// Every fault.
    pub(super) faults: Vec<Fault>,
}

/// What a key's reader says: the checked value and how it is shown, or what is wrong.
pub(super) type Read<T> = Result<(T, Json), String>;

impl Values {
    /// Over the merged tree of all layers.
    pub(super) fn new(tree: &Value, faults: Vec<Fault>) -> Self {
        let mut merged = BTreeMap::new();
        flatten("", tree, &mut |key, value| {
            merged.insert(key, value.clone());
        });
        Self { merged, effective: Vec::new(), faults }
    }

    /// A text, of one line.
    pub(super) fn text(&mut self, key: &'static str) -> String {
        self.checked_text(key, |text| Ok(text.to_owned()))
    }

    /// A text that `check` reads; empty where that means nothing is set.
    pub(super) fn checked_text<T: Default>(
        &mut self,
        key: &'static str,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.read(key, |value| {
            let text = string(value)?;
            if text.chars().any(char::is_control) {
                return Err("control characters are not allowed".to_owned());
            }
            Ok((check(text)?, Json::from(text)))
        })
    }

    /// A text that is one of a few words.
    pub(super) fn choice<T: Default + Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> T {
        self.checked_text(key, |text| match words.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(*choice),
            None => {
                let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                Err(format!("none of {}", words.join(", ")))
            }
        })
    }

    /// A text that parses by itself, or empty.
    pub(super) fn optional<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        self.checked_text(key, |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) })
    }

    /// Something that parses by itself, written as a text or as a number, and then must be `right`.
    pub(super) fn parsed<T: FromStr<Err: Display> + Default>(
        &mut self,
        key: &'static str,
        right: impl FnOnce(&T) -> bool,
        wrong: &str,
    ) -> T {
        self.read(key, |value| {
            let text = scalar(value)?;
            let checked = parse(&text)?;
            if right(&checked) { Ok((checked, Json::from(text))) } else { Err(wrong.to_owned()) }
        })
    }

    /// A whole number within `range`.
    pub(super) fn whole(&mut self, key: &'static str, range: RangeInclusive<u32>) -> u32 {
        self.read(key, |value| {
            let text = scalar(value)?;
            let wrong = || format!("not a whole number from {} to {}", range.start(), range.end());
            let number = text.parse().ok().filter(|number| range.contains(number)).ok_or_else(wrong)?;
            Ok((number, Json::from(number)))
        })
    }

    /// A number that is not negative.
    pub(super) fn number(&mut self, key: &'static str) -> f64 {
        self.read(key, |value| {
            let number: f64 = scalar(value)?.parse().map_err(|_| "not a number".to_owned())?;
            if !number.is_finite() || number.is_sign_negative() {
                return Err("not a number from 0 upwards".to_owned());
            }
            // A whole number is shown as one: JSON has `1.0` for 1, a file would not.
            let whole = number.to_string().parse::<u64>();
            let shown = whole.map(Json::from).unwrap_or_else(|_| Json::from(number));
            Ok((number, shown))
        })
    }

    /// A switch.
    pub(super) fn switch(&mut self, key: &'static str) -> bool {
        self.read(key, |value| {
            let on = match scalar(value)?.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => true,
                "false" | "no" | "off" | "0" => false,
                _ => return Err("neither true nor false".to_owned()),
            };
            Ok((on, Json::from(on)))
        })
    }

    /// A duration within `range`.
    pub(super) fn duration(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Duration {
        self.read(key, |value| {
            let text = scalar(value)?;
            Ok((duration_within(&text, &range)?, Json::from(text)))
        })
    }

    /// A duration within `range`, or empty.
    pub(super) fn optional_duration(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.read(key, |value| {
            let text = scalar(value)?;
            let duration = if text.is_empty() { None } else { Some(duration_within(&text, &range)?) };
            Ok((duration, Json::from(text)))
        })
    }

    /// A size of at least `least` bytes.
    pub(super) fn size(&mut self, key: &'static str, least: u64) -> u64 {
        self.read(key, |value| {
            let text = scalar(value)?;
            let bytes = quantity::bytes(&text).map_err(|error| error.to_string())?;
            if bytes < least {
                return Err(format!("must be {} or more", quantity::size(least)));
            }
            Ok((bytes, Json::from(text)))
        })
    }

    /// A list of what parses by itself: an array, or a text with commas.
    pub(super) fn list<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Vec<T> {
        self.read(key, |value| {
            let items = texts(value)?;
            let mut list = Vec::new();
            for item in &items {
                list.push(parse(item).map_err(|message| format!("\"{}\": {message}", clip(item, SHOWN)))?);
            }
            Ok((list, Json::from(items)))
        })
    }

    fn read<T: Default>(&mut self, key: &'static str, read: impl FnOnce(&Value) -> Read<T>) -> T {
        self.read_showing(key, read, |value| clip(&json(value).to_string(), SHOWN))
    }

    /// Reads `key`; `show` is what a fault shows of its value.
    pub(super) fn read_showing<T: Default>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value) -> Read<T>,
        show: impl FnOnce(&Value) -> String,
    ) -> T {
        let fault =
            |value, source: &str, message| Fault { key: key.to_owned(), value, source: source.to_owned(), message };
        let Some(value) = self.merged.get(key) else {
            self.faults.push(fault(None, "default", "has no default, which is a mistake in this program".to_owned()));
            return T::default();
        };
        let source = value.origin().unwrap_or("default");
        match read(value) {
            Ok((checked, shown)) => {
                self.effective.push(Effective { key, value: shown, source: source.to_owned() });
                checked
            }
            Err(message) => {
                self.faults.push(fault(Some(show(value)), source, message));
                T::default()
            }
        }
    }
}

/// The most bytes of a wrong key or value that are shown.
pub(super) const SHOWN: usize = 120;

/// Calls `leaf` for every value that is no table, and for every table that holds nothing, with its dotted key.
pub(super) fn flatten(prefix: &str, value: &Value, leaf: &mut impl FnMut(String, &Value)) {
    match &value.kind {
        ValueKind::Table(table) if !table.is_empty() => {
            for (key, value) in table {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, leaf);
            }
        }
        _ => leaf(prefix.to_owned(), value),
    }
}

/// Reads `text` with `read` unless it is empty.
pub(super) fn optional<T>(text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

fn duration_within(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let duration = duration::parse(text).map_err(|error| error.to_string())?;
    if range.contains(&duration) {
        return Ok(duration);
    }
    Err(format!("must be from {} to {}", duration::text(*range.start()), duration::text(*range.end())))
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// The texts of an array, or those between the commas of one text.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, String> {
    match &value.kind {
        ValueKind::Array(items) => items.iter().map(string).map(|text| text.map(str::to_owned)).collect(),
        _ => Ok(string(value)?.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()),
    }
}

pub(super) fn string(value: &Value) -> Result<&str, String> {
    match &value.kind {
        ValueKind::String(text) => Ok(text.trim()),
        _ => Err("not a text: put it in quotes".to_owned()),
    }
}

fn scalar(value: &Value) -> Result<String, String> {
    match &value.kind {
        ValueKind::String(text) => Ok(text.trim().to_owned()),
        ValueKind::Boolean(_) | ValueKind::I64(_) | ValueKind::Float(_) => Ok(value.kind.to_string()),
        _ => Err("neither a text nor a number".to_owned()),
    }
}

/// The value as JSON, which for what the configuration holds is TOML as well.
fn json(value: &Value) -> Json {
    match &value.kind {
        ValueKind::Boolean(on) => Json::from(*on),
        ValueKind::I64(number) => Json::from(*number),
        ValueKind::Float(number) => Json::from(*number),
        ValueKind::Array(items) => items.iter().map(json).collect(),
        other => Json::from(other.to_string()),
    }
}
