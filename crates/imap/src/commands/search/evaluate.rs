//! Whether a message fits a search, with what is known of it so far: yes, no, or not decided yet
//! (Kleene's three values: what is not known does not matter where the rest decides).

use waxwing_message::Summary;
use waxwing_message::parse::field::fields;
use waxwing_message::parse::words::decode_text;
use waxwing_message::summary::{Overview, OverviewAddress};
use waxwing_store::{SystemFlags, Uid};

use crate::selected::row::Row;
use crate::selected::{Picked, View};
use crate::wire::date::header_day;
use crate::wire::parse_search::When;

/// A search that is ready to be asked of messages.
#[derive(Debug)]
pub enum Test {
    Always(bool),
    Flag(SystemFlags),
    Keyword(String),
    /// A field that has this text, in lower case.
    Header(Field, String),
    /// Sorted.
    OneOf(Vec<Uid>),
    Places(Picked),
    /// Days since 1970.
    Received(When, i64),
    Sent(When, i64),
    /// Seconds since 1970.
    ReceivedAfter(i64),
    Larger(u64),
    Smaller(u64),
    ModSeq(u64),
    Not(Box<Test>),
    Or(Box<Test>, Box<Test>),
    And(Vec<Test>),
}

/// A header field to look in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    Subject,
    From,
    Sender,
    ReplyTo,
    To,
    Cc,
    Bcc,
    MessageId,
    InReplyTo,
    References,
    /// One that summaries do not have.
    Other(Vec<u8>),
}

/// A message and what is known of it.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    pub view: &'a View,
    pub place: u32,
    pub row: &'a Row,
    pub summary: Option<&'a Summary>,
    pub header: Option<&'a [u8]>,
}

impl Field {
    /// By its name, in any case.
    pub fn named(name: &[u8]) -> Field {
        match name.to_ascii_lowercase().as_slice() {
            b"subject" => Field::Subject,
            b"from" => Field::From,
            b"sender" => Field::Sender,
            b"reply-to" => Field::ReplyTo,
            b"to" => Field::To,
            b"cc" => Field::Cc,
            b"bcc" => Field::Bcc,
            b"message-id" => Field::MessageId,
            b"in-reply-to" => Field::InReplyTo,
            b"references" => Field::References,
            _ => Field::Other(name.to_vec()),
        }
    }
}

/// Text for comparing without regard to case.
pub fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// The verdict, or `None` while more must be known.
pub fn decide(test: &Test, message: &Candidate<'_>) -> Option<bool> {
    let row = message.row;
    Some(match test {
        Test::Always(verdict) => *verdict,
        Test::Flag(flag) => row.system().contains(*flag),
        Test::Keyword(wanted) => {
            message.view.keywords().of(row).iter().any(|k| k.eq_ignore_ascii_case(wanted))
        }
        Test::OneOf(uids) => uids.binary_search(&row.uid()).is_ok(),
        Test::Places(places) => places.contains(message.place),
        Test::Received(when, day) => on(*when, row.received_secs().div_euclid(86_400), *day),
        Test::ReceivedAfter(secs) => row.received_secs() >= *secs,
        Test::Larger(octets) => row.size_octets() > *octets,
        Test::Smaller(octets) => row.size_octets() < *octets,
        Test::ModSeq(modseq) => row.modseq().0 >= *modseq,
        Test::Sent(when, day) => {
            sent_day(&message.summary?.overview).is_some_and(|sent| on(*when, sent, *day))
        }
        Test::Header(Field::Other(name), text) => other_has(message.header?, name, text),
        Test::Header(field, text) => overview_has(&message.summary?.overview, field, text),
        Test::Not(test) => !decide(test, message)?,
        Test::Or(a, b) => match (decide(a, message), decide(b, message)) {
            (Some(true), _) | (_, Some(true)) => true,
            (Some(false), Some(false)) => false,
            _ => return None,
        },
        Test::And(tests) => {
            let mut open = false;
            for test in tests {
                match decide(test, message) {
                    Some(true) => {}
                    Some(false) => return Some(false),
                    None => open = true,
                }
            }
            return (!open).then_some(true);
        }
    })
}

fn on(when: When, day: i64, wanted: i64) -> bool {
    match when {
        When::Before => day < wanted,
        When::On => day == wanted,
        When::Since => day >= wanted,
    }
}

/// As it is written, without regard to time and zone (RFC 9051 §6.4.4).
fn sent_day(overview: &Overview) -> Option<i64> {
    let written = overview.date.as_deref().and_then(header_day);
    written.or(overview.date_epoch_secs.map(|secs| secs.div_euclid(86_400)))
}

fn overview_has(overview: &Overview, field: &Field, text: &str) -> bool {
    let raw = match field {
        Field::Subject => &overview.subject,
        Field::MessageId => &overview.message_id,
        Field::InReplyTo => &overview.in_reply_to,
        Field::References => &overview.references,
        Field::From => return addresses_have(&overview.from, text),
        Field::Sender => return addresses_have(&overview.sender, text),
        Field::ReplyTo => return addresses_have(&overview.reply_to, text),
        Field::To => return addresses_have(&overview.to, text),
        Field::Cc => return addresses_have(&overview.cc, text),
        Field::Bcc => return addresses_have(&overview.bcc, text),
        Field::Other(_) => &None,
    };
    raw.as_deref().is_some_and(|raw| has(raw, text))
}

/// Encoded words are decoded first (RFC 9051 §6.4.4: strings are compared in UTF-8).
fn has(raw: &[u8], text: &str) -> bool {
    fold(&decode_text(raw)).contains(text)
}

/// In the list as it would be written out.
fn addresses_have(list: &[OverviewAddress], text: &str) -> bool {
    if list.is_empty() {
        return false;
    }
    let mut written = String::new();
    for item in list {
        match item {
            OverviewAddress::Mailbox { name, local_part, domain } => {
                if let Some(name) = name {
                    written.push_str(&decode_text(name));
                    written.push(' ');
                }
                written.push('<');
                written.push_str(&String::from_utf8_lossy(local_part));
                written.push('@');
                written.push_str(&String::from_utf8_lossy(domain));
                written.push_str(">, ");
            }
            OverviewAddress::GroupStart { name } => {
                written.push_str(&decode_text(name));
                written.push_str(": ");
            }
            OverviewAddress::GroupEnd => written.push_str("; "),
        }
    }
    fold(&written).contains(text)
}

fn other_has(header: &[u8], name: &[u8], text: &str) -> bool {
    fields(header)
        .filter(|field| field.name.eq_ignore_ascii_case(name))
        .any(|field| has(field.value, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use waxwing_store::{Entry, Flags, MessageId, ModSeq};

    fn view() -> View {
        let entry = Entry {
            uid: Uid(7),
            message: MessageId(1),
            modseq: ModSeq(5),
            flags: Flags { system: SystemFlags::SEEN, keywords: Some(["$Junk".into()].into()) },
            size_octets: 100,
            received_at: Timestamp::from_second(86_400 * 10 + 5).unwrap(),
            saved_at: Timestamp::UNIX_EPOCH,
        };
        View::new(&[entry], ModSeq(5))
    }

    fn summary() -> Summary {
        Summary {
            overview: Overview {
                subject: Some(b"=?utf-8?q?Gr=C3=BC=C3=9Fe?= aus Wien".to_vec()),
                from: vec![OverviewAddress::Mailbox {
                    name: Some(b"Bob".to_vec()),
                    local_part: b"bob".to_vec(),
                    domain: b"Example.org".to_vec(),
                }],
                date: Some(b"Thu, 1 Jan 1970 23:00:00 -0800".to_vec()),
                ..Overview::default()
            },
            parts: Vec::new(),
            preview: String::new(),
            has_attachment: false,
        }
    }

    fn header(field: &str, text: &str) -> Test {
        Test::Header(Field::named(field.as_bytes()), fold(text))
    }

    #[test]
    fn as_little_as_decides() {
        let (view, summary) = (view(), summary());
        let row = &view.rows()[0];
        let bare = Candidate { view: &view, place: 0, row, summary: None, header: None };
        let known = Candidate { summary: Some(&summary), ..bare };
        let full = Candidate { header: Some(b"X-A: b C\r\n\r\n"), ..known };
        let seen = || Test::Flag(SystemFlags::SEEN);
        assert_eq!(decide(&seen(), &bare), Some(true));
        assert_eq!(decide(&header("subject", "GRÜSSE"), &bare), None);
        assert_eq!(decide(&header("subject", "Grüße AUS"), &known), Some(true));
        assert_eq!(decide(&header("FROM", "bob <bob@example.ORG>"), &known), Some(true));
        assert_eq!(decide(&header("to", ""), &known), Some(false));
        assert_eq!(decide(&header("from", ""), &known), Some(true));
        assert_eq!(decide(&header("x-a", "B c"), &known), None);
        assert_eq!(decide(&header("x-a", "B c"), &full), Some(true));
        assert_eq!(decide(&header("x-b", ""), &full), Some(false));
        let either = Test::Or(Box::new(header("x-a", "")), Box::new(seen()));
        assert_eq!(decide(&either, &bare), Some(true));
        let both = Test::And(vec![header("x-a", ""), Test::Not(Box::new(seen()))]);
        assert_eq!(decide(&both, &bare), Some(false));
        let open = Test::And(vec![header("x-a", ""), seen()]);
        assert_eq!(decide(&open, &bare), None);
        assert_eq!(decide(&Test::Not(Box::new(open)), &full), Some(false));
    }

    #[test]
    fn rows() {
        let view = view();
        let row = &view.rows()[0];
        let summary = summary();
        let message =
            Candidate { view: &view, place: 0, row, summary: Some(&summary), header: None };
        for (test, fits) in [
            (Test::Keyword("$JUNK".into()), true),
            (Test::Keyword("Junk".into()), false),
            (Test::Larger(99), true),
            (Test::Larger(100), false),
            (Test::Smaller(100), false),
            (Test::Smaller(101), true),
            (Test::Received(When::On, 10), true),
            (Test::Received(When::Before, 10), false),
            (Test::Received(When::Since, 10), true),
            (Test::Received(When::Since, 11), false),
            (Test::Sent(When::On, 0), true), // the day as it is written, not in UTC
            (Test::ModSeq(5), true),
            (Test::ModSeq(6), false),
            (Test::OneOf(vec![Uid(3), Uid(7)]), true),
            (Test::OneOf(vec![]), false),
        ] {
            assert_eq!(decide(&test, &message), Some(fits), "{test:?}");
        }
    }
}
