//! EmailBodyValue (RFC 8621 §4.1.4): text parts as text.

use memchr::memchr;
use serde_json::{Value, json};
use waxwing_message::parse::charset::decode_checked;
use waxwing_message::parse::transfer::{Decoder, TransferEncoding};
use waxwing_message::summary::PartInfo;

/// Encoded octets that are read for each octet of a value that is asked for: quoted-printable has three
/// for one, and other charsets than UTF-8 have more than it.
const ENCODED_PER_OCTET: u64 = 6;

/// How many octets of a part's body to read for a value of at most so many octets; 0: all.
pub fn needed(part: &PartInfo, most: u64) -> u64 {
    match most {
        0 => part.body.octets,
        most => part.body.octets.min(most.saturating_mul(ENCODED_PER_OCTET).saturating_add(1024)),
    }
}

/// The value of a text part, of the first octets of its body. At most `most` octets of text; 0: all.
pub fn value(part: &PartInfo, body: &[u8], most: u64) -> Value {
    let whole = body.len() as u64 == part.body.octets;
    let encoding = part.transfer_encoding();
    let mut octets = Vec::with_capacity(body.len());
    let mut decoder = Decoder::new(encoding);
    decoder.push(body, &mut octets);
    // What was cut may end inside an escape.
    if whole || encoding == TransferEncoding::Uuencode {
        decoder.finish(&mut octets);
    } else if encoding == TransferEncoding::QuotedPrintable && octets.is_empty() {
        // A single line that is longer than all that is wanted.
        decoder.finish(&mut octets);
        octets.truncate(octets.len().saturating_sub(3));
    }
    let label = part.params.iter().find(|(name, _)| name == b"charset");
    let decoded = decode_checked(&octets, label.map(|(_, label)| label.as_slice()), whole);
    // RFC 8621 §4.1.4: with any CRLF replaced with a single LF.
    let mut text = decoded.text.replace("\r\n", "\n");
    let mut truncated = !whole;
    if truncated && text.ends_with('\r') {
        text.pop(); // the half of a line end
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if most > 0 && text.len() > most {
        let end = match part.subtype.eq_ignore_ascii_case(b"html") {
            true => html_end(&text, most),
            false => text.floor_char_boundary(most),
        };
        text.truncate(end);
        truncated = true;
    }
    json!({
        "value": text,
        "isEncodingProblem": decoded.problem || encoding == TransferEncoding::Unknown,
        "isTruncated": truncated,
    })
}

/// Where to cut HTML of more than `most` octets: at a character, and not inside a tag (RFC 8621 §4.2) unless
/// that is all there is.
fn html_end(html: &str, most: usize) -> usize {
    let end = html.floor_char_boundary(most);
    let octets = &html.as_bytes()[..end];
    let (mut at, mut tag) = (0, None);
    while at < octets.len() {
        match tag {
            None => {
                let Some(open) = memchr(b'<', &octets[at..]).map(|n| at + n) else { break };
                let next = html.as_bytes().get(open + 1);
                if next.is_some_and(|b| b.is_ascii_alphabetic() || b"/!?".contains(b)) {
                    tag = Some(open);
                }
                at = open + 1;
            }
            Some(_) => {
                match octets[at] {
                    b'>' => tag = None,
                    // A `>` in a value that is quoted ends no tag.
                    quote @ (b'"' | b'\'') => match memchr(quote, &octets[at + 1..]) {
                        Some(n) => at += n + 1,
                        None => break,
                    },
                    _ => {}
                }
                at += 1;
            }
        }
    }
    tag.unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use waxwing_message::{Message, Summary};

    fn of(raw: &[u8], most: u64) -> Value {
        let summary = Summary::of(&Message::parse(raw));
        let part = &summary.parts[0];
        let from = part.body.offset as usize;
        let octets = needed(part, most) as usize;
        value(part, &raw[from..from + octets], most)
    }

    fn is(text: &str, problem: bool, truncated: bool) -> Value {
        json!({"value": text, "isEncodingProblem": problem, "isTruncated": truncated})
    }

    #[test]
    fn text_is_decoded() {
        assert_eq!(of(b"\r\na\r\nb\rc\n", 0), is("a\nb\rc\n", false, false));
        let latin = b"Content-Type: text/plain; charset=iso-8859-1\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9 =\r\nx=";
        assert_eq!(of(latin, 0), is("café x", false, false));
        let bad = b"Content-Type: text/plain; charset=utf-8\r\n\r\ncaf\xe9";
        assert_eq!(of(bad, 0), is("caf\u{fffd}", true, false));
        assert_eq!(of(b"Content-Transfer-Encoding: x\r\n\r\na", 0), is("a", true, false));
        assert_eq!(
            of(b"Content-Type: text/plain; charset=x-none\r\n\r\na", 0),
            is("a", true, false)
        );
    }

    #[test]
    fn text_is_cut_at_a_character() {
        let raw = "Content-Type: text/plain; charset=utf-8\r\n\r\nééé";
        assert_eq!(of(raw.as_bytes(), 6), is("ééé", false, false));
        assert_eq!(of(raw.as_bytes(), 5), is("éé", false, true));
        assert_eq!(of(raw.as_bytes(), 1), is("", false, true));
        let long = format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{}", "é".repeat(9999));
        assert_eq!(of(long.as_bytes(), 3), is("é", false, true));
        let line = format!(
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}",
            "=C3=A9".repeat(9999)
        );
        assert_eq!(of(line.as_bytes(), 5), is("éé", false, true));
    }

    #[test]
    fn html_is_not_cut_in_a_tag() {
        let html = "<p>a < b</p><a href=\"x>y\" title='\"'>é</a>";
        let cut = |most| &html[..html_end(html, most)];
        assert_eq!(cut(8), "<p>a < b");
        assert_eq!(cut(9), "<p>a < b");
        assert_eq!(cut(12), "<p>a < b</p>");
        assert_eq!(cut(25), "<p>a < b</p>");
        assert_eq!(cut(32), "<p>a < b</p>");
        assert_eq!(cut(37), "<p>a < b</p><a href=\"x>y\" title='\"'>");
        assert_eq!(html_end("<a href", 5), 0);
    }

    proptest! {
        #[test]
        fn no_more_than_is_wanted(
            body in "([<>\"'a=]|é|=C3|\r\n|\n){0,400}", most in 1u64..60, html: bool, qp: bool,
        ) {
            let subtype = if html { "html" } else { "plain" };
            let encoding = if qp { "quoted-printable" } else { "8bit" };
            let raw = format!("Content-Type: text/{subtype}; charset=utf-8\r\n\
                Content-Transfer-Encoding: {encoding}\r\n\r\n{body}");
            let cut = of(raw.as_bytes(), most);
            let whole = of(raw.as_bytes(), 0);
            let [cut_text, whole_text] = [&cut, &whole].map(|value| value["value"].as_str().unwrap());
            prop_assert!(cut_text.len() as u64 <= most);
            prop_assert!(whole_text.starts_with(cut_text), "{:?} {:?}", cut_text, whole_text);
            prop_assert_eq!(cut["isTruncated"].as_bool(), Some(cut_text.len() < whole_text.len()));
        }
    }
}
