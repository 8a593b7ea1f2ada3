//! The list of stages: its bounds, and data sets that are the outputs of an earlier one.
//!
//! Ocean's OEP-12 draft writes `{"index": 0, "previousStage": 0}` for a data set that stage 0 puts out, and in one place calls
//! the member `previousIndexStage`; our own `previousStage: true` is the stage just before. A stage's number is its place in
//! the list.

use super::{
    Document, Input, Source,
    fields::{Log, Object, item_path, kind},
    read::{self, Around},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The spellings of the member that names an earlier stage.
const SPELLINGS: [&str; 2] = ["previousStage", "previousIndexStage"];

/// All stages, the later ones inside of the first.
pub(super) fn read(list: Vec<Value>, path: &str, around: &Around, log: &mut Log) -> Option<Document> {
    if list.is_empty() || list.len() > Document::MAX_STAGES {
        log.fault(path, format!("has {} stages, 1 to {} can be run", list.len(), Document::MAX_STAGES));
    }
    let (count, several) = (list.len(), list.len() > 1);
    let mut stages = Vec::with_capacity(count);
    for (index, value) in (0u32..).zip(list).take(Document::MAX_STAGES) {
        let path = item_path(path, usize::try_from(index).unwrap_or_default());
        let Some(mut object) = Object::new(path, value, log) else { continue };
        if several {
            stands_at(&mut object, index, log);
        }
        stages.extend(read::stage(object, index, around, log));
    }
    let mut stages = stages.into_iter();
    let mut first = stages.next()?;
    first.later = stages.collect();
    for stage in &mut first.later {
        // Clients say it once.
        stage.metadata_uri = stage.metadata_uri.take().or_else(|| first.metadata_uri.clone());
    }
    (first.later.len() + 1 == count).then_some(first)
}

/// Whoever numbers stages in another order than they stand in may mean other ones by `previousStage`.
fn stands_at(object: &mut Object, index: u32, log: &mut Log) {
    if let Some(number) = object.take("index")
        && number.as_u64() != Some(u64::from(index))
    {
        let message = format!("is not {index}, the stage's place in the list, which is the order in which stages run");
        log.fault(object.path_of("index"), message);
    }
}

/// Whether a data set is made of an earlier stage's outputs.
pub(super) fn takes_outputs(object: &Object) -> bool {
    SPELLINGS.iter().any(|key| object.has(key) && !object.is_false(key))
}

/// A data set that is the outputs of an earlier stage. It needs no id: without one it is called `stage-<number>`.
pub(super) fn outputs(mut object: Object, stage: u32, log: &mut Log) -> Option<Input> {
    let key = SPELLINGS.into_iter().find(|key| object.has(key) && !object.is_false(key))?;
    let path = object.path_of(key);
    let value = object.take(key)?;
    let earlier = match (stage, &value) {
        (0, _) => Err("stands in the first stage, which has none before it".to_owned()),
        (_, Value::Bool(true)) => Ok(stage - 1),
        (_, Value::Number(number)) => match number.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(earlier) if earlier < stage => Ok(earlier),
            _ => Err(format!("is {number}, and only stages before this one, number {stage}, have outputs by then")),
        },
        (_, other) => Err(format!("is {}; true, or the number of an earlier stage, is expected", kind(other))),
    };
    let earlier = earlier.map_err(|message| log.fault(path, message)).ok();
    for other in ["url", "remote"] {
        if object.take(other).is_some() {
            log.fault(object.path_of(other), format!("stands beside '{key}'; a data set comes from one of them"));
        }
    }
    let did = object.filled_text("id", log);
    let named = did.or_else(|| earlier.map(|earlier| format!("stage-{earlier}")));
    let id = named.as_deref().and_then(|did| read::asset_id(&object, did, log));
    object.end(log);
    Some(Input { id: id?, did: named?, source: Source::Earlier(earlier?) })
}

/// Files of an earlier stage keep their names, so its folder must be nobody else's.
pub(super) fn check_folders(inputs: &[(String, Input)], log: &mut Log) {
    let mut seen = BTreeMap::<_, usize>::new();
    for (_, input) in inputs {
        *seen.entry(&input.id).or_default() += 1;
    }
    let mut told = BTreeSet::new();
    for (path, input) in inputs {
        let shared = seen.get(&input.id).is_some_and(|count| *count > 1);
        if shared && matches!(input.source, Source::Earlier(_)) && told.insert(&input.id) {
            let message =
                format!("another data set of this stage is called {} too; give this one an id of its own", input.id);
            log.fault(format!("{path}.id"), message);
        }
    }
}

impl Document {
    /// The same with the old body's secret, which all stages share.
    pub(super) fn with_secret(mut self, secret: Option<&str>) -> Self {
        for stage in std::iter::once(&mut self.secret).chain(self.later.iter_mut().map(|stage| &mut stage.secret)) {
            *stage = secret.map(str::to_owned);
        }
        self
    }
}
