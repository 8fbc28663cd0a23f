//! Key records: `v=DKIM1; k=rsa; p=...` at `SELECTOR._domainkey.DOMAIN` (RFC 6376 §3.6.1, §6.1.2).
//!
//! | tag | |
//! |---|---|
//! | `v=` | `DKIM1`; first if it is there |
//! | `k=` | `rsa` (also when absent) or `ed25519`; another kind is a key we cannot use |
//! | `p=` | the key; empty means revoked; RSA as SubjectPublicKeyInfo or bare RSAPublicKey, Ed25519 as 32 octets |
//! | `h=` | hash algorithms that may be used: must have sha256 if it is there |
//! | `s=` | services: must have `email` or `*` if it is there |
//! | `t=` | `y`: the domain is testing; `s`: no subdomains in `i=` |
//! | `n=`, `g=` and others | passed over |

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::signature::{
    ED25519, ParsedPublicKey, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;

use super::Problem;
use super::tags::{Tags, trimmed};
use crate::key::Algorithm;

/// Bits that an RSA key must have to be believed (RFC 8301 §3.2).
const RSA_BITS_MIN: u32 = 1024;
/// Bits that an RSA key may have: more would cost too much, and the library takes no more.
const RSA_BITS_MAX: u32 = 8192;

/// A public key and what its domain says of its use.
pub(crate) struct KeyRecord {
    key: ParsedPublicKey,
    /// Which signatures it checks.
    pub algorithm: Algorithm,
    pub bits: u32,
    /// `t=y`.
    pub testing: bool,
    /// `t=s`.
    pub strict: bool,
}

impl KeyRecord {
    /// Reads a record.
    pub fn parse(text: &[u8]) -> Result<KeyRecord, Problem> {
        let (tags, outcome) = Tags::parse(text);
        outcome.map_err(|what| Problem::KeySyntax { what })?;
        if let Some(version) = tags.get(b"v") {
            if version != b"DKIM1" {
                return Err(Problem::KeySyntax { what: "its version is not DKIM1" });
            }
            if tags.first().is_some_and(|first| first.name != b"v") {
                return Err(Problem::KeySyntax { what: "its version does not come first" });
            }
        }
        if !lists(&tags, b"h", &[b"sha256"]) {
            return Err(Problem::KeyUnfit {
                what: "SHA-256 is not among its hash algorithms (h=)",
            });
        }
        if !lists(&tags, b"s", &[b"*", b"email"]) {
            return Err(Problem::KeyUnfit { what: "it is not for mail (s=)" });
        }
        let public = tags.get(b"p").ok_or(Problem::KeySyntax { what: "it has no key (p=)" })?;
        if public.is_empty() {
            return Err(Problem::KeyRevoked);
        }
        let der = STANDARD_PAD_INDIFFERENT
            .decode(tags.packed(b"p").as_bytes())
            .map_err(|_| Problem::KeySyntax { what: "its key is not Base64" })?;
        let (key, algorithm, bits) = match tags.get(b"k") {
            None | Some(b"rsa") => rsa(&der)?,
            Some(b"ed25519") => ed25519(&der)?,
            Some(_) => return Err(Problem::KeyUnfit { what: "its kind of key (k=) is unknown" }),
        };
        let flag = |flag: &[u8]| tags.get(b"t").is_some_and(|t| colons(t).any(|f| f == flag));
        Ok(KeyRecord { key, algorithm, bits, testing: flag(b"y"), strict: flag(b"s") })
    }

    /// Whether the signature is this key's over what was hashed.
    pub fn verifies(&self, hash: &[u8; 32], signature: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::RsaSha256 => Digest::import_less_safe(hash, &SHA256)
                .is_ok_and(|digest| self.key.verify_digest_sig(&digest, signature).is_ok()),
            // RFC 8463 §3: the hash is the message.
            Algorithm::Ed25519Sha256 => self.key.verify_sig(hash, signature).is_ok(),
        }
    }
}

/// What a published key is like, for those who look after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedKey {
    /// Which signatures it checks.
    pub algorithm: Algorithm,
    /// Bits of the key.
    pub bits: u32,
    /// `t=y`: the domain is testing.
    pub testing: bool,
    /// `t=s`: no subdomains in `i=`.
    pub strict: bool,
    /// `p=`, without the white space that may stand in it: the same text is the same key.
    pub public: String,
}

impl PublishedKey {
    /// Reads the text of a TXT record; the problem is what every signature by it meets.
    pub fn read(text: &[u8]) -> Result<PublishedKey, Problem> {
        let KeyRecord { algorithm, bits, testing, strict, .. } = KeyRecord::parse(text)?;
        let public = Tags::parse(text).0.packed(b"p");
        Ok(PublishedKey { algorithm, bits, testing, strict, public })
    }
}

/// Whether a colon-separated list is absent or holds one of the words.
fn lists(tags: &Tags<'_>, name: &[u8], words: &[&[u8]]) -> bool {
    tags.get(name).is_none_or(|list| colons(list).any(|word| words.contains(&word)))
}

/// The words of a colon-separated list.
pub(crate) fn colons(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| *b == b':').map(trimmed)
}

type Parsed = (ParsedPublicKey, Algorithm, u32);

fn rsa(der: &[u8]) -> Result<Parsed, Problem> {
    const WHAT: Problem = Problem::KeySyntax { what: "its key is no RSA public key" };
    let (public, bits) = rsa_public_key(der).ok_or(WHAT)?;
    if bits < RSA_BITS_MIN {
        return Err(Problem::KeyTooSmall { bits });
    }
    if bits > RSA_BITS_MAX {
        return Err(Problem::KeyUnfit { what: "its RSA key has more than 8192 bits" });
    }
    let key = ParsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, public);
    Ok((key.map_err(|_| WHAT)?, Algorithm::RsaSha256, bits))
}

fn ed25519(octets: &[u8]) -> Result<Parsed, Problem> {
    const WHAT: Problem = Problem::KeySyntax { what: "its key is no Ed25519 public key" };
    if octets.len() != 32 {
        return Err(WHAT);
    }
    let key = ParsedPublicKey::new(&ED25519, octets).map_err(|_| WHAT)?;
    Ok((key, Algorithm::Ed25519Sha256, 256))
}

/// The `RSAPublicKey` (RFC 8017 §A.1.1), bare or out of a SubjectPublicKeyInfo (RFC 5280 §4.1), and
/// the bits of its modulus.
fn rsa_public_key(der: &[u8]) -> Option<(&[u8], u32)> {
    const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    const INTEGER: u8 = 0x02;
    const BIT_STRING: u8 = 0x03;
    const OBJECT_ID: u8 = 0x06;
    const SEQUENCE: u8 = 0x30;

    let (content, _) = element(SEQUENCE, der)?;
    let Some((algorithm, rest)) = element(SEQUENCE, content) else {
        let (modulus, _) = element(INTEGER, content)?;
        let modulus = &modulus[modulus.iter().take_while(|b| **b == 0).count()..];
        let first = modulus.first()?;
        let bits = u32::try_from(modulus.len() * 8).ok()? - first.leading_zeros();
        return Some((der, bits));
    };
    let (object_id, _) = element(OBJECT_ID, algorithm)?;
    let (bits, _) = element(BIT_STRING, rest)?;
    let bare = bits.strip_prefix(&[0])?;
    // One level only: a bare key has no sequence inside.
    let is_bare = element(SEQUENCE, bare).is_some_and(|(inner, _)| inner.first() == Some(&INTEGER));
    (object_id == RSA_ENCRYPTION && is_bare).then(|| rsa_public_key(bare))?
}

/// The content of the DER element at the front, when it has that tag, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ ..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (octets.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    (*found == tag).then_some((content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(record: &str) -> Option<Problem> {
        KeyRecord::parse(record.as_bytes()).err()
    }

    /// RFC 8463 §A.2.
    const ED25519_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    #[test]
    fn tags_are_obeyed() {
        let with = |more: &str| problem(&format!("v=DKIM1; k=ed25519; {more}p={ED25519_KEY}"));
        assert_eq!(with(""), None);
        assert_eq!(with("n=a note; g=joe; foo=bar; h=sha1:sha256; s=x : email; "), None);
        assert!(matches!(with("h=sha1; "), Some(Problem::KeyUnfit { .. })));
        assert!(matches!(with("s=tlsrpt; "), Some(Problem::KeyUnfit { .. })));
        assert!(matches!(with("k=rsa; "), Some(Problem::KeySyntax { .. })));
        assert_eq!(problem("v=DKIM1; p="), Some(Problem::KeyRevoked));
        assert_eq!(
            problem(&format!("k=ed25519; p=  {} {}", &ED25519_KEY[..9], &ED25519_KEY[9..])),
            None
        );
    }

    #[test]
    fn a_published_key_is_described() {
        let read = PublishedKey::read(
            format!("v=DKIM1; k=ed25519; t=y; p={} {}", &ED25519_KEY[..9], &ED25519_KEY[9..])
                .as_bytes(),
        );
        let key = read.unwrap();
        assert_eq!((key.bits, key.testing, key.strict), (256, true, false));
        assert_eq!(key.public, ED25519_KEY);
        assert_eq!(PublishedKey::read(b"v=DKIM1; p="), Err(Problem::KeyRevoked));
    }

    #[test]
    fn flags() {
        let key =
            |t: &str| KeyRecord::parse(format!("k=ed25519; t={t}; p={ED25519_KEY}").as_bytes());
        let key = |t: &str| key(t).map(|key| (key.testing, key.strict)).ok();
        assert_eq!(key("y : s"), Some((true, true)));
        assert_eq!(key("other"), Some((false, false)));
    }

    #[test]
    fn what_is_no_key_is_said() {
        for record in [
            "",
            "v=spf1 -all",
            "v=DKIM2; p=AAAA",
            "k=ed25519; v=DKIM1; p=AAAA",
            "v=DKIM1; k=rsa",
            "v=DKIM1; p=!!!",
            "v=DKIM1; p=AAAA",
            "v=DKIM1; k=ed25519; p=AAAA",
        ] {
            assert!(matches!(problem(record), Some(Problem::KeySyntax { .. })), "{record}");
        }
        let unknown = problem("v=DKIM1; k=falcon; p=AAAA");
        assert!(matches!(unknown, Some(Problem::KeyUnfit { .. })));
    }
}
