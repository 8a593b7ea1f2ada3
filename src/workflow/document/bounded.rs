//! Text to tree, within limits: the only place where a stranger's text meets a parser.
//!
//! One visitor serves JSON and YAML. It counts while it builds, so a text that would become a million values, an alias
//! bomb, or a hundred thousand levels is given up at the limit and not afterwards; and it sees each key, so one that
//! stands twice is a fault and not, as in plain `serde_json`, silently the last. What the values mean is not known here.

use super::{Fault, fields};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use std::{cell::RefCell, fmt};

/// How large a text and its tree may become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of the text, and of all keys and texts in the tree (aliases can repeat them).
    pub(crate) bytes: usize,
    /// Levels of lists and mappings. Below 128, where `serde_json` itself gives up.
    pub(crate) depth: usize,
    /// Values of any kind.
    pub(crate) nodes: usize,
}

/// Reads `text` as JSON if it is JSON, and as YAML otherwise.
///
/// The YAML is 1.2's: `yes` and `017` are texts, not a boolean and a number. Merge keys, application tags and numbers
/// that are not finite are refused, aliases are expanded within the limits.
pub(crate) fn tree(text: &str, limits: Limits) -> Result<Value, Vec<Fault>> {
    if text.len() > limits.bytes {
        return Err(whole(format!("the document has {} bytes, at most {} can be read", text.len(), limits.bytes)));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(whole("the document is empty".to_owned()));
    }
    let outcome = if text.trim_start().starts_with(['{', '[']) {
        match json(text, limits) {
            // What is no JSON may be YAML's flow style; if it is neither, the JSON parser knows better what is wrong.
            Err(NoTree::Syntax(of_json)) => yaml(text, limits).map_err(|no_tree| match no_tree {
                NoTree::Syntax(_) => NoTree::Syntax(of_json),
                faults => faults,
            }),
            outcome => outcome,
        }
    } else {
        yaml(text, limits)
    };
    outcome.map_err(|no_tree| match no_tree {
        NoTree::Syntax(message) => whole(message),
        NoTree::Faults(faults) => faults,
    })
}

/// Whether `text` is JSON throughout.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<de::IgnoredAny>(text).is_ok()
}

/// The options under which YAML is read, here and wherever several documents stand in one text.
///
/// Its own limits are a backstop: they are wider than ours by what they count more (keys are nodes, and each node is one
/// or two events), so that our faults, which have paths, come first.
pub(crate) fn yaml_options(limits: Limits) -> serde_saphyr::Options {
    const ALIASES: usize = 1000;
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            flow_nesting_limit: limits.depth + 8,
            max_events: limits.nodes * 4 + 100,
            max_aliases: ALIASES,
            max_anchors: ALIASES,
            max_recorded_anchor_events: limits.nodes * 2,
            max_recorded_anchor_bytes: limits.bytes * 2,
            max_depth: limits.depth + 8,
            max_nodes: limits.nodes * 2 + 100,
            max_total_scalar_bytes: limits.bytes * 2,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits.nodes * 4,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: ALIASES,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        strict_booleans: true,
        reject_unsupported_tags: true,
        emit_comments: false,
        with_snippet: false,
    }
}

/// A parser's message, on one line and of bounded length. It is built from a stranger's text.
pub(crate) fn one_line(message: &str) -> String {
    const MAX_CHARS: usize = 200;
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CHARS).collect();
    if line.len() < message.len() { line + "…" } else { line }
}

/// Why there is no tree.
enum NoTree {
    /// The text is not of this language.
    Syntax(String),
    /// It is, and something in it is not allowed.
    Faults(Vec<Fault>),
}

fn whole(message: String) -> Vec<Fault> {
    vec![Fault { path: String::new(), message }]
}

fn json(text: &str, limits: Limits) -> Result<Value, NoTree> {
    let parsing = Parsing::new(limits);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = parsing.seed().deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    parsing.finish(value.map_err(|error| format!("the document is no valid JSON: {}", one_line(&error.to_string()))))
}

fn yaml(text: &str, limits: Limits) -> Result<Value, NoTree> {
    let parsing = Parsing::new(limits);
    let mut options = yaml_options(limits);
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough; // so that the visitor sees them, and where
    let value = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        parsing.seed().deserialize(deserializer)
    });
    parsing.finish(value.map_err(|error| format!("the document is no valid YAML: {}", one_line(&error.to_string()))))
}

/// What all visitors of one text share.
struct Parsing {
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
    fn new(limits: Limits) -> Self {
        Self { limits, counts: RefCell::default() }
    }

    fn seed(&self) -> Seed<'_> {
        Seed { parsing: self, at: At::Root, depth: 0 }
    }

    /// A fault found on the way says more than the parser's error, which may be no more than its echo.
    fn finish(self, value: Result<Value, String>) -> Result<Value, NoTree> {
        let faults = self.counts.into_inner().faults.into_list();
        if faults.is_empty() { value.map_err(NoTree::Syntax) } else { Err(NoTree::Faults(faults)) }
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
struct Seed<'a> {
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
