//! Whether a message fits a search, with what is known of it so far: yes, no, or not decided yet
//! (Kleene's three values: what is not known does not matter where the rest decides).

use std::collections::HashMap;

use memchr::memmem;
use waxwing_message::parse::field::fields;
use waxwing_message::summary::Overview;
use waxwing_message::{Summary, keys};
use waxwing_store::{Column, Entry, Having, Line, MessageId, Row, SystemFlags, Uid};

use crate::selected::{Picked, View};
use crate::wire::date::header_day;
use crate::wire::parse_search::When;

/// A search that is ready to be asked of messages.
#[derive(Debug)]
pub enum Test {
    Always(bool),
    Flag(SystemFlags),
    Keyword(String),
    /// One of the search's [`Fields`], by its number, that has this text, in lower case; and which
    /// texts of the gist have it, if that has the field.
    Header(usize, String, Option<Having>),
    /// Sorted.
    OneOf(Vec<Uid>),
    Places(Picked),
    /// Days since 1970.
    Received(When, i64),
    Sent(When, i64),
    /// Days since 1970.
    Saved(When, i64),
    /// `None`: no message has it.
    Message(Option<MessageId>),
    /// Seconds since 1970.
    ReceivedAfter(i64),
    Larger(u64),
    Smaller(u64),
    ModSeq(u64),
    Not(Box<Test>),
    Or(Box<Test>, Box<Test>),
    And(Vec<Test>),
}

impl Test {
    /// Whether that place is in each set of messages that the search is confined to.
    pub fn asks_of(&self, place: u32) -> bool {
        match self {
            Test::Places(picked) => picked.contains(place),
            Test::And(tests) => tests.iter().all(|test| test.asks_of(place)),
            _ => true,
        }
    }
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
    /// One that summaries do not have. In lower case.
    Other(Vec<u8>),
}

/// A message and what is known of it.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    pub view: &'a View,
    pub place: u32,
    pub row: &'a Row,
    pub line: Option<&'a Line>,
    pub entry: Option<&'a Entry>,
    pub summary: Option<&'a Summary>,
    pub texts: Option<&'a Texts>,
}

impl<'a> Candidate<'a> {
    /// Nothing but its row is known.
    pub fn new(view: &'a View, place: u32, row: &'a Row) -> Candidate<'a> {
        Candidate { view, place, row, line: None, entry: None, summary: None, texts: None }
    }
}

/// The fields that a search looks in, each once.
#[derive(Debug, Default)]
pub struct Fields {
    list: Vec<Field>,
    /// The numbers of those that only the header has.
    others: HashMap<Vec<u8>, usize>,
}

impl Fields {
    /// The number of a field.
    pub fn number(&mut self, field: Field) -> usize {
        let known = match &field {
            Field::Other(name) => self.others.get(name).copied(),
            field => self.list.iter().position(|known| known == field),
        };
        known.unwrap_or_else(|| {
            if let Field::Other(name) = &field {
                self.others.insert(name.clone(), self.list.len());
            }
            self.list.push(field);
            self.list.len() - 1
        })
    }
}

/// What a message has in the fields of a search, decoded and in lower case: this is done once for a
/// message, however many keys ask for it. By the number of the field; `None` is not read yet.
#[derive(Debug)]
pub struct Texts(Vec<Option<Vec<String>>>);

impl Texts {
    /// As far as the summary goes.
    pub fn new(fields: &Fields, overview: &Overview) -> Texts {
        Texts(fields.list.iter().map(|field| overview_texts(overview, field)).collect())
    }

    /// The rest.
    pub fn add_header(&mut self, wanted: &Fields, header: &[u8]) {
        for &number in wanted.others.values() {
            self.0[number] = Some(Vec::new());
        }
        for field in fields(header) {
            if let Some(&number) = wanted.others.get(&field.name.to_ascii_lowercase())
                && let Some(texts) = &mut self.0[number]
            {
                texts.push(keys::folded_text(field.value));
            }
        }
    }

    fn have(&self, number: usize, text: &str) -> Option<bool> {
        let texts = self.0.get(number)?.as_ref()?;
        Some(texts.iter().any(|has| memmem::find(has.as_bytes(), text.as_bytes()).is_some()))
    }
}

impl Field {
    /// Where the gist has it.
    pub fn column(&self) -> Option<Column> {
        match self {
            Field::Subject => Some(Column::Subject),
            Field::From => Some(Column::From),
            Field::To => Some(Column::To),
            Field::Cc => Some(Column::Cc),
            _ => None,
        }
    }

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
            name => Field::Other(name.to_vec()),
        }
    }
}

/// The verdict, or `None` while more must be known.
pub fn decide(test: &Test, message: &Candidate<'_>) -> Option<bool> {
    let row = message.row;
    Some(match test {
        Test::Always(verdict) => *verdict,
        Test::Flag(flag) => row.system().contains(*flag),
        Test::Keyword(wanted) => {
            message.view.keywords(row).iter().any(|k| k.eq_ignore_ascii_case(wanted))
        }
        Test::OneOf(uids) => uids.binary_search(&row.uid()).is_ok(),
        Test::Places(places) => places.contains(message.place),
        Test::Received(when, day) => on(*when, row.received_secs().div_euclid(86_400), *day),
        Test::Saved(when, day) => {
            on(*when, message.entry?.saved_at.as_second().div_euclid(86_400), *day)
        }
        Test::Message(id) => *id == Some(message.entry?.message),
        Test::ReceivedAfter(secs) => row.received_secs() >= *secs,
        Test::Larger(octets) => row.size_octets() > *octets,
        Test::Smaller(octets) => row.size_octets() < *octets,
        Test::ModSeq(modseq) => row.modseq().0 >= *modseq,
        Test::Sent(when, day) => {
            sent_day(&message.summary?.overview).is_some_and(|sent| on(*when, sent, *day))
        }
        Test::Header(field, text, having) => match (having, message.line) {
            (Some(having), Some(line)) => having.has(line),
            _ => message.texts?.have(*field, text)?,
        },
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

fn overview_texts(overview: &Overview, field: &Field) -> Option<Vec<String>> {
    let addresses = |list: &[_]| keys::folded_addresses(list).into_iter().collect();
    let raw = match field {
        Field::Subject => &overview.subject,
        Field::MessageId => &overview.message_id,
        Field::InReplyTo => &overview.in_reply_to,
        Field::References => &overview.references,
        Field::From => return Some(addresses(&overview.from)),
        Field::Sender => return Some(addresses(&overview.sender)),
        Field::ReplyTo => return Some(addresses(&overview.reply_to)),
        Field::To => return Some(addresses(&overview.to)),
        Field::Cc => return Some(addresses(&overview.cc)),
        Field::Bcc => return Some(addresses(&overview.bcc)),
        Field::Other(_) => return None,
    };
    // RFC 9051 §6.4.4: encoded words are decoded, and strings compared in UTF-8.
    Some(raw.as_deref().map(keys::folded_text).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use waxwing_message::keys::fold;
    use waxwing_message::summary::OverviewAddress;
    use waxwing_store::{Flags, ModSeq, Roll};

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
        View::new(Roll::new(&[entry], ModSeq(5)).into(), [])
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

    #[test]
    fn as_little_as_decides() {
        let (view, summary) = (view(), summary());
        let row = view.row(0).unwrap();
        let mut wanted = Fields::default();
        let mut header = |field: &str, text: &str| {
            Test::Header(wanted.number(Field::named(field.as_bytes())), fold(text), None)
        };
        let seen = || Test::Flag(SystemFlags::SEEN);
        let subject = header("subject", "GRÜSSE");
        let encoded = header("Subject", "Grüße AUS");
        let from = header("FROM", "bob <bob@example.ORG>");
        let (no_to, any_from) = (header("to", ""), header("from", ""));
        let (a, no_b) = (header("x-a", "B c"), header("x-b", ""));
        let either = Test::Or(Box::new(header("X-A", "")), Box::new(seen()));
        let both = Test::And(vec![header("x-a", ""), Test::Not(Box::new(seen()))]);
        let open = Test::And(vec![header("x-a", ""), seen()]);
        assert_eq!(wanted.list.len(), 5, "each field once: {wanted:?}");

        let some = Texts::new(&wanted, &summary.overview);
        let mut all = Texts::new(&wanted, &summary.overview);
        all.add_header(&wanted, b"X-A: d\r\nx-A: b C\r\n\r\n");
        let bare = Candidate::new(&view, 0, row);
        let known = Candidate { summary: Some(&summary), texts: Some(&some), ..bare };
        let full = Candidate { texts: Some(&all), ..known };
        assert_eq!(decide(&seen(), &bare), Some(true));
        assert_eq!(decide(&subject, &bare), None);
        assert_eq!(decide(&subject, &known), Some(false)); // ß is not ss here
        assert_eq!(decide(&encoded, &known), Some(true));
        assert_eq!(decide(&from, &known), Some(true));
        assert_eq!(decide(&no_to, &known), Some(false));
        assert_eq!(decide(&any_from, &known), Some(true));
        assert_eq!(decide(&a, &known), None);
        assert_eq!(decide(&a, &full), Some(true));
        assert_eq!(decide(&no_b, &full), Some(false));
        assert_eq!(decide(&either, &bare), Some(true));
        assert_eq!(decide(&both, &bare), Some(false));
        assert_eq!(decide(&open, &bare), None);
        assert_eq!(decide(&Test::Not(Box::new(open)), &full), Some(false));
    }

    #[test]
    fn rows() {
        let view = view();
        let row = view.row(0).unwrap();
        let summary = summary();
        let message = Candidate { summary: Some(&summary), ..Candidate::new(&view, 0, row) };
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
