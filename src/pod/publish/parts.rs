//! The places that a result goes to: one, or one for what the consumer gets and one for the admin's logs.

use super::walk::Walk;
use crate::storage::{Folder, Place, manifest::Part};

/// Where the parts of a result go.
#[derive(Debug, Clone)]
pub struct Places {
    /// Outputs and the algorithm's logs.
    pub outputs: Place,
    /// The logs of the stages around it; none: with the outputs.
    pub adminlogs: Option<Place>,
}

impl Places {
    /// Where the files of a folder go.
    pub(super) fn of(&self, folder: Folder) -> &Place {
        match folder {
            Folder::Outputs | Folder::Logs => &self.outputs,
            Folder::Adminlogs => self.adminlogs.as_ref().unwrap_or(&self.outputs),
        }
    }
}

/// All in one place.
impl<P: Into<Place>> From<P> for Places {
    fn from(place: P) -> Self {
        Self { outputs: place.into(), adminlogs: None }
    }
}

impl Walk {
    /// What goes to the outputs' place, and if they are kept `apart`, what goes to the admin logs'. Each names what was
    /// refused of its own: the consumer learns nothing of the other.
    pub(super) fn split(self, apart: bool) -> (Self, Option<Self>) {
        if !apart {
            return (self, None);
        }
        let below = format!("{}/", Folder::Adminlogs);
        let of_admin = |path: &str| path == Folder::Adminlogs.as_str() || path.starts_with(&below);
        let (admin_files, files) = self.files.into_iter().partition(|found| found.folder == Folder::Adminlogs);
        let (admin_refused, refused) = self.refused.into_iter().partition(|refused| of_admin(&refused.path));
        (
            Self { part: Some(Part::Outputs), files, refused },
            Some(Self { part: Some(Part::Adminlogs), files: admin_files, refused: admin_refused }),
        )
    }
}
