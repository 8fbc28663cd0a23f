//! Any octets as a message: cut into bounded tokens, each once, the same every time; and its From
//! field examined.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use waxwing_filter::spam::absurd::{FromFacts, examine_from, only_author};
use waxwing_filter::spam::evidence::traces_of_forwarding;
use waxwing_filter::spam::tokens::{MAX_TOKEN_CHARS, MAX_TOKENS, tokens};
use waxwing_message::Message;

fuzz_target!(|raw: &[u8]| {
    let message = Message::parse(raw);
    let cut = tokens(&message);
    assert!(cut.len() <= MAX_TOKENS);
    let keys: HashSet<[u8; 8]> = cut.iter().map(|token| token.key).collect();
    assert_eq!(keys.len(), cut.len());
    for token in &cut {
        assert!((1..=MAX_TOKEN_CHARS).contains(&token.text.chars().count()));
    }
    assert_eq!(cut, tokens(&message));
    let own_domains = ["example.org".to_owned()];
    let people = [("Jane Doe".to_owned(), "jane@example.org".to_owned())];
    let facts = FromFacts { own_domains: &own_domains, local_names: &people, contacts: &people, authenticated: false };
    for finding in examine_from(&message, &facts) {
        assert!(!finding.reason.is_empty() && !finding.reason.contains(['\r', '\n']));
    }
    only_author(&message);
    traces_of_forwarding(&message);
});
