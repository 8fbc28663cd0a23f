//! Any octets as a script, which is run on the octets after it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_filter::sieve::{self, Capabilities, Context, Nowhere, reformat};
use waxwing_message::{Address, Message, ReversePath};

fuzz_target!(|data: &[u8]| {
    let split = data.iter().position(|&b| b == 0).unwrap_or(data.len());
    let (source, raw) = data.split_at(split);
    if let Ok(once) = reformat(source) {
        assert_eq!(reformat(once.as_bytes()).as_ref(), Ok(&once));
    }
    let Ok(script) = sieve::compile(source, &Capabilities::default()) else { return };
    let message = Message::parse(raw);
    let address = |text: &str| Address::parse(text).expect("an address");
    let from = ReversePath::Address(address("a@example.net"));
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut context = Context::new(&message, from, address("me@example.com"), now);
    context.limits.steps = 10_000;
    let outcome = sieve::run(&script, &context, &Nowhere);
    assert!(!outcome.actions.is_empty() || outcome.keep.is_some());
    for version in &outcome.versions {
        Message::parse(&version.concat(raw, message.root().body.start));
    }
});
