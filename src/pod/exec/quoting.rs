//! Putting the algorithm's path into a text that a shell will read.

use super::entrypoint::PLACEHOLDERS;
use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
};

/// `text` with `path` in place of every `$ALGO`.
///
/// A path of plain characters (always so in a pod) goes in as it is, exactly as in the old engine. Any other is quoted
/// to suit the place where it lands: bare, within `'…'` or within `"…"`, substitutions included. Here-documents count as
/// bare text.
pub(super) fn substitute(text: &str, path: &Path) -> OsString {
    let path = path.as_os_str().as_bytes();
    let plain = path.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte >= 0x80 || b"_./:@+,-".contains(&byte));
    let mut out = Vec::with_capacity(text.len() + path.len());
    let mut reader = Reader::default();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if let Some(after) = PLACEHOLDERS.iter().find_map(|placeholder| rest.strip_prefix(placeholder)) {
            if plain {
                out.extend_from_slice(path)
            } else {
                reader.quote(path, &mut out)
            }
            rest = after;
        } else {
            reader.take(next);
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
            out.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    OsString::from_vec(out)
}

/// Where in a shell's grammar the reading stands.
#[derive(Default)]
struct Reader {
    /// What encloses this place, innermost last.
    around: Vec<Around>,
    /// A backslash stands before it.
    escaped: bool,
    /// It lies in a comment.
    comment: bool,
    /// The character before it; a `$` only if it has its meaning.
    previous: Option<char>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    Single,
    Double,
    Backticks,
    /// `( … )`, also that of `$( … )`.
    Parentheses,
}

impl Reader {
    fn take(&mut self, c: char) {
        let before = self.previous.replace(c);
        if self.comment {
            self.comment = c != '\n';
            return;
        }
        if std::mem::take(&mut self.escaped) {
            self.previous = Some('\\');
            return;
        }
        match (self.around.last(), c) {
            (Some(Around::Single), '\'')
            | (Some(Around::Double), '"')
            | (Some(Around::Backticks), '`')
            | (Some(Around::Parentheses), ')') => {
                self.around.pop();
            }
            (Some(Around::Single), _) => {}
            (_, '\\') => self.escaped = true,
            (_, '`') => self.around.push(Around::Backticks),
            (Some(Around::Double), '(') if before == Some('$') => self.around.push(Around::Parentheses),
            (Some(Around::Double), _) => {}
            (_, '\'') => self.around.push(Around::Single),
            (_, '"') => self.around.push(Around::Double),
            (_, '(') => self.around.push(Around::Parentheses),
            (_, '#') => self.comment = before.is_none_or(|p| p.is_ascii_whitespace() || ";&|()".contains(p)),
            _ => {}
        }
    }

    /// Writes `path` so that the shell reads it, at this place, as it is.
    fn quote(&mut self, path: &[u8], out: &mut Vec<u8>) {
        self.previous = Some('/');
        // The backslash before the placeholder takes the path's first character, a slash, which it leaves as it is.
        let path = if std::mem::take(&mut self.escaped) {
            out.push(b'/');
            path.strip_prefix(b"/").unwrap_or(path)
        } else {
            path
        };
        match self.around.last() {
            Some(Around::Double) => {
                for &byte in path {
                    if b"$`\"\\".contains(&byte) {
                        out.push(b'\\');
                    }
                    out.push(byte);
                }
            }
            Some(Around::Single) => single_quoted(path, out),
            Some(Around::Backticks | Around::Parentheses) | None => {
                out.push(b'\'');
                single_quoted(path, out);
                out.push(b'\'');
            }
        }
    }
}

/// The inside of `'…'`: an apostrophe closes it, stands escaped, and opens it again.
fn single_quoted(path: &[u8], out: &mut Vec<u8>) {
    for &byte in path {
        if byte == b'\'' { out.extend_from_slice(br"'\''") } else { out.push(byte) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    fn printed_by_a_shell(text: &str, path: &str) -> String {
        let out = Command::new("/bin/sh").arg("-c").arg(substitute(text, Path::new(path))).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    }

    const NASTY: &str = "/it's a \"$HOME\" `id` \\ *;&|(x)#";

    #[test]
    fn a_plain_path_goes_in_as_it_is() {
        assert_eq!(substitute("a '$ALGO' \"${ALGO}\" \\$ALGO", Path::new("/d/é")), *r#"a '/d/é' "/d/é" \/d/é"#);
    }

    #[test]
    fn a_nasty_path_arrives_whole_at_every_place() {
        for text in [
            "printf %s $ALGO",
            "printf %s ${ALGO}",
            "printf %s \"$ALGO\"",
            "printf %s '$ALGO'",
            "printf %s \\$ALGO",
            "printf %s \"$(printf %s $ALGO)\"",
            "printf %s \"$(printf %s \"$ALGO\")\"",
            "printf %s '' # don't\nprintf %s $ALGO",
            "(printf %s $ALGO)",
            "printf %s \\'$ALGO | cut -c 2-",
        ] {
            assert_eq!(printed_by_a_shell(text, NASTY).trim_end(), NASTY, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_path_arrives_whole(name in "[ -~]{1,20}") {
            let path = format!("/{name}");
            prop_assert_eq!(printed_by_a_shell("printf %s $ALGO", &path), path.clone());
            prop_assert_eq!(printed_by_a_shell("printf %s \"$ALGO\"", &path), path.clone());
            prop_assert_eq!(printed_by_a_shell("printf %s '$ALGO'", &path), path.clone());
        }
    }
}
