//! Header fields, written: folded, and encoded where they are not plain ASCII.
//!
//! A line is folded before it passes 78 characters wherever a space allows, and no line passes 998
//! (RFC 5322 §2.1.1): text with a word too long for that is put into encoded words, which end where we like.
//! Folds are made only at single spaces, so that unfolding gives back the text. Control characters,
//! line ends above all, become spaces: no text given can begin a field of its own.

use super::Mailbox;
use crate::Address;
use crate::parse::TransferEncoding;

/// Where lines are folded: RFC 5322 §2.1.1.
const LINE: usize = 78;
/// The longest encoded word, and the longest line that holds one: RFC 2047 §2.
const ENCODED_WORD: usize = 75;
/// A word longer than this is encoded, so that it can be cut.
const LONGEST_WORD: usize = 900;
/// RFC 5322 §2.1.1.
const LONGEST_LINE: usize = 998;

/// Writes fields one after another.
#[derive(Debug, Default)]
pub struct FieldWriter {
    out: Vec<u8>,
    column: usize,
}

impl FieldWriter {
    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// A field whose value is already in its form, without line ends.
    pub fn raw(&mut self, name: &str, value: &str) {
        self.begin(name);
        self.words(&one_line(value));
        self.end();
    }

    /// A field of free text: encoded words where it is not plain.
    pub fn text(&mut self, name: &str, text: &str) {
        self.begin(name);
        let text = one_line(text);
        if is_plain(&text) {
            self.words(&text);
        } else {
            self.encoded_words(&text, Place::Text);
        }
        self.end();
    }

    /// A field of addresses.
    pub fn mailboxes(&mut self, name: &str, list: &[Mailbox]) {
        self.begin(name);
        for (i, mailbox) in list.iter().enumerate() {
            if i > 0 {
                self.put(",");
            }
            if let Some(name) = mailbox.name.as_deref().filter(|name| !name.trim().is_empty()) {
                self.phrase(name);
                self.word(&format!("<{}>", mailbox.address));
            } else {
                self.word(&mailbox.address.to_string());
            }
        }
        self.end();
    }

    /// A field of addresses that need not be right, as drafts have them: each a name and what stands for
    /// an address, with the name of a group before those that are in one. What is no address is quoted,
    /// so that it comes back as it was and is nothing else.
    pub fn loose_mailboxes(&mut self, name: &str, groups: &[LooseGroup<'_>]) {
        self.begin(name);
        let mut first = true;
        for group in groups {
            let mut lead = match group.name {
                Some(name) => {
                    if !std::mem::take(&mut first) {
                        self.put(",");
                    }
                    self.phrase(name);
                    self.put(":");
                    true
                }
                None => false,
            };
            for (name, address) in &group.mailboxes {
                if !std::mem::take(&mut lead) && !std::mem::take(&mut first) {
                    self.put(",");
                }
                first = false;
                self.loose_mailbox(*name, address);
            }
            if group.name.is_some() {
                self.put(";");
            }
        }
        self.end();
    }

    fn loose_mailbox(&mut self, name: Option<&str>, address: &str) {
        let address = loose_address(address);
        match name.filter(|name| !name.trim().is_empty()) {
            Some(name) => {
                self.phrase(name);
                self.word(&format!("<{address}>"));
            }
            None if address.is_empty() => self.word("<>"),
            None => self.word(&address),
        }
    }

    /// A field of URLs (RFC 2369 §2), given without angle brackets: printable ASCII.
    pub fn urls(&mut self, name: &str, urls: &[String]) {
        self.begin(name);
        for (i, url) in urls.iter().enumerate() {
            if i > 0 {
                self.put(",");
            }
            let inside = |c: &char| c.is_ascii_graphic() && !"<>".contains(*c);
            let url: String = url.chars().filter(inside).collect();
            self.word(&format!("<{url}>"));
        }
        self.end();
    }

    /// A field whose value is written out already, folds and all: it begins with a space or tab or gets a
    /// space, and each CRLF in it is one that folds (RFC 5322 §2.2.3). `None`, and nothing is written,
    /// where it has other control characters, or a line that is too long or of nothing but white space.
    pub fn verbatim(&mut self, name: &str, value: &str) -> Option<()> {
        let lines = || value.split("\r\n");
        let bad = |c: char| c.is_control() && c != '\t';
        let folds = lines().skip(1).all(|line| line.starts_with([' ', '\t']));
        let blank = lines().any(|line| line.trim_matches([' ', '\t']).is_empty());
        let empty = value.trim_matches([' ', '\t']).is_empty();
        let long = lines().any(|line| line.len() + name.len() + 2 > LONGEST_LINE);
        if !folds || blank && !empty || long || lines().any(|line| line.contains(bad)) {
            return None;
        }
        self.begin(name);
        if !value.starts_with([' ', '\t']) {
            self.put(" ");
        }
        self.put(value);
        self.end();
        Some(())
    }

    /// A field of message ids, given without angle brackets.
    pub fn ids(&mut self, name: &str, ids: &[String]) {
        self.begin(name);
        for id in ids {
            let inside = |c: &char| !c.is_whitespace() && !c.is_control() && !"<>".contains(*c);
            let id: String = id.chars().filter(inside).collect();
            self.word(&format!("<{id}>"));
        }
        self.end();
    }

    /// A field with parameters, such as Content-Type.
    pub fn with_params(&mut self, name: &str, value: &str, params: &[(&str, &str)]) {
        self.begin(name);
        self.words(&one_line(value));
        for (name, value) in params {
            self.param(name, value);
        }
        self.end();
    }

    fn begin(&mut self, name: &str) {
        let name: String =
            name.chars().filter(|c| c.is_ascii_graphic() && *c != ':').take(70).collect();
        let name = if name.is_empty() { "X-Unnamed" } else { &name };
        self.column = 0;
        self.put(name);
        self.put(":");
    }

    fn end(&mut self) {
        self.out.extend_from_slice(b"\r\n");
        self.column = 0;
    }

    fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.column += text.chars().count();
    }

    /// A space, or a fold when what comes next would pass the end of the line.
    fn space_before(&mut self, columns: usize, line: usize) {
        // A line with the field's name alone is folded only when that helps.
        if self.column + 1 + columns > line && self.column > 1 {
            self.out.extend_from_slice(b"\r\n ");
            self.column = 1;
        } else {
            self.put(" ");
        }
    }

    fn word(&mut self, word: &str) {
        self.space_before(word.chars().count(), LINE);
        self.put(word);
    }

    /// Words with the spaces they have between them; only single ones are folded at.
    fn words(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let end = single_space(rest).unwrap_or(rest.len());
            self.word(&rest[..end]);
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }

    /// A display name: as it is, quoted, or in encoded words (RFC 5322 §3.2.5, RFC 2047 §5).
    fn phrase(&mut self, name: &str) {
        let name = one_line(name);
        let atom = |word: &str| {
            let atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
            !word.is_empty() && word.bytes().all(atext)
        };
        if !is_plain(&name) || name.len() > 60 {
            self.encoded_words(&name, Place::Phrase);
        } else if name.split(' ').all(atom) {
            self.words(&name);
        } else {
            self.word(&quoted(&name));
        }
    }

    /// Cuts text into encoded words of at most 75 characters, never inside a character.
    fn encoded_words(&mut self, text: &str, place: Place) {
        // RFC 2047 §4: Q while most of the text can be read through it.
        let odd = text.chars().filter(|c| !c.is_ascii()).count();
        let by_q = 2 * odd <= text.chars().count();
        let overhead = "=?utf-8?q??=".len();
        let mut rest = text;
        while !rest.is_empty() {
            let room = (LINE - 2).saturating_sub(self.column + 1).min(ENCODED_WORD);
            // Rather a new line than a scrap.
            let room = if room < overhead + 16 { ENCODED_WORD } else { room } - overhead;
            let mut taken = 0;
            let mut width = 0;
            for c in rest.chars() {
                let next = taken + c.len_utf8();
                let bytes = &rest.as_bytes()[taken..next];
                width += bytes.iter().map(|b| q_width(*b, place)).sum::<usize>();
                let columns = if by_q { width } else { next.div_ceil(3) * 4 };
                if columns > room {
                    break;
                }
                taken = next;
            }
            let (now, later) = rest.split_at(taken);
            let word = match by_q {
                true => format!("=?utf-8?q?{}?=", q_encoded(now, place)),
                false => format!("=?utf-8?b?{}?=", base64(now.as_bytes())),
            };
            self.space_before(word.len(), LINE - 2);
            self.put(&word);
            rest = later;
        }
    }

    /// `; name=value`: a token, a quoted string, or RFC 2231 in as many sections as it takes.
    fn param(&mut self, name: &str, value: &str) {
        self.put(";");
        let token = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=*'%".contains(&b);
        let ascii = value.bytes().all(|b| matches!(b, b' '..=b'~'));
        if !value.is_empty() && value.len() <= 60 && value.bytes().all(token) {
            self.word(&format!("{name}={value}"));
        } else if ascii && value.len() <= 70 && !value.contains("=?") {
            self.word(&format!("{name}={}", quoted(value)));
        } else {
            self.extended_param(name, value);
        }
    }

    /// RFC 2231 §3 and §4. Sections are of one line each.
    fn extended_param(&mut self, name: &str, value: &str) {
        let encoded = |b: u8| match b {
            // RFC 2231 §7 `attribute-char`, without the marks that confuse readers.
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => (b as char).to_string(),
            _ => format!("%{b:02X}"),
        };
        let pieces: Vec<String> = value.bytes().map(encoded).collect();
        let room = LINE.saturating_sub(name.len() + "*9999*=utf-8'';".len() + 2).max(24);
        let whole: usize = pieces.iter().map(String::len).sum();
        if whole <= room {
            self.word(&format!("{name}*=utf-8''{}", pieces.concat()));
            return;
        }
        let mut section = String::new();
        let mut number = 0;
        for piece in &pieces {
            if section.len() + piece.len() > room {
                self.section(name, number, &section);
                self.put(";");
                section.clear();
                number += 1;
            }
            section.push_str(piece);
        }
        self.section(name, number, &section);
    }

    fn section(&mut self, name: &str, number: usize, text: &str) {
        let charset = if number == 0 { "utf-8''" } else { "" };
        self.word(&format!("{name}*{number}*={charset}{text}"));
    }
}

/// Mailboxes that stand in a group, or in none: see [`FieldWriter::loose_mailboxes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LooseGroup<'t> {
    /// `None`: they are in none.
    pub name: Option<&'t str>,
    /// Display name, and address as it was typed.
    pub mailboxes: Vec<(Option<&'t str>, &'t str)>,
}

/// An address as it stands in a field. What has a form that parses is left as it is, but for domains
/// beyond ASCII, which get their A-labels; anything else becomes a quoted local part.
fn loose_address(address: &str) -> String {
    let address = address.trim();
    match Address::parse(address) {
        Ok(_) if address.is_ascii() => address.to_owned(),
        Ok(address) => address.to_string(),
        Err(_) if address.is_empty() => String::new(),
        Err(_) => quoted(&one_line(address)),
    }
}

/// Where an encoded word stands: a phrase allows fewer characters (RFC 2047 §5 (3)).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    Phrase,
}

fn q_plain(b: u8, place: Place) -> bool {
    let anywhere = b.is_ascii_alphanumeric() || b"!*+-/".contains(&b);
    anywhere || place == Place::Text && b.is_ascii_graphic() && !b"=?_".contains(&b)
}

fn q_width(b: u8, place: Place) -> usize {
    if b == b' ' || q_plain(b, place) { 1 } else { 3 }
}

fn q_encoded(text: &str, place: Place) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for b in text.bytes() {
        match b {
            b' ' => out.push('_'),
            b if q_plain(b, place) => out.push(b as char),
            b => out.push_str(&format!("={b:02X}")),
        }
    }
    out
}

fn base64(octets: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(octets)
}

/// RFC 5322 §3.2.4.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Control characters become spaces.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Text that may stand as it is and comes back from a reader unchanged.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~'))
        && !text.contains("=?")
        && text.trim_ascii() == text
        && text.split(' ').all(|word| word.len() <= LONGEST_WORD)
}

/// Where a space stands alone between two words.
fn single_space(text: &str) -> Option<usize> {
    let octets = text.as_bytes();
    memchr::memchr_iter(b' ', octets).find(|&at| {
        at > 0 && octets[at - 1] != b' ' && octets.get(at + 1).is_some_and(|b| *b != b' ')
    })
}

/// The name of a transfer encoding as it is written.
pub(super) fn encoding_name(encoding: TransferEncoding) -> &'static str {
    match encoding {
        TransferEncoding::SevenBit => "7bit",
        TransferEncoding::EightBit => "8bit",
        TransferEncoding::QuotedPrintable => "quoted-printable",
        TransferEncoding::Base64 => "base64",
        TransferEncoding::Uuencode => "x-uuencode",
        TransferEncoding::Binary | TransferEncoding::Unknown => "binary",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut FieldWriter)) -> String {
        let mut writer = FieldWriter::default();
        write(&mut writer);
        String::from_utf8(writer.into_bytes()).unwrap()
    }

    #[test]
    fn plain_text_is_folded_at_single_spaces() {
        let text = "word ".repeat(30);
        let field = written(|w| w.text("Subject", text.trim()));
        assert!(field.lines().all(|line| line.len() <= LINE), "{field}");
        assert_eq!(field.replace("\r\n", ""), format!("Subject: {}", text.trim()));
    }

    #[test]
    fn other_text_is_encoded() {
        assert_eq!(
            written(|w| w.text("Subject", "Grüße")),
            "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
        );
        assert_eq!(written(|w| w.text("Subject", "日本")), "Subject: =?utf-8?b?5pel5pys?=\r\n");
        let long = "日本語".repeat(60);
        let field = written(|w| w.text("Subject", &long));
        assert!(field.lines().all(|line| line.len() <= 76), "{field}");
    }

    #[test]
    fn no_text_begins_a_field() {
        let field = written(|w| w.text("Sub:ject", "x\r\nBcc: y"));
        assert_eq!(field, "Subject: x  Bcc: y\r\n");
    }

    #[test]
    fn names_are_plain_quoted_or_encoded() {
        let address = Address::parse("a@b.test").unwrap();
        let field =
            |name: &str| written(|w| w.mailboxes("To", &[Mailbox::named(name, address.clone())]));
        assert_eq!(field("Joe Public"), "To: Joe Public <a@b.test>\r\n");
        assert_eq!(field("Joe Q. \"P\""), "To: \"Joe Q. \\\"P\\\"\" <a@b.test>\r\n");
        assert_eq!(field("Zoë, X"), "To: =?utf-8?q?Zo=C3=AB=2C_X?= <a@b.test>\r\n");
        assert_eq!(field(" "), "To: a@b.test\r\n");
    }

    #[test]
    fn loose_mailboxes_are_quoted_where_they_are_none() {
        let group = |name, mailboxes| LooseGroup { name, mailboxes };
        let field = written(|w| {
            let groups = [
                group(None, vec![(None, "a@b.test"), (Some("Joe, X"), "half typed, x@y")]),
                group(Some("Friends"), vec![(Some("Ann"), "ann@É.test"), (None, "bob")]),
                group(Some("None"), vec![]),
                group(None, vec![(Some("Only a name"), "")]),
            ];
            w.loose_mailboxes("To", &groups)
        });
        assert_eq!(
            field.replace("\r\n ", " "),
            "To: a@b.test, \"Joe, X\" <\"half typed, x@y\">, Friends: Ann <ann@xn--9ca.test>, \
             \"bob\";, None:;, Only a name <>\r\n"
        );
    }

    #[test]
    fn what_is_verbatim_folds_only() {
        let verbatim = |value: &str| {
            let mut writer = FieldWriter::default();
            writer.verbatim("X", value)?;
            Some(String::from_utf8(writer.into_bytes()).unwrap())
        };
        assert_eq!(verbatim("en").as_deref(), Some("X: en\r\n"));
        assert_eq!(verbatim(" a\r\n\tb").as_deref(), Some("X: a\r\n\tb\r\n"));
        assert_eq!(verbatim("").as_deref(), Some("X: \r\n"));
        for bad in ["a\r\nBcc: x", "a\nb", "a\0", "a\r\n \r\n b", "a\r\n ", &"x".repeat(999)] {
            assert_eq!(verbatim(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn parameters_take_the_simplest_form() {
        let param =
            |value: &str| written(|w| w.with_params("X", "attachment", &[("filename", value)]));
        assert_eq!(param("a.txt"), "X: attachment; filename=a.txt\r\n");
        assert_eq!(param("a b.txt"), "X: attachment; filename=\"a b.txt\"\r\n");
        assert_eq!(param("ä.txt"), "X: attachment; filename*=utf-8''%C3%A4.txt\r\n");
        let long = param(&"ä".repeat(60));
        assert!(
            long.contains("filename*0*=utf-8''%C3") && long.contains("filename*1*=%"),
            "{long}"
        );
        assert!(long.lines().all(|line| line.len() <= LINE), "{long}");
    }
}
