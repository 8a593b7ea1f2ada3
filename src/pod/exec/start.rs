//! Starting the algorithm, and saying in plain words why that is impossible.

use super::{
    CANNOT_START, NOT_FOUND,
    entrypoint::{self, Invocation},
};
use crate::pod::layout::Layout;
use nix::{
    errno::Errno,
    fcntl::OFlag,
    unistd::{Pid, geteuid},
};
use std::{
    fs::{File, OpenOptions},
    io::{self, PipeWriter},
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
};

/// Starts the entrypoint in a process group of its own, with both outputs into `output` and nothing to read.
pub(super) fn algorithm(entrypoint: &str, layout: &Layout, output: &PipeWriter) -> Result<Pid, CannotStart> {
    let algorithm = layout.algorithm();
    let invocation = entrypoint::read(entrypoint, &algorithm, has_shell()).map_err(|unusable| {
        let status = if unusable == entrypoint::Unusable::Empty { NOT_FOUND } else { CANNOT_START };
        CannotStart { status, message: unusable.to_string() }
    })?;
    let started = match spawn(&invocation, output) {
        // A script without an interpreter line. The old engine's `sh -c` ran it.
        Err(error) if error.raw_os_error() == Some(Errno::ENOEXEC as i32) && has_shell() => {
            spawn(&entrypoint::shell(entrypoint, &algorithm), output)
        }
        started => started,
    };
    started.map_err(|error| match (&invocation, error.kind()) {
        (Invocation::Direct { program, .. }, io::ErrorKind::NotFound) => CannotStart {
            status: NOT_FOUND,
            message: format!(
                "the image has no program {program:?} (or none that its first line names); check the entrypoint"
            ),
        },
        (Invocation::Direct { program, .. }, kind) => {
            let mut cannot = CannotStart::because(&format!("the program {program:?} cannot be started"), &error);
            let user = geteuid();
            if kind == io::ErrorKind::PermissionDenied && !user.is_root() {
                cannot.message += &format!(
                    " for user {user}; an image that insists on root needs an admin who allows that (pods.allow_root)"
                );
            }
            cannot
        }
        (Invocation::Shell { .. }, _) => CannotStart::because("the shell cannot be started", &error),
    })
}

fn spawn(invocation: &Invocation, output: &PipeWriter) -> io::Result<Pid> {
    let mut command = match invocation {
        Invocation::Direct { program, arguments } => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
        Invocation::Shell { text } => {
            let mut command = Command::new(entrypoint::SHELL);
            command.arg("-c").arg(text);
            command
        }
    };
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?).process_group(0);
    // The handle is dropped without waiting: `family` reaps every child.
    let pid = command.spawn()?.id();
    i32::try_from(pid).map(Pid::from_raw).map_err(io::Error::other)
}

/// The log starts empty. It is appended to, since the algorithm may write there as well; a link or a FIFO in its place
/// is not followed or waited for.
pub(super) fn open_log(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags.bits()).open(path)
}

/// Why there is nothing to supervise.
pub(super) struct CannotStart {
    pub status: u8,
    pub message: String,
}

impl CannotStart {
    pub(super) fn because(what: &str, error: &io::Error) -> Self {
        Self { status: CANNOT_START, message: format!("{what}: {error}") }
    }
}

/// Whether the image has a shell.
fn has_shell() -> bool {
    Path::new(entrypoint::SHELL).exists()
}
