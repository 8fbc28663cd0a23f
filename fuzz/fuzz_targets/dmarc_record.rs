//! Any octets as a DMARC record. What is read once is read the same again.
#![no_main]

use waxwing_mailauth::dmarc::Record;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(record) = Record::parse_octets(data) {
        assert!(record.pct <= 100);
        assert_eq!(Record::parse(&record.text).as_ref(), Ok(&record));
    }
    let with_version = [b"v=DMARC1;", data].concat();
    assert!(Record::parse_octets(&with_version).is_ok());
});
