//! Base subjects (RFC 5256 §2.1) against cases of another implementation.
//!
//! That one also knows translations of "Re" and "Fwd", which RFC 5256 §7 leaves in place. Its cases
//! are ours where all that it removes are tokens that the RFC has; the others say here that nothing
//! of a translation is removed.

use waxwing_message::keys::subject::{base_subject, collapsed};

/// The outside test data: see CONTRIBUTING. `None`, said aloud, when it is not there.
fn suite(name: &str) -> Option<Vec<(String, String)>> {
    let file = waxwing_suites::find(&format!("mime/fields/{name}"))?;
    let text = std::fs::read(file).expect("a readable suite");
    let cases: Vec<serde_json::Value> = serde_json::from_slice(&text).expect("JSON");
    let text = |case: &serde_json::Value, key: &str| case[key].as_str().expect("text").to_owned();
    Some(cases.iter().map(|case| (text(case, "input"), text(case, "expected"))).collect())
}

/// Whether all words of `subject` that are not in `base`, nor in brackets, are tokens of the RFC.
fn is_ours(subject: &str, base: &str) -> bool {
    let Some(at) = subject.rfind(base) else { return false };
    let around = format!("{} {}", &subject[..at], &subject[at + base.len()..]).to_lowercase();
    let mut depth = 0;
    let outside: String = around
        .replace("[fwd", "fwd [")
        .chars()
        .filter(|&c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            depth <= 0
        })
        .collect();
    let mut words = outside.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.all(|word| ["re", "fw", "fwd"].contains(&word))
}

fn base(subject: &str) -> String {
    base_subject(&collapsed(subject)).text.to_owned()
}

#[test]
fn cases_of_others() {
    let (Some(subjects), Some(trailers)) = (suite("thread_name.json"), suite("trailing_fwd.json"))
    else {
        return;
    };
    let mut ours = 0;
    for (subject, expected) in subjects.into_iter().chain(trailers) {
        // RFC 5256 §2.1 (4): blobs go until only one is left.
        if subject == " [hello] [world] " {
            assert_eq!(base(&subject), "[world]");
        } else if is_ours(&subject, &expected) {
            // White space is spaces and tabs in the RFC, and runs of it become one space; theirs is
            // Unicode's, and stays.
            assert_eq!(base(&subject).trim(), collapsed(&expected), "{subject:?}");
            ours += 1;
        } else {
            // What the RFC has no token for stays, with all that follows it.
            assert!(base(&subject).contains(expected.trim()), "{subject:?}");
        }
    }
    assert!(ours > 50, "only {ours} cases");
}
