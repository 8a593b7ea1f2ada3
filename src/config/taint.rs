//! Taints and labels of nodes, as people write them for kubectl.

use super::pods::{label_value, resource_name};
use std::str::FromStr;

/// A taint that is tolerated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; none: any.
    pub value: Option<String>,
    /// Its effect; none: every one.
    pub effect: Option<&'static str>,
}

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

impl FromStr for Taint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (taint, effect) = match text.rsplit_once(':') {
            None => (text, None),
            Some((taint, effect)) => {
                let known = EFFECTS.into_iter().find(|known| *known == effect);
                (taint, Some(known.ok_or_else(|| format!("the effect is none of {}", EFFECTS.join(", ")))?))
            }
        };
        let (key, value) = match taint.split_once('=') {
            None => (taint, None),
            Some((key, value)) => (key, Some(if value.is_empty() { String::new() } else { label_value(value)? })),
        };
        Ok(Self { key: label_key(key)?, value, effect })
    }
}

/// A label that a node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLabel {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl FromStr for NodeLabel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or("not a label of nodes: write it as key=value")?;
        Ok(Self { key: label_key(key)?, value: label_value(value)? })
    }
}

/// A label's key has the form of a resource's name.
fn label_key(text: &str) -> Result<String, String> {
    resource_name(text).map_err(|_| "the key is not one of a label: write it as example.com/name or name".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(text: &str) -> Option<(String, Option<String>, Option<&'static str>)> {
        text.parse().ok().map(|Taint { key, value, effect }| (key, value, effect))
    }

    #[test]
    fn taints_are_written_as_for_kubectl() {
        let text = |text: &str| text.to_owned();
        let table = [
            ("jobs=only:NoSchedule", (text("jobs"), Some(text("only")), Some("NoSchedule"))),
            ("nvidia.com/gpu:NoExecute", (text("nvidia.com/gpu"), None, Some("NoExecute"))),
            ("spot", (text("spot"), None, None)),
            ("spot=:PreferNoSchedule", (text("spot"), Some(String::new()), Some("PreferNoSchedule"))),
        ];
        for (written, expected) in table {
            assert_eq!(taint(written), Some(expected), "{written}");
        }
        for wrong in ["", ":NoSchedule", "a=b:Sometimes", "a b", "a=b c:NoSchedule", "=b:NoSchedule", "a/b/c"] {
            assert_eq!(taint(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_nodes_label_has_a_key_and_a_value() {
        assert!(
            "accelerator=l4".parse::<NodeLabel>().is_ok_and(|label| label.key == "accelerator" && label.value == "l4")
        );
        assert!(["accelerator", "=l4", "accelerator=", "a b=c"].iter().all(|text| text.parse::<NodeLabel>().is_err()));
    }
}
