//! What a stage prints, as it is printed: new whole lines of a growing file.

use crate::workflow::report::clip;
use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
};

/// The longest line shown, in bytes.
const MAX_LINE: usize = 400;
/// The most lines shown of one file; a job that prints without end must not drown what matters.
const MAX_LINES: usize = 500;
/// The most bytes read at once.
const MAX_READ: u64 = 64 * 1024;

/// A file that grows.
pub(super) struct Follow {
    path: PathBuf,
    offset: u64,
    rest: Vec<u8>,
    shown: usize,
}

impl Follow {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, rest: Vec::new(), shown: 0 }
    }

    /// The lines that are new since the last call. A file that cannot be read has none (yet).
    pub(super) fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(bytes) = self.read().filter(|bytes| !bytes.is_empty()) {
            self.offset += bytes.len() as u64;
            self.rest.extend(bytes);
            while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                self.show(&line, &mut lines);
            }
            if self.rest.len() > MAX_LINE * 4 {
                let line = std::mem::take(&mut self.rest);
                self.show(&line, &mut lines);
            }
        }
        lines
    }

    /// The lines that are left once the file has its end, a last one without a line end among them.
    pub(super) fn finish(mut self) -> Vec<String> {
        let mut lines = self.lines();
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.show(&rest, &mut lines);
        }
        lines
    }

    fn read(&self) -> Option<Vec<u8>> {
        let mut file = File::open(&self.path).ok()?;
        file.seek(SeekFrom::Start(self.offset)).ok()?;
        let mut bytes = Vec::new();
        file.take(MAX_READ).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn show(&mut self, line: &[u8], lines: &mut Vec<String>) {
        self.shown += 1;
        if self.shown <= MAX_LINES {
            lines.push(clip(String::from_utf8_lossy(line).trim_end(), MAX_LINE));
        } else if self.shown == MAX_LINES + 1 {
            lines.push(format!("(more than {MAX_LINES} lines; the rest is in the log)"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_once_cleaned_and_without_end_last() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut follow = Follow::new(path.clone());
        assert!(follow.lines().is_empty());
        std::fs::write(&path, "one\n\u{1b}[2Jtwo\nthr").unwrap();
        assert_eq!(follow.lines(), ["one", " [2Jtwo"]);
        std::fs::write(&path, "one\n\u{1b}[2Jtwo\nthree\n").unwrap();
        assert_eq!(follow.lines(), ["three"]);
        std::fs::write(&path, "one\n\u{1b}[2Jtwo\nthree\n".to_owned() + &"x\n".repeat(100_000)).unwrap();
        assert_eq!(follow.lines().len(), MAX_LINES - 3 + 1);
        assert!(follow.lines().is_empty());

        let mut follow = Follow::new(path.clone());
        std::fs::write(&path, "one\nno end").unwrap();
        assert_eq!(follow.lines(), ["one"]);
        assert_eq!(follow.finish(), ["no end"]);
    }
}
