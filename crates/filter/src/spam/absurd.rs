//! What is wrong with the header's From field, which is what people see and believe.
//!
//! | result | what it is |
//! |---|---|
//! | `none`, `several-fields` | no From field, or more than one (RFC 5322 §3.6 wants exactly one) |
//! | `no-address`, `malformed` | nothing in it that mail could be sent to |
//! | `several-without-sender` | several authors and no Sender field (RFC 5322 §3.6.2) |
//! | `another-address` | the display name shows an address of another domain |
//! | `own-domain` | one of our own domains, not authenticated |
//! | `name-of-colleague`, `name-of-contact` | somebody's name over another address |
//! | `like-own-domain`, `like-contact`, `like-colleague` | a domain or address that looks like a known one |
//! | `mixed-scripts`, `punycode`, `turned` | letters of several scripts; not ASCII; turned direction |
//! | `no-date`, `no-message-id`, `repeated-field` | what RFC 5322 §3.6 wants once |
//!
//! Only names of two words or more are compared: many people are called Alex.

use std::collections::HashSet;

use waxwing_message::Message;
use waxwing_message::journey::{Check, Finding};
use waxwing_message::parse::{AddressItem, addresses};

use super::lookalike::{self, Likeness, imitates, skeleton};

/// Octets of a field that are read.
const MAX_FIELD_OCTETS: usize = 8_000;

/// What the From field is examined with.
#[derive(Debug, Clone, Copy, Default)]
pub struct FromFacts<'a> {
    /// The domains of this system, in lower case.
    pub own_domains: &'a [String],
    /// Display names and addresses of the people of this system.
    pub local_names: &'a [(String, String)],
    /// Display names and addresses that the account has written to.
    pub contacts: &'a [(String, String)],
    /// The From address is authentic: DMARC passes, or somebody logged in.
    pub authenticated: bool,
}

/// Everything that is wrong with From, Date and Message-ID; nothing for an ordinary message.
pub fn examine_from(message: &Message<'_>, facts: &FromFacts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    match from_field(message, &mut found) {
        Some(authors) => {
            for author in authors.iter().take(5) {
                examine_author(author, facts, &mut found);
            }
        }
        None => found.push(finding(
            "none",
            "",
            "The message has no From field, so that nobody has written it",
        )),
    }
    other_fields(message, &mut found);
    found
}

/// The address of From in lower case, when From is one field with one address: what reputation and
/// overrides go by.
pub fn only_author(message: &Message<'_>) -> Option<String> {
    let mut fields = message.root().headers_named("From");
    let field = fields.next()?;
    if fields.next().is_some() {
        return None;
    }
    let mut authors = mailboxes(field.value).into_iter();
    let author = authors.next()?;
    (authors.next().is_none() && author.is_address()).then(|| author.address().to_lowercase())
}

/// One mailbox of From.
struct Author {
    name: String,
    local_part: String,
    domain: String,
}

impl Author {
    fn address(&self) -> String {
        format!("{}@{}", self.local_part, self.domain)
    }

    fn is_address(&self) -> bool {
        waxwing_message::Address::new(&self.local_part, &self.domain).is_ok()
    }
}

fn mailboxes(value: &[u8]) -> Vec<Author> {
    let value = &value[..value.len().min(MAX_FIELD_OCTETS)];
    let items = addresses::parse(value).into_iter();
    let authors = items.filter_map(|item| match item {
        AddressItem::Mailbox { name, local_part, domain } => Some(Author {
            name: name.unwrap_or_default(),
            local_part,
            domain: domain.trim_end_matches('.').to_lowercase(),
        }),
        _ => None,
    });
    authors.take(50).collect()
}

/// The authors of the first From field; what is wrong with the field as a whole.
fn from_field(message: &Message<'_>, found: &mut Vec<Finding>) -> Option<Vec<Author>> {
    let mut fields = message.root().headers_named("From");
    let field = fields.next()?;
    let more = fields.count();
    if more > 0 {
        let text = format!("The message has {} From fields; readers may see any of them", more + 1);
        found.push(finding("several-fields", "", &text));
    }
    let authors = mailboxes(field.value);
    let shown = shown(&field.text());
    if authors.is_empty() {
        // RFC 6854 allows a group without members; nobody can answer it.
        found.push(finding("no-address", &shown, "The From field holds no address"));
    }
    if let Some(bad) = authors.iter().find(|author| !author.is_address()) {
        let text =
            format!("The From field holds “{}”, which is no address", self::shown(&bad.address()));
        found.push(finding("malformed", &shown, &text));
    }
    if authors.len() > 1 && message.header("Sender").is_none() {
        let text = format!("The message names {} authors and no sender", authors.len());
        found.push(finding("several-without-sender", &shown, &text));
    }
    Some(authors)
}

fn examine_author(author: &Author, facts: &FromFacts<'_>, found: &mut Vec<Finding>) {
    let address = shown(&author.address());
    if let Some(other) = address_in(&author.name)
        && !same_domain(&other, &author.domain)
    {
        let text = format!("The name shows the address {other}, but the message is from {address}");
        found.push(finding("another-address", &address, &text));
    }
    if lookalike::turns_direction(&author.name) {
        let text =
            "The sender's name turns the direction of its letters, so that it reads as another";
        found.push(finding("turned", &address, text));
    }
    examine_domain(author, facts, found);
    let ours = facts.own_domains.contains(&author.domain);
    if ours && !facts.authenticated {
        let text = format!(
            "The message claims to be from {}, a domain of this system, and is not",
            author.domain
        );
        found.push(finding("own-domain", &address, &text));
    }
    if !ours {
        examine_person(author, facts, found);
    }
}

/// Domains that look like ours or that hide what they are.
fn examine_domain(author: &Author, facts: &FromFacts<'_>, found: &mut Vec<Finding>) {
    let address = shown(&author.address());
    let like = facts.own_domains.iter().find_map(|own| Some((own, imitates(&author.domain, own)?)));
    if let Some((own, likeness)) = like {
        let text = match likeness {
            Likeness::Same => format!("{} looks like {own} and is not", shown(&author.domain)),
            Likeness::Typo => format!("{} is one letter away from {own}", shown(&author.domain)),
            Likeness::Contained => {
                format!("{} begins like {own} and is not", shown(&author.domain))
            }
        };
        found.push(finding("like-own-domain", &address, &text));
    }
    let read = lookalike::unicode(&author.domain);
    if lookalike::mixes_scripts(&read) {
        let text = format!(
            "The domain {} mixes letters of several scripts (it is {})",
            shown(&read),
            ascii(&read)
        );
        found.push(finding("mixed-scripts", &address, &text));
    } else if !read.is_ascii() {
        let text = format!("The domain is written {} ({})", shown(&read), ascii(&read));
        found.push(finding("punycode", &address, &text));
    }
}

/// Names and addresses of people that are known, over another address.
fn examine_person(author: &Author, facts: &FromFacts<'_>, found: &mut Vec<Finding>) {
    let address = author.address();
    let known = |people: &[(String, String)]| {
        people.iter().any(|(_, one)| one.eq_ignore_ascii_case(&address))
    };
    if known(facts.contacts) || known(facts.local_names) {
        return;
    }
    let shape = skeleton(&address);
    let groups = [
        (facts.local_names, "name-of-colleague", "like-colleague", "somebody here"),
        (facts.contacts, "name-of-contact", "like-contact", "somebody you have written to"),
    ];
    for (people, name_result, like_result, who) in groups {
        if let Some((_, real)) = people.iter().find(|(_, real)| skeleton(real) == shape) {
            let text = format!("{} looks like {real} and is not", shown(&address));
            found.push(finding(like_result, &shown(&address), &text));
        }
        if let Some((name, real)) = people.iter().find(|(name, _)| same_name(name, &author.name)) {
            let text = format!(
                "The name {} is that of {who} ({real}), but the address is not",
                shown(name)
            );
            found.push(finding(name_result, &shown(&address), &text));
        }
    }
}

/// Fields that every message has, once.
fn other_fields(message: &Message<'_>, found: &mut Vec<Finding>) {
    if message.header("Date").is_none() {
        found.push(finding("no-date", "", "The message has no date"));
    }
    if message.header("Message-ID").is_none() {
        found.push(finding("no-message-id", "", "The message has no Message-ID"));
    }
    const ONCE: [&str; 8] =
        ["sender", "reply-to", "to", "cc", "bcc", "message-id", "subject", "date"];
    let mut seen = HashSet::new();
    for header in &message.root().headers {
        let name = String::from_utf8_lossy(header.name).to_ascii_lowercase();
        let Some(known) = ONCE.iter().find(|one| **one == name) else { continue };
        if !seen.insert(*known) {
            let text = format!("The message has more than one {known} field");
            found.push(finding("repeated-field", known, &text));
            return;
        }
    }
}

/// The first address of a full domain in a display name, in lower case.
fn address_in(name: &str) -> Option<String> {
    let name: String = name.chars().filter(|c| !lookalike::is_invisible(*c)).take(300).collect();
    let at = name.replace('＠', "@");
    let word = at
        .split(|c: char| c.is_whitespace() || "<>()[]\"',;:“”".contains(c))
        .find(|word| word.contains('@'))?;
    let address = waxwing_message::Address::parse(word.trim_matches('.')).ok()?;
    address.domain().contains('.').then(|| address.to_string().to_lowercase())
}

/// Whether an address is of a domain, of one above or of one below it.
fn same_domain(address: &str, domain: &str) -> bool {
    let other = address.rsplit('@').next().unwrap_or_default();
    let below = |a: &str, b: &str| a == b || a.ends_with(&format!(".{b}"));
    below(other, domain) || below(domain, other)
}

/// Whether two display names read the same; only names of two words or more count.
fn same_name(known: &str, name: &str) -> bool {
    let words = |text: &str| {
        let text = skeleton(text);
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let mut words: Vec<String> = words.map(str::to_owned).collect();
        words.sort_unstable(); // `Doe, Jane` is `Jane Doe`.
        words
    };
    let known = words(known);
    known.len() >= 2 && known == words(name)
}

fn ascii(domain: &str) -> String {
    shown(&idna::domain_to_ascii(domain).unwrap_or_else(|_| "no valid name".to_owned()))
}

fn finding(result: &str, about: &str, reason: &str) -> Finding {
    Finding {
        check: Check::From,
        result: result.to_owned(),
        about: about.to_owned(),
        reason: reason.to_owned(),
        lookups: Vec::new(),
    }
}

/// A text from outside, bounded, without what could deceive the reader of a reason.
fn shown(text: &str) -> String {
    let visible = text.chars().filter(|c| !lookalike::is_invisible(*c));
    visible.take(100).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(header: &str, facts: &FromFacts<'_>) -> Vec<String> {
        let raw = format!(
            "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <a@b>\r\n{header}\r\n\r\nx"
        );
        let message = Message::parse(raw.as_bytes());
        examine_from(&message, facts).into_iter().map(|finding| finding.result).collect()
    }

    fn plain(header: &str) -> Vec<String> {
        results(header, &FromFacts::default())
    }

    #[test]
    fn ordinary_senders_have_no_findings() {
        for header in [
            "From: Alice Example <alice@example.org>",
            "From: alice@example.org",
            "From: \"alice@example.org\" <alice@example.org>",
            "From: \"alice@example.org via List\" <list@lists.example.org>",
            "From: a@example.org, b@example.org\r\nSender: a@example.org",
            "From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>",
            "From: \"Dr. A. @home\" <a@example.org>",
        ] {
            assert_eq!(plain(header), [""; 0], "{header}");
        }
    }

    #[test]
    fn forms_that_deceive() {
        for (header, result) in [
            ("Subject: x", "none"),
            ("From: a@example.org\r\nFrom: b@example.org", "several-fields"),
            ("From: a@example.org, b@example.org", "several-without-sender"),
            ("From: undisclosed:;", "no-address"),
            ("From: nobody", "malformed"),
            ("From: \"ceo@bank.example\" <x@evil.test>", "another-address"),
            ("From: \"CEO (ceo@bank.example)\" <x@evil.test>", "another-address"),
            ("From: x <a@xn--pypal-4ve.example>", "mixed-scripts"),
            ("From: x <a@xn--bcher-kva.example>", "punycode"),
            ("From: \"Al\u{202e}eci\" <a@example.org>", "turned"),
        ] {
            assert_eq!(plain(header), [result], "{header}");
        }
    }

    #[test]
    fn what_every_message_has_once() {
        let examine = |raw: &str| -> Vec<String> {
            let message = Message::parse(raw.as_bytes());
            let found = examine_from(&message, &FromFacts::default());
            found.into_iter().map(|finding| finding.result).collect()
        };
        assert_eq!(examine("From: a@example.org\r\n\r\n"), ["no-date", "no-message-id"]);
        assert_eq!(plain("From: a@example.org\r\nSubject: a\r\nSubject: b"), ["repeated-field"]);
    }

    #[test]
    fn people_and_domains_that_are_imitated() {
        let own_domains = ["example.org".to_owned()];
        let people = [("Jane Doe".to_owned(), "jane@example.org".to_owned())];
        let contacts = [
            ("Bob Miller".to_owned(), "bob@partner.example".to_owned()),
            ("Bob".to_owned(), "bob2@partner.example".to_owned()),
        ];
        let facts = FromFacts {
            own_domains: &own_domains,
            local_names: &people,
            contacts: &contacts,
            authenticated: false,
        };
        for (header, expected) in [
            ("From: Jane Doe <jane@example.org>", vec!["own-domain"]),
            ("From: Jane Doe <ceo@evil.test>", vec!["name-of-colleague"]),
            ("From: \"Doe, J\u{430}ne\" <ceo@evil.test>", vec!["name-of-colleague"]),
            ("From: Bob Miller <bob@other.test>", vec!["name-of-contact"]),
            ("From: Bob <bob@other.test>", vec![]),
            ("From: Bob Miller <bob@partner.example>", vec![]),
            ("From: x <b0b@partner.example>", vec!["like-contact"]),
            ("From: x <x@exarnple.org>", vec!["like-own-domain"]),
            ("From: x <jane@exarnple.org>", vec!["like-own-domain", "like-colleague"]),
            ("From: x <x@exmaple.org>", vec!["like-own-domain"]),
            ("From: x <x@example.org.evil.test>", vec!["like-own-domain"]),
        ] {
            assert_eq!(results(header, &facts), expected, "{header}");
        }
        let authentic = FromFacts { authenticated: true, ..facts };
        assert_eq!(results("From: Jane Doe <jane@example.org>", &authentic), [""; 0]);
    }

    #[test]
    fn the_only_author() {
        let of =
            |header: &str| only_author(&Message::parse(format!("{header}\r\n\r\n").as_bytes()));
        assert_eq!(of("From: A <A@Example.org>").as_deref(), Some("a@example.org"));
        assert_eq!(of("From: a@example.org\r\nFrom: b@example.org"), None);
        assert_eq!(of("From: a@example.org, b@example.org"), None);
        assert_eq!(of("From: nobody"), None);
    }
}
