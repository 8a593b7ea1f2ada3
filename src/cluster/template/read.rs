//! Reading a template: which of its fields count, and everything that may not stand there.

use super::{
    Template,
    fields::{CONTAINER_FIELDS, Fate, LOOSENED, POD, UNCONFINING, VOLUMES, fate},
};
use crate::{
    cluster::manifest::{CONTAINER, volumes::RESERVED_VOLUMES},
    workflow::document::{
        Fault,
        bounded::{self, Limits},
    },
};
use k8s_openapi::api::core::v1::{PodSpec, Volume, VolumeMount};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// No template comes near.
const LIMITS: Limits = Limits { bytes: 256 << 10, depth: 32, nodes: 10_000 };

/// See [`Template::parse`].
pub(super) fn template(text: &str) -> Result<Template, Vec<Fault>> {
    let mut tree = bounded::tree(text, LIMITS)?;
    let kind = tree.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (prefix, pod) = match kind.as_str() {
        "Job" => ("spec.template.", tree.pointer_mut("/spec/template")),
        "PodTemplate" => ("template.", tree.get_mut("template")),
        "" | "Pod" => ("", Some(&mut tree)),
        other => return Err(vec![fault("kind", format!("{other} is no template: use PodTemplate, Pod or Job"))]),
    };
    let pod = pod.map(Value::take).unwrap_or_default();
    if !pod.is_object() {
        return Err(vec![fault(prefix.trim_end_matches('.'), "there is no pod template here".to_owned())]);
    }
    let mut reading = Reading { template: Template::default(), faults: Vec::new() };
    reading.pod(prefix, &pod);
    if reading.faults.is_empty() { Ok(reading.template) } else { Err(reading.faults) }
}

struct Reading {
    template: Template,
    faults: Vec<Fault>,
}

impl Reading {
    fn refuse(&mut self, path: &str, message: &str) {
        self.faults.push(fault(path, message.to_owned()));
    }

    fn pod(&mut self, prefix: &str, pod: &Value) {
        for (key, value) in fields(pod) {
            let path = format!("{prefix}{key}");
            match key.as_str() {
                "metadata" => self.metadata(&path, value),
                "spec" => self.spec(&path, value),
                "apiVersion" | "kind" | "status" => {}
                _ => self.refuse(&path, "is no part of a pod template"),
            }
        }
    }

    fn metadata(&mut self, path: &str, metadata: &Value) {
        for (key, value) in fields(metadata) {
            let path = format!("{path}.{key}");
            match key.as_str() {
                "labels" => self.template.labels = self.typed(&path, value).unwrap_or_default(),
                "annotations" => {
                    let annotations: BTreeMap<String, String> = self.typed(&path, value).unwrap_or_default();
                    for key in annotations.keys().filter(|key| UNCONFINING.iter().any(|prefix| key.starts_with(prefix)))
                    {
                        self.refuse(&format!("{path}.{key}"), "would loosen how the container is confined");
                    }
                    self.template.annotations = annotations;
                }
                "name" | "namespace" | "generateName" | "creationTimestamp" => self.template.overruled.push(path),
                _ => self.refuse(&path, "may not be set by a template"),
            }
        }
        // An empty label, as the old engine filled in, says nothing.
        self.template.labels.retain(|_, value| !value.is_empty());
    }

    fn spec(&mut self, path: &str, spec: &Value) {
        let mut taken = Map::new();
        for (key, value) in fields(spec) {
            let path = format!("{path}.{key}");
            match fate(&POD, key) {
                Some(Fate::Overruled) => self.overrule(&path, key, value),
                Some(Fate::Taken) if key == "containers" => self.containers(&path, value),
                Some(Fate::Taken) => {
                    let as_spec = json!({ "containers": [], key: value });
                    if self.typed::<PodSpec>(path.trim_end_matches(&format!(".{key}")), &as_spec).is_some() {
                        taken.insert(key.clone(), value.clone());
                    }
                }
                None => self.refuse(&path, "may not be set by a template"),
            }
        }
        taken.insert("containers".to_owned(), json!([]));
        self.template.spec = serde_json::from_value(Value::Object(taken)).unwrap_or_default();
        let volumes = self.template.spec.volumes.clone().unwrap_or_default();
        let sources = spec.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
        for (n, (volume, source)) in volumes.iter().zip(&sources).enumerate() {
            self.volume(&format!("{path}.volumes[{n}]"), volume, source);
        }
        let mounts = self.template.container.volume_mounts.clone().unwrap_or_default();
        for (n, mount) in mounts.iter().enumerate() {
            self.mount(&format!("{path}.containers[0].volumeMounts[{n}]"), mount, &volumes);
        }
    }

    fn overrule(&mut self, path: &str, key: &str, value: &Value) {
        match key {
            "automountServiceAccountToken" => self.refuse(path, "no pod gets a token for the API server"),
            "hostUsers" => self.refuse(path, "may not be set by a template"),
            "securityContext" => {
                for (key, loosens) in LOOSENED {
                    if value.get(key).is_some_and(|value| !is_empty(value) && loosens(value)) {
                        self.refuse(&format!("{path}.{key}"), "would loosen how the pod is confined");
                    }
                }
                self.template.overruled.push(path.to_owned());
            }
            _ => self.template.overruled.push(path.to_owned()),
        }
    }

    fn containers(&mut self, path: &str, containers: &Value) {
        let containers = containers.as_array().map(Vec::as_slice).unwrap_or_default();
        let [container] = containers else {
            // A pod ends when all its containers do.
            return self.refuse(path, "must be one container: the stage ends when the pod does");
        };
        let path = format!("{path}[0]");
        let mut taken = Map::from_iter([("name".to_owned(), json!(CONTAINER))]);
        for (key, value) in fields(container) {
            let path = format!("{path}.{key}");
            match fate(&CONTAINER_FIELDS, key) {
                Some(Fate::Overruled) => self.overrule(&path, key, value),
                Some(Fate::Taken) => drop(taken.insert(key.clone(), value.clone())),
                None => self.refuse(&path, "may not be set by a template"),
            }
        }
        self.template.container = self.typed(&path, &Value::Object(taken)).unwrap_or_default();
    }

    fn volume(&mut self, path: &str, volume: &Volume, source: &Value) {
        for (key, _) in fields(source) {
            if key != "name" && !VOLUMES.contains(&key.as_str()) {
                self.refuse(&format!("{path}.{key}"), &format!("a template's volume is one of {}", VOLUMES.join(", ")));
            }
        }
        if RESERVED_VOLUMES.contains(&volume.name.as_str()) {
            self.refuse(&format!("{path}.name"), "is the name of a volume of the engine's own; choose another one");
        }
    }

    fn mount(&mut self, path: &str, mount: &VolumeMount, volumes: &[Volume]) {
        if !volumes.iter().any(|volume| volume.name == mount.name) {
            self.refuse(&format!("{path}.name"), "names no volume of this template");
        }
        let at = mount.mount_path.trim_end_matches('/');
        let inside = |owned: &str| at == owned || at.starts_with(&format!("{owned}/"));
        let plain = at.starts_with('/') && !at.split('/').any(|part| part == "..");
        if !plain
            || ["/data", "/workflow", "/earlier", "/tmp", "/results", "/proc", "/sys", "/dev"].into_iter().any(inside)
        {
            self.refuse(
                &format!("{path}.mountPath"),
                "must be absolute, and not where the engine or the system mounts",
            );
        }
        if mount.mount_propagation.as_deref().is_some_and(|propagation| propagation != "None") {
            self.refuse(&format!("{path}.mountPropagation"), "no mount is propagated");
        }
    }

    /// `value` as Kubernetes knows it. A field that it does not know is refused: most are misspelt.
    fn typed<T: DeserializeOwned + Serialize>(&mut self, path: &str, value: &Value) -> Option<T> {
        let typed: T = match serde_json::from_value(value.clone()) {
            Ok(typed) => typed,
            Err(error) => {
                self.refuse(path, &format!("is not what Kubernetes takes here: {error}"));
                return None;
            }
        };
        let known = serde_json::to_value(&typed).unwrap_or_default();
        let mut unknown = Vec::new();
        not_in(&known, value, path, &mut unknown);
        for path in &unknown {
            self.refuse(path, "is no field that Kubernetes has");
        }
        unknown.is_empty().then_some(typed)
    }
}

/// The paths of what is in `value` and says something, and is not in `known`.
fn not_in(known: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    match (known, value) {
        (Value::Object(known), Value::Object(fields)) => {
            for (key, value) in fields.iter().filter(|(_, value)| !is_empty(value)) {
                let path = format!("{path}.{key}");
                match known.get(key) {
                    Some(known) => not_in(known, value, &path, found),
                    None => found.push(path),
                }
            }
        }
        (Value::Array(known), Value::Array(values)) => {
            for (n, (known, value)) in known.iter().zip(values).enumerate() {
                not_in(known, value, &format!("{path}[{n}]"), found);
            }
        }
        _ => {}
    }
}

/// The members that say something.
fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten().filter(|(_, value)| !is_empty(value))
}

pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn fault(path: &str, message: String) -> Fault {
    Fault { path: path.to_owned(), message }
}
