//! The [`Signer`]: one DKIM-Signature for a message that leaves.
//!
//! What is signed, when it is there: everything that readers or replies rely on (RFC 6376 §5.4.1). Of
//! the fields that decide what a reader sees, also that there is no more of them: they are named
//! once more than they occur (RFC 6376 §8.15), so that nobody adds a second From or another
//! Content-Type. Fields that mailing lists add (Sender, List-*) are signed only when they are there.

use jiff::Timestamp;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::canonical::relaxed_field;
use super::{Canonicalization, HeaderBlock, append, name};
use crate::key::{Sign, SigningKey};

/// Signed, and signed once more than there are.
const SEALED: [&str; 13] = [
    "from",
    "reply-to",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
];
/// Signed as often as there are.
const SIGNED: [&str; 26] = [
    "sender",
    "content-id",
    "content-description",
    "content-language",
    "resent-date",
    "resent-from",
    "resent-sender",
    "resent-to",
    "resent-cc",
    "resent-message-id",
    "list-id",
    "list-help",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-subscribe",
    "list-post",
    "list-owner",
    "list-archive",
    "auto-submitted",
    "expires",
    "importance",
    "tls-required",
    // RFC 8460 §5.3: "SHOULD be included in the DKIM signature".
    "tls-report-domain",
    "tls-report-submitter",
    "autocrypt",
    "disposition-notification-to",
];

/// Columns of a line (RFC 5322 §2.1.1 recommends 78).
const COLUMNS: usize = 76;

/// Signs for one domain with one key.
#[derive(Debug, Clone)]
pub struct Signer {
    /// The signing domain (`d=`), A-labels.
    pub domain: String,
    /// Where the key is published below it (`s=`).
    pub selector: String,
    /// The key.
    pub key: SigningKey,
    /// Of the header; relaxed unless changed.
    pub header: Canonicalization,
    /// Of the body: how the hash that is handed in was made; relaxed unless changed.
    pub body: Canonicalization,
}

/// Why there is no signer. The operator must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// The domain cannot stand in a signature.
    #[error("{0:?} is no domain that can sign")]
    Domain(String),
    /// The selector cannot stand in a signature.
    #[error(
        "{0:?} is no selector: letters, digits, \"-\", \"_\" and dots between them are expected"
    )]
    Selector(String),
}

impl Signer {
    /// Checks the names. An internationalised domain is signed for by its A-labels, which every
    /// verifier reads.
    pub fn new(domain: &str, selector: &str, key: SigningKey) -> Result<Signer, SignerError> {
        let fit = name::ascii(domain).filter(|domain| domain.contains('.'));
        Ok(Signer {
            domain: fit.ok_or_else(|| SignerError::Domain(domain.to_owned()))?,
            selector: name::ascii(selector)
                .ok_or_else(|| SignerError::Selector(selector.to_owned()))?,
            key,
            header: Canonicalization::Relaxed,
            body: Canonicalization::Relaxed,
        })
    }

    /// Where the key record is to be: `SELECTOR._domainkey.DOMAIN`.
    pub fn key_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// A whole DKIM-Signature field with its line end, to be put before the message.
    ///
    /// `header` is the header block as it will be sent, with CRLF; `body_hash` is by
    /// [`BodyHasher`](super::BodyHasher) in the canonicalization of [`Signer::body`].
    pub fn sign(
        &self,
        header: &[u8],
        body_hash: &[u8; 32],
        now: Timestamp,
        expires: Option<Timestamp>,
    ) -> Vec<u8> {
        let header = HeaderBlock::new(header.to_vec());
        let names = names_to_sign(&header);
        let mut field = Field::new("DKIM-Signature");
        field.tag("v", "1");
        field.tag("a", self.key.algorithm().as_str());
        field.tag("c", &format!("{}/{}", self.header.as_str(), self.body.as_str()));
        field.tag("d", &self.domain);
        field.tag("s", &self.selector);
        field.tag("t", &seconds(now));
        if let Some(expires) = expires {
            field.tag("x", &seconds(expires));
        }
        field.names(&names);
        field.tag("bh", &STANDARD.encode(body_hash));
        field.signature_here();
        let mut input = Vec::with_capacity(2048);
        for signed in header.selected(names.iter().map(String::as_str), None) {
            append(signed, self.header, &mut input);
        }
        field.append_unsigned(self.header, &mut input);
        field.signed(&self.key.sign(&sha256(&input)))
    }
}

/// What a signature over the whole of a header names, in lower case.
pub(crate) fn names_to_sign(header: &HeaderBlock) -> Vec<String> {
    let mut names = Vec::with_capacity(32);
    for (list, more) in [(&SEALED[..], 1), (&SIGNED[..], 0)] {
        for name in list {
            let times = header.count(name.as_bytes()) + more;
            names.extend(std::iter::repeat_n(*name, times).map(str::to_owned));
        }
    }
    names
}

/// As in `t=`: never before 1970.
pub(crate) fn seconds(at: Timestamp) -> String {
    at.as_second().max(0).to_string()
}

/// The hash of what is at hand.
pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    digest(&SHA256, octets).as_ref().try_into().expect("SHA-256 has 32 octets")
}

/// A signature field while it is written: folded, and with the signature still to come. The
/// signature has lines of its own, so that it changes nothing before or after it.
pub(crate) struct Field {
    name: &'static str,
    /// The value, from after the colon.
    value: String,
    column: usize,
    /// Where the signature goes.
    signature_at: usize,
}

impl Field {
    pub fn new(name: &'static str) -> Field {
        Field { name, value: String::new(), column: name.len() + 1, signature_at: 0 }
    }

    /// One more tag. Between tags stands a semicolon and either a space or a fold.
    pub fn tag(&mut self, name: &str, value: &str) {
        let length = name.len() + value.len() + 2;
        self.next(length);
        self.value.push_str(name);
        self.value.push('=');
        self.value.push_str(value);
        self.column += length;
    }

    /// The list of signed names, folded between them when it is long.
    pub fn names(&mut self, names: &[String]) {
        let list = names.join(":");
        if list.len() + 4 < COLUMNS {
            return self.tag("h", &list);
        }
        self.next(COLUMNS);
        self.value.push_str("h=");
        self.column += 2;
        for (i, name) in names.iter().enumerate() {
            if i > 0 {
                self.value.push(':');
                if self.column + name.len() + 2 > COLUMNS {
                    self.fold();
                }
            }
            self.value.push_str(name);
            self.column += name.len() + 1;
        }
    }

    /// The signature's tag.
    pub fn signature_here(&mut self) {
        self.next(COLUMNS);
        self.value.push_str("b=");
        self.signature_at = self.value.len();
        self.column = COLUMNS;
    }

    fn next(&mut self, length: usize) {
        let first = self.value.is_empty();
        if !first {
            self.value.push(';');
        }
        if self.column + 1 + length > COLUMNS && !first {
            self.fold();
        } else {
            self.value.push(' ');
            self.column += 1;
        }
    }

    fn fold(&mut self) {
        self.value.push_str("\r\n ");
        self.column = 1;
    }

    /// The field as it is signed: without a signature and without a line end.
    pub fn append_unsigned(&self, kind: Canonicalization, out: &mut Vec<u8>) {
        match kind {
            Canonicalization::Relaxed => {
                relaxed_field(self.name.as_bytes(), self.value.as_bytes(), out);
            }
            Canonicalization::Simple => {
                out.extend_from_slice(self.name.as_bytes());
                out.push(b':');
                out.extend_from_slice(self.value.as_bytes());
            }
        }
    }

    /// The whole field, with its line end.
    pub fn signed(&self, signature: &[u8]) -> Vec<u8> {
        let packed = STANDARD.encode(signature);
        let lines: Vec<&str> = packed.as_bytes().chunks(COLUMNS - 4).map(ascii).collect();
        self.with(&lines.join("\r\n "))
    }

    /// The whole field, with its line end, and the signature in one line.
    pub fn signed_unfolded(&self, signature: &[u8]) -> Vec<u8> {
        self.with(&STANDARD.encode(signature))
    }

    fn with(&self, signature: &str) -> Vec<u8> {
        let (before, after) = self.value.split_at(self.signature_at);
        format!("{}:{before}{signature}{after}\r\n", self.name).into_bytes()
    }
}

fn ascii(octets: &[u8]) -> &str {
    str::from_utf8(octets).expect("Base64 is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Algorithm;

    #[test]
    fn the_fields_that_readers_see_are_named_once_more() {
        let header = b"To: a@x\r\nFrom: b@x\r\nto: c@x\r\nSender: d@x\r\nX-Other: e\r\n\r\n";
        let names = names_to_sign(&HeaderBlock::new(header.to_vec()));
        let count = |name: &str| names.iter().filter(|n| *n == name).count();
        assert_eq!((count("from"), count("to"), count("subject")), (2, 3, 1));
        assert_eq!((count("sender"), count("list-id"), count("x-other")), (1, 0, 0));
    }

    #[test]
    fn lines_are_short_and_white_space_is_single() {
        let key = SigningKey::generate(Algorithm::RsaSha256).unwrap();
        let signer = Signer::new("Example.ORG", "Sel", key).unwrap();
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let field = signer.sign(b"From: a@example.org\r\n\r\n", &[7; 32], now, Some(now));
        let text = String::from_utf8(field).unwrap();
        let first = "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org;";
        assert!(text.starts_with(first), "{text}");
        assert!(text.ends_with("\r\n"));
        assert!(text.lines().all(|line| line.len() <= 78), "{text}");
        assert!(!text.contains("  ") && !text.contains(" \r\n"));
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let key = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap();
        let new =
            |domain, selector| Signer::new(domain, selector, key.clone()).map(|s| s.key_name());
        assert_eq!(new("grå.example", "a.b"), Ok("a.b._domainkey.xn--gr-zia.example".into()));
        assert!(matches!(new("x.org; d=evil.org", "s"), Err(SignerError::Domain(_))));
        assert!(matches!(new("localhost", "s"), Err(SignerError::Domain(_))));
        assert!(matches!(new("x.org", "a b"), Err(SignerError::Selector(_))));
    }
}
