//! Any address forwarded and taken back, and any local part as an SRS address of ours.
#![no_main]

use jiff::Timestamp;
use waxwing_mailauth::srs::Srs;
use waxwing_message::{Address, ReversePath};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let srs = Srs::new([7; 32], "fwd.example".to_owned());
    let now = Timestamp::UNIX_EPOCH;
    if let Ok(address) = Address::new(text, "fwd.example") {
        let _ = srs.reverse(&address, now);
    }
    let Ok(address) = Address::parse(text) else { return };
    let path = ReversePath::Address(address);
    let forwarded = srs.forward(&path, now);
    // A bounce to an SRS1 path goes back past the forwarder that wrote it.
    let srs1 = path.to_string().trim_start_matches('"').to_ascii_lowercase().starts_with("srs1");
    if forwarded != path && !srs1 {
        let forwarded = forwarded.address().expect("no path becomes null");
        let back = srs.reverse(forwarded, now).expect("it is ours").expect("it is SRS");
        assert!(back.to_string().to_ascii_lowercase() == path.to_string().to_ascii_lowercase());
    }
});
