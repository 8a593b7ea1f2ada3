//! `-o`, for every command that lists, and the table that people see.

use jiff::{SignedDuration, Timestamp};
use std::io::{self, Write};

/// How a list is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Aligned columns, for people. They may change.
    #[default]
    Table,
    /// JSON, for programs.
    Json,
}

/// Writes rows with their columns aligned, two spaces apart and without spaces at the end of lines.
///
/// # Errors
/// Those of `out`.
pub fn table<const N: usize>(out: &mut dyn Write, rows: &[[String; N]]) -> io::Result<()> {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Writes `value` as indented JSON and a line end.
///
/// # Errors
/// Those of `out`.
pub fn json(out: &mut dyn Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// How long ago that was, as kubectl shows ages: `45s`, `12m`, `7h`, `3d`. A clock that is behind shows `0s`.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(then))
}

/// A duration as one number with one unit.
pub fn span(duration: SignedDuration) -> String {
    match duration.as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let said =
            [-5, 0, 119, 120, 7199, 7200, 172_799, 172_800].map(|seconds| span(SignedDuration::from_secs(seconds)));
        assert_eq!(said, ["0s", "0s", "119s", "2m", "119m", "2h", "47h", "2d"]);
    }

    #[test]
    fn columns_are_aligned_by_characters_and_lines_end_without_spaces() {
        let mut out = Vec::new();
        let rows = [["é", "bb", ""], ["ccc", "d", "e"]].map(|row| row.map(str::to_owned));
        table(&mut out, &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "é    bb\nccc  d   e\n");
    }
}
