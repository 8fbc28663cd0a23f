//! The tests, one file for each group; [`ALL`] is the table that the checker looks in.

use super::check::{Entry, Test};
use waxwing_message::parse::words;

mod body;
mod date;
mod duplicate;
mod envelope;
mod environment;
mod flags;
mod header;
mod ihave;
mod logic;
mod mailbox;
mod notify;
mod select;
mod size;
mod spam;
mod string;

/// Every test.
pub(crate) const ALL: &[Entry<dyn Test>] = &[
    Entry("address", "", header::address),
    Entry("allof", "", logic::allof),
    Entry("anyof", "", logic::anyof),
    Entry("body", "body", body::compile),
    Entry("currentdate", "date", date::currentdate),
    Entry("date", "date", date::date),
    Entry("duplicate", "duplicate", duplicate::compile),
    Entry("envelope", "envelope", envelope::compile),
    Entry("environment", "environment", environment::compile),
    Entry("exists", "", header::exists),
    Entry("false", "", logic::falsehood),
    Entry("hasflag", "imap4flags", flags::compile),
    Entry("header", "", header::header),
    Entry("ihave", "ihave", ihave::compile),
    Entry("mailboxexists", "mailbox", mailbox::mailboxexists),
    Entry("metadata", "mboxmetadata", mailbox::metadata),
    Entry("metadataexists", "mboxmetadata", mailbox::metadataexists),
    Entry("not", "", logic::not),
    Entry("notify_method_capability", "enotify", notify::capability),
    Entry("servermetadata", "servermetadata", mailbox::servermetadata),
    Entry("servermetadataexists", "servermetadata", mailbox::servermetadataexists),
    Entry("size", "", size::compile),
    Entry("spamtest", "spamtest", spam::spamtest),
    Entry("specialuse_exists", "special-use", mailbox::specialuse_exists),
    Entry("string", "variables", string::compile),
    Entry("true", "", logic::truth),
    Entry("valid_notify_method", "enotify", notify::valid),
    Entry("virustest", "virustest", spam::virustest),
];

/// The value of a field as tests see it: unfolded, trimmed, encoded words decoded (RFC 5228 §2.7.2,
/// §5.7). A fold counts as a space, also where a tab begins the next line.
pub(crate) fn header_text(value: &[u8]) -> String {
    if memchr::memchr(b'\n', value).is_none() {
        return words::decode_text(value);
    }
    let mut unfolded = Vec::with_capacity(value.len());
    let mut after_line_end = false;
    for &b in value {
        match b {
            b'\r' | b'\n' => after_line_end = true,
            b'\t' if after_line_end => {
                unfolded.push(b' ');
                after_line_end = false;
            }
            b => {
                unfolded.push(b);
                after_line_end = false;
            }
        }
    }
    words::decode_text(&unfolded)
}
