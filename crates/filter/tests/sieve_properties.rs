//! What holds of every script: nothing panics, writing out what was read changes nothing, and no script
//! runs on.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use waxwing_filter::sieve::{
    self, Capabilities, Context, MAX_SCRIPT_OCTETS, Nowhere, Outcome, reformat,
};
use waxwing_message::{Address, Message, ReversePath};

const REQUIRE: &str = "require [\"fileinto\", \"variables\", \"regex\", \"body\", \"foreverypart\", \"mime\", \
                       \"extracttext\", \"editheader\", \"enclose\", \"replace\", \"imap4flags\", \
                       \"include\", \"relational\", \"copy\"];\n";

fn run_on(script: &str, raw: &[u8]) -> Outcome {
    let script = sieve::compile(script, &Capabilities::default()).unwrap();
    let message = Message::parse(raw);
    let from = ReversePath::Address(Address::parse("a@example.net").unwrap());
    let to = Address::parse("me@example.com").unwrap();
    let now = "2026-01-05T10:00:00Z".parse().unwrap();
    sieve::run(&script, &Context::new(&message, from, to, now), &Nowhere)
}

/// Runs a script that may not take long, in a build without optimisation on a busy machine.
fn bounded(script: &str, raw: &[u8]) -> Outcome {
    let start = Instant::now();
    let outcome = run_on(&format!("{REQUIRE}{script}"), raw);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(60), "took {took:?}");
    outcome
}

fn fails_with(outcome: &Outcome, what: &str) {
    let error = outcome.error.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(error.contains(what), "{error:?} instead of {what}");
    assert!(outcome.actions.is_empty() && outcome.keep.is_some());
}

/// Words that scripts are made of, in any order.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "if",
            "elsif",
            "else",
            "require",
            "keep",
            "discard",
            "stop",
            "fileinto",
            "redirect",
            "set",
            "addflag",
            "vacation",
            "reject",
            "notify",
            "include",
            "foreverypart",
            "break",
            "replace",
            "enclose",
            "addheader",
            "deleteheader",
            "header",
            "address",
            "exists",
            "size",
            "allof",
            "anyof",
            "not",
            "true",
            "false",
            "body",
            "date",
            "string",
            "ihave",
            "{",
            "}",
            "(",
            ")",
            "[",
            "]",
            ",",
            ";",
            ":is",
            ":contains",
            ":matches",
            ":regex",
            ":comparator",
            ":over",
            ":copy",
            ":index",
            ":mime",
            "100K",
            "1",
            "# c\n",
            "/* c */",
            "text:\nx\n..y\n.\n",
            "\"fileinto\"",
            "\"variables\"",
            "\"${a}\"",
            "\"*\"",
            "\"Subject\"",
            "\"a@example.org\"",
            "\"mailto:a@example.org\"",
        ])
        .prop_map(str::to_owned),
        "[ -~é\\n]{0,6}",
        "\"[a-z*?$\\\\{}.]{0,8}\"",
    ]
}

/// Commands that are in order, of all kinds.
fn command(depth: u32) -> BoxedStrategy<String> {
    let text = "[a-zA-Z*?. ${}0-9é-]{0,10}".prop_map(|t| format!("\"{}\"", t.replace('"', "")));
    let leaf = prop_oneof![
        Just("keep;".to_owned()),
        Just("discard;".to_owned()),
        Just("break;".to_owned()),
        text.clone().prop_map(|t| format!("fileinto :copy {t};")),
        text.clone().prop_map(|t| format!("set \"a\" {t};")),
        text.clone().prop_map(|t| format!("set :lower :length \"b\" {t};")),
        text.clone().prop_map(|t| format!("addheader \"X-A\" {t};")),
        text.clone().prop_map(|t| format!("deleteheader :matches \"X-A\" {t};")),
        text.clone().prop_map(|t| format!("replace {t};")),
        text.clone().prop_map(|t| format!("enclose :headers [\"from\"] {t};")),
        text.clone().prop_map(|t| format!("addflag {t};")),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = prop::collection::vec(command(depth - 1), 0..4).prop_map(|c| c.join("\n"));
    let test = prop_oneof![
        text.clone().prop_map(|t| format!("header :matches [\"subject\", \"x-a\"] {t}")),
        text.clone().prop_map(|t| format!("header :mime :anychild :contains \"content-type\" {t}")),
        text.clone().prop_map(|t| format!("body :content \"\" :matches {t}")),
        text.prop_map(|t| format!("anyof (string :matches \"${{a}}\" {t}, not size :over 10)")),
    ];
    prop_oneof![
        leaf,
        (test, inner.clone()).prop_map(|(t, b)| format!("if {t} {{ {b} }}")),
        inner.prop_map(|b| format!("foreverypart {{ {b} }}")),
    ]
    .boxed()
}

const MESSAGE: &[u8] = b"Subject: abc\r\nX-A: 1\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npre\r\n\
    --x\r\nContent-Type: text/html\r\n\r\n<p>a\r\n--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n\
    --y\r\n\r\nb\r\n--y--\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nc\r\n--x--\r\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_octets_compile_or_do_not(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = sieve::compile(&octets, &Capabilities::default());
    }

    #[test]
    fn any_words_compile_or_do_not(tokens in prop::collection::vec(token(), 0..40)) {
        let source = tokens.join(" ");
        let _ = sieve::compile(&source, &Capabilities::default());
        if let Ok(once) = reformat(source.as_bytes()) {
            prop_assert_eq!(reformat(once.as_bytes()).unwrap(), once);
        }
    }

    #[test]
    fn any_script_runs(commands in prop::collection::vec(command(3), 0..8)) {
        let script = format!("{REQUIRE}{}", commands.join("\n"));
        if let Ok(script) = sieve::compile(&script, &Capabilities::default()) {
            let message = Message::parse(MESSAGE);
            let to = Address::parse("me@example.com").unwrap();
            let now = "2026-01-05T10:00:00Z".parse().unwrap();
            let context = Context::new(&message, ReversePath::Null, to, now);
            let outcome = sieve::run(&script, &context, &Nowhere);
            // Nothing is ever lost without the script having said so.
            prop_assert!(!outcome.actions.is_empty() || outcome.keep.is_some());
            prop_assert!(outcome.error.is_none() || outcome.actions.is_empty());
        }
    }

    #[test]
    fn patterns_match_what_they_were_made_from(
        pieces in prop::collection::vec("[a-c]{0,3}", 1..5), fill in "[a-c]{0,5}",
    ) {
        let pattern = pieces.join("*");
        let text = pieces.join(&fill);
        let script = format!("{REQUIRE}if not string :matches \"{text}\" \"{pattern}\" {{ discard; }}");
        prop_assert!(run_on(&script, b"A: b\r\n\r\n").actions.is_empty());
    }
}

#[test]
fn deep_nesting_is_a_fault() {
    let deep = |open: &str, count| format!("{REQUIRE}{}", open.repeat(count));
    for script in [deep("if true {", 100_000), deep("if not ", 100_000), deep("if anyof(", 100_000)]
    {
        let fault = &sieve::compile(&script, &Capabilities::default()).unwrap_err().0[0];
        assert!(fault.message.contains("deep"), "{fault}");
    }
    let long = format!("{REQUIRE}# {}", "x".repeat(MAX_SCRIPT_OCTETS));
    let fault = &sieve::compile(&long, &Capabilities::default()).unwrap_err().0[0];
    assert!(fault.message.contains("octets"), "{fault}");
}

#[test]
fn a_megabyte_on_one_line_compiles_soon() {
    let start = Instant::now();
    let script = "keep;".repeat(150_000);
    sieve::compile(&script, &Capabilities::default()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn variables_that_double_meet_a_limit() {
    let mut script = "set \"a\" \"0123456789\";\n".to_owned();
    for _ in 0..40 {
        script.push_str("set \"a\" \"${a}${a}\";\n");
    }
    // Each is cut off at its length, so the script ends.
    let outcome = bounded(&script, MESSAGE);
    assert_eq!(outcome.error, None);
    let mut script = format!("set \"a\" \"{}\";\n", "x".repeat(60_000));
    for i in 0..40 {
        script.push_str(&format!("set \"b{i}\" \"${{a}}\";\n"));
    }
    fails_with(&bounded(&script, MESSAGE), "octets of variables");
    let huge = "${a}".repeat(1000);
    let script = format!("set \"a\" \"{}\"; set \"b\" \"{huge}\";", "x".repeat(60_000));
    fails_with(&bounded(&script, MESSAGE), "octets in one string");
}

#[test]
fn loops_in_loops_meet_a_limit() {
    let mut raw = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n".to_vec();
    for _ in 0..5_000 {
        raw.extend_from_slice(b"--x\r\n\r\na\r\n");
    }
    let script = "foreverypart { foreverypart { foreverypart { if header :mime :anychild :matches \
                  \"content-type\" \"*a*\" { keep; } } } }";
    bounded(script, &raw);
    let script = "foreverypart { if header :mime :anychild \"x\" \"y\" { } \
                  if body :matches \"*?????????????????z\" { } }";
    fails_with(&bounded(script, &raw), "steps");
    let five = "foreverypart { ".repeat(5) + &"}".repeat(5);
    bounded(&five, &raw);
}

#[test]
fn patterns_and_expressions_take_linear_time() {
    let raw = [b"Subject: ".as_slice(), &b"a".repeat(200_000), b"\r\n\r\n"].concat();
    let pattern = format!("{}b", "*a".repeat(500));
    bounded(&format!("if header :matches \"subject\" \"{pattern}\" {{ keep; }}"), &raw);
    let pattern = format!("*{}b", "?".repeat(5_000));
    let outcome =
        bounded(&format!("if header :matches \"subject\" \"{pattern}\" {{ keep; }}"), &raw);
    fails_with(&outcome, "steps");
    for expression in ["(a|aa)+$b", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)[0-9]", "a{1,200}b"] {
        let script = format!("if header :regex \"subject\" \"{expression}\" {{ keep; }}");
        // `(a*)*` repeats what is repeated, in a group: allowed, and linear.
        bounded(&script, &raw);
    }
}

#[test]
fn expressions_are_few() {
    let one = "if header :regex \"a\" \"(a{1,99}){1,9}\" { }\n";
    let script = format!("{REQUIRE}{}", one.repeat(20_000));
    let start = Instant::now();
    let fault = &sieve::compile(&script, &Capabilities::default()).unwrap_err().0[0];
    assert!(fault.message.contains("200 regular expressions"), "{fault}");
    assert!(start.elapsed() < Duration::from_secs(60));
    let one = "set \"a\" \"${a}b?\"; if header :regex \"subject\" \"${a}\" { }\n";
    fails_with(&bounded(&one.repeat(1_000), MESSAGE), "steps");
}

#[test]
fn changed_messages_are_bounded() {
    let raw = [b"A: b\r\n\r\n".as_slice(), &b"x".repeat(1 << 20)].concat();
    let script = "enclose \"x\";".repeat(150);
    fails_with(&bounded(&script, &raw), "octets of changed messages");
    let script = "addheader \"a\" \"b\";".repeat(1_000);
    fails_with(&bounded(&script, MESSAGE), "changes of the message");
}
