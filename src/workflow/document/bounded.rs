//! Text to tree, within limits: the only place where a stranger's text meets a parser.
//!
//! Here it is decided which language a text is in and how its parser is set up; `visitor` builds the tree, the same way
//! for both. What the values mean is not known here.

use super::{Fault, visitor::Parsing};
use serde::de::{DeserializeSeed, IgnoredAny};
use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};

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
    serde_json::from_str::<IgnoredAny>(text).is_ok()
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
    settle(parsing, value, "JSON")
}

fn yaml(text: &str, limits: Limits) -> Result<Value, NoTree> {
    let parsing = Parsing::new(limits);
    let mut options = yaml_options(limits);
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough; // so that the visitor sees them, and where
    let value = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        parsing.seed().deserialize(deserializer)
    });
    settle(parsing, value, "YAML")
}

/// A fault found on the way says more than the parser's error, which may be no more than its echo.
fn settle<E: std::fmt::Display>(parsing: Parsing, value: Result<Value, E>, language: &str) -> Result<Value, NoTree> {
    let faults = parsing.into_faults();
    if !faults.is_empty() {
        return Err(NoTree::Faults(faults));
    }
    let message = |error: E| format!("the document is no valid {language}: {}", one_line(&error.to_string()));
    value.map_err(|error| NoTree::Syntax(message(error)))
}
