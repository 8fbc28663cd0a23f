//! IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051) on the store.
//!
//! [`serve`] drives one connection: the caller brings the stream (and the TLS handshake), the
//! store, and [`Settings`].
//!
//! | room | what is in it |
//! |---|---|
//! | [`wire`] | the grammar both ways, pure |
//! | `commands` | one file per command |
//! | `session` | states and the main loop |
//! | `selected` | what a client has been told of its mailbox: sequence numbers |
//! | `news` | telling the client what changed, when that is allowed |
//! | `connection` | buffers, deadlines, back-pressure |
//! | `name` | mailbox names between the wire and the store |
//! | `pattern` | which names a LIST pattern means |
//! | `reply` | tagged responses and how errors become them |
//!
//! Not here yet: QRESYNC, SORT, THREAD, NOTIFY, METADATA, ACL, QUOTA, COMPRESS, CATENATE,
//! MULTIAPPEND, OBJECTID. Each has its place: a file in `commands`, a grammar in `wire`, a word in
//! `commands/capability.rs`. `docs/rfc.md` says what holds of each specification.

mod commands;
mod connection;
mod name;
mod news;
mod pattern;
mod reply;
mod selected;
mod session;
mod settings;
pub mod wire;

pub use session::{Ended, Session, serve};
pub use settings::{Settings, TlsFacts};

/// Entry points for fuzzing.
#[doc(hidden)]
pub mod fuzzing {
    use crate::wire::frame::{Frame, Framer};
    use crate::wire::{parse, utf7};

    /// A connection's octets: framed, every literal accepted, every command parsed.
    pub fn fuzz_parse(data: &[u8]) {
        let mut rest = data;
        'commands: loop {
            let mut framer = Framer::default();
            loop {
                match framer.advance(rest) {
                    Frame::Incomplete => break 'commands,
                    Frame::Literal(mark) => {
                        let _ = parse::append_head(&rest[..mark.data_at]);
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
    }
}
