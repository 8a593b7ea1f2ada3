//! What the record of a document with several stages says of those that are not in hand.

use super::{MAX_LEN, Record, Results, Times, Usage};
use crate::workflow::{Phase, Stage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most bytes of [`Earlier::image_id`].
pub const MAX_EARLIER_IMAGE_ID_LEN: usize = 255;

/// How much of a record's length is left for what is said of a finished workflow: when results were deleted, who was told.
const MARGIN: usize = 1024;

/// What is kept of a round that went well. Small, so that the record of [`crate::workflow::Document::MAX_STAGES`] of them is read;
/// where stores have long names, smaller yet ([`Record::shorten`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Earlier {
    /// See [`Record::times`].
    pub times: BTreeMap<Stage, Times>,
    /// See [`Record::exit_code`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// See [`Record::image_id`]; absent if it is longer than [`MAX_EARLIER_IMAGE_ID_LEN`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// See [`Record::usage`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// See [`Record::results`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Results>,
}

/// What is known of a round to come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ahead {
    /// See [`Record::storage_expiry_secs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_expiry_secs: Option<u64>,
}

impl Record {
    /// Whether there is more than one round.
    pub fn has_rounds(&self) -> bool {
        self.round > 0 || !self.ahead.is_empty()
    }

    /// Its phase, with the number of the document's stage before it if there are several: `1:algorithm`.
    pub fn place(&self) -> String {
        let round =
            if self.has_rounds() && self.phase != Phase::Done { format!("{}:", self.round) } else { String::new() };
        format!("{round}{}", self.phase.as_str())
    }

    /// Leaves out what can be done without until it is short enough to be written: of the rounds before this one first the
    /// images, then usage, then when their pods began and ended. What is stored where stays.
    pub fn shorten(&mut self) {
        let leave_out: [fn(&mut Earlier); 3] = [
            |round| round.image_id = None,
            |round| round.usage = None,
            |round| round.times.retain(|stage, _| *stage == Stage::Configure),
        ];
        for leave_out in leave_out {
            if self.render().len() <= MAX_LEN - MARGIN {
                return;
            }
            self.earlier.iter_mut().for_each(leave_out);
        }
    }

    /// When the workflow was started.
    pub fn started(&self) -> Option<Timestamp> {
        let times = self.earlier.first().map_or(&self.times, |first| &first.times);
        times.get(&Stage::Configure)?.started
    }

    /// The results of all rounds so far that have any.
    pub fn all_results(&self) -> impl Iterator<Item = (u32, &Results)> {
        let rounds = self.earlier.iter().map(|round| round.results.as_ref()).chain([self.results.as_ref()]);
        (0..).zip(rounds).filter_map(|(round, results)| Some((round, results?)))
    }

    /// The results of a round, if it has any.
    pub fn results_of(&mut self, round: u32) -> Option<&mut Results> {
        let results = match usize::try_from(round).ok().and_then(|round| self.earlier.get_mut(round)) {
            Some(earlier) => &mut earlier.results,
            None if round == self.round => &mut self.results,
            None => return None,
        };
        results.as_mut()
    }
}
