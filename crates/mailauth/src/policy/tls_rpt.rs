//! TLS-RPT's record (RFC 8460 §3): where a domain wants to hear how TLS to its hosts went.
//!
//! ```text
//! _smtp._tls.example.org TXT "v=TLSRPTv1; rua=mailto:tls@example.org,https://report.example/tls"
//! ```
//!
//! The reports themselves are in [`crate::report`].

use std::fmt;

use super::fields::{self, RecordError};

const VERSION: &str = "v=TLSRPTv1";
/// Places that a report is sent to: RFC 8460 sets no limit, and nobody names more than a few.
const MAX_DESTINATIONS: usize = 10;

/// Where the record of a domain is.
pub fn record_name(domain: &str) -> String {
    format!("_smtp._tls.{domain}")
}

/// Where reports go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// An address, percent-decoded.
    Mailto(String),
    /// Posted to this address.
    Https(String),
}

/// The record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// In the record's order; schemes that are not known are left out, which can leave none.
    pub rua: Vec<Destination>,
}

impl Record {
    /// The record among all texts at the name, each with its strings joined. An error counts as
    /// no record (RFC 8460 §3).
    pub fn select<'t>(
        texts: impl IntoIterator<Item = &'t [u8]>,
    ) -> Result<Option<Record>, RecordError> {
        fields::select(texts, VERSION, Record::parse)
    }

    /// One record.
    pub fn parse(text: &[u8]) -> Result<Record, RecordError> {
        let mut rua = None;
        for (name, value) in fields::fields(text, VERSION)? {
            match name {
                "rua" if rua.is_none() => rua = Some(destinations(value)?),
                "rua" => {}
                _ if fields::is_extension_value(value) => {}
                _ => return Err(RecordError::Syntax("a field's value is none")),
            }
        }
        rua.map(|rua| Record { rua }).ok_or(RecordError::Missing("rua"))
    }
}

fn destinations(value: &str) -> Result<Vec<Destination>, RecordError> {
    let mut found = Vec::new();
    for uri in value.split(',').map(|uri| uri.trim_matches([' ', '\t'])) {
        let Some((scheme, rest)) = uri.split_once(':') else {
            return Err(RecordError::Syntax("rua holds something that is no URI"));
        };
        if rest.is_empty() || !uri.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(RecordError::Syntax("rua holds something that is no URI"));
        }
        if found.len() == MAX_DESTINATIONS {
            continue;
        }
        if scheme.eq_ignore_ascii_case("mailto") {
            // RFC 6068: what follows `?` is header fields, which nobody needs here.
            let address = rest.split_once('?').map_or(rest, |(address, _)| address);
            found.extend(percent_decoded(address).map(Destination::Mailto));
        } else if scheme.eq_ignore_ascii_case("https") {
            found.push(Destination::Https(uri.to_owned()));
        }
    }
    Ok(found)
}

/// `None` when the escapes are broken or hide something that is not text.
fn percent_decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first != b'%' {
            octets.push(*first);
            rest = after;
            continue;
        }
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        octets.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(octets).ok().filter(|text| !text.chars().any(char::is_control))
}

/// As it is published.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}; rua=")?;
        for (index, destination) in self.rua.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            match destination {
                Destination::Https(uri) => f.write_str(uri)?,
                Destination::Mailto(address) => {
                    f.write_str("mailto:")?;
                    write_encoded(f, address)?;
                }
            }
        }
        Ok(())
    }
}

/// RFC 8460 §3: `!`, `,` and `;` must be encoded; the rest as RFC 6068 §2 has it.
fn write_encoded(f: &mut fmt::Formatter<'_>, address: &str) -> fmt::Result {
    for octet in address.bytes() {
        let plain = octet.is_ascii_alphanumeric() || b"-._~@+*'=$".contains(&octet);
        match plain {
            true => write!(f, "{}", char::from(octet))?,
            false => write!(f, "%{octet:02X}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Vec<Destination>, RecordError> {
        Record::parse(text.as_bytes()).map(|record| record.rua)
    }

    #[test]
    fn the_rfcs_records_are_read() {
        // RFC 8460 §3.1.
        let mail = vec![Destination::Mailto("reports@example.com".to_owned())];
        assert_eq!(parse("v=TLSRPTv1;rua=mailto:reports@example.com").unwrap(), mail);
        let https = "https://reporting.example.com/v1/tlsrpt";
        let posted = vec![Destination::Https(https.to_owned())];
        assert_eq!(parse(&format!("v=TLSRPTv1; rua={https}")).unwrap(), posted);
        let both = "v=TLSRPTv1; rua=mailto:reports@example.com , https://reporting.example.com/v1/tlsrpt; x=1;";
        assert_eq!(parse(both).unwrap(), [mail, posted].concat());
    }

    #[test]
    fn an_unknown_scheme_is_left_out_and_escapes_are_undone() {
        let text = "v=TLSRPTv1; rua=ftp://x/y,MAILTO:a%2Cb@example.com?subject=x,mailto:a%";
        assert_eq!(parse(text).unwrap(), [Destination::Mailto("a,b@example.com".to_owned())]);
    }

    #[test]
    fn what_is_no_record_is_none() {
        for bad in ["v=TLSRPTv1;", "v=TLSRPTv1; x=1", "v=TLSRPTv1; rua=", "v=TLSRPTv1; rua=a", "x"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            local in "[!-~]{1,12}",
            path in "[a-z/=?&]{0,12}",
        ) {
            let rua = vec![
                Destination::Mailto(format!("{local}@example.org")),
                Destination::Https(format!("https://example.org/{path}")),
            ];
            let text = Record { rua: rua.clone() }.to_string();
            prop_assert_eq!(parse(&text), Ok(rua), "{}", text);
        }

        #[test]
        fn nothing_panics(octets in prop::collection::vec(any::<u8>(), 0..300), text in "v=TLSRPTv1;\\PC{0,80}") {
            let _ = (Record::parse(&octets), Record::parse(text.as_bytes()));
        }
    }
}
