//! Environment variables in a file: `KEY=VALUE` lines, a list as a pod has it, or a whole manifest around one.
//!
//! What is wrong is said without the text that is wrong: it may be a credential.

use crate::{
    config::old_variables,
    workflow::document::bounded::{self, Limits},
};
use serde_json::Value;

/// One variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: Given,
}

/// What is said of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    /// This.
    Text(String),
    /// It is kept elsewhere: `key PASSWORD of the Secret database`.
    Elsewhere(String),
}

/// A file of variables is small; a manifest around it may not be.
const LIMITS: Limits = Limits { bytes: 4 * 1024 * 1024, depth: 64, nodes: 50_000 };

/// The variables in `text`. Of a manifest with several containers, those of the one that looks like the old engine.
///
/// # Errors
/// What was expected instead.
pub(super) fn read(text: &str) -> Result<Vec<Variable>, String> {
    if let Some(variables) = lines(text) {
        return Ok(variables);
    }
    let trees = match bounded::tree(text, LIMITS) {
        Ok(tree) => vec![tree],
        // Several documents in one text.
        Err(_) => serde_saphyr::from_multiple_with_options(text, bounded::yaml_options(LIMITS)).unwrap_or_default(),
    };
    let mut lists = Vec::new();
    for tree in &trees {
        collect(tree, &mut lists);
    }
    let known = |list: &&Vec<Variable>| {
        list.iter().filter(|variable| old_variables().any(|(name, _)| name == variable.name)).count()
    };
    // The first of the best: `max_by_key` would take the last.
    let best = lists.iter().rev().max_by_key(known).cloned();
    best.filter(|list| !list.is_empty()).ok_or_else(|| {
        "holds no environment variables: KEY=VALUE lines, a list of name and value, or a Deployment in YAML or JSON are \
         expected"
            .to_owned()
    })
}

/// `KEY=VALUE`, `export KEY='VALUE'`, comments and empty lines; none if there is anything else.
fn lines(text: &str) -> Option<Vec<Variable>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let variables: Option<Vec<_>> = lines
        .map(|line| {
            let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
            let name = name.trim_start();
            let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            named.then(|| Variable { name: name.to_owned(), value: Given::Text(unquoted(value.trim()).to_owned()) })
        })
        .collect();
    variables.filter(|variables| !variables.is_empty())
}

fn unquoted(value: &str) -> &str {
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    quoted('\'').or_else(|| quoted('"')).unwrap_or(value)
}

/// Every list of variables in a tree: one that stands alone, or one under `env`. It goes as deep as trees may be.
fn collect(tree: &Value, lists: &mut Vec<Vec<Variable>>) {
    match tree {
        Value::Array(items) => {
            let variables: Vec<_> = items.iter().filter_map(variable).collect();
            if !variables.is_empty() && variables.len() == items.len() {
                lists.push(variables);
            } else {
                items.iter().for_each(|item| collect(item, lists));
            }
        }
        Value::Object(members) => members.values().for_each(|member| collect(member, lists)),
        _ => {}
    }
}

/// `{name, value}` or `{name, valueFrom}`.
fn variable(item: &Value) -> Option<Variable> {
    let members = item.as_object()?;
    if members.keys().any(|key| !matches!(key.as_str(), "name" | "value" | "valueFrom")) {
        return None;
    }
    let name = members.get("name")?.as_str()?.to_owned();
    let value = match (members.get("value"), members.get("valueFrom")) {
        (Some(Value::String(text)), _) => Given::Text(text.clone()),
        (Some(Value::Number(number)), _) => Given::Text(number.to_string()),
        (Some(Value::Bool(on)), _) => Given::Text(on.to_string()),
        (_, Some(Value::Object(from))) => Given::Elsewhere(place(from)),
        (Some(Value::Null) | None, None | Some(Value::Null)) => Given::Text(String::new()),
        _ => return None,
    };
    Some(Variable { name, value })
}

fn place(from: &serde_json::Map<String, Value>) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    let found = from.iter().next();
    match found.map(|(kind, value)| (kind.as_str(), value)) {
        Some(("secretKeyRef", value)) => format!("key {} of the Secret {}", text(value, "key"), text(value, "name")),
        Some(("configMapKeyRef", value)) => {
            format!("key {} of the ConfigMap {}", text(value, "key"), text(value, "name"))
        }
        Some((kind, _)) => kind.to_owned(),
        None => "nowhere".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(String, String)> {
        let read = read(text).unwrap().into_iter();
        read.map(|variable| match variable.value {
            Given::Text(text) => (variable.name, text),
            Given::Elsewhere(place) => (variable.name, format!("<{place}>")),
        })
        .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn all_forms_of_a_list_of_variables_are_read() {
        let two = pairs(&[("nCPU", "2"), ("description", "a=b: 'c'")]);
        assert_eq!(texts("# limits\nnCPU=2\n\nexport description=\"a=b: 'c'\"\n"), two);
        assert_eq!(texts("- name: nCPU\n  value: 2\n- {name: description, value: \"a=b: 'c'\"}\n"), two);
        assert_eq!(texts("env:\n- name: nCPU\n  value: '2'\n- name: description\n  value: \"a=b: 'c'\"\n"), two);
        assert_eq!(texts(r#"[{"name":"nCPU","value":"2"},{"name":"description","value":"a=b: 'c'"}]"#), two);
    }

    #[test]
    fn of_a_manifest_the_old_engines_container_counts_and_references_are_kept_as_such() {
        let text = "
kind: Deployment
spec: {template: {spec: {containers: [{name: db, env: [{name: POSTGRES_USER, value: x}, {name: A, value: b}]}]}}}
---
kind: Deployment
spec:
  template:
    spec:
      containers:
      - name: operator-engine
        ports: [{name: http}]
        env:
        - name: POSTGRES_PASSWORD
          valueFrom: {secretKeyRef: {key: PASSWORD, name: database}}
        - name: maxJobs
          valueFrom: {configMapKeyRef: {key: jobs, name: site}}
        - name: NODE
          valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
        - name: ramGB
          value: '4'
";
        let expected = [
            ("POSTGRES_PASSWORD", "<key PASSWORD of the Secret database>"),
            ("maxJobs", "<key jobs of the ConfigMap site>"),
            ("NODE", "<fieldRef>"),
            ("ramGB", "4"),
        ];
        assert_eq!(texts(text), pairs(&expected));
    }

    #[test]
    fn what_holds_no_variables_is_refused_without_a_word_of_it() {
        for text in ["", "s3cret", "a: s3cret", "{\"x\": [s3cret", "- s3cret\n- s3cret", "env: [{name: s3cret, x: 1}]"]
        {
            let message = read(text).unwrap_err();
            assert!(message.contains("KEY=VALUE") && !message.contains("s3cret"), "{text}: {message}");
        }
    }
}
