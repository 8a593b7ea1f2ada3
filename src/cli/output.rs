//! `-o`, for every command that lists, and the table that people see.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters_and_lines_end_without_spaces() {
        let mut out = Vec::new();
        let rows = [["é", "bb", ""], ["ccc", "d", "e"]].map(|row| row.map(str::to_owned));
        table(&mut out, &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "é    bb\nccc  d   e\n");
    }
}
