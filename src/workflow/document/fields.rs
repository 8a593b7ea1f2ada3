//! Taking members out of a tree: what is taken was asked for, what is left nobody reads.
//!
//! A member that is missing or of the wrong type becomes a fault in the [`Log`] and `None` here, so reading goes on and
//! finds the other faults as well. `None` from a `required_…` therefore always comes with a fault.

use super::Fault;
use serde_json::{Map, Value};

/// Everything there is to say about a document besides what it asks for.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) faults: Faults,
    notes: Vec<Fault>,
    ignored: Vec<String>,
    more_ignored: usize,
}

impl Log {
    /// Most paths that are kept: `check` shows them to a person.
    const MAX_IGNORED: usize = 200;

    pub(super) fn fault(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.faults.push(path.into(), message);
    }

    /// What the author should know; nothing is wrong.
    pub(super) fn note(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.notes.push(Fault { path: path.into(), message: message.into() });
    }

    pub(super) fn ignore(&mut self, path: String) {
        if self.ignored.len() < Self::MAX_IGNORED {
            self.ignored.push(path);
        } else {
            self.more_ignored += 1;
        }
    }

    /// Either what was read, with the ignored paths and the notes, or the faults.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<(T, Vec<String>, Vec<Fault>), Vec<Fault>> {
        match value {
            Some(value) if self.faults.is_empty() => {
                if self.more_ignored > 0 {
                    self.ignored.push(format!("(and {} more)", self.more_ignored));
                }
                Ok((value, self.ignored, self.notes))
            }
            _ => Err(self.faults.into_list()),
        }
    }
}

/// Faults, the first hundred of them.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<Fault>,
    more: usize,
}

impl Faults {
    /// A person reads them; a document of 1 MiB could have tens of thousands.
    const MAX: usize = 100;

    pub(super) fn push(&mut self, path: String, message: impl Into<String>) {
        if self.list.len() < Self::MAX {
            self.list.push(Fault { path, message: message.into() });
        } else {
            self.more += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn into_list(mut self) -> Vec<Fault> {
        if self.more > 0 {
            self.list.push(Fault { path: String::new(), message: format!("and {} more faults", self.more) });
        }
        self.list
    }
}

/// A mapping of the document, less what was taken out of it.
#[derive(Debug)]
pub(super) struct Object {
    path: String,
    members: Map<String, Value>,
}

impl Object {
    pub(super) fn new(path: String, value: Value, log: &mut Log) -> Option<Self> {
        match value {
            Value::Object(members) => Some(Self { path, members }),
            other => {
                let subject = if path.is_empty() { "the document " } else { "" };
                log.fault(path, format!("{subject}is {}, a mapping is expected", kind(&other)));
                None
            }
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.members.get(key).is_some_and(|value| !value.is_null())
    }

    pub(super) fn is_false(&self, key: &str) -> bool {
        self.members.get(key) == Some(&Value::Bool(false))
    }

    pub(super) fn is_empty_text(&self, key: &str) -> bool {
        self.members.get(key).and_then(Value::as_str) == Some("")
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        member_path(&self.path, key)
    }

    /// The member; null counts as absent.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.members.shift_remove(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, key: &str, log: &mut Log) -> Option<String> {
        let value = self.take(key)?;
        text(self.path_of(key), value, log)
    }

    /// A text that is not empty; an absent and an empty one are alike.
    pub(super) fn filled_text(&mut self, key: &str, log: &mut Log) -> Option<String> {
        self.text(key, log).filter(|text| !text.is_empty())
    }

    /// A text that must be there, with something in it.
    pub(super) fn required_text(&mut self, key: &str, log: &mut Log) -> Option<String> {
        let Some(value) = self.take(key) else {
            log.fault(self.path_of(key), "is missing; a text is expected");
            return None;
        };
        let found = text(self.path_of(key), value, log)?;
        if found.trim().is_empty() {
            log.fault(self.path_of(key), "is empty; a text is expected");
            return None;
        }
        Some(found)
    }

    pub(super) fn object(&mut self, key: &str, log: &mut Log) -> Option<Self> {
        let value = self.take(key)?;
        Self::new(self.path_of(key), value, log)
    }

    pub(super) fn required_object(&mut self, key: &str, log: &mut Log) -> Option<Self> {
        if !self.has(key) {
            log.fault(self.path_of(key), "is missing; a mapping is expected");
        }
        self.object(key, log)
    }

    pub(super) fn required_list(&mut self, key: &str, log: &mut Log) -> Option<Vec<Value>> {
        if !self.has(key) {
            log.fault(self.path_of(key), "is missing; a list is expected");
        }
        self.list(key, log)
    }

    pub(super) fn list(&mut self, key: &str, log: &mut Log) -> Option<Vec<Value>> {
        match self.take(key)? {
            Value::Array(items) => Some(items),
            other => {
                log.fault(self.path_of(key), format!("is {}, a list is expected", kind(&other)));
                None
            }
        }
    }

    /// Notes the paths of what nobody took.
    pub(super) fn end(self, log: &mut Log) {
        for key in self.members.keys() {
            log.ignore(member_path(&self.path, key));
        }
    }

    /// The same where nobody may say more than `known`.
    pub(super) fn end_strictly(self, known: &str, log: &mut Log) {
        for key in self.members.keys() {
            log.fault(member_path(&self.path, key), format!("is not known here; {known} are"));
        }
    }
}

/// A value that must be a text.
pub(super) fn text(path: String, value: Value, log: &mut Log) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(_) | Value::Bool(_) => {
            log.fault(path, format!("is {}, a text is expected: put it in quotes", kind(&value)));
            None
        }
        _ => {
            log.fault(path, format!("is {}, a text is expected", kind(&value)));
            None
        }
    }
}

/// What a value is, with its article.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// `parent.key`; a key that would make the path ambiguous stands in brackets and quotes, shortened.
pub(super) fn member_path(parent: &str, key: &str) -> String {
    const MAX_CHARS: usize = 64;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !(1..=MAX_CHARS).contains(&key.len()) || !key.bytes().all(plain) {
        let short: String = key.chars().take(MAX_CHARS).collect();
        return format!("{parent}[{short:?}]");
    }
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

/// `parent[index]`.
pub(super) fn item_path(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}
