//! Trace fields and other edits of a header block, on the octets themselves (RFC 5321 §4.4).
//!
//! A message in transit is never taken apart and put together again: fields are put before it or
//! left out, and everything else stays as it came, octet for octet, so that signatures hold. Edits
//! look at the header block alone. They give a new header block and the offset where the rest of
//! the original begins, so that a body of 50 MB is neither read nor copied. What is given to them must
//! hold the whole header; it need not hold the body.

use std::net::IpAddr;

use jiff::Timestamp;

pub use crate::parse::field::header_end;
use crate::parse::field::{Header, Item, fields, header_start, item_at};
use crate::parse::{addresses, date, words};
use crate::{Address, ReversePath};

/// A header block to put in place of an original's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The new header, or its new beginning.
    pub header: Vec<u8>,
    /// Offset in the original of the first octet that follows `header` unchanged.
    pub rest: usize,
}

impl Edited {
    /// The whole edited message; copies the rest.
    pub fn concat(&self, original: &[u8]) -> Vec<u8> {
        [&self.header, &original[self.rest.min(original.len())..]].concat()
    }
}

/// What a `Received` field says (RFC 5321 §4.4).
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// What the client called itself in HELO, EHLO or LHLO.
    pub helo: Option<&'a str>,
    /// Its address.
    pub ip: Option<IpAddr>,
    /// The name its address leads to in the DNS.
    pub host: Option<&'a str>,
    /// Our own name.
    pub by: &'a str,
    /// See [`protocol`]; `local` for what was made here.
    pub with: &'a str,
    /// TLS version and cipher suite, if TLS was used.
    pub tls: Option<(&'a str, &'a str)>,
    /// Our id for the message.
    pub id: &'a str,
    /// The recipient, when there is only one: several would tell each other (RFC 5321 §7.2).
    pub recipient: Option<&'a Address>,
    /// Now.
    pub at: Timestamp,
}

impl Received<'_> {
    /// The field, folded, with its line end.
    pub fn to_field(&self) -> Vec<u8> {
        let mut clauses = Vec::new();
        if self.helo.is_some() || self.ip.is_some() {
            clauses.push(format!("from {}", self.from()));
        }
        clauses.push(format!("by {} with {} id {}", safe(self.by), safe(self.with), safe(self.id)));
        // An address beyond ASCII may stand only in an internationalised message (RFC 6532).
        let utf8 = self.with.starts_with("UTF8");
        if let Some(recipient) = self.recipient.filter(|to| utf8 || !to.needs_smtputf8()) {
            clauses.push(format!("for <{recipient}>"));
        }
        if let Some((version, cipher)) = self.tls {
            // RFC 8314 §4.3. Cipher suites by their registered names: rustls says `TLS13_` for `TLS_`.
            let cipher = safe(&cipher.replacen("TLS13_", "TLS_", 1));
            clauses.push(format!("tls {cipher} ({})", safe(version)));
        }
        let mut field = format!("Received: {}", clauses.join("\r\n\t"));
        field.push_str(";\r\n\t");
        field.push_str(&date::format(self.at));
        field.push_str("\r\n");
        field.into_bytes()
    }

    fn from(&self) -> String {
        let ip = match self.ip {
            Some(IpAddr::V4(ip)) => format!("[{ip}]"),
            Some(IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
            None => String::new(),
        };
        let helo = self.helo.map(safe).filter(|helo| !helo.is_empty());
        let helo =
            helo.unwrap_or_else(|| if ip.is_empty() { "unknown".into() } else { ip.clone() });
        match (self.host.map(safe).filter(|host| !host.is_empty()), ip.is_empty()) {
            (Some(host), false) => format!("{helo} ({host} {ip})"),
            (None, false) => format!("{helo} ({ip})"),
            (_, true) => helo,
        }
    }
}

/// What a client said, made fit to stand in a field: it may not end the line, open a comment or
/// begin another clause.
fn safe(text: &str) -> String {
    let fit = |c: char| c.is_ascii_alphanumeric() || "._-[]:+/=".contains(c);
    text.chars().take(255).map(|c| if fit(c) { c } else { '?' }).collect()
}

/// How a message came in, as RFC 3848 and RFC 6531 §4.3 register the names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transmission {
    /// LHLO rather than EHLO.
    pub lmtp: bool,
    /// EHLO rather than HELO.
    pub extended: bool,
    /// SMTPUTF8 was used.
    pub utf8: bool,
    /// TLS was used.
    pub tls: bool,
    /// The client logged in.
    pub login: bool,
}

/// The name for the `with` clause, such as `ESMTPSA`.
pub fn protocol(how: Transmission) -> &'static str {
    let names: [&'static str; 4] = match (how.lmtp, how.utf8, how.extended) {
        (true, true, _) => ["UTF8LMTP", "UTF8LMTPA", "UTF8LMTPS", "UTF8LMTPSA"],
        (true, false, _) => ["LMTP", "LMTPA", "LMTPS", "LMTPSA"],
        (false, true, _) => ["UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"],
        (false, false, true) => ["ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"],
        // Neither TLS nor AUTH exists without EHLO.
        (false, false, false) => ["SMTP"; 4],
    };
    names[usize::from(how.login) + 2 * usize::from(how.tls)]
}

/// How many `Received` fields there are. RFC 5321 §6.3: a hundred or more is a loop.
pub fn count_received(raw: &[u8]) -> usize {
    fields(raw).filter(|field| field.is("Received")).count()
}

/// `Return-Path: <...>` with its line end.
pub fn return_path_field(path: &ReversePath) -> Vec<u8> {
    match path.address() {
        Some(address) => format!("Return-Path: <{address}>\r\n").into_bytes(),
        None => b"Return-Path: <>\r\n".to_vec(),
    }
}

/// For final delivery: `Return-Path` put first and all others removed (RFC 5321 §4.4), `more`
/// (whole fields with line ends, such as `Delivered-To`) after it.
pub fn for_delivery(raw: &[u8], path: &ReversePath, more: &[u8]) -> Edited {
    let before = [&return_path_field(path), more].concat();
    edit(raw, &before, |field| field.is("Return-Path"))
}

/// Puts whole fields, line ends included, before a message. When its header is well formed, that
/// is all there is to do and nothing is copied.
pub fn prepend(raw: &[u8], fields: &[u8]) -> Edited {
    edit(raw, fields, |_| false)
}

/// Removes `Bcc`, and `Resent-Bcc`, which is to a resent message what `Bcc` is to a new one (RFC 5322
/// §3.6.6): both name those whom the others are not to know of.
pub fn without_bcc(raw: &[u8]) -> Edited {
    edit(raw, b"", is_bcc)
}

/// Whether a field names blind recipients.
pub fn is_bcc(field: &Header<'_>) -> bool {
    field.is("Bcc") || field.is("Resent-Bcc")
}

/// Puts `before` first and leaves out every field that `remove` says. The `From ` line of an mbox
/// file goes. A header that runs into its body is given the empty line it lacks, or what was put
/// before could swallow the body's first line. A line that is no field goes with the field it stands before.
pub fn edit(raw: &[u8], before: &[u8], mut remove: impl FnMut(&Header<'_>) -> bool) -> Edited {
    let mut header = before.to_vec();
    let mut at = header_start(raw);
    // Everything from here to `at` stays and is not copied yet.
    let mut kept_from = at;
    let mut junk_from = None;
    loop {
        match item_at(raw, at) {
            Item::Field(field) => {
                at = field.range.end;
                // A line that is no field is in the header by grace of the field after it.
                let junk_from = junk_from.take();
                if remove(&field) {
                    let keep_until = junk_from.unwrap_or(field.range.start);
                    header.extend_from_slice(&raw[kept_from..keep_until]);
                    kept_from = at;
                }
            }
            Item::Junk(range) => {
                junk_from = junk_from.or(Some(range.start));
                at = range.end;
            }
            Item::End { blank: true, .. } => return Edited { header, rest: kept_from },
            Item::End { body, blank: false } => {
                header.extend_from_slice(&raw[kept_from..body]);
                if !header.is_empty() && !header.ends_with(b"\n") {
                    header.extend_from_slice(b"\r\n");
                }
                header.extend_from_slice(b"\r\n");
                return Edited { header, rest: body };
            }
        }
    }
}

/// The Message-ID of a header block, without angle brackets.
pub fn message_id(raw: &[u8]) -> Option<String> {
    let field = fields(raw).find(|field| field.is("Message-ID"))?;
    words::message_ids(field.value).into_iter().next()
}

/// The addresses in every field of that name, those that SMTP could carry.
pub fn addresses_of(raw: &[u8], name: &str) -> Vec<Address> {
    let named = fields(raw).filter(|field| field.is(name));
    named.flat_map(|f| addresses::parse(f.value)).filter_map(|item| item.address()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn at() -> Timestamp {
        Timestamp::from_second(880_127_706).unwrap()
    }

    fn received<'a>() -> Received<'a> {
        Received {
            helo: Some("mail.wax.test"),
            ip: Some("127.0.0.1".parse().unwrap()),
            host: None,
            by: "mx.wing.test",
            with: "ESMTPS",
            tls: Some(("TLSv1.3", "TLS13_AES_256_GCM_SHA384")),
            id: "0192",
            recipient: None,
            at: at(),
        }
    }

    #[test]
    fn received_as_rfc_5321_section_4_4_has_it() {
        let bob = Address::parse("bob@wing.test").unwrap();
        let field = Received { recipient: Some(&bob), ..received() }.to_field();
        assert_eq!(
            String::from_utf8(field).unwrap(),
            "Received: from mail.wax.test ([127.0.0.1])\r\n\tby mx.wing.test with ESMTPS id 0192\r\n\t\
             for <bob@wing.test>\r\n\ttls TLS_AES_256_GCM_SHA384 (TLSv1.3);\r\n\t\
             Fri, 21 Nov 1997 15:55:06 +0000\r\n"
        );
    }

    #[test]
    fn a_hostile_helo_stays_a_word() {
        let helo = "x) by evil;\r\nBcc: y";
        let field = Received { helo: Some(helo), ..received() }.to_field();
        let raw = [&field[..], b"\r\n"].concat();
        let all: Vec<_> = fields(&raw).collect();
        assert_eq!(all.len(), 1);
        assert!(all[0].value.starts_with(b" from x??by?evil???Bcc:?y ([127.0.0.1])"));
    }

    #[test]
    fn an_internationalised_recipient_shows_only_in_an_internationalised_message() {
        let jürgen = Address::parse("jürgen@wing.test").unwrap();
        let field = |with| Received { recipient: Some(&jürgen), with, ..received() }.to_field();
        assert!(field("ESMTPS").is_ascii());
        assert!(!field("UTF8SMTPS").is_ascii());
    }

    #[test]
    fn protocol_names() {
        let how = Transmission { extended: true, tls: true, login: true, ..Default::default() };
        assert_eq!(protocol(how), "ESMTPSA");
        assert_eq!(protocol(Transmission { utf8: true, ..how }), "UTF8SMTPSA");
        assert_eq!(protocol(Transmission { lmtp: true, login: false, ..how }), "LMTPS");
        assert_eq!(protocol(Transmission::default()), "SMTP");
    }

    #[test]
    fn delivery_replaces_return_path() {
        let raw = b"Return-Path: <old@x>\r\nA: 1\r\nreturn-path:\r\n <older@x>\r\nB: 2\r\n\r\nbody";
        let edited = for_delivery(raw, &ReversePath::Null, b"Delivered-To: bob@x\r\n");
        assert_eq!(
            edited.concat(raw),
            b"Return-Path: <>\r\nDelivered-To: bob@x\r\nA: 1\r\nB: 2\r\n\r\nbody"
        );
    }

    #[test]
    fn bcc_goes_with_its_folds() {
        let raw =
            b"To: a@x\r\nBcc: b@x,\r\n c@x\r\nResent-Bcc: d@x\r\nSubject: s\r\n\r\nBcc: stays";
        assert_eq!(without_bcc(raw).concat(raw), b"To: a@x\r\nSubject: s\r\n\r\nBcc: stays");
    }

    #[test]
    fn what_is_put_before_a_body_never_joins_it() {
        for body in ["just text", " indented\r\ntext", ""] {
            let edited = prepend(body.as_bytes(), b"A: 1\r\n").concat(body.as_bytes());
            let message = Message::parse(&edited);
            assert_eq!(message.root().headers.len(), 1);
            assert_eq!(&edited[message.root().body.clone()], body.as_bytes());
        }
        assert_eq!(prepend(b"B: 2", b"A: 1\r\n").concat(b"B: 2"), b"A: 1\r\nB: 2\r\n\r\n");
        let raw = b"From joe Tue\nB: 2\n\nx";
        assert_eq!(prepend(raw, b"A: 1\r\n").concat(raw), b"A: 1\r\nB: 2\n\nx");
    }

    #[test]
    fn a_mailbox_line_with_junk_after_it_goes_alone() {
        let raw = b"From joe Tue\njunk\nB: 2\n\nx";
        assert_eq!(header_end(raw), raw.len() - 1);
        assert_eq!(prepend(raw, b"A: 1\r\n").concat(raw), b"A: 1\r\njunk\nB: 2\n\nx");
    }

    #[test]
    fn junk_before_a_removed_field_goes_with_it() {
        let raw = b"A: 1\njunk\nBcc: x\n\nbody";
        assert_eq!(without_bcc(raw).concat(raw), b"A: 1\n\nbody");
    }

    #[test]
    fn a_good_header_is_not_copied() {
        let raw = b"B: 2\r\n\r\nbody";
        assert_eq!(prepend(raw, b"A: 1\r\n"), Edited { header: b"A: 1\r\n".to_vec(), rest: 0 });
    }

    #[test]
    fn received_fields_are_counted_in_the_header_only() {
        assert_eq!(count_received(b"Received: a\r\nX: y\r\nreceived: b\r\n\r\nReceived: c\r\n"), 2);
    }
}
