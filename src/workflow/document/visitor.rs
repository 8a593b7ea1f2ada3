//! The one visitor that builds trees, for JSON and YAML alike.
//!
//! It counts while it builds, so a text that would become a million values, an alias bomb, or a hundred thousand levels is
//! given up at the limit and not afterwards; and it sees each key, so one that stands twice is a fault and not, as in plain
//! `serde_json`, silently the last.

use super::{Fault, bounded::Limits, fields};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::{cell::RefCell, fmt};

/// What all visitors of one text share.
pub(super) struct Parsing {
    limits: Limits,
    counts: RefCell<Counts>,
}

#[derive(Default)]
struct Counts {
    nodes: usize,
    bytes: usize,
    faults: fields::Faults,
}

impl Parsing {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, counts: RefCell::default() }
    }

    pub(super) fn seed(&self) -> Seed<'_> {
        Seed { parsing: self, at: At::Root, depth: 0 }
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.counts.into_inner().faults.into_list()
    }
}

/// Where a value stands. It becomes text only if something is wrong there.
#[derive(Clone, Copy)]
enum At<'a> {
    Root,
    Member(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    fn path(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(parent, key) => fields::member_path(&parent.path(), key),
            Self::Item(parent, index) => fields::item_path(&parent.path(), *index),
        }
    }
}

/// Builds the value that comes next.
#[derive(Clone, Copy)]
pub(super) struct Seed<'a> {
    parsing: &'a Parsing,
    at: At<'a>,
    depth: usize,
}

impl Seed<'_> {
    fn note(&self, message: &str) {
        self.parsing.counts.borrow_mut().faults.push(self.at.path(), message);
    }

    /// Notes the fault, and gives up.
    fn refuse<E: de::Error>(&self, message: String) -> E {
        self.note(&message);
        E::custom(message)
    }

    fn count<E: de::Error>(&self, nodes: usize, bytes: usize) -> Result<(), E> {
        let limits = self.parsing.limits;
        let (nodes, bytes) = {
            let mut counts = self.parsing.counts.borrow_mut();
            counts.nodes += nodes;
            counts.bytes += bytes;
            (counts.nodes, counts.bytes)
        };
        if nodes > limits.nodes {
            return Err(self.refuse(format!("the document has more than {} values", limits.nodes)));
        }
        if bytes > limits.bytes {
            return Err(self.refuse(format!("the document has more than {} bytes of text", limits.bytes)));
        }
        Ok(())
    }

    fn below<E: de::Error>(&self) -> Result<usize, E> {
        let depth = self.depth + 1;
        let limit = self.parsing.limits.depth;
        if depth > limit { Err(self.refuse(format!("is nested more than {limit} levels deep"))) } else { Ok(depth) }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a boolean, a number, a text, a list or a mapping")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.count(1, 0)?;
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        self.count(1, 0)?;
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        self.count(1, 0)?;
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        self.count(1, 0)?;
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        self.count(1, 0)?;
        match Number::from_f64(value) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(self.refuse("is not a finite number".to_owned())),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.count(1, value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        self.count(1, value.len())?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.count(1, 0)?;
        let depth = self.below()?;
        let mut items = Vec::new();
        loop {
            let item = Seed { parsing: self.parsing, at: At::Item(&self.at, items.len()), depth };
            match access.next_element_seed(item)? {
                Some(value) => items.push(value),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.count(1, 0)?;
        let depth = self.below()?;
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let member = Seed { parsing: self.parsing, at: At::Member(&self.at, &key), depth };
            member.count(0, key.len())?;
            if members.contains_key(&key) {
                member.note("stands here more than once; keep one of them");
            }
            let value = access.next_value_seed(member)?;
            members.entry(key).or_insert(value);
        }
        Ok(Value::Object(members))
    }
}
