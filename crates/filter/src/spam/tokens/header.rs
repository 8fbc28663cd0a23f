//! What the fields of a header tell.

use waxwing_message::Message;
use waxwing_message::parse::AddressItem;

use super::text::{is_shouted, marks, words};
use super::{Bag, MAX_TOKEN_CHARS, cut, domain_tokens, form};

/// Header text that is read, of one field.
const MAX_FIELD_OCTETS: usize = 2_000;
/// Words of a field that is not known by name.
const MAX_FIELD_WORDS: usize = 30;
/// Addresses of one field.
const MAX_ADDRESSES: usize = 5;
/// Received fields that are looked at.
const MAX_RECEIVED: usize = 30;

/// What the fields of the header tell.
pub(super) fn header(message: &Message<'_>, bag: &mut Bag) {
    if let Some(subject) = message.header("Subject") {
        let subject = cut(&subject.text(), MAX_FIELD_OCTETS).to_owned();
        words(&subject, "subject:", bag);
        marks(&subject, "subject:", bag);
        if is_shouted(&subject) {
            bag.add("look:subject in capitals");
        }
        if subject.contains("      ") {
            bag.add("look:gap in the subject");
        }
    }
    let from = senders(message, bag);
    addresses(message, bag);
    for field in ["List-Id", "Mailing-List"] {
        if let Some(list) = message.header(field) {
            words(cut(&list.text(), 200), "list:", bag);
        }
    }
    for field in ["X-Mailer", "User-Agent"] {
        if let Some(mailer) = message.header(field) {
            words(cut(&mailer.text(), 200), "mailer:", bag);
        }
    }
    recipients(message, bag);
    message_id(message, from.as_deref(), bag);
    if message.date().is_none() {
        bag.add("field:no date");
    }
    trace(message, bag);
    for header in message.root().headers.iter().take(200) {
        let Ok(name) = std::str::from_utf8(header.name) else { continue };
        let name = name.to_ascii_lowercase();
        if is_of_the_road(&name) {
            continue;
        }
        bag.add_in("field:", &name);
        if !is_read_by_itself(&name) {
            let value = header.unfolded();
            let value = String::from_utf8_lossy(&value[..value.len().min(MAX_FIELD_OCTETS)]);
            field_words(&name, &value, bag);
        }
    }
}

/// The words of a field that is not known by name, as they are written but for case. What is mostly
/// digits is another in each message.
fn field_words(name: &str, value: &str, bag: &mut Bag) {
    let name = cut(name, MAX_TOKEN_CHARS / 2);
    let apart = |c: char| !c.is_alphanumeric() && !"_.$!@+-".contains(c);
    let telling = |word: &&str| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        (2..=30).contains(&word.len()) && digits * 2 <= word.len()
    };
    for word in value.split(apart).filter(telling).take(MAX_FIELD_WORDS) {
        bag.join(&[name, ":", &word.to_lowercase()]);
    }
}

/// Fields that the road adds, not the author; and verdicts of other filters.
fn is_of_the_road(name: &str) -> bool {
    const NAMES: [&str; 6] = [
        "received",
        "return-path",
        "delivered-to",
        "authentication-results",
        "received-spf",
        "status",
    ];
    const BEGINNINGS: [&str; 6] =
        ["x-spam", "x-virus", "arc-", "x-original", "x-envelope", "x-scanned"];
    NAMES.contains(&name) || BEGINNINGS.iter().any(|begin| name.starts_with(begin))
}

/// Fields, in lower case, that have tokens of their own, and those that are another in each message.
fn is_read_by_itself(name: &str) -> bool {
    const NAMES: [&str; 16] = [
        "subject",
        "from",
        "to",
        "cc",
        "date",
        "message-id",
        "references",
        "in-reply-to",
        "list-id",
        "mailing-list",
        "x-mailer",
        "user-agent",
        "thread-index",
        "x-originalarrivaltime",
        "x-keywords",
        "x-uid",
    ];
    NAMES.contains(&name) || name.ends_with("signature")
}

/// The addresses of all fields of the author's side, as they are and in parts.
fn addresses(message: &Message<'_>, bag: &mut Bag) {
    for (field, prefix) in [
        ("From", "from"),
        ("Reply-To", "reply-to"),
        ("Sender", "sender"),
        ("To", "to"),
        ("Cc", "cc"),
    ] {
        let Some(header) = message.header(field) else { continue };
        let value = &header.value[..header.value.len().min(MAX_FIELD_OCTETS)];
        let parsed = waxwing_message::parse::addresses::parse(value);
        let mailboxes = parsed.iter().filter_map(|item| match item {
            AddressItem::Mailbox { domain, local_part, .. } => Some((local_part, domain)),
            _ => None,
        });
        for (local_part, domain) in mailboxes.take(MAX_ADDRESSES) {
            let (local_part, domain) = (local_part.to_lowercase(), domain.to_lowercase());
            bag.join(&[prefix, ":", &local_part, "@", &domain]);
            bag.add_in(&format!("{prefix}:"), &domain);
            let words = local_part.split(|c: char| !c.is_alphabetic());
            for word in words.filter(|word| word.len() >= 2).take(4) {
                bag.join(&[prefix, "-local:", word]);
            }
        }
    }
}

/// From and Reply-To; gives the domain of From.
fn senders(message: &Message<'_>, bag: &mut Bag) -> Option<String> {
    let mut first = None;
    for (field, prefix) in [("From", "from"), ("Reply-To", "reply-to")] {
        let Some(header) = message.header(field) else { continue };
        let value = &header.value[..header.value.len().min(MAX_FIELD_OCTETS)];
        let parsed = waxwing_message::parse::addresses::parse(value);
        for item in parsed.iter().take(3) {
            let AddressItem::Mailbox { name, domain, local_part } = item else { continue };
            let domain = domain.to_lowercase();
            domain_tokens(&format!("{prefix}:"), &domain, bag);
            if let Some(name) = name {
                words(cut(name, 200), &format!("{prefix}-name:"), bag);
            }
            let digits = local_part.bytes().filter(u8::is_ascii_digit).count();
            if digits >= 4 {
                bag.add_in(prefix, ":digits in the name");
            }
            match &first {
                None => first = Some(domain),
                Some(from) if field == "Reply-To" && *from != domain => {
                    bag.add("reply-to:another domain");
                }
                Some(_) => {}
            }
        }
    }
    first
}

fn recipients(message: &Message<'_>, bag: &mut Bag) {
    let Some(to) = message.header("To") else {
        bag.add("to:nobody");
        return;
    };
    let value = &to.value[..to.value.len().min(8_000)];
    let parsed = waxwing_message::parse::addresses::parse(value);
    let people = parsed.iter().filter(|item| matches!(item, AddressItem::Mailbox { .. })).count();
    match people {
        0 => bag.add("to:nobody named"),
        1 => {}
        2..=4 => bag.add("to:a few"),
        _ => bag.add("to:many"),
    }
    if parsed.iter().any(
        |item| matches!(item, AddressItem::Mailbox { name: Some(name), .. } if !name.is_empty()),
    ) {
        bag.add("to:by name");
    }
}

fn message_id(message: &Message<'_>, from: Option<&str>, bag: &mut Bag) {
    let Some(id) = message.message_id() else {
        bag.add("field:no message-id");
        return;
    };
    match id.rsplit_once('@') {
        None => bag.add("message-id:without a host"),
        Some((left, host)) => {
            bag.add_in("message-id:form ", &form(left));
            let host = host.to_lowercase();
            domain_tokens("message-id:", &host, bag);
            if !host.contains('.') {
                bag.add("message-id:host without a dot");
            } else if from.is_some_and(|from| host == from || host.ends_with(&format!(".{from}"))) {
                bag.add("message-id:of the sender's domain");
            }
        }
    }
}

/// Oddities of the Received fields: forms, never names or addresses.
fn trace(message: &Message<'_>, bag: &mut Bag) {
    let mut hops = 0;
    for header in message.root().headers_named("Received").take(MAX_RECEIVED) {
        hops += 1;
        let value = header.unfolded();
        let text = String::from_utf8_lossy(&value[..value.len().min(500)]).to_ascii_lowercase();
        let helo = text.strip_prefix("from ").and_then(|rest| rest.split_whitespace().next());
        if text.contains("(unknown [") || text.contains("from unknown") {
            bag.add("trace:no reverse DNS");
        }
        if text.contains("may be forged") {
            bag.add("trace:may be forged");
        }
        match helo {
            Some(helo) if helo.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() => {
                bag.add("trace:HELO is an address");
            }
            Some(helo) if !helo.contains('.') && !helo.contains("localhost") => {
                bag.add("trace:HELO without a dot");
            }
            _ => {}
        }
        for protocol in [
            " with esmtps",
            " with esmtpa",
            " with esmtp",
            " with smtp",
            " with http",
            " with lmtp",
        ] {
            if text.contains(protocol) {
                bag.add_in("trace:", protocol.trim_start());
                break;
            }
        }
    }
    bag.add_in("trace:hops ", ["0", "1", "2", "3", "4", "5", "6 or more"][hops.min(6)]);
}
