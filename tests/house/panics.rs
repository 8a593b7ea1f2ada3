//! The program does not panic by design: clippy denies it, and here no `allow` gets around that.

use super::{
    assert_none,
    tokens::{Token, code},
    tree,
};

/// Files that may, and why.
const EXCEPTIONS: &[(&str, &str)] = &[("src/sandbox/faults.rs", "panics that it injects are what it is for")];

fn faults(path: &str, tokens: &[Token]) -> Vec<String> {
    let mut faults = Vec::new();
    for window in tokens.windows(3) {
        let [before, word, after] = window else { continue };
        let method =
            before.text == "." && matches!(word.text.as_str(), "unwrap" | "expect" | "unwrap_err" | "expect_err");
        let call = matches!(word.text.as_str(), "panic" | "todo" | "unimplemented" | "dbg") && after.text == "!";
        if (method && after.text == "(") || call {
            faults.push(format!(
                "{path}:{}: {} outside of tests; return an error that says what to do",
                word.line, word.text
            ));
        }
    }
    faults
}

#[test]
fn nothing_unwraps_or_panics_outside_of_tests() {
    let program = tree::program();
    let found: Vec<_> =
        program.iter().map(|(file, code)| (file.path.as_str(), faults(&file.path, &code.tokens))).collect();
    let excepted = |path: &str| EXCEPTIONS.iter().any(|(exception, _)| *exception == path);
    assert_none(
        &found.iter().filter(|(path, _)| !excepted(path)).flat_map(|(_, faults)| faults.clone()).collect::<Vec<_>>(),
    );
    for (exception, _) in EXCEPTIONS {
        let needed = found.iter().any(|(path, faults)| path == exception && !faults.is_empty());
        assert!(needed, "{exception} needs no exception any more; take it off the list");
    }
}

#[test]
fn every_way_to_give_up_is_found() {
    let check = |source: &str| faults("src/x.rs", &code(source).tokens).len();
    for bad in
        ["fn f() { x.unwrap(); }", "fn f() { x\n  .expect(\"y\"); }", "fn f() { panic!(); }", "fn f() { todo!() }"]
    {
        assert_eq!(check(bad), 1, "{bad}");
    }
    let good = "#[expect(x)] fn f() { x.unwrap_or(0); catch(panic); \"panic!\" } #[test] fn g() { x.unwrap(); }";
    assert_eq!(check(good), 0);
}
