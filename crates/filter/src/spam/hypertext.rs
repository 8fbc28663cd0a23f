//! What HTML tells beside its words: links and what they are called, images, what is hidden.
//!
//! One pass over the tags, in linear time; a tag ends at its first `>`. No tree is built: a page
//! that hides its meaning in broken nesting is told by the words that remain.

use memchr::{memchr, memchr2, memmem};

/// Links beyond this are counted and not kept.
const MAX_LINKS: usize = 200;
/// The text of a link beyond this is not kept.
const MAX_LINK_TEXT: usize = 200;
/// A tag is looked at up to this many octets.
const MAX_TAG: usize = 2_000;

/// What one HTML part holds beside its words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hypertext {
    /// Where links lead and what they are called, in order.
    pub links: Vec<Link>,
    /// `src` of images, frames and scripts, in order.
    pub sources: Vec<String>,
    /// How many images.
    pub images: usize,
    /// Text that is not to be seen: no size, no display, white on white.
    pub hidden: bool,
    /// Comments inside words, `vi<!-- -->agra`.
    pub split_words: usize,
    /// Letters written as character references.
    pub needless_references: usize,
    /// Of [`TELLING_TAGS`], those that occur.
    pub tags: Vec<&'static str>,
    /// Images of one pixel.
    pub beacons: usize,
}

/// One link.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// As written.
    pub href: String,
    /// Its text, references not resolved.
    pub text: String,
}

/// Tags that tell something by being there.
const TELLING_TAGS: [&str; 14] = [
    "form",
    "input",
    "script",
    "iframe",
    "object",
    "embed",
    "base",
    "marquee",
    "map",
    "center",
    "font",
    "blockquote",
    "table",
    "style",
];

/// Reads one HTML text.
pub(super) fn examine(html: &str) -> Hypertext {
    let mut found = Hypertext::default();
    let octets = html.as_bytes();
    let last_comment_end = memmem::rfind(octets, b"-->").unwrap_or(0);
    let mut in_link = false;
    let mut at = 0;
    while at < octets.len() {
        let next = memchr2(b'<', b'&', &octets[at..]).map_or(octets.len(), |n| at + n);
        if in_link && next > at {
            found.link_text(&html[at..next]);
        }
        at = next;
        match octets.get(at) {
            Some(b'&') => {
                found.needless_references += usize::from(is_needless(&octets[at..]));
                at += 1;
            }
            Some(_) if octets[at..].starts_with(b"<!--") && last_comment_end >= at + 4 => {
                let end =
                    memmem::find(&octets[at + 4..], b"-->").map_or(octets.len(), |n| at + n + 7);
                let letter = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphabetic);
                let split = at > 0 && letter(octets.get(at - 1)) && letter(octets.get(end));
                found.split_words += usize::from(split);
                at = end;
            }
            Some(_) => {
                let end = memchr(b'>', &octets[at..]).map_or(octets.len(), |n| at + n + 1);
                let cut = html.floor_char_boundary(end.min(at + MAX_TAG));
                in_link = found.tag(&html[at + 1..cut.max(at + 1)], in_link);
                at = end;
            }
            None => break,
        }
    }
    found
}

impl Hypertext {
    /// Takes a tag without its `<`; tells whether what follows is the text of a link.
    fn tag(&mut self, tag: &str, in_link: bool) -> bool {
        let tag = Tag::of(tag.trim_end_matches('>'));
        let name_end = tag.lower.find(|c: char| !c.is_ascii_alphanumeric() && c != '/');
        let name = &tag.lower[..name_end.unwrap_or(tag.lower.len())];
        if let Some(telling) = TELLING_TAGS.iter().find(|t| **t == name)
            && !self.tags.contains(telling)
        {
            self.tags.push(telling);
        }
        self.hidden |= hides(&tag.lower);
        match name {
            "a" | "area" => {
                let Some(href) = tag.attribute("href") else { return in_link };
                if self.links.len() < MAX_LINKS {
                    self.links.push(Link { href, text: String::new() });
                    return name == "a";
                }
                false
            }
            "/a" => false,
            "img" | "iframe" | "script" | "frame" => {
                self.images += usize::from(name == "img");
                let one = |side| tag.attribute(side).is_some_and(|v| v == "1" || v == "0");
                self.beacons += usize::from(one("width") && one("height"));
                if self.sources.len() < MAX_LINKS {
                    self.sources.extend(tag.attribute("src"));
                }
                in_link
            }
            _ => in_link,
        }
    }

    fn link_text(&mut self, text: &str) {
        if let Some(link) = self.links.last_mut() {
            let room = MAX_LINK_TEXT.saturating_sub(link.text.len());
            link.text.push_str(&text[..text.floor_char_boundary(room)]);
        }
    }
}

/// A tag twice: to search in, and to take values from.
struct Tag<'a> {
    lower: String,
    written: &'a str,
}

impl Tag<'_> {
    fn of(written: &str) -> Tag<'_> {
        Tag { lower: written.to_ascii_lowercase(), written }
    }

    /// The value of an attribute, without its quotes.
    fn attribute(&self, name: &str) -> Option<String> {
        let finder = memmem::Finder::new(name);
        let octets = self.lower.as_bytes();
        finder.find_iter(octets).find_map(|found| {
            let before = octets.get(found.checked_sub(1)?)?;
            let after = self.written[found + name.len()..].trim_start().strip_prefix('=')?;
            let starts_here = before.is_ascii_whitespace() || matches!(before, b'"' | b'\'' | b'/');
            starts_here.then(|| value(after.trim_start()).to_owned())
        })
    }
}

/// A value as it stands after `=`.
fn value(text: &str) -> &str {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text[1..].split(quote).next().unwrap_or_default(),
        _ => text.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default(),
    }
}

/// Whether the style of a tag, in lower case, makes its text invisible.
fn hides(tag: &str) -> bool {
    let tight: String = tag.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    const STYLES: [&str; 6] = [
        "display:none",
        "visibility:hidden",
        "font-size:0",
        "font-size:1px",
        "opacity:0;",
        "max-height:0",
    ];
    const FONTS: [&str; 4] =
        ["color=\"#ffffff\"", "color=#ffffff", "color=\"white\"", "color=white"];
    let styled = tight.contains("style=") && STYLES.iter().any(|style| tight.contains(style));
    styled
        || tight.starts_with("font")
            && FONTS
                .iter()
                .any(|color| tight.match_indices(color).any(|(at, _)| !tight[..at].ends_with("bg")))
}

/// Whether the reference that begins here stands for an ASCII letter or digit.
fn is_needless(octets: &[u8]) -> bool {
    let window = &octets[..octets.len().min(10)];
    let Some(digits) = window.strip_prefix(b"&#") else { return false };
    let end = digits.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(digits.len());
    let text = std::str::from_utf8(&digits[..end]).unwrap_or_default();
    let number = match text.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    number.and_then(char::from_u32).is_some_and(|c| c.is_ascii_alphanumeric())
}

/// The host of a URL, in lower case: what stands after `//` and user information.
pub(super) fn url_host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("//")?;
    let authority = rest.split(['/', '?', '#', '\\', '"', '\'', '<', '>', ' ']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.find(']') {
        Some(end) if host.starts_with('[') => &host[..=end],
        _ => host.split(':').next()?,
    };
    let host = host.trim_matches('.');
    (!host.is_empty()).then_some(host)
}

/// The host that the text of a link seems to name, such as `www.example.org/login`.
fn named_host(text: &str) -> Option<&str> {
    let text = text.trim();
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = text.split(['/', '?', ':']).next()?.trim_end_matches('.');
    let (_, top) = host.rsplit_once('.')?;
    let is_host = host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let is_top = (2..=12).contains(&top.len()) && top.bytes().all(|b| b.is_ascii_alphabetic());
    (is_host && is_top && host.len() >= 6).then_some(host)
}

/// Whether a link is called by a host that it does not lead to.
pub(super) fn names_another_host(link: &Link) -> bool {
    let (Some(named), Some(leads_to)) = (named_host(&link.text), url_host(&link.href)) else {
        return false;
    };
    !tail(named).eq_ignore_ascii_case(tail(leads_to))
}

/// The last two labels of a host.
fn tail(host: &str) -> &str {
    match host.rmatch_indices('.').nth(1) {
        Some((dot, _)) => &host[dot + 1..],
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_images_and_what_is_hidden() {
        let html = "<A class=x HREF=\"http://evil.example/login\">www.<b>bank.example</b></A>\
                    <img src='http://t.example/p.gif' width=1 height=\"1\"> <p style=\"display: none\">x</p>";
        let found = examine(html);
        assert_eq!(found.links.len(), 1);
        assert_eq!(found.links[0].href, "http://evil.example/login");
        assert_eq!(found.links[0].text, "www.bank.example");
        assert!(names_another_host(&found.links[0]));
        assert_eq!((found.images, found.beacons, found.hidden), (1, 1, true));
        assert_eq!(found.sources, ["http://t.example/p.gif"]);
    }

    #[test]
    fn ordinary_html_hides_nothing() {
        let found = examine("<body bgcolor=\"#ffffff\"><font color=red bgcolor=white>x</font>");
        assert!(!found.hidden);
        assert!(examine("<font color=\"#FFFFFF\">x</font>").hidden);
        assert!(examine("<span style='FONT-SIZE: 0px'>x</span>").hidden);
    }

    #[test]
    fn tricks_with_comments_and_references() {
        assert_eq!(examine("vi<!-- x -->agra and <!-- y --> b").split_words, 1);
        assert_eq!(examine("&#118;&#x69;&#8217;&amp;").needless_references, 2);
    }

    #[test]
    fn a_link_may_be_called_by_its_own_host() {
        let link = |href: &str, text: &str| Link { href: href.into(), text: text.into() };
        assert!(!names_another_host(&link("https://mail.example.org/x", "www.example.org")));
        assert!(!names_another_host(&link("https://example.org", "click here")));
        assert!(!names_another_host(&link("https://example.org", "Dr. Who")));
        assert!(names_another_host(&link("https://u@evil.test:80/", "https://example.org/a")));
    }

    #[test]
    fn hosts_of_urls() {
        assert_eq!(url_host("http://user:pw@Example.org:8080/a?b"), Some("Example.org"));
        assert_eq!(url_host("http://[::1]:80/"), Some("[::1]"));
        assert_eq!(url_host("mailto:a@example.org"), None);
        assert_eq!(url_host("http:///x"), None);
    }

    #[test]
    fn hostile_html_takes_linear_time() {
        for piece in ["<", "<a href=", "<!--", "&#1", "<a href=x>", "<img ", "href=", "<a "] {
            examine(&piece.repeat(2_000_000 / piece.len())); // Quadratic time would take minutes.
        }
    }
}
