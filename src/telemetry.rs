//! Where logs go and in which form.

use std::io::IsTerminal as _;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people if standard error is a terminal, else for programs.
    Auto,
    /// A line of text.
    Human,
    /// One JSON object a line.
    Json,
}

/// The API client warns of an answer that it cannot read by logging all of it, and answers hold documents. What failed is
/// logged where it is handled. Directives that name this target themselves win.
const QUIET: &str = "kube_client=off";

/// Sends logs to standard error, filtered by `directives` (`info`, or `warn,operator_engine=debug`). Only the first call
/// in a process has an effect.
pub fn start(form: Form, directives: &str) {
    let quiet = |directives: &str| format!("{QUIET},{directives}");
    let filter = EnvFilter::try_new(quiet(directives)).unwrap_or_else(|_| EnvFilter::new(quiet("info")));
    let registry = tracing_subscriber::registry().with(filter);
    let terminal = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let _ = if form == Form::Json || (form == Form::Auto && !terminal) {
        registry.with(lines.json().flatten_event(true)).try_init()
    } else {
        registry.with(lines.with_ansi(terminal)).try_init()
    };
}
