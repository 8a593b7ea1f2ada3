//! From the start of the algorithm to the end of its last process.

use super::{
    CANNOT_START, ExecOptions, MAX_ERROR_LEN, NOT_FOUND,
    capped_log::{CappedLog, Summary},
    entrypoint::{self, Invocation},
    family, has_shell, leftovers,
    tee::Tee,
    usage,
};
use crate::{
    pod::layout::Layout,
    workflow::report::{ExecReport, clip},
};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{signal::Signal, wait::WaitStatus},
    unistd::Pid,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, PipeWriter, Write},
    os::{
        fd::OwnedFd,
        unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::{
    net::unix::pipe,
    signal::unix::{Signal as Stream, SignalKind, signal},
    time::{Instant, interval, sleep_until},
};

/// Runs the algorithm; see [`super::run`]. `note` is a line for the head of its log.
pub(super) async fn supervise(
    options: &ExecOptions,
    layout: &Layout,
    log: &Path,
    note: Option<String>,
) -> (ExecReport, u8) {
    let begun = Instant::now();
    let mut report = ExecReport::default();
    family::adopt_orphans();
    let status = match Running::start(options, layout, log, note).await {
        Ok(running) => running.to_its_end(options, &mut report).await,
        Err(CannotStart { status, message }) => {
            report.error = Some(clip(&message, MAX_ERROR_LEN));
            status
        }
    };
    report.wall_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    (report.cpu_ms, report.peak_memory_bytes) = usage::of_children();
    (report, status)
}

/// Why there is nothing to supervise.
struct CannotStart {
    status: u8,
    message: String,
}

impl CannotStart {
    fn because(what: &str, error: &io::Error) -> Self {
        Self { status: CANNOT_START, message: format!("{what}: {error}") }
    }
}

/// The algorithm, started or not; in either case its log is open.
struct Running {
    child: Result<Pid, CannotStart>,
    tee: Tee,
    signals: Signals,
    started: Instant,
}

impl Running {
    async fn start(
        options: &ExecOptions,
        layout: &Layout,
        log: &Path,
        note: Option<String>,
    ) -> Result<Self, CannotStart> {
        // Before anything else, so that no signal is missed.
        let signals = Signals::listen().map_err(|error| CannotStart::because("signals cannot be received", &error))?;
        for folder in [layout.outputs(), layout.logs()] {
            if options.attempt > 0 {
                leftovers::clear(&folder).map_err(|error| {
                    CannotStart::because(&format!("what an earlier attempt left in {}", folder.display()), &error)
                })?;
            }
            // The old engine's entrypoint began with `mkdir -p`. If it fails, writing there will fail and say so.
            let _ = fs::create_dir_all(&folder);
        }
        let (reader, mut writer) = io::pipe().map_err(|error| CannotStart::because("no pipe", &error))?;
        let receiver = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))
            .map_err(|error| CannotStart::because("the pipe cannot be read", &error))?;
        // A pipe holds 64 KiB, so that these lines never block.
        let mut say = |line: &str| {
            let _ = writeln!(writer, "[operator-engine: {line}]");
        };
        let file: Box<dyn Write + Send> = match open_log(log) {
            Ok(file) => Box::new(file),
            Err(error) => {
                say(&format!("{} cannot be written: {error}", log.display()));
                Box::new(io::sink())
            }
        };
        if let Some(note) = note {
            say(&note);
        }
        let child = start_child(&options.entrypoint, layout, &writer);
        if let Err(CannotStart { message, .. }) = &child {
            let _ = writeln!(writer, "[operator-engine: {}]", clip(message, MAX_ERROR_LEN));
        }
        // Ours is the last writer but for the algorithm's.
        drop(writer);
        let tee = Tee::start(receiver, CappedLog::new(file, options.max_log));
        Ok(Self { child, tee, signals, started: Instant::now() })
    }

    async fn to_its_end(mut self, options: &ExecOptions, report: &mut ExecReport) -> u8 {
        let status = match self.child {
            Ok(child) => wait(child, &mut self.signals, self.started, options, report).await,
            Err(CannotStart { status, message }) => {
                report.error = Some(clip(&message, MAX_ERROR_LEN));
                status
            }
        };
        let survivors = family::end_all().await;
        if survivors > 0 {
            super::complain(&format!("{survivors} of the algorithm's processes cannot be killed"));
        }
        let Summary { total, dropped, error } = self.tee.finish().await;
        if let Some(error) = error {
            super::complain(&format!("the log is incomplete: {error}"));
        }
        (report.log_bytes, report.log_dropped_bytes) = (total, dropped);
        status
    }
}

/// Waits for the main process, passes a wish to stop on, and keeps the time.
async fn wait(
    child: Pid,
    signals: &mut Signals,
    started: Instant,
    options: &ExecOptions,
    report: &mut ExecReport,
) -> u8 {
    let deadline = options.max_time.and_then(|limit| started.checked_add(limit));
    let mut pressure = Pressure::None;
    // The bell may be missed by somebody else's handler; a look costs nothing.
    let mut look = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = signals.child.recv() => {}
            _ = look.tick() => {}
            () = any(&mut signals.stop), if pressure == Pressure::None => {
                report.stopped = true;
                pressure = Pressure::asked(child, options.grace);
            }
            () = until(deadline), if pressure == Pressure::None => {
                report.timed_out = true;
                pressure = Pressure::asked(child, options.grace);
            }
            () = until(pressure.kill_at()) => {
                family::signal_group(child, Signal::SIGKILL);
                family::kill_all();
                pressure = Pressure::Killed;
            }
        }
        match family::reap(Some(child)) {
            Some(WaitStatus::Exited(_, code)) => {
                report.exit_code = Some(code);
                return u8::try_from(code).unwrap_or(CANNOT_START);
            }
            Some(WaitStatus::Signaled(_, signal, _)) => {
                report.signal = Some(signal as i32);
                return u8::try_from(128 + signal as i32).unwrap_or(CANNOT_START);
            }
            _ => {}
        }
    }
}

/// What was done to make the algorithm end. The first cause counts; later ones change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pressure {
    None,
    Asked { kill_at: Instant },
    Killed,
}

impl Pressure {
    fn asked(child: Pid, grace: Duration) -> Self {
        family::signal_group(child, Signal::SIGTERM);
        let now = Instant::now();
        Self::Asked { kill_at: now.checked_add(grace).unwrap_or(now) }
    }

    fn kill_at(self) -> Option<Instant> {
        if let Self::Asked { kill_at } = self { Some(kill_at) } else { None }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn any([a, b, c, d]: &mut [Stream; 4]) {
    tokio::select! { _ = a.recv() => {}, _ = b.recv() => {}, _ = c.recv() => {}, _ = d.recv() => {} }
}

/// Starts the entrypoint in a process group of its own, with both outputs into `output` and nothing to read.
fn start_child(entrypoint: &str, layout: &Layout, output: &PipeWriter) -> Result<Pid, CannotStart> {
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
        (Invocation::Direct { program, .. }, _) => {
            CannotStart::because(&format!("the program {program:?} cannot be started"), &error)
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
fn open_log(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags.bits()).open(path)
}

/// The signals that matter.
struct Signals {
    child: Stream,
    stop: [Stream; 4],
}

impl Signals {
    fn listen() -> io::Result<Self> {
        // SIGTERM is Kubernetes', SIGINT a terminal's; an image's STOPSIGNAL may name one of the others.
        let stop = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::hangup()];
        let [a, b, c, d] = stop.map(signal);
        Ok(Self { child: signal(SignalKind::child())?, stop: [a?, b?, c?, d?] })
    }
}
