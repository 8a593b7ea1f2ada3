//! Rust's text as tokens: enough to tell code from comments and strings, and code from its tests.

/// A token of the code; comments are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// From 1.
    pub(crate) line: usize,
    /// A word, `::`, or one other character. Literals are `"`, whatever is in them.
    pub(crate) text: String,
}

/// A file without what only its tests see.
#[derive(Debug, Default)]
pub(crate) struct Code {
    /// The rest.
    pub(crate) tokens: Vec<Token>,
    /// Lines that belong to tests.
    pub(crate) test_lines: usize,
    /// Modules in files of their own that only tests see: `#[cfg(test)] mod x;`.
    pub(crate) test_modules: Vec<String>,
}

/// A path that is named: its line and its parts, `["std", "fs", "File"]`.
pub(crate) type Named = (usize, Vec<String>);

/// The tokens of `source`.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let (mut found, mut line, mut i) = (Vec::new(), 1, 0);
    let word = |c: char| c.is_alphanumeric() || c == '_';
    while i < chars.len() {
        let start = i;
        let text = match (at(i), at(i + 1)) {
            ('/', '/') => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
                None
            }
            ('/', '*') => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= chars.len() {
                        break None;
                    }
                }
            }
            ('"', _) => {
                i = after_string(&chars, i);
                Some("\"".to_owned())
            }
            ('\'', next) => {
                // A lifetime has no second quote: `'a` and not `'a'`.
                if next != '\\' && at(i + 2) != '\'' {
                    i += 1;
                    while word(at(i)) {
                        i += 1;
                    }
                } else {
                    i += if next == '\\' { 3 } else { 2 };
                    while i < chars.len() && at(i) != '\'' {
                        i += 1;
                    }
                    i += 1;
                }
                Some("\"".to_owned())
            }
            (':', ':') => {
                i += 2;
                Some("::".to_owned())
            }
            (c, _) if word(c) => {
                while word(at(i)) {
                    i += 1;
                }
                let text: String = chars.get(start..i).unwrap_or_default().iter().collect();
                let hashes = (i..).take_while(|&j| at(j) == '#').count();
                if matches!(text.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"' {
                    i = after_raw_string(&chars, i + hashes + 1, hashes);
                    Some("\"".to_owned())
                } else {
                    Some(text)
                }
            }
            (c, _) => {
                i += 1;
                (!c.is_whitespace()).then(|| c.to_string())
            }
        };
        found.extend(text.map(|text| Token { line, text }));
        line += chars.get(start..i.min(chars.len())).unwrap_or_default().iter().filter(|&&c| c == '\n').count();
    }
    found
}

fn after_string(chars: &[char], open: usize) -> usize {
    let mut i = open + 1;
    while let Some(&c) = chars.get(i) {
        match c {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    i
}

fn after_raw_string(chars: &[char], start: usize, hashes: usize) -> usize {
    let closes = |i: usize| chars.get(i) == Some(&'"') && (1..=hashes).all(|j| chars.get(i + j) == Some(&'#'));
    (start..chars.len()).find(|&i| closes(i)).map_or(chars.len(), |end| end + 1 + hashes)
}

/// `source` without the items that are compiled for tests only.
pub(crate) fn code(source: &str) -> Code {
    let all = tokens(source);
    let text = |index: usize| all.get(index).map_or("", |token| token.text.as_str());
    let line = |index: usize| all.get(index.min(all.len().saturating_sub(1))).map_or(0, |token| token.line);
    let (mut code, mut i) = (Code::default(), 0);
    while i < all.len() {
        let attribute = |words: &[&str]| words.iter().enumerate().all(|(offset, word)| text(i + offset) == *word);
        if !attribute(&["#", "[", "cfg", "(", "test", ")", "]"]) && !attribute(&["#", "[", "test", "]"]) {
            code.tokens.extend(all.get(i).cloned());
            i += 1;
            continue;
        }
        let start = i;
        while text(i) == "#" {
            i = past_block(&all, i + 1);
        }
        let mut module = None;
        while i < all.len() && text(i) != "{" && text(i) != ";" {
            if text(i) == "mod" {
                module = Some(text(i + 1).to_owned());
            }
            i = if matches!(text(i), "(" | "[") { past_block(&all, i) } else { i + 1 };
        }
        if text(i) == ";" {
            code.test_modules.extend(module);
            i += 1;
        } else {
            i = past_block(&all, i);
        }
        code.test_lines += line(i.saturating_sub(1)) + 1 - line(start);
    }
    code
}

/// The index after the bracket that closes the one at `open`.
fn past_block(all: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in all.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    all.len()
}

/// Every path that is named, `use` trees written out: `use a::{b, c::d}` names `a::b` and `a::c::d`.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Named> {
    let (mut found, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        i = path(tokens, i, &[], &mut found).max(i + 1);
    }
    found
}

/// Reads the path, or tree of paths, that begins at `start`, below `above`. The index after it.
fn path(tokens: &[Token], start: usize, above: &[String], found: &mut Vec<Named>) -> usize {
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
    let is_word = |text: &str| text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let (mut parts, mut i) = (above.to_vec(), start);
    if text(i) == "::" {
        i += 1;
    }
    while is_word(text(i)) {
        parts.push(text(i).to_owned());
        if text(i + 1) != "::" {
            i += 1;
            break;
        }
        i += 2;
        if text(i) == "{" {
            let end = past_block(tokens, i);
            i += 1;
            while i + 1 < end {
                i = path(tokens, i, &parts, found).max(i + 1);
            }
            return end;
        }
        if text(i) == "*" {
            parts.push("*".to_owned());
            i += 1;
            break;
        }
    }
    if parts.len() > above.len() {
        found.push((tokens.get(start).map_or(0, |token| token.line), parts));
    }
    i
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        tokens(source).into_iter().map(|token| token.text).collect()
    }

    fn named(source: &str) -> Vec<String> {
        paths(&tokens(source)).into_iter().map(|(_, parts)| parts.join("::")).collect()
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        assert_eq!(words("a // tokio\nb /* x /* tokio */ y */ c"), ["a", "b", "c"]);
        assert_eq!(words(r##"f("tok\"io", r#"a"b"#, b"x", '"', '\'', 'x')"##).concat(), r#"f(",",b",",",")"#);
        assert_eq!(words("&'a str"), ["&", "\"", "str"]);
        assert_eq!(words("a \"\\\\\" b"), ["a", "\"", "b"]);
        assert_eq!(tokens("\"a\nb\"\nc")[1].line, 3, "lines are counted in strings too");
    }

    #[test]
    fn tests_are_told_from_the_rest() {
        let source = "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn b() { panic!() }\n}\n#[cfg(test)]\npub(crate) mod fake;\nfn c() {}\n";
        let code = code(source);
        assert!(!code.tokens.iter().any(|token| token.text == "panic"));
        assert!(code.tokens.iter().any(|token| token.text == "c"));
        assert_eq!((code.test_lines, code.test_modules), (7, vec!["fake".to_owned()]));
    }

    #[test]
    fn trees_of_paths_are_written_out() {
        assert_eq!(named("use std::{fs::{self, File}, io};"), ["use", "std::fs::self", "std::fs::File", "std::io"]);
        assert_eq!(named("pub(crate) use crate::plan::*;").last().unwrap(), "crate::plan::*");
        assert_eq!(named("let a = ::std::env::var(x.y);"), ["let", "a", "std::env::var", "x", "y"]);
        assert_eq!(
            named("use a::{b as c, d};"),
            ["use", "a::b", "a::as", "a::c", "a::d"],
            "a word too many is harmless"
        );
    }
}
