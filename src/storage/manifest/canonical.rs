//! One text for one JSON value: what is signed, so that whoever reads the value can build the same bytes (RFC 8785).
//!
//! Members in the order of their names (by UTF-16 code units), no white space, texts with the fewest escapes, integers in
//! decimal. Numbers that JSON's readers do not agree on, fractions and integers beyond 2^53, have no such text here: nothing
//! that we write has any.

use serde_json::{Map, Number, Value};

/// The largest integer that every reader of JSON knows exactly (RFC 8259, 6).
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// The value's text; none if there is a number in it that has none.
pub fn text(value: &Value) -> Option<String> {
    let mut out = String::new();
    write(value, &mut out).then_some(out)
}

fn write(value: &Value, out: &mut String) -> bool {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => return write_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                if !write(item, out) {
                    return false;
                }
            }
            out.push(']');
        }
        Value::Object(members) => return write_object(members, out),
    }
    true
}

fn write_object(members: &Map<String, Value>, out: &mut String) -> bool {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push('{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        if !write(value, out) {
            return false;
        }
    }
    out.push('}');
    true
}

fn write_number(number: &Number, out: &mut String) -> bool {
    let known = number.as_i64().is_some_and(|number| number.unsigned_abs() <= MAX_INTEGER);
    if known {
        out.push_str(&number.to_string());
    }
    known
}

/// serde_json escapes exactly what RFC 8785 (3.2.2.2) wants escaped, in the same way.
fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(json: &str) -> Option<String> {
        text(&serde_json::from_str(json).unwrap())
    }

    /// The members of RFC 8785, 3.2.3, and its escapes of 3.2.2.2.
    #[test]
    fn members_and_texts_are_as_the_standard_has_them() {
        let members = r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
        assert_eq!(
            of(members).unwrap(),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
        let text = "\"\\u20ac$\\u000F\\nA'\\u0042\\u0022\\u005c\\\\\\\"\\/\"";
        assert_eq!(of(text).unwrap(), "\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"");
        assert_eq!(of(" [ null , true,false, {} , [] ] ").unwrap(), "[null,true,false,{},[]]");
    }

    #[test]
    fn only_numbers_that_all_readers_agree_on_have_a_text() {
        assert_eq!(text(&json!([0, -5, 9_007_199_254_740_991_u64])).unwrap(), "[0,-5,9007199254740991]");
        for other in ["1.0", "1e3", "9007199254740992", "-9007199254740992", "18446744073709551615", "0.5", "-0.0"] {
            assert_eq!(of(other), None, "{other}");
            assert_eq!(of(&format!("{{\"a\":[{other}]}}")), None, "{other}");
        }
    }
}
