//! How a saved message came: who the last server outside was, out of its Received fields.
//!
//! A server puts its Received field on top (RFC 5321 §4.4), so the topmost ones are by the system that
//! the message was saved on, and those below may be anybody's invention. Between the servers of one
//! system mail goes by internal addresses: the first field from the top that names a public address
//! is the door through which the message came, and the last that can be trusted.
//!
//! | written by | form |
//! |---|---|
//! | Postfix, Waxwing, most | `from HELO (NAME [ADDRESS]) by …` |
//! | Exim | `from NAME ([ADDRESS] helo=HELO) by …`, `from [ADDRESS] (helo=HELO) by …` |
//! | qmail | `from NAME (HELO HELO) (ADDRESS) by …` |
//! | Exchange | `from HELO (ADDRESS) by …` |

use std::net::IpAddr;

use waxwing_message::parse::Part;
use waxwing_message::{Address, ReversePath};

use crate::serve::connect::is_public;

/// Where a message came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub ip: IpAddr,
    /// `None` when it is not known.
    pub helo: Option<String>,
    /// `None` when it is not known.
    pub reverse_path: Option<ReversePath>,
    /// Which Received field from the top said so, counted from 1; `None` when the caller did.
    pub field: Option<usize>,
    /// The server that wrote that field.
    pub by: String,
}

/// What the message's own trace fields tell; `None` when no field names a public address.
pub fn of_message(root: &Part<'_>) -> Option<Origin> {
    let fields = root.headers_named("Received").enumerate();
    let mut hops = fields.filter_map(|(index, field)| Some((index + 1, received(&field.text())?)));
    let (field, hop) = hops.find(|(_, hop)| is_public(hop.ip))?;
    let reverse_path = return_path(root);
    Some(Origin { ip: hop.ip, helo: hop.helo, reverse_path, field: Some(field), by: hop.by })
}

/// The topmost Return-Path, which the delivering server wrote (RFC 5321 §4.4).
pub fn return_path(root: &Part<'_>) -> Option<ReversePath> {
    let text = root.header("Return-Path")?.text();
    let path = text.trim();
    let path = path.strip_prefix('<').and_then(|path| path.strip_suffix('>')).unwrap_or(path);
    reverse_path(path.trim())
}

/// An address, or nothing for the null reverse-path.
pub fn reverse_path(text: &str) -> Option<ReversePath> {
    match text {
        "" | "<>" => Some(ReversePath::Null),
        address => address.parse::<Address>().ok().map(ReversePath::Address),
    }
}

/// What one Received field says of the client.
#[derive(Debug, PartialEq, Eq)]
struct Hop {
    ip: IpAddr,
    helo: Option<String>,
    by: String,
}

fn received(text: &str) -> Option<Hop> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if !words.first()?.eq_ignore_ascii_case("from") {
        return None;
    }
    // `by` outside of comments ends the clause.
    let mut depth = 0_usize;
    let end = words.iter().position(|word| {
        let here = depth;
        for c in word.chars() {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        here == 0 && word.eq_ignore_ascii_case("by")
    })?;
    let clause = &words[1..end];
    let bare: Vec<&str> =
        clause.iter().map(|word| word.trim_matches(['(', ')', ';', ','])).collect();
    let literal = bare.iter().find_map(|word| address(word, true));
    let ip = literal.or_else(|| bare.iter().find_map(|word| address(word, false)))?;
    let said = bare.iter().find_map(|word| {
        word.get(..5).filter(|w| w.eq_ignore_ascii_case("helo=")).map(|_| &word[5..])
    });
    let after = |name: &str| {
        let at = clause.iter().position(|word| word.eq_ignore_ascii_case(&format!("({name}")));
        at.and_then(|at| bare.get(at + 1)).copied()
    };
    let helo = said.or_else(|| after("HELO")).or_else(|| after("EHLO")).or(bare.first().copied());
    let helo = helo.filter(|helo| !helo.is_empty()).map(str::to_owned);
    let by = words.get(end + 1).unwrap_or(&"").trim_end_matches(';').to_owned();
    Some(Hop { ip, helo, by })
}

/// An address in brackets, or bare.
fn address(word: &str, in_brackets: bool) -> Option<IpAddr> {
    let inner = match in_brackets {
        true => word.strip_prefix('[')?.split(']').next()?,
        false => word,
    };
    let v6 = inner.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    let ip: IpAddr = if v6 { &inner[5..] } else { inner }.parse().ok()?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_message::Message;

    #[test]
    fn the_forms_of_the_servers_in_use() {
        for (text, ip, helo, by) in [
            (
                "from mail.example.org (mail.example.org [192.0.2.7])\r\n\tby mx.here.test with ESMTPS id 1",
                "192.0.2.7",
                "mail.example.org",
                "mx.here.test",
            ),
            (
                "from friend ([IPv6:2001:db8::7]) by mx.here.test; Mon",
                "2001:db8::7",
                "friend",
                "mx.here.test",
            ),
            (
                "from host.example.org ([192.0.2.7]:4321 helo=mail.example.org) by mx.here.test with esmtp (Exim 4.96)",
                "192.0.2.7",
                "mail.example.org",
                "mx.here.test",
            ),
            (
                "from [192.0.2.7] (helo=friend) by mx.here.test",
                "192.0.2.7",
                "friend",
                "mx.here.test",
            ),
            (
                "from unknown (HELO friend) (192.0.2.7) by mx.here.test with SMTP",
                "192.0.2.7",
                "friend",
                "mx.here.test",
            ),
            (
                "from A.example.org (2001:db8::7) by mx.here.test (2001:db8::1) with",
                "2001:db8::7",
                "A.example.org",
                "mx.here.test",
            ),
            (
                "from a.example.org (sent by b [192.0.2.7]) by mx.here.test",
                "192.0.2.7",
                "a.example.org",
                "mx.here.test",
            ),
        ] {
            let hop = received(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((hop.ip.to_string().as_str(), hop.by.as_str()), (ip, by), "{text}");
            assert_eq!(hop.helo.as_deref(), Some(helo), "{text}");
        }
        for text in
            ["", "by mx.here.test; Mon", "from localhost by mx", "(qmail 1 invoked by uid 3)"]
        {
            assert_eq!(received(text), None, "{text}");
        }
    }

    #[test]
    fn the_door_is_the_first_public_address_from_the_top() {
        let raw = b"Return-Path: <alice@example.org>\r\n\
            Received: from mx.here.test (mx.here.test [10.0.0.5]) by store.here.test\r\n\
            Received: from mail.example.org (mail.example.org [192.0.2.7]) by mx.here.test\r\n\
            Received: from invented (invented [198.51.100.1]) by mail.example.org\r\n\r\n";
        let message = Message::parse(raw);
        let origin = of_message(message.root()).unwrap();
        assert_eq!(origin.ip.to_string(), "192.0.2.7");
        assert_eq!((origin.field, origin.by.as_str()), (Some(2), "mx.here.test"));
        assert_eq!(origin.reverse_path, reverse_path("alice@example.org"));
        let null = Message::parse(b"Return-Path: <>\r\n\r\n");
        assert_eq!(return_path(null.root()), Some(ReversePath::Null));
        assert_eq!(of_message(null.root()), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "(from|by|\\(|\\)|\\[|\\]|helo=|HELO|[a-z0-9.: é]){0,40}") {
            let _ = received(&text);
        }
    }
}
