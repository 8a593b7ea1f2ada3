//! What is different in the pods of a document's later stages.
//!
//! Each round has a folder of its own in the workflow's volume, which the first configure made, so that no pod of a later round
//! can change, and none of an earlier one can see, what is another's.

use super::{STAGE_LABEL, volumes::DATA_VOLUME};
use crate::pod::layout::Layout;
use k8s_openapi::api::core::v1::VolumeMount;

/// Where configure finds the outputs of an earlier round.
pub(super) fn place(round: u32) -> String {
    format!("/earlier/{round}")
}

/// A folder of a round, from the volume's root.
pub(super) fn path(round: u32, folder: &str) -> String {
    Layout::round_folder(round).map_or_else(|| folder.to_owned(), |round| format!("{round}/{folder}"))
}

/// The outputs of an earlier round, only to be read.
pub(super) fn mount(round: u32) -> VolumeMount {
    VolumeMount {
        name: DATA_VOLUME.to_owned(),
        mount_path: place(round),
        sub_path: Some(path(round, "outputs")),
        read_only: Some(true),
        ..Default::default()
    }
}

/// The label of a later round's pod: deletions of the first round's select by its absence.
pub(super) fn label(round: u32) -> Option<(String, String)> {
    (round > 0).then(|| (STAGE_LABEL.to_owned(), round.to_string()))
}
