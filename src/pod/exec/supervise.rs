//! From the start of the algorithm to the end of its last process.

use super::{
    CANNOT_START, ExecOptions, MAX_ERROR_LEN,
    capped_log::{CappedLog, Summary},
    family, keep, leftovers,
    start::{self, CannotStart},
    tee::Tee,
    usage,
};
use crate::{
    pod::layout::Layout,
    workflow::report::{ExecReport, clip},
};
use nix::{
    sys::{signal::Signal, wait::WaitStatus},
    unistd::Pid,
};
use std::{
    fs,
    io::{self, Write},
    os::fd::OwnedFd,
    path::Path,
    time::Duration,
};
use tokio::{
    net::unix::pipe,
    signal::unix::{Signal as Stream, SignalKind, signal},
    time::{Instant, interval, sleep_until, timeout_at},
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
        Ok(running) => running.wait_for_its_end(options, &mut report).await,
        Err(CannotStart { status, message }) => {
            report.error = Some(clip(&message, MAX_ERROR_LEN));
            status
        }
    };
    report.wall_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    (report.cpu_ms, report.peak_memory_bytes) = usage::of_children();
    report.out_of_memory = usage::was_out_of_memory();
    (report, status)
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
        if !options.parent.watch() {
            return Err(CannotStart { status: CANNOT_START, message: "the engine that started it is gone".to_owned() });
        }
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
        let file: Box<dyn Write + Send> = match start::open_log(log) {
            Ok(file) => Box::new(file),
            Err(error) => {
                say(&format!("{} cannot be written: {error}", log.display()));
                Box::new(io::sink())
            }
        };
        if let Some(note) = note {
            say(&note);
        }
        if options.filter
            && let Err(error) = keep::algorithm_log(layout, options.max_log)
        {
            say(&format!("the algorithm's log cannot be kept as it was: {error}"));
        }
        let child = start::algorithm(&options.entrypoint, layout, &writer);
        if let Err(CannotStart { message, .. }) = &child {
            let _ = writeln!(writer, "[operator-engine: {}]", clip(message, MAX_ERROR_LEN));
        }
        // Ours is the last writer but for the algorithm's.
        drop(writer);
        let tee = Tee::start(receiver, CappedLog::new(file, options.max_log));
        Ok(Self { child, tee, signals, started: Instant::now() })
    }

    async fn wait_for_its_end(mut self, options: &ExecOptions, report: &mut ExecReport) -> u8 {
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
            () = any(&mut signals.stop), if pressure != Pressure::Killed => {
                if pressure == Pressure::None {
                    report.stopped = true;
                    pressure = Pressure::asked(child, options.grace);
                }
                if options.parent.is_gone() {
                    pressure = Pressure::Asked { kill_at: Instant::now() };
                }
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
        let status = match family::reap(Some(child)) {
            Some(WaitStatus::Exited(_, code)) => {
                report.exit_code = Some(code);
                code
            }
            Some(WaitStatus::Signaled(_, signal, _)) => {
                report.signal = Some(signal as i32);
                128 + signal as i32
            }
            _ => continue,
        };
        if let Some(kill_at) = pressure.kill_at() {
            let _ = timeout_at(kill_at, others(signals)).await;
        }
        return u8::try_from(status).unwrap_or(CANNOT_START);
    }
}

/// Waits until nothing of the algorithm is left. A shell goes at once when it is asked to, while what it started is still
/// saving its work; so the grace period is that of all together.
async fn others(signals: &mut Signals) {
    let mut look = interval(Duration::from_millis(100));
    while family::any_left() {
        tokio::select! { _ = signals.child.recv() => {}, _ = look.tick() => {} }
        family::reap(None);
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
