//! The README says what is so: its links lead somewhere, its commands exist, its tables are the program's.

use super::{
    assert_none,
    tokens::tokens,
    tree::{self, root},
};
use operator_engine::workflow::{Code, Outcome, State};
use std::{os::unix::fs::PermissionsExt as _, path::Path};

/// The two commands that everything begins with.
const RUN: &str = "cargo run --release -- local manifests/examples/penguins/workflow.yaml";
const TEST: &str = "tests/run";

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("there is a README.md")
}

/// Where the links of a Markdown text lead within the project, as they stand.
fn relative_links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let inside =
        targets.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.starts_with("mailto:"));
    inside.map(|target| target.split('#').next().unwrap_or_default().to_owned()).collect()
}

/// Links of the Markdown file at `path` that lead nowhere.
fn dead_links(path: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let dead = relative_links(text).into_iter().filter(|link| !exists(&folder.join(link)));
    dead.map(|link| format!("{path}: the link to {link} leads nowhere")).collect()
}

/// Rows of a table that are missing in `text`: those whose first cell is `key` and, if given, second is `value`.
fn missing_rows(text: &str, rows: impl IntoIterator<Item = (String, Option<String>)>) -> Vec<String> {
    let cells: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(|cell| cell.trim()).collect())
        .collect();
    let cell = |row: &[&str], index: usize| {
        row.get(index).map_or(String::new(), |cell| cell.replace('`', "").trim().to_owned())
    };
    let has = |key: &str, value: Option<&str>| {
        cells.iter().any(|row| cell(row, 1) == key && value.is_none_or(|value| cell(row, 2) == value.trim()))
    };
    let missing = rows.into_iter().filter(|(key, value)| !has(key, value.as_deref()));
    missing.map(|(key, value)| format!("README.md: no table has the row {key} {}", value.unwrap_or_default())).collect()
}

#[test]
fn links_lead_somewhere() {
    let files = tree::texts();
    let pages = files.iter().filter(|file| file.path.ends_with(".md"));
    assert_none(
        &pages.flat_map(|file| dead_links(&file.path, &file.text, |p| root().join(p).exists())).collect::<Vec<_>>(),
    );
}

#[test]
fn the_two_commands_are_there_and_exist() {
    let readme = readme();
    for command in [RUN, TEST] {
        assert!(readme.lines().any(|line| line.trim() == command), "README.md has no line {command:?}");
    }
    assert!(root().join(RUN.rsplit(' ').next().unwrap()).is_file());
    for script in [TEST, ".ci/run"] {
        let mode = std::fs::metadata(root().join(script))
            .unwrap_or_else(|_| panic!("{script} is missing"))
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111, "{script} is not executable");
    }
}

#[test]
fn codes_states_outcomes_and_exit_codes_are_those_of_the_program() {
    let codes = (0..1000).filter_map(|number| Code::try_from(number).ok());
    let mut rows: Vec<_> = codes.map(|code| (code.number().to_string(), Some(code.text().to_owned()))).collect();
    let states = [State::Pending, State::Active, State::Stopping, State::Done];
    rows.extend(states.map(|state| (state.as_str().to_owned(), None)));
    let outcomes =
        [Outcome::Succeeded, Outcome::Failed, Outcome::Stopped, Outcome::TimedOut, Outcome::Withheld, Outcome::Refused];
    rows.extend(outcomes.map(|outcome| (outcome.as_str().to_owned(), None)));
    let exits = exit_codes(&std::fs::read_to_string(root().join("src/exit.rs")).unwrap());
    assert!(exits.len() >= 10, "{exits:?}");
    rows.extend(exits.into_iter().map(|number| (number, None)));
    assert_none(&missing_rows(&readme(), rows));
}

/// The numbers of an enum whose variants have them: `Success = 0`.
fn exit_codes(source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let numbered = tokens.windows(4).filter_map(|window| match window {
        [name, is, number, end] if is.text == "=" && end.text == "," => {
            let numeric = number.text.bytes().all(|b| b.is_ascii_digit());
            (numeric && name.text.starts_with(char::is_uppercase)).then(|| number.text.clone())
        }
        _ => None,
    });
    numbered.collect()
}

#[test]
fn the_map_of_the_house_names_every_room() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert_none(&rooms_not_on_the_map(&map));
}

fn rooms_not_on_the_map(lib: &str) -> Vec<String> {
    let rooms = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let header: String = lib.lines().filter(|line| line.starts_with("//!")).collect();
    let missing = rooms.filter(|room| !header.contains(&format!("[`{room}`]")));
    missing.map(|room| format!("src/lib.rs: its header does not say what [`{room}`] is for")).collect()
}

#[test]
fn what_a_page_says_and_is_not_so_is_found() {
    let text = "see [a](here.md#x), [b](https://example.org/), [c](#below) and ![d](../gone.png \"title\")";
    assert_eq!(relative_links(text), ["here.md", "../gone.png"]);
    let exists = |path: &Path| path == Path::new("docs/here.md");
    assert_eq!(dead_links("docs/a.md", text, exists), ["docs/a.md: the link to ../gone.png leads nowhere"]);
    let table = "| code | text |\n|---|---|\n| `1` | `Warming up` |\n| 20 | Configuring volume |\n";
    let rows = [("1", Some("Warming up")), ("1", None), ("20", Some("Configuring volumes")), ("30", None)];
    let rows = rows.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
    assert_eq!(missing_rows(table, rows).len(), 2);
    assert_eq!(exit_codes("enum E {\n /// 0: done\n A = 0,\n B = 12,\n}\nlet x = 3;"), ["0", "12"]);
    assert_eq!(rooms_not_on_the_map("//! - [`a`]: x\npub mod a;\npub mod b;\n").len(), 1);
}
