//! HTML down to its words, for previews and search. Not for showing.
//!
//! A scanner, not a parser: tags are dropped, block tags end a line, what is in `style`, `script`
//! and `title` is dropped with them, character references are resolved, white space is collapsed,
//! and characters without a shape (the padding of newsletters) are removed. There is no tree, so
//! there is no depth to bound; every octet is looked at a bounded number of times. Building a tree
//! as browsers do would cost a large dependency and help neither use.

use memchr::{memchr, memchr2, memmem};

/// The text of `html`: lines separated by `\n`, at most about `limit` octets.
pub fn to_text(html: &str, limit: usize) -> String {
    let mut scan = Scan {
        html,
        quotes_close: true,
        last_comment_end: memmem::rfind(html.as_bytes(), b"-->").unwrap_or(0),
        out: Collapsed::default(),
    };
    let mut at = 0;
    while at < html.len() && scan.out.text.len() < limit {
        at = scan.step(at);
    }
    scan.out.text
}

struct Scan<'a> {
    html: &'a str,
    /// False once a quote inside a tag was found not to close.
    quotes_close: bool,
    last_comment_end: usize,
    out: Collapsed,
}

impl Scan<'_> {
    /// Takes what stands at `at` and gives the place after it.
    fn step(&mut self, at: usize) -> usize {
        let rest = &self.html[at..];
        match rest.as_bytes()[0] {
            b'<' => match rest.as_bytes().get(1) {
                Some(b'!') if rest.starts_with("<!--") && self.last_comment_end >= at + 4 => {
                    let end = rest[4..].find("-->").map_or(rest.len(), |n| n + 7);
                    at + end
                }
                Some(b) if b.is_ascii_alphabetic() || b"/!?".contains(b) => self.tag(at),
                _ => {
                    self.out.push('<');
                    at + 1
                }
            },
            b'&' => {
                let (c, octets) = reference(rest);
                self.out.push(c);
                at + octets
            }
            _ => {
                let end = memchr2(b'<', b'&', rest.as_bytes()).unwrap_or(rest.len());
                rest[..end].chars().for_each(|c| self.out.push(c));
                at + end
            }
        }
    }

    fn tag(&mut self, at: usize) -> usize {
        let end = self.tag_end(at);
        let tag = &self.html[at + 1..end];
        let closing = tag.starts_with('/');
        let tag = tag.trim_start_matches('/');
        let name = tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len());
        let name = &tag[..name];
        let is = |names: &[&str]| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        if !closing && is(&["style", "script", "title", "textarea"]) {
            return self.element_end(end, name);
        }
        if is(&["td", "th"]) {
            self.out.push(' ');
        } else if is(BLOCKS) {
            self.out.line();
        }
        end
    }

    /// The place after the `>` of the tag at `at`; one inside quotes does not count.
    fn tag_end(&mut self, at: usize) -> usize {
        let octets = self.html.as_bytes();
        let mut i = at + 1;
        while self.quotes_close {
            match octets.get(i) {
                Some(b'>') => return i + 1,
                Some(&quote @ (b'"' | b'\'')) => match memchr(quote, &octets[i + 1..]) {
                    Some(n) => i += n + 2,
                    None => self.quotes_close = false,
                },
                Some(_) => i += 1,
                None => self.quotes_close = false,
            }
        }
        memchr(b'>', &octets[at..]).map_or(octets.len(), |n| at + n + 1)
    }

    /// The place of the closing tag of an element whose content is no text.
    fn element_end(&self, from: usize, name: &str) -> usize {
        let mut at = from;
        while let Some(n) = self.html[at..].find("</") {
            at += n + 2;
            let found = self.html.as_bytes().get(at..at + name.len());
            if found.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes())) {
                return at - 2;
            }
        }
        self.html.len()
    }
}

const BLOCKS: &[&str] = &[
    "address",
    "article",
    "blockquote",
    "body",
    "br",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "li",
    "main",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "tr",
    "ul",
];

/// Text with its white space collapsed as it is written.
#[derive(Default)]
struct Collapsed {
    text: String,
    space: bool,
    line: bool,
}

impl Collapsed {
    fn push(&mut self, c: char) {
        match c {
            // Soft hyphen, combining grapheme joiner, zero-width ones, marks of direction, BOM.
            '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {}
            c if c.is_whitespace() || c.is_control() => self.space = true,
            c => {
                if !self.text.is_empty() && self.line {
                    self.text.push('\n');
                } else if !self.text.is_empty() && self.space {
                    self.text.push(' ');
                }
                (self.space, self.line) = (false, false);
                self.text.push(c);
            }
        }
    }

    fn line(&mut self) {
        self.line = true;
    }
}

/// The character reference that `rest` begins with, and its length; a lone `&` is itself.
fn reference(rest: &str) -> (char, usize) {
    let window = &rest.as_bytes()[..rest.len().min(12)];
    let Some(end) = memchr(b';', window) else { return ('&', 1) };
    let name = &rest[1..end];
    let number = name.strip_prefix('#').and_then(|digits| match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    });
    let named = || NAMED.iter().find(|(known, _)| *known == name).map(|(_, c)| *c);
    match number.map(|n| char::from_u32(n).unwrap_or(char::REPLACEMENT_CHARACTER)).or_else(named) {
        Some(c) => (c, end + 1),
        None => ('&', 1),
    }
}

/// The names that mail uses (HTML 4 §24): markup, Latin letters, punctuation.
#[rustfmt::skip]
const NAMED: &[(&str, char)] = &[
    ("nbsp", ' '), ("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\''),
    ("rsquo", '’'), ("lsquo", '‘'), ("ldquo", '“'), ("rdquo", '”'), ("sbquo", '‚'), ("bdquo", '„'),
    ("ndash", '–'), ("mdash", '—'), ("hellip", '…'), ("bull", '•'), ("middot", '·'), ("copy", '©'),
    ("reg", '®'), ("trade", '™'), ("euro", '€'), ("pound", '£'), ("yen", '¥'), ("cent", '¢'),
    ("sect", '§'), ("para", '¶'), ("deg", '°'), ("plusmn", '±'), ("times", '×'), ("divide", '÷'),
    ("frac12", '½'), ("frac14", '¼'), ("frac34", '¾'), ("sup2", '²'), ("sup3", '³'), ("micro", 'µ'),
    ("laquo", '«'), ("raquo", '»'), ("lsaquo", '‹'), ("rsaquo", '›'), ("iexcl", '¡'), ("iquest", '¿'),
    ("larr", '←'), ("uarr", '↑'), ("rarr", '→'), ("darr", '↓'), ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'), ("shy", '\u{ad}'), ("ensp", ' '), ("emsp", ' '), ("thinsp", ' '),
    ("Agrave", 'À'), ("Aacute", 'Á'), ("Acirc", 'Â'), ("Atilde", 'Ã'), ("Auml", 'Ä'), ("Aring", 'Å'),
    ("AElig", 'Æ'), ("Ccedil", 'Ç'), ("Egrave", 'È'), ("Eacute", 'É'), ("Ecirc", 'Ê'), ("Euml", 'Ë'),
    ("Igrave", 'Ì'), ("Iacute", 'Í'), ("Icirc", 'Î'), ("Iuml", 'Ï'), ("ETH", 'Ð'), ("Ntilde", 'Ñ'),
    ("Ograve", 'Ò'), ("Oacute", 'Ó'), ("Ocirc", 'Ô'), ("Otilde", 'Õ'), ("Ouml", 'Ö'), ("Oslash", 'Ø'),
    ("Ugrave", 'Ù'), ("Uacute", 'Ú'), ("Ucirc", 'Û'), ("Uuml", 'Ü'), ("Yacute", 'Ý'), ("THORN", 'Þ'),
    ("szlig", 'ß'), ("agrave", 'à'), ("aacute", 'á'), ("acirc", 'â'), ("atilde", 'ã'), ("auml", 'ä'),
    ("aring", 'å'), ("aelig", 'æ'), ("ccedil", 'ç'), ("egrave", 'è'), ("eacute", 'é'), ("ecirc", 'ê'),
    ("euml", 'ë'), ("igrave", 'ì'), ("iacute", 'í'), ("icirc", 'î'), ("iuml", 'ï'), ("eth", 'ð'),
    ("ntilde", 'ñ'), ("ograve", 'ò'), ("oacute", 'ó'), ("ocirc", 'ô'), ("otilde", 'õ'), ("ouml", 'ö'),
    ("oslash", 'ø'), ("ugrave", 'ù'), ("uacute", 'ú'), ("ucirc", 'û'), ("uuml", 'ü'), ("yacute", 'ý'),
    ("thorn", 'þ'), ("yuml", 'ÿ'), ("OElig", 'Œ'), ("oelig", 'œ'), ("Scaron", 'Š'), ("scaron", 'š'),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        to_text(html, usize::MAX)
    }

    #[test]
    fn words_remain() {
        let html = "<html><head><title>T</title><style>p { x }</style></head><body><p>Hello,&nbsp;<b>w</b>orld!</p>\
                    <!-- no --><P title=\"a>b\">Caf&eacute; &#8364; &#x41;</P><script>if (a<b) {}</script>1 < 2 &unknown; & so</body>";
        assert_eq!(text(html), "Hello, world!\nCafé € A\n1 < 2 &unknown; & so");
    }

    #[test]
    fn broken_html_hides_no_more_than_it_must() {
        assert_eq!(text("a <b title=\"open>bold</b> b"), "a bold b");
        assert_eq!(text("a <!-- open > b"), "a b");
        assert_eq!(text("a <b"), "a");
        assert_eq!(text("x<style>p{}"), "x");
    }

    #[test]
    fn hostile_html_takes_linear_time() {
        for piece in ["<", "<a \"", "<!--", "<div>", "&", "<style>", "</", "<a '>"] {
            let html = piece.repeat(2_000_000 / piece.len());
            text(&html); // Quadratic time would take minutes.
        }
    }
}
