//! What configure tells while it works: the same lines into `adminlogs/configure.log` and to its standard output.
//!
//! The log is handed out with the results, and it did hold signed download URLs in the engine this one replaces. So
//! URLs come in through [`shown`] and nowhere else.

use crate::workflow::report::clip;
use nix::fcntl::OFlag;
use reqwest::Url;
use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

/// The longest text of a line, in bytes.
const MAX_LINE: usize = 2000;
/// The longest that is shown of a URL, in bytes.
const MAX_URL: usize = 400;

/// Where the lines go. A log that cannot be written is no reason to fail: the other one is still there.
pub(super) struct Journal<'a> {
    file: Option<fs::File>,
    out: &'a mut (dyn Write + Send),
}

impl<'a> Journal<'a> {
    /// A journal without a file yet: its folder may still have to be made.
    pub(super) fn new(out: &'a mut (dyn Write + Send)) -> Self {
        Self { file: None, out }
    }

    /// From now on lines also go to the end of the file at `path`.
    pub(super) fn open(&mut self, path: &Path) {
        let nofollow = OFlag::O_NOFOLLOW.bits();
        self.file = fs::OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(nofollow).open(path).ok();
    }

    /// Writes one line, with the time before it.
    pub(super) fn line(&mut self, text: impl AsRef<str>) {
        let now = jiff::Timestamp::now();
        let line = format!("{now:.3} {}\n", clip(text.as_ref(), MAX_LINE));
        if let Some(file) = &mut self.file {
            let _ = file.write_all(line.as_bytes());
        }
        let _ = self.out.write_all(line.as_bytes());
        let _ = self.out.flush();
    }
}

/// What may be shown of a URL: scheme, host, port and path. Of a URL without a host only the scheme, because what comes
/// after it may be anything; the names that `inline:` and `file:` give are shown.
pub(super) fn shown(url: &Url) -> String {
    let text = match (url.scheme(), url.host_str()) {
        ("inline" | "file", _) => format!("{}:{}", url.scheme(), url.path()),
        (scheme, Some(host)) => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{scheme}://{host}{port}{}", url.path())
        }
        (scheme, None) => format!("{scheme}:"),
    };
    clip(&text, MAX_URL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_of_a_url_is_shown() {
        let url = |text: &str| shown(&text.parse().unwrap());
        assert_eq!(url("https://u:p@h.example:8443/a/b?sig=canary#frag"), "https://h.example:8443/a/b");
        assert_eq!(url("data:text/plain,canary"), "data:");
        assert_eq!(url("inline:a.csv?canary"), "inline:a.csv");
        assert!(url(&format!("https://h/{}", "x".repeat(5000))).len() <= MAX_URL);
    }

    #[test]
    fn lines_go_to_both_places_and_control_characters_to_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("configure.log");
        fs::write(&path, "before\n").unwrap();
        let mut out = Vec::new();
        let mut journal = Journal::new(&mut out);
        journal.line("first");
        journal.open(&path);
        journal.line("sec\x1b[31m\nond");
        let (file, out) = (fs::read_to_string(&path).unwrap(), String::from_utf8(out).unwrap());
        assert!(file.starts_with("before\n") && file.ends_with("sec [31m ond\n") && !file.contains("first"), "{file}");
        assert_eq!(out.lines().count(), 2);
    }
}
