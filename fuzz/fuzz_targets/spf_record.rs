//! Any octets as an SPF record and as an explanation: read, and every macro string expanded.
#![no_main]

use waxwing_mailauth::spf::macros::{Values, expand_domain, expand_explanation};
use waxwing_mailauth::spf::{Mechanism, Record};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let values = Values {
        ip: std::net::Ipv6Addr::LOCALHOST.into(),
        local_part: "strong-bad",
        sender_domain: "email.example.com",
        domain: "email.example.com",
        helo: "mx.example.org",
        client_name: "unknown",
        receiver: "mail.example.net",
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(explanation) = expand_explanation(text, &values) {
            assert!(explanation.bytes().all(|b| (b' '..=b'~').contains(&b)));
        }
    }
    let Ok(record) = Record::parse_octets(data) else { return };
    for term in &record.terms {
        assert!(record.text.contains(term.text));
        let spec = match term.mechanism {
            Mechanism::Include(spec) | Mechanism::Exists(spec) => spec,
            Mechanism::A(Some(spec), _) | Mechanism::Mx(Some(spec), _) => spec,
            Mechanism::Ptr(Some(spec)) => spec,
            _ => continue,
        };
        if let Some(name) = expand_domain(spec.as_str(), &values) {
            assert!(name.len() <= 253);
        }
    }
});
