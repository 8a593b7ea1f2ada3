//! How an entrypoint from a document is started: directly, or by the image's shell.
//!
//! The old engine always used `sh -c`. Ours uses it only where the text needs a shell, so that images without one work,
//! and means the same in both cases. Nothing is known here of processes; it is a function from text to a command.

use super::quoting;
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
};

/// Where a shell is looked for, as `sh -c` in the old engine found it.
pub(super) const SHELL: &str = "/bin/sh";

/// The two spellings that stand for the algorithm's file.
pub(super) const PLACEHOLDERS: [&str; 2] = ["${ALGO}", "$ALGO"];

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Invocation {
    /// A program, looked up on `PATH`, and its arguments.
    Direct { program: OsString, arguments: Vec<OsString> },
    /// A text for `/bin/sh -c`.
    Shell { text: OsString },
}

/// Why an entrypoint cannot be started in this image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the entrypoint is empty; write a command, e.g. \"python $ALGO\"")]
    Empty,
    #[error(
        "the entrypoint needs a shell, but the image has no {SHELL}; \
         write a plain command (words separated by spaces) or use an image with a shell"
    )]
    NoShell,
}

/// Reads `entrypoint`, with the algorithm's file at `algorithm`, for an image that has a shell or has none.
///
/// As in the old engine, every `$ALGO` becomes the path, wherever it stands. A path with characters that mean something
/// to a shell (possible in the local mode only) is quoted to suit its place.
pub(super) fn read(entrypoint: &str, algorithm: &Path, has_shell: bool) -> Result<Invocation, Unusable> {
    let entrypoint = entrypoint.trim_matches(|c: char| c.is_ascii_whitespace());
    if entrypoint.is_empty() {
        return Err(Unusable::Empty);
    }
    if needs_shell(entrypoint) {
        return if has_shell { Ok(shell(entrypoint, algorithm)) } else { Err(Unusable::NoShell) };
    }
    let mut words = words(entrypoint).map(|word| substitute(word, algorithm.as_os_str()));
    let program = words.next().ok_or(Unusable::Empty)?;
    Ok(Invocation::Direct { program, arguments: words.collect() })
}

/// The same entrypoint by way of the shell: also the answer to a script without an interpreter line, which `sh` runs
/// and the kernel does not.
pub(super) fn shell(entrypoint: &str, algorithm: &Path) -> Invocation {
    Invocation::Shell { text: quoting::substitute(entrypoint, algorithm) }
}

/// Whether a shell would do more with this text than split it at blanks.
fn needs_shell(entrypoint: &str) -> bool {
    let rest = PLACEHOLDERS.iter().fold(entrypoint.to_owned(), |text, placeholder| text.replace(placeholder, ""));
    if rest.contains(|c| SPECIAL.contains(&c)) {
        return true;
    }
    // `name=value` is an assignment only before the command; `--epochs=3` is an argument like any other.
    words(entrypoint).next().is_some_and(|first| first.contains('=') || SHELL_WORDS.contains(&first))
}

const SPECIAL: [char; 22] =
    ['|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?', '[', ']', '{', '}', '#', '~', '%', '\n'];

/// Reserved words and built-in commands of POSIX shells (XCU 2.4, 2.14, and the ones with no program of their own).
const SHELL_WORDS: [&str; 47] = [
    "!", ".", ":", "alias", "bg", "break", "case", "cd", "command", "continue", "declare", "do", "done", "elif",
    "else", "esac", "eval", "exec", "exit", "export", "fc", "fg", "fi", "for", "function", "getopts", "hash", "if",
    "jobs", "let", "local", "read", "readonly", "return", "set", "shift", "source", "then", "times", "trap", "type",
    "typeset", "ulimit", "umask", "unset", "until", "while",
];

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t']).filter(|word| !word.is_empty())
}

/// `word` with the path in place of every placeholder, as it is: no shell will read it.
fn substitute(word: &str, path: &OsStr) -> OsString {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = split_placeholder(rest) {
        bytes.extend_from_slice(before.as_bytes());
        bytes.extend_from_slice(path.as_bytes());
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    OsString::from_vec(bytes)
}

/// What stands before and after the first placeholder.
fn split_placeholder(text: &str) -> Option<(&str, &str)> {
    PLACEHOLDERS.iter().filter_map(|placeholder| text.split_once(placeholder)).min_by_key(|(before, _)| before.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALGO: &str = "/data/transformations/algorithm";

    fn direct(words: &[&str]) -> Result<Invocation, Unusable> {
        let mut words = words.iter().map(OsString::from);
        Ok(Invocation::Direct { program: words.next().unwrap(), arguments: words.collect() })
    }

    fn by_shell(text: &str) -> Result<Invocation, Unusable> {
        Ok(Invocation::Shell { text: text.into() })
    }

    #[test]
    fn plain_commands_need_no_shell() {
        for (entrypoint, expected) in [
            ("python $ALGO", vec!["python", ALGO]),
            ("  python3.9\t${ALGO}  \n", vec!["python3.9", ALGO]),
            ("$ALGO", vec![ALGO]),
            (
                "node --x=1 $ALGO-$ALGO",
                vec!["node", "--x=1", "/data/transformations/algorithm-/data/transformations/algorithm"],
            ),
            ("Rscript $ALGORITHM", vec!["Rscript", "/data/transformations/algorithmRITHM"]),
            ("/usr/bin/env python -u $ALGO a,b:c@d+e", vec!["/usr/bin/env", "python", "-u", ALGO, "a,b:c@d+e"]),
        ] {
            assert_eq!(read(entrypoint, Path::new(ALGO), false), direct(&expected), "{entrypoint}");
        }
    }

    #[test]
    fn what_a_shell_would_read_differently_goes_to_the_shell() {
        for entrypoint in [
            "a; b",
            "a | b",
            "a && b",
            "a &",
            "a > b",
            "a < b",
            "(a)",
            "echo $HOME",
            "echo ${HOME}",
            "a `b`",
            "a \\b",
            "a \"b c\"",
            "a 'b c'",
            "ls *",
            "ls ?",
            "ls [a]",
            "a #b",
            "a ~/b",
            "fg %1",
            "a\nb",
            "X=1 a",
            "cd x",
            "exec a",
            "if a",
            "for a",
            "{ a; }",
            "set -e",
            "export A",
        ] {
            assert_eq!(read(entrypoint, Path::new(ALGO), true), by_shell(entrypoint), "{entrypoint}");
            assert_eq!(read(entrypoint, Path::new(ALGO), false), Err(Unusable::NoShell), "{entrypoint}");
        }
        assert_eq!(
            read("cd x; python '$ALGO' > ${ALGO}.txt", Path::new(ALGO), true),
            by_shell("cd x; python '/data/transformations/algorithm' > /data/transformations/algorithm.txt"),
        );
    }

    #[test]
    fn a_path_with_a_blank_stays_one_word() {
        let path = Path::new("/my work/transformations/algorithm");
        assert_eq!(read("python $ALGO", path, false), direct(&["python", "/my work/transformations/algorithm"]));
        assert_eq!(read("cat $ALGO | sh", path, true), by_shell("cat '/my work/transformations/algorithm' | sh"));
    }

    #[test]
    fn nothing_is_not_a_command() {
        for entrypoint in ["", " ", "\n\t"] {
            assert_eq!(read(entrypoint, Path::new(ALGO), true), Err(Unusable::Empty));
        }
    }
}
