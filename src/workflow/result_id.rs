//! The name of what one stage of a workflow has stored.

use super::{Document, JobId};
use std::{fmt, str::FromStr};

/// Names one result: `<job id>` of a document's first stage, `<job id>_<stage>` of a later one.
///
/// No job id has a `_`, so no workflow's results have another's name; and none of these names begins another one's keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResultId {
    text: String,
    job: JobId,
    stage: u32,
}

impl ResultId {
    /// The longest name: a job id's, `_` and one digit.
    pub const MAX_LEN: usize = JobId::MAX_LEN + 2;

    /// What the stage of that number has stored.
    pub fn of(job: JobId, stage: u32) -> Self {
        let text = if stage == 0 { job.to_string() } else { format!("{job}_{stage}") };
        Self { text, job, stage }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The workflow.
    pub fn job(&self) -> &JobId {
        &self.job
    }

    /// Its stage, from 0.
    pub fn stage(&self) -> u32 {
        self.stage
    }
}

/// Why a text names no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a result's name is a job id, or one with '_' and the number of a stage from 1 to {max} behind it", max = Document::MAX_STAGES - 1)]
pub struct InvalidResultId;

impl FromStr for ResultId {
    type Err = InvalidResultId;

    fn from_str(text: &str) -> Result<Self, InvalidResultId> {
        let (job, stage) = match text.split_once('_') {
            None => (text, 0),
            Some((job, stage)) => (job, stage.parse().map_err(|_| InvalidResultId)?),
        };
        let id = Self::of(job.parse().map_err(|_| InvalidResultId)?, stage);
        let exists = usize::try_from(stage).is_ok_and(|stage| stage < Document::MAX_STAGES);
        if exists && id.text == text { Ok(id) } else { Err(InvalidResultId) }
    }
}

impl From<JobId> for ResultId {
    fn from(job: JobId) -> Self {
        Self::of(job, 0)
    }
}

impl fmt::Display for ResultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written_and_in_no_other_form() {
        for (text, job, stage) in [("wf-1", "wf-1", 0), ("wf.1", "wf.1", 0), ("wf-1_1", "wf-1", 1), ("a_7", "a", 7)] {
            let id: ResultId = text.parse().unwrap();
            assert_eq!((id.as_str(), id.job().as_str(), id.stage()), (text, job, stage));
            assert_eq!(ResultId::of(job.parse().unwrap(), stage), id);
            assert!(text.len() <= ResultId::MAX_LEN);
        }
        for text in
            ["", "_1", "wf_", "wf_0", "wf_01", "wf_+1", "wf_8", "wf_1_1", "wf_x", "../x", "wf-_1", "wf_4294967296"]
        {
            assert_eq!(text.parse::<ResultId>(), Err(InvalidResultId), "{text}");
        }
    }
}
