//! A log file of bounded size that keeps the beginning and the end of what was written.
//!
//! The beginning goes straight to the file, so that it can be watched and survives a kill; the end is held in memory
//! until [`CappedLog::finish`]. What lay between them is counted and replaced by one line.

use std::{
    collections::VecDeque,
    io::{self, Write},
};

/// The most that is held in memory: enough for the last thousands of lines, little beside any pod's limit.
const MAX_TAIL: u64 = 1024 * 1024;

/// See the module. Never fails: a file that cannot be written is told of at the end, and bytes are counted all the same.
pub(super) struct CappedLog<W> {
    file: W,
    limit: u64,
    head_left: u64,
    tail: VecDeque<u8>,
    tail_limit: usize,
    total: u64,
    unwritten: u64,
    at_line_start: bool,
    error: Option<io::Error>,
}

/// What became of the log.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Bytes that came in.
    pub total: u64,
    /// Bytes of them that are not in the file: left out of the middle, or refused by the file.
    pub dropped: u64,
    /// The first error of the file.
    pub error: Option<io::Error>,
}

impl<W: Write> CappedLog<W> {
    /// A log that keeps `limit` bytes, half of them (at most [`MAX_TAIL`]) from the end. The line that stands for the
    /// rest comes on top.
    pub(super) fn new(file: W, limit: u64) -> Self {
        let tail_limit = MAX_TAIL.min(limit / 2);
        Self {
            file,
            limit,
            head_left: limit - tail_limit,
            tail: VecDeque::new(),
            tail_limit: usize::try_from(tail_limit).unwrap_or(usize::MAX),
            total: 0,
            unwritten: 0,
            at_line_start: true,
            error: None,
        }
    }

    /// Takes the next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = usize::try_from(self.head_left).unwrap_or(usize::MAX).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        self.head_left -= head.len() as u64;
        self.put(head);
        // Only the last `tail_limit` bytes can matter; skipping the others keeps a huge chunk from growing the buffer.
        let rest = rest.get(rest.len().saturating_sub(self.tail_limit)..).unwrap_or_default();
        let excess = (self.tail.len() + rest.len()).saturating_sub(self.tail_limit);
        self.tail.drain(..excess);
        self.tail.extend(rest);
    }

    /// Writes the end, with a line before it if something was left out.
    pub(super) fn finish(mut self) -> Summary {
        let head = self.limit - self.tail_limit as u64 - self.head_left;
        let left_out = self.total - head - self.tail.len() as u64;
        if left_out > 0 {
            let newline = if self.at_line_start { "" } else { "\n" };
            let line =
                format!("{newline}[operator-engine: {left_out} bytes left out here; the limit is {}]\n", self.limit);
            let unwritten = self.unwritten;
            self.put(line.as_bytes());
            self.unwritten = unwritten;
        }
        let tail = std::mem::take(&mut self.tail);
        let (front, back) = tail.as_slices();
        self.put(front);
        self.put(back);
        if let Err(error) = self.file.flush() {
            self.error.get_or_insert(error);
        }
        Summary { total: self.total, dropped: left_out + self.unwritten, error: self.error }
    }

    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => {
                    self.error.get_or_insert_with(|| io::ErrorKind::WriteZero.into());
                    break;
                }
                Ok(n) => {
                    let (done, rest) = bytes.split_at(n.min(bytes.len()));
                    self.at_line_start = done.last() == Some(&b'\n');
                    bytes = rest;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.error.get_or_insert(error);
                    break;
                }
            }
        }
        self.unwritten += bytes.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn logged(limit: u64, chunks: &[&[u8]]) -> (String, Summary) {
        let mut file = Vec::new();
        let mut log = CappedLog::new(&mut file, limit);
        for chunk in chunks {
            log.write(chunk);
        }
        let summary = log.finish();
        (String::from_utf8(file).unwrap(), summary)
    }

    #[test]
    fn a_short_log_is_kept_whole() {
        let (text, summary) = logged(10, &[b"01234", b"56789"]);
        assert_eq!((text.as_str(), summary.total, summary.dropped), ("0123456789", 10, 0));
    }

    #[test]
    fn a_long_log_keeps_its_ends_and_says_what_is_missing() {
        let (text, summary) = logged(10, &[b"abc\n", b"efgh", b"ijklmn", b"op\n"]);
        assert_eq!(text, "abc\ne\n[operator-engine: 7 bytes left out here; the limit is 10]\nmnop\n");
        assert_eq!((summary.total, summary.dropped), (17, 7));
    }

    #[test]
    fn a_limit_of_nothing_keeps_nothing() {
        let (text, summary) = logged(0, &[b"abc"]);
        assert_eq!(text, "[operator-engine: 3 bytes left out here; the limit is 0]\n");
        assert_eq!(summary.dropped, 3);
    }

    #[test]
    fn a_full_disk_is_told_of_and_not_fatal() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut log = CappedLog::new(full, 100);
        log.write(&[b'x'; 60]);
        log.write(&[b'x'; 60]);
        let summary = log.finish();
        assert_eq!(summary.error.unwrap().kind(), io::ErrorKind::StorageFull);
        assert_eq!((summary.total, summary.dropped), (120, 120));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_uncounted(limit in 0u64..64, chunks in proptest::collection::vec("[a-z]{0,40}", 0..8)) {
            let whole = chunks.concat();
            let (text, summary) = logged(limit, &chunks.iter().map(String::as_bytes).collect::<Vec<_>>());
            prop_assert_eq!(summary.total, whole.len() as u64);
            let kept: String = text.split('\n').filter(|line| !line.starts_with('[')).collect();
            prop_assert_eq!(kept.len() as u64, whole.len() as u64 - summary.dropped);
            prop_assert_eq!(kept.len() as u64, limit.min(whole.len() as u64));
            let head = kept.len() - kept.len().min((limit / 2) as usize);
            prop_assert!(whole.starts_with(&kept[..head]) && whole.ends_with(&kept[head..]));
        }
    }
}
