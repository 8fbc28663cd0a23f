//! An `addr-spec` as SMTP carries it: a local part and a domain (RFC 5321 §4.1.2 `Mailbox`).
//!
//! Kept in one canonical form, so that two spellings of one address are equal: the domain is in
//! lower case and in A-labels (RFC 5890), the local part is without quotes where it stands here and
//! is quoted again on output when its characters need it. Display names, comments and groups belong
//! to header fields and are parsed elsewhere.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest local part in octets. Deviates: RFC 5321 §4.5.3.1.1 says 64, while §4.5.3.1 wants no
/// limits where they can be avoided; the return paths of mailing lists (VERP) and of forwarders
/// (SRS) are often longer, and refusing them would lose mail.
pub const MAX_LOCAL_PART_OCTETS: usize = 255;
/// The longest domain in octets: RFC 5321 §4.5.3.1.2.
pub const MAX_DOMAIN_OCTETS: usize = 255;

/// The longest address in octets: RFC 5321 §4.5.3.1.3 allows a path of 256 with its angle brackets.
pub const MAX_ADDRESS_OCTETS: usize = 254;

/// An email address: local part and domain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    domain: String,
    local_part: String,
}

/// Why a string is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@`.
    #[error("an address needs an @ and a domain, such as alice@example.org")]
    NoDomain,
    /// Nothing, or something malformed, before the `@`.
    #[error("the part before the @ is empty or has a character that must be quoted")]
    LocalPart,
    /// The part after the `@` is not a domain name or address literal.
    #[error("the part after the @ is not a domain name")]
    Domain,
    /// Over [`MAX_LOCAL_PART_OCTETS`], [`MAX_DOMAIN_OCTETS`] or [`MAX_ADDRESS_OCTETS`].
    #[error("the address is too long: at most 254 octets in all")]
    TooLong,
}

impl Address {
    /// Parses `local@domain`, `"quoted local"@domain` or `local@[192.0.2.1]`, with no angle
    /// brackets, display name or comments. UTF-8 is allowed in both halves (RFC 6531).
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let at = text.rfind('@').ok_or(AddressError::NoDomain)?;
        if at > MAX_LOCAL_PART_OCTETS {
            return Err(AddressError::TooLong);
        }
        Address::new(&unquote(&text[..at])?, &text[at + 1..])
    }

    /// Builds an address from an *unquoted* local part and a domain or `[literal]`.
    ///
    /// Deviates: the empty local part, which RFC 5321 §4.1.2 would allow as `""`, is refused: it names
    /// nobody, and everything that looks up names would have to know of it.
    pub fn new(local_part: &str, domain: &str) -> Result<Address, AddressError> {
        if local_part.is_empty() || local_part.chars().any(|c| c.is_control()) {
            return Err(AddressError::LocalPart);
        }
        if local_part.len() > MAX_LOCAL_PART_OCTETS || domain.len() > MAX_DOMAIN_OCTETS {
            return Err(AddressError::TooLong);
        }
        let domain = canonical_domain(domain)?;
        // The limits hold for what is sent: quotes and escapes count.
        let written_local = match is_dot_string(local_part) {
            true => local_part.len(),
            false => local_part.len() + 2 + local_part.matches(is_escaped).count(),
        };
        if written_local > MAX_LOCAL_PART_OCTETS
            || written_local + 1 + domain.len() > MAX_ADDRESS_OCTETS
        {
            return Err(AddressError::TooLong);
        }
        Ok(Address { local_part: local_part.to_owned(), domain })
    }

    /// The local part, without quotes.
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The domain in lower case and A-labels, or an address literal in brackets.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// True when the local part has characters outside ASCII, so that carrying the address needs
    /// SMTPUTF8 (RFC 6531). A non-ASCII domain does not: it travels as A-labels.
    pub fn needs_smtputf8(&self) -> bool {
        !self.local_part.is_ascii()
    }

    /// The local part split at the first `+`: the base and the detail of plus addressing.
    pub fn subaddress(&self) -> (&str, Option<&str>) {
        match self.local_part.split_once('+') {
            Some((base, detail)) if !base.is_empty() => (base, Some(detail)),
            _ => (&self.local_part, None),
        }
    }
}

/// Whether a local part is written as it is; others need quotes.
fn is_dot_string(local_part: &str) -> bool {
    local_part.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// What has a backslash before it between quotes.
fn is_escaped(c: char) -> bool {
    matches!(c, '"' | '\\')
}

/// Removes the quotes of a `Quoted-string` local part, or checks a `Dot-string`.
fn unquote(text: &str) -> Result<String, AddressError> {
    let Some(inner) = text.strip_prefix('"') else {
        let atoms_ok = text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext));
        return if atoms_ok { Ok(text.to_owned()) } else { Err(AddressError::LocalPart) };
    };
    let inner = inner.strip_suffix('"').ok_or(AddressError::LocalPart)?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                // RFC 6531 §3.3 leaves quoted pairs to ASCII.
                Some(escaped @ ' '..='~') => out.push(escaped),
                _ => return Err(AddressError::LocalPart),
            },
            '"' => return Err(AddressError::LocalPart),
            c if c.is_control() => return Err(AddressError::LocalPart),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// RFC 5322 §3.2.3 `atext`, with RFC 6531 §3.3's UTF-8.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control())
}

fn canonical_domain(domain: &str) -> Result<String, AddressError> {
    if let Some(literal) = domain.strip_prefix('[') {
        let literal = literal.strip_suffix(']').ok_or(AddressError::Domain)?;
        return canonical_literal(literal).ok_or(AddressError::Domain);
    }
    let ascii = idna::domain_to_ascii(domain).map_err(|_| AddressError::Domain)?;
    let labels_ok = ascii.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    });
    if !labels_ok {
        return Err(AddressError::Domain);
    }
    if ascii.len() > MAX_DOMAIN_OCTETS {
        return Err(AddressError::TooLong);
    }
    Ok(ascii)
}

/// RFC 5321 §4.1.3: `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
fn canonical_literal(literal: &str) -> Option<String> {
    let v6 =
        literal.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:")).map(|_| &literal[5..]);
    match v6 {
        Some(v6) => v6.parse().ok().map(|ip: std::net::Ipv6Addr| format!("[IPv6:{ip}]")),
        None => literal.parse().ok().map(|ip: std::net::Ipv4Addr| format!("[{ip}]")),
    }
}

/// The address inside a domain that is an address literal (RFC 5321 §4.1.3), else `None`.
pub fn literal_ip(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    inner.strip_prefix("IPv6:").unwrap_or(inner).parse().ok()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local_part) {
            return write!(f, "{}@{}", self.local_part, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local_part.chars() {
            if is_escaped(c) {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Address::parse(text)
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Address::parse(&text).map_err(serde::de::Error::custom)
    }
}
