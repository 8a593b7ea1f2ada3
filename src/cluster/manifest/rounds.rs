//! Which folders of the volume a pod mounts, and what else is different in the pods of a document's later stages.
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
fn path(round: u32, folder: &str) -> String {
    Layout::round_folder(round).map_or_else(|| folder.to_owned(), |round| format!("{round}/{folder}"))
}

/// All of a round's folders; of the first that is the whole volume.
pub(super) fn whole(round: u32, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: DATA_VOLUME.to_owned(),
        mount_path: Layout::IN_POD.to_owned(),
        sub_path: Layout::round_folder(round),
        read_only: Some(read_only),
        ..Default::default()
    }
}

/// One of a round's folders.
pub(super) fn part(round: u32, folder: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        mount_path: format!("{}/{folder}", Layout::IN_POD),
        sub_path: Some(path(round, folder)),
        ..whole(round, read_only)
    }
}

/// What a filter has in place of the admin's logs.
pub(super) fn filter(round: u32) -> VolumeMount {
    VolumeMount { sub_path: Some(path(round, Layout::FILTER)), ..part(round, "adminlogs", false) }
}

/// The outputs of an earlier round, only to be read.
pub(super) fn mount(round: u32) -> VolumeMount {
    VolumeMount { mount_path: place(round), ..part(round, "outputs", true) }
}

/// The label of a later round's pod: deletions of the first round's select by its absence.
pub(super) fn label(round: u32) -> Option<(String, String)> {
    (round > 0).then(|| (STAGE_LABEL.to_owned(), round.to_string()))
}
