//! Why a local run did not come to the workflow's end.

use crate::{config::ConfigErrors, exit::Exit, supervisor::Ended, workflow::JobId, workflow::job::InvalidJobId};
use std::{io, path::PathBuf};

/// Each says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum LocalError {
    #[error("the directory {0} cannot be used for results; name another one with --out")]
    Out(PathBuf, #[source] io::Error),
    #[error("there are results of {0} already, in {1}; choose another --name or --out, or remove them")]
    Exists(JobId, PathBuf),
    #[error(
        "there is a work folder of {0} already, {1}: of a run that goes on, was killed, or kept it; choose another --name \
         or --out, or remove it"
    )]
    Busy(JobId, PathBuf),
    #[error("the workflow's name makes no job id; give one with --name")]
    Name(#[from] InvalidJobId),
    #[error("the operator's key cannot be used; correct it, or unset it for a manifest that is not signed")]
    Key(#[source] ConfigErrors),
    #[error("this program's own file cannot be found")]
    Program(#[source] io::Error),
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    #[error("the engine ended before the workflow")]
    Engine(#[from] Ended),
    #[error("the workflow left no record; its work folder is {0}")]
    NoRecord(PathBuf),
    #[error("the answer cannot be written")]
    Write(#[source] io::Error),
    #[error("interrupted twice: nothing was stored; what there was lies in {0}")]
    Interrupted(PathBuf),
}

impl LocalError {
    /// How the program ends with it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Interrupted(_) => Exit::Interrupted,
            Self::Key(_) => Exit::Configuration,
            _ => Exit::Failure,
        }
    }
}
