//! The messages of RFC 5802 §7, parsed. Nothing is decided here but what is well-formed.

use std::borrow::Cow;

/// A nonce longer than this is somebody's joke; ours have 24 characters.
const MAX_NONCE_OCTETS: usize = 256;

/// What the client says about channel binding (RFC 5802 §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BindingFlag<'a> {
    /// `n`
    None,
    /// `y`
    NotOffered,
    /// `p=NAME`
    Used(&'a str),
}

/// `client-first-message`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    pub(super) flag: BindingFlag<'a>,
    pub(super) authzid: Option<String>,
    /// With its two commas, as it goes into `c=`.
    pub(super) gs2_header: &'a str,
    /// Everything after the header, as it goes into the `AuthMessage`.
    pub(super) bare: &'a str,
    pub(super) username: String,
    pub(super) nonce: &'a str,
}

/// `server-first-message`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerFirst<'a> {
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

/// `client-final-message`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    /// `cbind-input`, base64 undone.
    pub(super) binding: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: [u8; 32],
    /// Everything before `,p=`, as it goes into the `AuthMessage`.
    pub(super) without_proof: &'a str,
}

type Parsed<T> = Result<T, &'static str>;

fn text(message: &[u8]) -> Parsed<&str> {
    let text = std::str::from_utf8(message).map_err(|_| "SCRAM message is not UTF-8")?;
    if text.contains('\0') { Err("SCRAM message holds NUL") } else { Ok(text) }
}

/// The value of attribute `name`, which must stand here.
fn attribute(field: Option<&str>, name: char) -> Parsed<&str> {
    let field = field.ok_or("SCRAM message is cut short")?;
    match field.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
        Some(value) => Ok(value),
        // RFC 5802 §5.1: an `m` is an extension that must be understood, and none is.
        None if field.starts_with("m=") => Err("SCRAM message has a mandatory extension"),
        None => Err("SCRAM message has not the attribute that belongs here"),
    }
}

/// Optional extensions: `ALPHA "=" 1*value-char`, ignored.
fn extensions<'a>(fields: impl Iterator<Item = &'a str>) -> Parsed<()> {
    for field in fields {
        let mut chars = field.chars();
        let shape = (chars.next(), chars.next(), chars.next());
        if !matches!(shape, (Some(name), Some('='), Some(_)) if name.is_ascii_alphabetic()) {
            return Err("SCRAM message has a malformed extension");
        }
    }
    Ok(())
}

fn nonce(value: &str) -> Parsed<&str> {
    // printable = %x21-2B / %x2D-7E, and the comma is the separator.
    let printable = value.bytes().all(|octet| matches!(octet, 0x21..=0x7e));
    if value.is_empty() || value.len() > MAX_NONCE_OCTETS || !printable {
        return Err("SCRAM nonce is malformed");
    }
    Ok(value)
}

/// `saslname`: `=2C` is a comma and `=3D` is `=`; no other `=` may stand in it.
pub(super) fn decode_name(value: &str) -> Parsed<String> {
    let mut pieces = value.split('=');
    let mut name = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (character, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err("SCRAM name has a bad escape"),
        };
        name.push(character);
        name.push_str(rest);
    }
    if name.is_empty() { Err("SCRAM name is empty") } else { Ok(name) }
}

/// The opposite of [`decode_name`].
pub(super) fn encode_name(name: &str) -> Cow<'_, str> {
    if name.contains(['=', ',']) {
        Cow::Owned(name.replace('=', "=3D").replace(',', "=2C"))
    } else {
        Cow::Borrowed(name)
    }
}

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Parsed<ClientFirst<'a>> {
        let message = text(message)?;
        let mut fields = message.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err("SCRAM message has no GS2 header");
        };
        let flag = match flag {
            "n" => BindingFlag::None,
            "y" => BindingFlag::NotOffered,
            _ => BindingFlag::Used(binding_name(flag)?),
        };
        let authzid = match authzid {
            "" => None,
            _ => Some(decode_name(attribute(Some(authzid), 'a')?)?),
        };
        let mut fields = bare.split(',');
        let username = decode_name(attribute(fields.next(), 'n')?)?;
        let nonce = nonce(attribute(fields.next(), 'r')?)?;
        extensions(fields)?;
        let gs2_header = &message[..message.len() - bare.len()];
        Ok(ClientFirst { flag, authzid, gs2_header, bare, username, nonce })
    }
}

/// `cb-name = 1*(ALPHA / DIGIT / "." / "-")`
fn binding_name(flag: &str) -> Parsed<&str> {
    flag.strip_prefix("p=")
        .filter(|name| !name.is_empty())
        .filter(|name| name.bytes().all(|o| o.is_ascii_alphanumeric() || o == b'.' || o == b'-'))
        .ok_or("SCRAM message has a malformed GS2 header")
}

impl<'a> ServerFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Parsed<ServerFirst<'a>> {
        let mut fields = text(message)?.split(',');
        let nonce = nonce(attribute(fields.next(), 'r')?)?;
        let salt = super::decode_base64(attribute(fields.next(), 's')?)?;
        let count = attribute(fields.next(), 'i')?;
        extensions(fields)?;
        // posit-number = %x31-39 *DIGIT
        if !count.starts_with(|c: char| matches!(c, '1'..='9'))
            || !count.bytes().all(|octet| octet.is_ascii_digit())
        {
            return Err("SCRAM iteration count is malformed");
        }
        let iterations = count.parse().map_err(|_| "SCRAM iteration count is too large")?;
        Ok(ServerFirst { nonce, salt, iterations })
    }
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Parsed<ClientFinal<'a>> {
        let message = text(message)?;
        let (without_proof, proof) =
            message.rsplit_once(",p=").ok_or("SCRAM message has no proof")?;
        let proof = super::decode_base64(proof)?;
        let proof = proof.try_into().map_err(|_| "SCRAM proof is of the wrong size")?;
        let mut fields = without_proof.split(',');
        let binding = super::decode_base64(attribute(fields.next(), 'c')?)?;
        let nonce = nonce(attribute(fields.next(), 'r')?)?;
        extensions(fields)?;
        Ok(ClientFinal { binding, nonce, proof, without_proof })
    }
}

/// `server-final-message`: the signature, or the error that the server gives.
pub(super) fn parse_server_final(message: &[u8]) -> Parsed<[u8; 32]> {
    let mut fields = text(message)?.split(',');
    let first = fields.next();
    if attribute(first, 'e').is_ok() {
        return Err("server refuses (SCRAM error)");
    }
    let signature = super::decode_base64(attribute(first, 'v')?)?;
    extensions(fields)?;
    signature.try_into().map_err(|_| "SCRAM signature is of the wrong size")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_gs2_header_is_read_and_kept() {
        let first = ClientFirst::parse(b"p=tls-exporter,a=b=2Cc,n=b=2Cc,r=xyz,x=opt").unwrap();
        assert_eq!(first.flag, BindingFlag::Used("tls-exporter"));
        assert_eq!(first.authzid.as_deref(), Some("b,c"));
        assert_eq!(first.gs2_header, "p=tls-exporter,a=b=2Cc,");
        assert_eq!(first.bare, "n=b=2Cc,r=xyz,x=opt");
        assert_eq!((first.username.as_str(), first.nonce), ("b,c", "xyz"));
    }

    #[test]
    fn malformed_client_first_messages_are_refused() {
        for message in [
            &b""[..],
            b"n,,",
            b"n,n=u,r=x",
            b"x,,n=u,r=x",
            b"p=,,n=u,r=x",
            b"p=a_b,,n=u,r=x",
            b"n,b=u,n=u,r=x",
            b"n,a=,n=u,r=x",
            b"n,,n=,r=x",
            b"n,,n=u",
            b"n,,n=u,r=",
            b"n,,n=u,r=a b",
            b"n,,n=u=2,r=x",
            b"n,,n=u=2c,r=x",
            b"n,,n=u\0,r=x",
            b"n,,n=\xff,r=x",
            b"n,,m=ext,n=u,r=x",
            b"n,,r=x,n=u",
            b"n,,n=u,r=x,",
            b"n,,n=u,r=x,1=a",
            b"n,,n=u,r=x,a=",
        ] {
            assert!(ClientFirst::parse(message).is_err(), "{:?}", message.escape_ascii());
        }
        let long = format!("n,,n=u,r={}", "x".repeat(MAX_NONCE_OCTETS + 1));
        assert!(ClientFirst::parse(long.as_bytes()).is_err());
    }

    #[test]
    fn malformed_server_messages_are_refused() {
        assert!(ServerFirst::parse(b"r=ab,s=AAAA,i=4096").is_ok());
        assert!(ServerFirst::parse(b"r=ab,s=AAAA,i=4096,x=y").is_ok());
        for message in [
            &b"r=ab,s=AAAA"[..],
            b"r=ab,s=AAA,i=4096",
            b"r=ab,s=AAAA,i=0",
            b"r=ab,s=AAAA,i=04096",
            b"r=ab,s=AAAA,i=+4096",
            b"r=ab,s=AAAA,i=99999999999",
            b"r=ab,s=AAAA,i=",
            b"m=x,r=ab,s=AAAA,i=4096",
        ] {
            assert!(ServerFirst::parse(message).is_err(), "{:?}", message.escape_ascii());
        }
        for message in [&b"v=AAAA"[..], b"e=other-error", b"v=", b"x=y", b""] {
            assert!(parse_server_final(message).is_err(), "{:?}", message.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn names_survive_their_escapes(name in "[^\0]{1,40}") {
            let encoded = encode_name(&name);
            prop_assert!(!encoded.contains(','));
            prop_assert_eq!(decode_name(&encoded), Ok(name));
        }

        #[test]
        fn no_message_panics(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ClientFirst::parse(&octets);
            let _ = ServerFirst::parse(&octets);
            let _ = ClientFinal::parse(&octets);
            let _ = parse_server_final(&octets);
        }

        #[test]
        fn nearly_right_messages_do_not_panic(text in "[nypa=,rscvxm0-9A-Z/+ié]{0,80}") {
            let _ = ClientFirst::parse(text.as_bytes());
            let _ = ServerFirst::parse(text.as_bytes());
            let _ = ClientFinal::parse(text.as_bytes());
            let _ = parse_server_final(text.as_bytes());
        }
    }
}
