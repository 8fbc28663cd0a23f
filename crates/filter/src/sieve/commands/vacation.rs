//! `vacation` (RFC 5230, RFC 6131): an answer that says its owner is away.
//!
//! Whether to answer at all is decided first; each reason not to is a variant of [`Silence`]:
//!
//! | never answered | by |
//! |---|---|
//! | a null or own envelope sender | RFC 5230 §4.6, RFC 3834 §2 |
//! | mail of programs: `MAILER-DAEMON`, `owner-…`, `…-request` and their like | RFC 5230 §4.6 |
//! | mailing lists, by their `List-*` fields; `Precedence: bulk`, `list`, `junk` | RFC 5230 §4.6 |
//! | `Auto-Submitted` other than `no`; `X-Auto-Response-Suppress` | RFC 3834 §5.2 |
//! | mail that names the owner in no `To`, `Cc` or `Bcc` | RFC 5230 §4.5 |
//! | who was answered not long ago | RFC 5230 §4.1 |

use waxwing_message::Address;
use waxwing_message::compose::Mailbox;
use waxwing_message::compose::header::FieldWriter;
use waxwing_message::parse::{addresses, words};

use super::fcc::{self, FccTag};
use super::redirect::parse_address;
use crate::sieve::check::{Checker, Command, Tag, Takes};
use crate::sieve::letter::{Content, Letter};
use crate::sieve::mail::Mail;
use crate::sieve::outcome::RunErrorKind;
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Halt, Run};
use crate::sieve::text::Text;
use crate::sieve::{Action, Context, Fault, Vacation};

const TAGS: &[Tag] = &[
    Tag { name: "days", takes: Takes::Number, extension: "vacation", group: "period" },
    Tag { name: "seconds", takes: Takes::Number, extension: "vacation-seconds", group: "period" },
    Tag::new("subject", Takes::String, "vacation"),
    Tag::new("from", Takes::String, "vacation"),
    Tag::new("addresses", Takes::Strings, "vacation"),
    Tag::new("mime", Takes::Nothing, "vacation"),
    Tag::new("handle", Takes::String, "vacation"),
];

const DAY: u64 = 24 * 60 * 60;
/// RFC 5230 §4.1: for how long nobody is answered again when nothing is said.
const DEFAULT_DAYS: u64 = 7;
/// More ids than this are not put into References.
const MAX_REFERENCES: usize = 20;

struct VacationCommand {
    seconds: u64,
    subject: Option<Text>,
    from: Option<Text>,
    addresses: Vec<Text>,
    mime: bool,
    handle: Option<Text>,
    fcc: Option<FccTag>,
    reason: Text,
}

/// `vacation`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[TAGS, fcc::TAGS])?;
    let reason = bound.next_text("the words of the answer", checker)?;
    bound.done()?;
    let from = bound.text_of("from", checker)?;
    if let Some(from) = from.as_ref().and_then(Text::constant) {
        parse_address(from).map_err(|why| bound.at.fault(why))?;
    }
    // RFC 5230 §4.1: less than a day is none of what may be asked in days.
    let days = bound.number_of("days").map(|days| days.max(1).saturating_mul(DAY));
    Ok(Box::new(VacationCommand {
        seconds: bound.number_of("seconds").or(days).unwrap_or(DEFAULT_DAYS * DAY),
        subject: bound.text_of("subject", checker)?,
        from,
        addresses: bound.texts_of("addresses", checker)?.unwrap_or_default(),
        mime: bound.flag("mime"),
        handle: bound.text_of("handle", checker)?,
        fcc: FccTag::new(&bound, checker)?,
        reason,
    }))
}

impl Command for VacationCommand {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        // RFC 5230 §4.7.
        if run.vacation_ran {
            return Err(Halt(RunErrorKind::Conflict("vacation", "another vacation")));
        }
        run.vacation_ran = true;
        if run.actions().iter().any(|action| matches!(action, Action::Reject(_))) {
            return Err(Halt(RunErrorKind::Conflict("reject", "vacation")));
        }
        let mut own = own_addresses(run.context);
        for text in &self.addresses {
            let text = text.expand(run)?;
            own.extend(parse_address(&text).ok());
        }
        let handle = self.handle(run)?;
        let (least, most) = run.context.limits.vacation_seconds;
        let seconds = self.seconds.clamp(least, most.max(least));
        run.charge_octets(own.len() * 64)?;
        let to_whom = whom_to_answer(run.context, &run.mail, &own).and_then(|(to, as_whom)| {
            match run.world.vacation_due(&handle, &to.to_string(), seconds) {
                true => Ok((to, as_whom)),
                false => Err(Silence::Answered),
            }
        });
        let (to, as_whom) = match to_whom {
            Ok(both) => both,
            Err(silence) => {
                run.note(format!("vacation: no answer, since {}", silence.why()));
                return Ok(Flow::Next);
            }
        };
        let vacation = self.answer(to, as_whom, handle, seconds, run)?;
        run.note(format!("vacation: answer to {}", vacation.to));
        run.act(Action::Vacation(Box::new(vacation)))?;
        Ok(Flow::Next)
    }
}

impl VacationCommand {
    /// RFC 5230 §4.7: without one, what the answer says tells it apart.
    fn handle(&self, run: &mut Run<'_>) -> Result<String, Halt> {
        if let Some(handle) = &self.handle {
            return handle.expand(run);
        }
        let mut hasher = blake3::Hasher::new();
        for text in [self.subject.as_ref(), self.from.as_ref(), Some(&self.reason)] {
            let text = text.map(|text| text.expand(run)).transpose()?;
            hasher.update(&[u8::from(text.is_some())]);
            hasher.update(text.unwrap_or_default().as_bytes());
            hasher.update(&[0]);
        }
        hasher.update(&[u8::from(self.mime)]);
        Ok(hasher.finalize().to_hex()[..32].to_owned())
    }

    fn answer(
        &self,
        to: Address,
        as_whom: Address,
        handle: String,
        seconds: u64,
        run: &mut Run<'_>,
    ) -> Result<Vacation, Halt> {
        let from = match &self.from {
            Some(text) => {
                let text = text.expand(run)?;
                mailbox(&text).ok_or_else(|| {
                    run.value_error(format!("\"{text}\" is not one email address: mend :from"))
                })?
            }
            None => Mailbox { name: run.context.own_name.clone(), address: as_whom },
        };
        let subject = match &self.subject {
            Some(text) => text.expand(run)?,
            None => default_subject(&run.mail),
        };
        let reason = self.reason.expand(run)?;
        let fcc = self.fcc.as_ref().map(|fcc| fcc.expand(run)).transpose()?;
        let (in_reply_to, references) = thread(&run.mail);
        let mut fields = FieldWriter::default();
        // RFC 5230 §5.1, RFC 3834 §5.
        fields.raw("Auto-Submitted", "auto-replied (vacation)");
        // Keeps answering machines older than RFC 3834 silent.
        fields.raw("Precedence", "bulk");
        let letter = Letter {
            from,
            to: std::slice::from_ref(&to),
            subject,
            in_reply_to,
            references,
            fields: fields.into_bytes(),
            body: if self.mime { Content::Mime(&reason) } else { Content::Text(&reason) },
        };
        let reply = letter.write(run);
        Ok(Vacation { to, handle, seconds, reply, fcc })
    }
}

/// An address with the name before it.
pub(super) fn mailbox(text: &str) -> Option<Mailbox> {
    let address = parse_address(text).ok()?;
    let name = match addresses::parse(text.as_bytes()).into_iter().next() {
        Some(addresses::AddressItem::Mailbox { name, .. }) => name,
        _ => None,
    };
    Some(Mailbox { name, address })
}

/// RFC 5230 §5.3.
fn default_subject(mail: &Mail<'_>) -> String {
    let subject = mail.values(0, "Subject").first().map(|value| words::decode_text(value));
    match subject.filter(|subject| !subject.is_empty()) {
        Some(subject) => format!("Auto: {subject}"),
        None => "Automated reply".to_owned(),
    }
}

/// In-Reply-To and References: RFC 5230 §5.5, RFC 5322 §3.6.4.
fn thread(mail: &Mail<'_>) -> (Vec<String>, Vec<String>) {
    let ids = |name: &str| -> Vec<String> {
        mail.values(0, name).into_iter().flat_map(words::message_ids).collect()
    };
    let id: Vec<String> = ids("Message-ID").into_iter().take(1).collect();
    let mut references = ids("References");
    if references.is_empty() {
        references = ids("In-Reply-To");
        references.truncate(1);
    }
    let too_many = references.len().saturating_sub(MAX_REFERENCES);
    references.drain(..too_many);
    references.extend(id.iter().cloned());
    (id, references)
}

/// Why nothing is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    NullSender,
    OwnMail,
    Program,
    List,
    Bulk,
    Automatic,
    NotNamed,
    Answered,
}

impl Silence {
    fn why(self) -> &'static str {
        match self {
            Silence::NullSender => "the message has no envelope sender",
            Silence::OwnMail => "the message comes from its own recipient",
            Silence::Program => "the message comes from a program's address",
            Silence::List => "the message comes from a mailing list",
            Silence::Bulk => "the message was sent in bulk",
            Silence::Automatic => "the message was written by a program",
            Silence::NotNamed => "the message names none of the owner's addresses in To or Cc",
            Silence::Answered => "the sender was answered not long ago",
        }
    }
}

/// The owner's addresses that need no `:addresses`.
fn own_addresses(context: &Context<'_>) -> Vec<Address> {
    let envelope = [Some(context.recipient()), Some(&context.to)].into_iter().flatten();
    envelope.chain(&context.own_addresses).cloned().collect()
}

/// Local parts of domains that differ in case only are one person's.
fn same(a: &Address, b: &Address) -> bool {
    a.domain() == b.domain() && a.local_part().eq_ignore_ascii_case(b.local_part())
}

/// To whom an answer goes, and as whom of the owner's addresses.
fn whom_to_answer(
    context: &Context<'_>,
    mail: &Mail<'_>,
    own: &[Address],
) -> Result<(Address, Address), Silence> {
    let sender = context.from.address().ok_or(Silence::NullSender)?;
    if own.iter().any(|address| same(address, sender)) {
        return Err(Silence::OwnMail);
    }
    if is_program(sender.local_part()) {
        return Err(Silence::Program);
    }
    by_header(mail)?;
    const NAMED_IN: [&str; 6] = ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"];
    let named = NAMED_IN.iter().flat_map(|name| mail.values(0, name));
    let mut named = named.flat_map(addresses::parse).filter_map(|item| item.address());
    let as_whom = named.find(|address| own.iter().any(|other| same(other, address)));
    Ok((sender.clone(), as_whom.ok_or(Silence::NotNamed)?))
}

/// RFC 5230 §4.6; the names are those of RFC 3834 §2 and of list software.
fn is_program(local_part: &str) -> bool {
    let name = local_part.to_ascii_lowercase();
    const WHOLE: [&str; 8] = [
        "mailer-daemon",
        "listserv",
        "majordomo",
        "mailer",
        "noreply",
        "no-reply",
        "donotreply",
        "do-not-reply",
    ];
    WHOLE.contains(&name.as_str())
        || name.starts_with("owner-")
        || ["-request", "-owner", "-bounces", "-relay"].iter().any(|end| name.ends_with(end))
        || name.contains("-bounces+")
        || name.starts_with("bounce-")
}

fn by_header(mail: &Mail<'_>) -> Result<(), Silence> {
    for (name, value) in mail.fields(0) {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        // The word before a comment or parameter.
        let word = String::from_utf8_lossy(value).trim().to_ascii_lowercase();
        let word = word.split([';', ' ', '(', '\t', '\r']).next().unwrap_or_default();
        match name.as_str() {
            // RFC 2369, RFC 2919.
            "list-id" | "list-help" | "list-subscribe" | "list-unsubscribe" | "list-post"
            | "list-owner" | "list-archive" => return Err(Silence::List),
            "precedence" if matches!(word, "bulk" | "list" | "junk") => return Err(Silence::Bulk),
            "auto-submitted" if word != "no" => return Err(Silence::Automatic),
            "x-auto-response-suppress" => {
                // Exchange's word for it.
                let all = String::from_utf8_lossy(value).to_ascii_lowercase();
                let mut words = all.split([',', ' ', ';']).map(str::trim);
                if words.any(|word| matches!(word, "oof" | "all" | "autoreply")) {
                    return Err(Silence::Automatic);
                }
            }
            _ => {}
        }
    }
    Ok(())
}
