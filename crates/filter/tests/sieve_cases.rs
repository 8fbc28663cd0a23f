//! Every case in `tests/sieve`: what a script makes of a message.

mod cases;

use waxwing_filter::sieve::{self, Capabilities, Context, Nowhere};
use waxwing_message::{Address, Message, ReversePath};

#[test]
fn scripts_decide_as_their_rfcs_say() {
    let mut failed = Vec::new();
    let all = cases::all("sieve");
    for case in &all {
        let outcome = case.outcome();
        if outcome != case.expect {
            failed.push(format!(
                "{}\n  expected: {}\n  came out: {}",
                case.name,
                case.expect.join("\n            "),
                outcome.join("\n            ")
            ));
        }
    }
    assert!(failed.is_empty(), "{} of {} cases:\n{}", failed.len(), all.len(), failed.join("\n"));
}

#[test]
fn the_trace_tells_what_each_rule_did() {
    let script = "require [\"fileinto\", \"imap4flags\"];\n\
                  if header :contains \"from\" \"nobody\" { discard; }\n\
                  if header :contains \"from\" \"coyote\" {\n\
                  \u{20}   addflag \"\\\\Seen\";\n\
                  \u{20}   fileinto \"Lists\";\n\
                  }\n\
                  stop;\n";
    let case = &cases::all("sieve")[0];
    let script = sieve::compile(script, &Capabilities::default()).unwrap();
    let message = Message::parse(&case.message);
    let to = Address::parse("me@example.com").unwrap();
    let context = Context::new(&message, ReversePath::Null, to, jiff::Timestamp::UNIX_EPOCH);
    let outcome = sieve::run(&script, &context, &Nowhere);
    let trace: Vec<String> = outcome.trace.iter().map(ToString::to_string).collect();
    assert_eq!(
        trace,
        [
            "rule 2 (line 3): the test in line 3 holds",
            "rule 2 (line 4): flags are now (\\Seen)",
            "rule 2 (line 5): fileinto \"Lists\" with flags (\\Seen)",
            "rule 3 (line 7): stop",
        ]
    );
}
