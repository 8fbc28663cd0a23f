//! PEM (RFC 7468): finding the private key in a file, and writing one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::KeyError;

/// The DER of a private key, and the form that the label says it has.
pub(super) enum PrivateKey {
    /// `PRIVATE KEY`.
    Pkcs8(Zeroizing<Vec<u8>>),
    /// `RSA PRIVATE KEY`.
    Pkcs1(Zeroizing<Vec<u8>>),
}

/// The first private key in the text. Other blocks (OpenSSL puts parameters and certificates beside
/// keys) are passed over.
pub(super) fn private_key(text: &str) -> Result<PrivateKey, KeyError> {
    let mut other = None;
    let mut rest = text;
    while let Some((label, body, after)) = next_block(rest) {
        rest = after;
        match label {
            "PRIVATE KEY" => return Ok(PrivateKey::Pkcs8(decode(body)?)),
            // OpenSSL's traditional form has header lines when it is encrypted.
            "RSA PRIVATE KEY" if body.contains("ENCRYPTED") => return Err(KeyError::Encrypted),
            "RSA PRIVATE KEY" => return Ok(PrivateKey::Pkcs1(decode(body)?)),
            "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
            label => other = other.or(Some(label)),
        }
    }
    Err(other.map_or(KeyError::NotPem, |label| KeyError::OtherPem(label.to_owned())))
}

/// Label and body of the first block, and the text after it.
fn next_block(text: &str) -> Option<(&str, &str, &str)> {
    let (_, text) = text.split_once("-----BEGIN ")?;
    let (label, text) = text.split_once("-----")?;
    let (body, text) = text.split_once("-----END ")?;
    Some((label, body, text))
}

fn decode(body: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let packed: Zeroizing<Vec<u8>> =
        Zeroizing::new(body.bytes().filter(|b| !b.is_ascii_whitespace()).collect());
    STANDARD.decode(&*packed).map(Zeroizing::new).map_err(|_| KeyError::NotPem)
}

/// One block, in lines of 64 (RFC 7468 §2).
pub(super) fn write(label: &str, der: &[u8]) -> Zeroizing<String> {
    let packed = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    for line in packed.as_bytes().chunks(64) {
        text.extend(line.iter().map(|b| char::from(*b)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
