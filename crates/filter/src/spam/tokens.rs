//! A message cut into what the statistics count.
//!
//! | token | from |
//! |---|---|
//! | `word`, `two words` | text, and HTML as it is read; folded: compatibility forms, case, accents |
//! | `subject:word` | Subject |
//! | `from:example.org`, `from:ann@example.org`, `from-local:ann`, `from-name:word` | From |
//! | `reply-to:…`, `sender:…`, `to:…`, `cc:…` and their `-local:` | the other fields of addresses |
//! | `message-id:example.org`, `message-id:form A9a`, `boundary:form A9` | what a program makes up, and its form |
//! | `url:example.org`, `path:word` | links in text and HTML |
//! | `field:list-id`, `list:…`, `mailer:word` | names of fields, List-Id, X-Mailer and User-Agent |
//! | `x-priority:high` | words of all other fields that the author's side wrote |
//! | `trace:…` | oddities in Received; never names or addresses, which belong to reputation |
//! | `mime:…`, `charset:…`, `file:exe` | the structure |
//! | `html:hidden`, `html:another-host` | what HTML does beside its words |
//! | `capitals:word`, `subject:capitals:word` | a word in capitals, beside the word itself |
//! | `marks:!!!`, `marks:$9`, `marks:9%` | runs of marks in text and Subject |
//! | `look:…` | shouting, letters s p a c e d out, mixed scripts, invisible characters |
//!
//! A token stands in the list once, however often it occurs. Order is fixed: header, structure,
//! links, then words as they come; the first [`MAX_TOKENS`] count. Bounds: [`MAX_TEXT_OCTETS`] of
//! text in all parts together, [`MAX_PART_OCTETS`] of one part, [`MAX_TOKEN_CHARS`] of one token;
//! time is linear in the size of the message's header and of the text that is read.
//!
//! Words are runs of letters and digits. Scripts without spaces (Chinese, Japanese, Thai and their
//! neighbours) give pairs of characters.

use std::collections::HashSet;

use unicode_normalization::char::decompose_compatible;
use waxwing_message::Message;
use waxwing_message::parse::{AddressItem, Body, Part, charset, html};

use super::hypertext::{self, Hypertext};

/// Tokens of one message.
pub const MAX_TOKENS: usize = 2_000;
/// Characters of one token; longer words are counted by their length alone.
pub const MAX_TOKEN_CHARS: usize = 64;
/// Text that is read, decoded, in all parts together.
pub const MAX_TEXT_OCTETS: usize = 128 * 1024;
/// Text that is read of one part.
pub const MAX_PART_OCTETS: usize = 64 * 1024;
/// Longest word kept as it is.
const MAX_WORD_CHARS: usize = 24;
/// Header text that is read, of one field.
const MAX_FIELD_OCTETS: usize = 2_000;
/// Words of a field that is not known by name.
const MAX_FIELD_WORDS: usize = 30;
/// Addresses of one field.
const MAX_ADDRESSES: usize = 5;
/// Parts that are looked at.
const MAX_PARTS: usize = 200;
/// Received fields that are looked at.
const MAX_RECEIVED: usize = 30;
/// Links whose parts become tokens.
const MAX_URLS: usize = 100;

/// One thing that the statistics count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// For people.
    pub text: String,
    /// What the store is keyed by: the first octets of BLAKE3 of the text.
    pub key: [u8; 8],
}

impl Token {
    /// The token of a text.
    pub fn new(text: String) -> Token {
        let key = key(&text);
        Token { text, key }
    }

    /// Whether it is a word of the text, or two; all others have a kind before a colon.
    pub fn is_of_the_text(&self) -> bool {
        !self.text.contains(':')
    }
}

fn key(text: &str) -> [u8; 8] {
    let hash = blake3::hash(text.as_bytes());
    let mut key = [0; 8];
    key.copy_from_slice(&hash.as_bytes()[..8]);
    key
}

/// Cuts a message into tokens, each once, in a fixed order.
pub fn tokens(message: &Message<'_>) -> Vec<Token> {
    let mut bag = Bag::default();
    header(message, &mut bag);
    structure(message, &mut bag);
    let texts = Texts::of(message);
    for page in &texts.pages {
        shape(page, texts.octets, &mut bag);
    }
    urls(&texts, &mut bag);
    for text in &texts.plain {
        marks(text, "", &mut bag);
        words(text, "", &mut bag);
    }
    bag.tokens
}

/// Tokens as they are gathered.
#[derive(Default)]
struct Bag {
    tokens: Vec<Token>,
    seen: HashSet<[u8; 8]>,
    /// The token that is being put together: most have been seen, and need no memory of their own.
    text: String,
}

impl Bag {
    fn full(&self) -> bool {
        self.tokens.len() >= MAX_TOKENS
    }

    fn add(&mut self, text: &str) {
        self.join(&[text]);
    }

    fn add_in(&mut self, prefix: &str, text: &str) {
        if !text.is_empty() {
            self.join(&[prefix, text]);
        }
    }

    /// Adds the token that these make together.
    fn join(&mut self, parts: &[&str]) {
        if self.full() {
            return;
        }
        self.text.clear();
        self.text.extend(parts.iter().copied());
        if self.text.len() > MAX_TOKEN_CHARS
            && let Some((end, _)) = self.text.char_indices().nth(MAX_TOKEN_CHARS)
        {
            self.text.truncate(end);
        }
        let key = key(&self.text);
        if !self.text.is_empty() && self.seen.insert(key) {
            self.tokens.push(Token { text: self.text.clone(), key });
        }
    }
}

/// What the fields of the header tell.
fn header(message: &Message<'_>, bag: &mut Bag) {
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

/// How a made-up name looks: `H` for six hexadecimal digits or more, `9`, `A` and `a` for a run of
/// digits and letters; other characters stand for themselves. Programs that send spam have their own.
fn form(made_up: &str) -> String {
    let mut form = String::new();
    let mut rest = cut(made_up, 200);
    while let Some(first) = rest.chars().next() {
        let run = |is: fn(&char) -> bool| rest.chars().take_while(is).map(char::len_utf8).sum();
        let hex: usize = run(char::is_ascii_hexdigit);
        let (sign, octets) = match first {
            _ if hex >= 6 => ('H', hex),
            '0'..='9' => ('9', run(char::is_ascii_digit)),
            'A'..='Z' => ('A', run(char::is_ascii_uppercase)),
            'a'..='z' => ('a', run(char::is_ascii_lowercase)),
            other => (other, other.len_utf8()),
        };
        form.push(sign);
        rest = &rest[octets..];
    }
    cut(&form, 40).to_owned()
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

/// What the parts are.
fn structure(message: &Message<'_>, bag: &mut Bag) {
    if let Some(boundary) = message.root().param("boundary") {
        bag.add_in("boundary:form ", &form(&boundary));
    }
    for (i, part) in message.parts.iter().take(MAX_PARTS).enumerate() {
        let place = if i == 0 { "mime:root " } else { "mime:" };
        bag.add(&format!("{place}{}/{}", cut(&part.media_type, 20), cut(&part.subtype, 40)));
        if part.media_type == "text" {
            let charset = part.charset().unwrap_or_else(|| "none".to_owned());
            bag.add_in("charset:", &charset.to_ascii_lowercase());
            bag.add_in("encoding:", &format!("{:?}", part.encoding).to_ascii_lowercase());
        }
        if let Some(name) = part.file_name() {
            bag.add("mime:file");
            if let Some((_, ending)) = name.rsplit_once('.') {
                bag.add_in("file:", cut(&ending.to_lowercase(), 10));
            }
        }
    }
    if message.parts.len() > 8 {
        bag.add("mime:many parts");
    }
    for kind in message.defects.iter().map(|defect| format!("{:?}", defect.kind)) {
        // How the message was stored, not how it was sent.
        if kind != "MboxFromLine" && kind != "BareLf" {
            bag.add_in("defect:", &kind.to_ascii_lowercase());
        }
    }
}

/// The text that is read.
struct Texts {
    /// Plain text, and HTML as it is read, in order of the parts.
    plain: Vec<String>,
    /// HTML beside its words.
    pages: Vec<(Hypertext, usize)>,
    /// Of `plain` in all.
    octets: usize,
}

impl Texts {
    fn of(message: &Message<'_>) -> Texts {
        let mut texts = Texts { plain: Vec::new(), pages: Vec::new(), octets: 0 };
        for part in message.parts.iter().take(MAX_PARTS) {
            let left = MAX_TEXT_OCTETS.saturating_sub(texts.octets).min(MAX_PART_OCTETS);
            if part.content != Body::Leaf || part.media_type != "text" || left == 0 {
                continue;
            }
            let text = leading_text(message, part, left);
            let text = if part.subtype == "html" || looks_like_html(&text) {
                let words = html::to_text(&text, left);
                texts.pages.push((hypertext::examine(&text), words.len()));
                words
            } else {
                text
            };
            // HTML costs what it takes, not what it shows.
            texts.octets += text.len().max(left.min(part.body.len()) / 8);
            texts.plain.push(text);
        }
        texts
    }
}

/// The beginning of a text part, decoded, at most `limit` octets; the rest is not decoded.
fn leading_text(message: &Message<'_>, part: &Part<'_>, limit: usize) -> String {
    let body = &message.raw[part.body.clone()];
    // Quoted-printable takes three octets for one.
    let cut_octets = &body[..body.len().min(limit.saturating_mul(3))];
    let decoded = part.encoding.decode(cut_octets);
    let decoded = &decoded[..decoded.len().min(limit)];
    let label = part.charset();
    let mut text = charset::decode(decoded, label.as_deref().map(str::as_bytes)).into_owned();
    text.truncate(text.floor_char_boundary(limit));
    text
}

fn looks_like_html(text: &str) -> bool {
    let start = cut(text.trim_start(), 200).to_ascii_lowercase();
    start.starts_with("<html") || start.starts_with("<!doctype html") || start.contains("<body")
}

/// What HTML does beside its words.
fn shape((page, words): &(Hypertext, usize), all_words: usize, bag: &mut Bag) {
    for tag in &page.tags {
        bag.add_in("html:", tag);
    }
    let facts = [
        (page.hidden, "html:hidden"),
        (page.split_words > 0, "html:comments inside words"),
        (page.needless_references > 5, "html:letters as references"),
        (page.beacons > 0, "html:image of one pixel"),
        (page.images > 0 && *words < 200, "html:image only"),
        (page.images > 0, "html:image"),
        (page.images > 5, "html:many images"),
        (page.links.len() > 20, "html:many links"),
        (*words == all_words, "html:without plain text"),
        (page.links.iter().any(hypertext::names_another_host), "html:another-host"),
    ];
    for (holds, fact) in facts {
        if holds {
            bag.add(fact);
        }
    }
}

/// The links of all texts.
fn urls(texts: &Texts, bag: &mut Bag) {
    let mut left = MAX_URLS;
    for (page, _) in &texts.pages {
        let links = page.links.iter().map(|link| &link.href).chain(&page.sources);
        for url in links.take(left) {
            url_tokens(url, bag);
        }
        left = left.saturating_sub(page.links.len() + page.sources.len());
    }
    for text in &texts.plain {
        for (at, _) in text.match_indices("://") {
            if left == 0 {
                return;
            }
            left -= 1;
            let start = text[..at].rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |n| n + 1);
            // `rfind` gives the start of a character that may be longer than one octet.
            let start = text.ceil_char_boundary(start.min(at));
            let end = text[at..]
                .find(|c: char| c.is_whitespace() || "<>\"')]".contains(c))
                .map_or(text.len(), |n| at + n);
            url_tokens(&text[start..end], bag);
        }
    }
}

fn url_tokens(url: &str, bag: &mut Bag) {
    let url = cut(url, 500);
    let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if scheme.len() <= 10 && scheme.len() < url.len() {
        bag.add_in("url:scheme ", &scheme);
    }
    let Some(host) = hypertext::url_host(url) else { return };
    let host = host.to_lowercase();
    if host.parse::<std::net::Ipv4Addr>().is_ok() || host.bytes().all(|b| b.is_ascii_digit()) {
        bag.add("url:address for a name");
    }
    domain_tokens("url:", &host, bag);
    let Some((_, rest)) = url.split_once("//") else { return };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        bag.add("url:with a user name");
    }
    if authority.contains(':') {
        bag.add("url:with a port");
    }
    let path = rest.get(authority.len()..).unwrap_or_default();
    if path.contains('%') {
        bag.add("url:percent");
    }
    let pieces = path.split(|c: char| !c.is_alphanumeric()).filter(|piece| {
        let digits = piece.bytes().filter(u8::is_ascii_digit).count();
        (2..=20).contains(&piece.len()) && digits * 2 <= piece.len()
    });
    for piece in pieces.take(6) {
        bag.add_in("path:", &piece.to_lowercase());
    }
}

/// A domain, its last two labels and its top.
fn domain_tokens(prefix: &str, domain: &str, bag: &mut Bag) {
    let domain = cut(domain, MAX_TOKEN_CHARS - 12);
    bag.add_in(prefix, domain);
    let mut dots = domain.rmatch_indices('.').map(|(at, _)| at);
    if let Some(last) = dots.next() {
        bag.add_in(prefix, &domain[last..]);
    }
    if let Some(before) = dots.next() {
        bag.add_in(prefix, &domain[before + 1..]);
    }
    if domain.starts_with("xn--") || domain.contains(".xn--") {
        bag.add_in(prefix, "punycode");
    }
}

/// The words of a text, alone and in pairs, and how they look.
fn words(text: &str, prefix: &str, bag: &mut Bag) {
    let mut reader = Words { prefix, last: String::new(), spaced: String::new(), bag };
    let mut word = String::new();
    let (mut latin, mut other, mut invisible) = (false, false, 0);
    let mut capitals = true;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if reader.bag.full() {
            return;
        }
        let inner = matches!(c, '\'' | '’' | '-') && !word.is_empty();
        if is_unspaced(c) {
            reader.word(&word);
            word.clear();
            if let Some(&next) = chars.peek().filter(|next| is_unspaced(**next)) {
                reader.pair(c, next);
            }
        } else if c.is_alphanumeric() || (c == '$' && word.is_empty()) {
            latin |= c.is_ascii_alphabetic();
            capitals &= c.is_uppercase();
            other |= matches!(c, '\u{370}'..='\u{52f}');
            if word.len() <= 4 * MAX_WORD_CHARS {
                fold(c, &mut word);
            }
        } else if inner && chars.peek().is_some_and(|next| next.is_alphanumeric()) {
            word.push(if c == '’' { '\'' } else { c });
        } else if matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
        ) {
            invisible += 1; // Inside words, they are there to deceive; the word goes on.
        } else {
            if latin && other {
                reader.bag.add("look:letters of several scripts in a word");
            }
            reader.in_capitals(&word, capitals);
            (latin, other, capitals) = (false, false, true);
            reader.word(&word);
            word.clear();
        }
    }
    reader.in_capitals(&word, capitals);
    reader.word(&word);
    reader.end_spaced();
    if invisible > 3 {
        bag.add("look:invisible characters");
    }
}

struct Words<'a> {
    prefix: &'a str,
    /// The word before, for pairs.
    last: String,
    /// Letters that stood alone, one after another.
    spaced: String,
    bag: &'a mut Bag,
}

impl Words<'_> {
    fn word(&mut self, word: &str) {
        let chars = word.chars().count();
        match chars {
            0 => return,
            1 => {
                self.spaced.push_str(word);
                return;
            }
            _ => self.end_spaced(),
        }
        if chars > MAX_WORD_CHARS {
            self.bag.join(&[self.prefix, "look:long word"]);
            self.last.clear();
            return;
        }
        self.bag.add_in(self.prefix, word);
        if !self.last.is_empty() {
            self.bag.join(&[self.prefix, &self.last, " ", word]);
        }
        self.last.clear();
        self.last.push_str(word);
    }

    /// A word that is written in capitals is counted by that beside itself.
    fn in_capitals(&mut self, word: &str, capitals: bool) {
        if capitals && (3..=MAX_WORD_CHARS).contains(&word.chars().count()) {
            self.bag.join(&[self.prefix, "capitals:", word]);
        }
    }

    /// Two characters of a script without spaces.
    fn pair(&mut self, first: char, second: char) {
        self.last.clear();
        let (mut one, mut other) = ([0; 4], [0; 4]);
        let pair = [first.encode_utf8(&mut one), second.encode_utf8(&mut other)];
        self.bag.join(&[self.prefix, pair[0], pair[1]]);
    }

    /// `v i a g r a` is one word that does not want to be read.
    fn end_spaced(&mut self) {
        if self.spaced.chars().count() >= 5 {
            self.bag.add("look:letters spaced out");
            let word: String = self.spaced.chars().take(MAX_WORD_CHARS).collect();
            self.bag.add_in(self.prefix, &word);
        }
        self.spaced.clear();
    }
}

/// Looked up: each octet of a message is asked about.
const IS_MARK: [bool; 256] = {
    let (mut table, marks, mut i) = ([false; 256], b"!$%*#=_~?.-", 0);
    while i < marks.len() {
        table[marks[i] as usize] = true;
        i += 1;
    }
    table
};

/// Runs of marks, up to six; of single ones those that shout and those of prices.
fn marks(text: &str, prefix: &str, bag: &mut Bag) {
    let octets = text.as_bytes();
    let is_mark = |octet: &u8| IS_MARK[usize::from(*octet)];
    let is_digit = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_digit);
    let mut at = 0;
    while let Some(start) = octets[at..].iter().position(is_mark).map(|n| at + n) {
        let length = octets[start..].iter().take_while(|octet| is_mark(octet)).count();
        at = start + length;
        match &text[start..at] {
            "!" => bag.join(&[prefix, "marks:!"]),
            "$" if is_digit(octets.get(at)) => bag.join(&[prefix, "marks:$9"]),
            "%" if start > 0 && is_digit(octets.get(start - 1)) => {
                bag.join(&[prefix, "marks:9%"]);
            }
            _ if length == 1 => {}
            run => bag.join(&[prefix, "marks:", cut(run, 6)]),
        }
    }
}

/// Adds a character folded: compatibility forms, case and accents are gone.
fn fold(c: char, out: &mut String) {
    if c.is_ascii() {
        out.push(c.to_ascii_lowercase());
        return;
    }
    // Korean syllables are letters as they are; decomposed they would be three each.
    if matches!(c, '\u{ac00}'..='\u{d7a3}') {
        out.push(c);
        return;
    }
    decompose_compatible(c, |part| {
        if !matches!(part, '\u{300}'..='\u{36f}') {
            out.extend(part.to_lowercase());
        }
    });
}

/// Letters of scripts that put no spaces between words: Thai, Lao, Myanmar, Khmer, kana, ideographs.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

fn is_shouted(text: &str) -> bool {
    let upper = text.chars().filter(|c| c.is_uppercase()).count();
    let lower = text.chars().filter(|c| c.is_lowercase()).count();
    upper >= 8 && upper > 4 * lower
}

/// The beginning of a text, at most `octets`, at a character.
fn cut(text: &str, octets: usize) -> &str {
    &text[..text.floor_char_boundary(octets)]
}
