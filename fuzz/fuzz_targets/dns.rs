//! Any octets as a question to the authoritative server, and as the text of a zone.
#![no_main]

use waxwing_dns::answer::{Transport, answer};
use waxwing_dns::{Zone, Zones};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut zones = Zones::default();
    zones.insert(Zone::parse("wax.test", "@ 300 MX 10 mx\nmx 300 A 192.0.2.1\n").expect("a zone"));
    let _ = answer(&zones, data, Transport::Tcp);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Zone::parse("wax.test", text);
    }
});
