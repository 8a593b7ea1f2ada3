//! Not outliving the engine, where that is what one wants.
//!
//! A pod goes on when its engine dies, and another engine finds it. In the local mode nobody would: an engine that is
//! killed, however, must leave no algorithm behind. So the kernel is asked to send SIGTERM to the stage at the end of the
//! process that started it.

use nix::{
    sys::{prctl, signal::Signal},
    unistd::{Pid, getppid},
};

/// The process that started this one, and that this one is not to outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
#[group(skip)]
pub struct Parent {
    /// In the local mode: end when this process, which must be the parent, is gone.
    #[arg(long = "parent", value_name = "PID", hide = true)]
    pub pid: Option<i32>,
}

impl Parent {
    /// None: this process may outlive whoever started it.
    pub const NONE: Self = Self { pid: None };

    /// Asks for SIGTERM at the parent's end. False if the parent is gone already, so that nobody will send it.
    ///
    /// To be called once SIGTERM is handled, and after any change of credentials, which revokes the wish (prctl(2),
    /// `PR_SET_PDEATHSIG`). "Parent" means the very thread that started this process: it must be one that lives as long
    /// as the engine.
    pub fn watch(self) -> bool {
        if self.pid.is_some() {
            // The kernel knows this since Linux 2.1.57; without it the stage would go on, as in a pod.
            let _ = prctl::set_pdeathsig(Signal::SIGTERM);
        }
        // It may have ended before the kernel was asked.
        !self.is_gone()
    }

    /// Whether it has ended: then an orphan has another parent.
    pub fn is_gone(self) -> bool {
        self.pid.is_some_and(|pid| getppid() != Pid::from_raw(pid))
    }
}
