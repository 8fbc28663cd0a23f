//! IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051) on the store.
//!
//! [`serve`] drives one connection: the caller brings the stream (and the TLS handshake), the
//! store, and [`Settings`].
//!
//! | room | what is in it |
//! |---|---|
//! | [`wire`] | the grammar both ways, pure |
//! | `commands` | one file per command |
//! | `access` | whose mailbox a name means, and who may do what in it |
//! | `session` | states and the main loop |
//! | `selected` | what a client has been told of its mailbox: sequence numbers |
//! | `news` | telling the client what changed, when that is allowed |
//! | `connection` | buffers, deadlines, back-pressure |
//! | `deflate` | COMPRESS, without I/O |
//! | `name` | mailbox names between the wire and the store |
//! | `pattern` | which names a LIST pattern means |
//! | `threading` | messages as trees of replies, pure |
//! | `progress` | what long work says meanwhile |
//! | `limit` | how many messages one command may be about |
//! | `reply` | tagged responses and how errors become them |
//!
//! A further extension has its place: a file in `commands`, a grammar in `wire`, a word in
//! `commands/capability.rs`. `docs/rfc.md` says what holds of each specification.

mod access;
mod commands;
mod connection;
mod deflate;
mod limit;
mod name;
mod news;
mod pattern;
mod progress;
mod reply;
mod selected;
mod session;
mod settings;
mod threading;
pub mod wire;

pub use limit::LEAST as LEAST_MESSAGE_LIMIT;
pub use session::{Ended, Session, serve};
pub use settings::{Settings, TlsFacts};

/// Entry points for fuzzing.
#[doc(hidden)]
pub mod fuzzing {
    use std::hash::{BuildHasher as _, RandomState};

    use waxwing_message::keys::{collate, ids, subject};

    use crate::deflate::Deflate;
    use crate::threading::{self, Item};
    use crate::wire::frame::{Frame, Framer};
    use crate::wire::out::Out;
    use crate::wire::{parse, parse_append, threads, url, utf7};

    /// A connection's octets: framed, every literal accepted, every command parsed.
    pub fn fuzz_parse(data: &[u8]) {
        let mut rest = data;
        'commands: loop {
            let mut framer = Framer::default();
            loop {
                match framer.advance(rest) {
                    Frame::Incomplete => break 'commands,
                    Frame::Literal(mark) => {
                        let _ = parse_append::append_head(&rest[..mark.data_at]);
                        framer.accept_literal();
                    }
                    Frame::Complete { text, next } => {
                        let _ = parse::parse(&rest[..text]);
                        rest = &rest[next..];
                        continue 'commands;
                    }
                }
            }
        }
        let _ = utf7::decode(data);
        let _ = parse_append::after_message(data, data.first() == Some(&b')'));
        let _ = parse_append::more_pieces(data);
        let _ = url::message_url(data);
    }

    /// What threading makes of header fields: ids, subjects, and a mailbox whose messages are the
    /// lines, each with its ids and its subject.
    pub fn fuzz_threads(data: &[u8]) {
        let state = RandomState::new();
        let lines = data.split(|&b| b == b'\n');
        let ids = lines.clone().map(|line| ids::all(line).map(|id| state.hash_one(id)).collect());
        let ids: Vec<Vec<u64>> = ids.collect();
        let mut items = Vec::new();
        for (line, ids) in lines.zip(&ids) {
            let text = subject::collapsed(&String::from_utf8_lossy(line));
            let base = subject::base_subject(&text);
            let key = collate::key(base.text);
            items.push(Item {
                message_id: ids.last().copied(),
                references: &ids[..ids.len().saturating_sub(1)],
                subject: if key.is_empty() { 0 } else { state.hash_one(key) as u32 },
                is_reply: base.is_reply,
                ..Item::default()
            });
        }
        let mut out = Out::default();
        threads::write(&mut out, &threading::by_references(&items));
        threads::write(&mut out, &threading::by_subject(&items));
        let told = out.waiting().iter().filter(|b| b.is_ascii_digit()).count();
        assert_eq!(told, 2 * items.len(), "each message has one place");
    }

    /// What a client sends after COMPRESS.
    pub fn fuzz_inflate(data: &[u8]) {
        let mut deflate = Deflate::new(data.to_vec());
        let mut input = Vec::new();
        while deflate.unpack(&mut input, 4096).is_ok_and(|given| given > 0) {
            assert!(input.len() <= 4096);
            input.clear();
        }
    }
}
