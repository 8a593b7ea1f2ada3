//! The README's table of the old engine's variables says what the program does with each.

use super::{assert_none, tree::root};
use operator_engine::config::{Old, old_variables};

/// The section that the table stands in.
const SECTION: &str = "## Coming from the old engine";

/// What `text` says wrong of the variables, or not at all.
fn faults(text: &str, variables: impl Iterator<Item = (&'static str, Old)>) -> Vec<String> {
    let section = text.split_once(SECTION).map_or("", |(_, rest)| rest);
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let mut rows: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).map(cells).collect();
    let mut faults = Vec::new();
    for (name, old) in variables {
        let Some(at) = rows.iter().position(|row| row[0] == format!("`{name}`")) else {
            faults.push(format!("README.md: no row for {name}"));
            continue;
        };
        let row = rows.remove(at);
        let [is_now, why] = [1, 2].map(|cell| row.get(cell).map_or("", String::as_str));
        let right = match old {
            Old::Sets(key) => is_now == format!("`{key}`"),
            Old::Credential => is_now.contains("Secret"),
            Old::Dropped(_) => is_now == "–" && !why.is_empty(),
        };
        if !right {
            faults.push(format!("README.md: {name} is {is_now:?} there, and {old:?} in the program"));
        }
    }
    faults.extend(rows.iter().map(|row| format!("README.md: {} is no variable of the old engine", row[0])));
    faults
}

#[test]
fn the_readme_says_of_each_old_variable_what_became_of_it() {
    assert!(old_variables().count() > 50);
    assert_none(&faults(&std::fs::read_to_string(root().join("README.md")).unwrap(), old_variables()));
}

#[test]
fn rows_that_are_missing_wrong_or_too_many_are_found() {
    let variables = || {
        [("A", Old::Sets("a.b")), ("B", Old::Credential), ("C", Old::Dropped("of age")), ("D", Old::Sets("d"))]
            .into_iter()
    };
    let good = format!(
        "{SECTION}\n| `A` | `a.b` | |\n| `B` | a Secret | |\n| `C` | – | old |\n| `D` | `d` | x |\n\n## More\n| `E` | |\n"
    );
    assert_eq!(faults(&good, variables()), Vec::<String>::new());
    for (from, to) in
        [("`a.b`", "`a`"), ("a Secret", "–"), ("| old |", "| |"), ("| `D` | `d` | x |\n", ""), ("`D`", "`F`")]
    {
        assert!(!faults(&good.replace(from, to), variables()).is_empty(), "{from} as {to}");
    }
}
