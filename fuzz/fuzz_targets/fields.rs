//! Any octets as the value of each kind of field, and as each kind of encoded body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_message::Address;
use waxwing_message::dsn::DeliveryStatus;
use waxwing_message::parse::{addresses, charset, content, date, html, transfer, words};

fuzz_target!(|value: &[u8]| {
    let _ = (addresses::parse(value), date::parse(value), words::message_ids(value));
    let _ = (words::decode_text(value), content::media_type(value), content::params(value));
    content::param_octets(value, "boundary");
    DeliveryStatus::parse(value);
    transfer::base64(value);
    transfer::quoted_printable(value);
    transfer::uuencode(value);
    let (label, octets) = value.split_at(value.len().min(8));
    charset::decode(octets, Some(label));
    charset::decode(octets, Some(b"utf-7"));
    let text = String::from_utf8_lossy(value);
    html::to_text(&text, 1000);
    if let Ok(address) = Address::parse(&text) {
        assert_eq!(Address::parse(&address.to_string()).as_ref(), Ok(&address));
        if !address.needs_smtputf8() {
            let items = addresses::parse(format!("<{address}>").as_bytes());
            assert_eq!(items.first().and_then(|item| item.address()), Some(address));
        }
    }
});
