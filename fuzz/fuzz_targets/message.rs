//! Any octets as a message: nothing panics, offsets nest, the stored form is read back, and edits of
//! the header leave the body alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_message::parse::field::header_end;
use waxwing_message::parse::{Body, Message, PartId};
use waxwing_message::{ReversePath, Summary, trace};

fuzz_target!(|raw: &[u8]| {
    let message = Message::parse(raw);
    for (i, part) in message.parts.iter().enumerate() {
        assert!(part.header.start <= part.header.end && part.header.end == part.body.start);
        assert!(part.body.start <= part.body.end && part.body.end <= raw.len());
        if let Some(parent) = part.parent {
            let body = &message.part(parent).body;
            assert!(body.start <= part.header.start && part.body.end <= body.end);
        }
        if let Body::Message(root) = part.content {
            assert_eq!(root, PartId(i as u32 + 1));
        }
        let _ = (message.text(PartId(i as u32)), part.params(), part.file_name());
    }
    let summary = Summary::of(&message);
    assert_eq!(Summary::decode(&summary.encode()).as_ref(), Some(&summary));
    assert!(message.searchable_text(4096).len() <= 4096);
    Summary::decode(raw);
    let edited = trace::for_delivery(raw, &ReversePath::Null, b"").concat(raw);
    assert_eq!(&edited[header_end(&edited)..], &raw[header_end(raw)..]);
});
