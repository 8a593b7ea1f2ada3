//! What publish is told of a workflow: the part of its record that goes into `manifest.json`.

use super::{
    JobId, Outcome, Record, ResultId, Stage,
    digest::Sha256,
    record::{Times, Usage},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A function of the record as it stood when publishing was first intended, so every attempt is told the same and the
/// manifest is the same, byte for byte, however often it is written. One thing may change it, and only before anything was
/// stored: an attempt that finds that outputs may not leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The workflow.
    pub job: JobId,
    /// Which of the document's stages, from 0; absent of the first.
    #[serde(default, skip_serializing_if = "is_first")]
    pub stage: u32,
    /// How it ends; `succeeded` when nothing stands against it so far.
    pub outcome: Outcome,
    /// See [`Record::reason`].
    pub reason: Option<String>,
    /// See [`Record::message`].
    pub message: Option<String>,
    /// See [`Record::exit_code`].
    pub exit_code: Option<i32>,
    /// The algorithm's image, by digest if the document gave one. Empty if the document was edited or removed since.
    pub image: String,
    /// See [`Record::image_id`].
    pub image_id: Option<String>,
    /// The document's digest.
    pub document: Sha256,
    /// What the algorithm used.
    pub usage: Option<Usage>,
    /// The stages before publish.
    pub times: BTreeMap<Stage, Times>,
    /// When the results may be deleted.
    pub expires_at: Option<Timestamp>,
    /// Whether outputs and logs may leave. When false only the admin's logs are stored.
    pub release: bool,
}

fn is_first(stage: &u32) -> bool {
    *stage == 0
}

impl Facts {
    /// The name of what is stored of it.
    pub fn result(&self) -> ResultId {
        ResultId::of(self.job.clone(), self.stage)
    }

    /// What `record`, in its publish phase, says to the world.
    pub fn of(job: &JobId, record: &Record, image: String, expires_at: Option<Timestamp>) -> Self {
        let mut times = record.times.clone();
        times.remove(&Stage::Publish);
        Self {
            job: job.clone(),
            stage: record.round,
            outcome: record.outcome.unwrap_or(Outcome::Succeeded),
            reason: record.reason.clone(),
            message: record.message.clone(),
            exit_code: record.exit_code,
            image,
            image_id: record.image_id.clone(),
            document: record.document,
            usage: record.usage.clone(),
            times,
            expires_at,
            release: !record.withheld,
        }
    }
}
