//! Lists of URLs as the fields of mailing lists have them (RFC 2369 §2): each in angle brackets, parted by
//! commas, with comments anywhere between.
//!
//! `NO`, as List-Post may have it, is no URL; nor is what follows something that is neither (RFC 2369 §2
//! has programs stop there).

use super::charset;
use super::content::skip_cfws;

/// The URLs of a field, in their order, without brackets. White space inside the brackets goes: it was
/// put there by folding (RFC 2369 §2).
pub fn parse(value: &[u8]) -> Vec<String> {
    let mut urls = Vec::new();
    let mut at = skip_cfws(value, 0);
    while value.get(at) == Some(&b'<') {
        let inner = &value[at + 1..];
        let Some(end) = memchr::memchr(b'>', inner) else { break };
        let url: Vec<u8> =
            inner[..end].iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        if !url.is_empty() {
            urls.push(charset::guess(&url).into_owned());
        }
        at = skip_cfws(value, at + 1 + end + 1);
        // RFC 2369 §2: what follows anything but a comma is left out.
        if value.get(at) != Some(&b',') {
            break;
        }
        at = skip_cfws(value, at + 1);
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_2369() {
        let help =
            b"<ftp://ftp.host.com/list.txt> (FTP),\r\n    <mailto:list@host.com?subject=help>";
        assert_eq!(
            parse(help),
            ["ftp://ftp.host.com/list.txt", "mailto:list@host.com?subject=help"]
        );
        let note = b"<mailto:list@host.com?subject=help> (List Instructions)";
        assert_eq!(parse(note), ["mailto:list@host.com?subject=help"]);
        assert_eq!(parse(b"(Postings are Moderated) <mailto:moderator@host.com>").len(), 1);
        assert!(parse(b"NO (posting not allowed on this list)").is_empty());
        assert_eq!(
            parse(b"<http://a.example/\r\n b> junk, <http://c.example>"),
            ["http://a.example/b"]
        );
        assert!(parse(b"<unclosed").is_empty());
    }
}
