//! Texts that try to cost more than they weigh, or to be read in two ways.

use super::*;
use std::time::Instant;

/// Refused, quickly, and with messages that stay small. The time is generous: it is to tell bounded from unbounded.
fn refused(text: &str) -> Vec<Fault> {
    let start = Instant::now();
    let faults = Document::parse(text).expect_err("a hostile text was accepted");
    assert!(start.elapsed() < Duration::from_secs(20), "took {:?}", start.elapsed());
    assert!((1..=101).contains(&faults.len()), "{} faults", faults.len());
    assert!(faults.iter().all(|fault| fault.to_string().len() < 2000), "{faults:?}");
    faults
}

/// `code` in `rawcode` of a document that is right otherwise, in flow style.
fn around(custom_data: &str) -> String {
    format!(
        r#"{{"stages": [{{"algorithm": {{"algocustomdata": {custom_data}, "container": {{"image": "a", "entrypoint": "b"}}}}}}]}}"#
    )
}

#[test]
fn the_frame_itself_is_accepted() {
    assert!(Document::parse(&around("[1]")).is_ok());
}

#[test]
fn nothing_at_all_is_refused() {
    for text in
        ["", " \n\t", "\u{feff}", "null", "~", "[]", "{}", "5", "\"text\"", "true", "---", "--- \n...", "# only"]
    {
        refused(text);
    }
}

#[test]
fn a_byte_order_mark_is_no_obstacle() {
    assert!(Document::parse(&format!("\u{feff}{}", around("1"))).is_ok());
}

#[test]
fn a_hundred_thousand_levels_are_given_up_at_the_limit() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{a: ", "}]"), ("- ", ""), ("? ", ""), ("!!seq [", "]")] {
        for nested in [open.repeat(100_000), format!("{}1{}", open.repeat(100_000), close.repeat(100_000))] {
            refused(&nested);
            refused(&around(&nested));
        }
    }
    let indented: String = (0..1300).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    refused(&indented);
    let faults = refused(&around(&format!("{}{}", "[".repeat(90), "]".repeat(90))));
    assert!(faults[0].message.contains("64 levels"), "{faults:?}");
}

#[test]
fn sixty_levels_are_no_problem() {
    assert!(Document::parse(&around(&format!("{}{}", "[".repeat(60), "]".repeat(60)))).is_ok());
}

#[test]
fn half_a_million_values_are_given_up_at_the_limit() {
    for many in [
        format!("[{}0]", "0,".repeat(500_000)),
        format!("[{}0]", "0 ,\n".repeat(200_000)),
        format!("[{}[]]", "[],".repeat(300_000)),
    ] {
        let faults = refused(&around(&many));
        assert!(faults[0].message.contains("50000 values"), "{faults:?}");
        assert!(faults[0].is_in_algorithm());
    }
    refused(&"- a\n".repeat(200_000));
    refused(&"a: b\n".repeat(200_000));
}

#[test]
fn a_text_beyond_the_limit_is_not_even_parsed() {
    let faults = refused(&around(&format!("\"{}\"", "x".repeat(Document::MAX_BYTES))));
    assert!(faults[0].message.contains("1048576"), "{faults:?}");
}

#[test]
fn a_key_that_stands_twice_is_a_fault_in_json_and_in_yaml() {
    let json = around("1").replace("\"image\": \"a\"", "\"image\": \"a\", \"image\": \"b\"");
    let yaml = "stages:\n- algorithm:\n    container:\n      image: a\n      entrypoint: b\n      image: b\n";
    for text in [json.as_str(), yaml, &json.replace("\"image\": \"b\"", "\"im\\u0061ge\": \"b\"")] {
        let faults = refused(text);
        assert_eq!(faults[0].path, "stages[0].algorithm.container.image", "{text}");
        assert!(faults[0].message.contains("more than once"));
    }
    let many = format!("{{{}\"a\": 1}}", "\"a\": 1,".repeat(40_000));
    assert_eq!(refused(&many).len(), 101, "a hundred, and how many more");
}

#[test]
fn alias_bombs_are_refused() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    refused(&laughs);
    // Few aliases of one long text.
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 900].join(", "));
    let faults = refused(&long);
    assert!(faults[0].message.contains("bytes of text"), "{faults:?}");
    // Many short ones, a loop, a stranger, and a merge.
    refused(&format!("a: &a x\nb: [{}]\n", vec!["*a"; 5000].join(", ")));
    refused("stages: &s [*s]");
    refused("stages: *nobody");
    refused(&format!("x: &x {{secret: s}}\n<<: *x\nstages: {}", "[]"));
    let nested: String = (0..60).map(|i| format!("[&a{i} ")).collect();
    refused(&format!("stages: {nested}{}", "]".repeat(60)));
}

#[test]
fn an_alias_that_is_no_bomb_is_accepted() {
    let text = "x: &c {image: a, entrypoint: b}\nstages: [{algorithm: {container: *c}}]";
    let document = Document::parse(text).unwrap();
    assert_eq!((document.algorithm.container.image.as_str(), document.ignored), ("a", vec!["x".to_owned()]));
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    for number in [".nan", ".inf", "-.inf", "1e999", "-1e999", &format!("1{}", "0".repeat(400))] {
        refused(&around(number));
        refused(&format!(
            "stages: [{{algorithm: {{algocustomdata: {number}, container: {{image: a, entrypoint: b}}}}}}]"
        ));
    }
    for maxtime in ["NaN", "Infinity", ".inf", "1e999", "\"-0\"", "\" \""] {
        refused(
            &around("1").replace("\"algorithm\"", &format!("\"compute\": {{\"maxtime\": {maxtime}}}, \"algorithm\"")),
        );
    }
}

#[test]
fn big_integers_become_the_nearest_double_as_in_the_old_engine() {
    let document = Document::parse(&around("123456789012345678901234567890")).unwrap();
    assert_eq!(document.algorithm.custom_data, Some(json!(1.2345678901234568e29)));
}

#[test]
fn broken_and_odd_unicode_is_refused_or_kept_as_it_is() {
    refused(&around(r#""\ud800""#));
    refused(&around("\"a\nb").replace("]}", ""));
    refused(&around("1").replace("\"a\"", "\"a\u{202e}\""));
    refused(&around("1").replace("\"a\"", "\"\u{430}\""));
    let odd = "\u{0}\u{fffe}\u{202e}\u{1f427}e\u{301}";
    let document = Document::parse(&around(&json!(odd).to_string())).unwrap();
    assert_eq!(document.algorithm.custom_data, Some(json!(odd)));
}

#[test]
fn two_documents_in_one_text_are_refused() {
    let one = around("1");
    refused(&format!("{one}{one}"));
    refused(&format!("{one}\n---\n{one}"));
    refused(&format!("{one} trailing"));
}

#[test]
fn tags_of_applications_are_refused() {
    refused(&around("!python/object:os.system x"));
    refused(&around("!include /etc/passwd"));
}

#[test]
fn a_fault_never_repeats_what_could_be_a_secret() {
    let text = around("1").replace("\"b\"", "\"b\", \"checksum\": \"sha256:hunter2\", \"tag\": \"hunter2 \"");
    let text = text
        .replace("\"container\"", "\"url\": \"hunter2://u:hunter2@h/?hunter2\", \"id\": \"hunter2/\", \"container\"");
    let faults = refused(&text);
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(!format!("{faults:?}").contains("hunter2"), "{faults:?}");
}

#[test]
fn many_faults_are_counted_and_not_listed() {
    let input = vec!["{}"; 1000].join(",");
    let text = around("1").replace("\"algorithm\"", &format!("\"input\": [{input}], \"algorithm\""));
    let faults = refused(&text);
    assert_eq!(faults.last().unwrap().message, "and 1900 more faults");
    let text = text.replacen("{},", "{},{},", 1);
    assert_eq!(refused(&text)[0].path, "stages[0].input");
}
