//! What runs inside pods: the stages of the engine itself and the wrapper around the algorithm.
//!
//! Nothing here talks to the cluster. A stage gets its task from its command line, works below one folder (`/data` in a
//! pod, a folder of its own in the local mode) and ends with one line in its termination message
//! ([`crate::workflow::report`]).

pub mod configure;
pub mod exec;
pub mod layout;
pub mod parent;
pub mod provisioned;
pub mod publish;
pub mod termination;
