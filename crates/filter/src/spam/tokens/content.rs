//! What a message is made of, and what its HTML and its links do beside their words.

use waxwing_message::Message;
use waxwing_message::parse::{Body, Part, charset, html};

use super::super::hypertext::{self, Hypertext};
use super::{Bag, cut, domain_tokens, form};

/// Text that is read, decoded, in all parts together.
pub const MAX_TEXT_OCTETS: usize = 128 * 1024;
/// Text that is read of one part.
pub const MAX_PART_OCTETS: usize = 64 * 1024;
/// Parts that are looked at.
const MAX_PARTS: usize = 200;
/// Links whose parts become tokens.
const MAX_URLS: usize = 100;

/// What the parts are.
pub(super) fn structure(message: &Message<'_>, bag: &mut Bag) {
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
pub(super) struct Texts {
    /// Plain text, and HTML as it is read, in order of the parts.
    pub(super) plain: Vec<String>,
    /// HTML beside its words.
    pub(super) pages: Vec<(Hypertext, usize)>,
    /// Of `plain` in all.
    pub(super) octets: usize,
}

impl Texts {
    pub(super) fn of(message: &Message<'_>) -> Texts {
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
pub(super) fn shape((page, words): &(Hypertext, usize), all_words: usize, bag: &mut Bag) {
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
pub(super) fn urls(texts: &Texts, bag: &mut Bag) {
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
