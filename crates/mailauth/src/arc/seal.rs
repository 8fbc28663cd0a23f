//! Sealing: one more set for a message that goes on (RFC 8617 §5.1).

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::chain::Chain;
use super::{ChainStatus, INSTANCES_MAX, Validation};
use crate::dkim::{
    Bodies, Canonicalization, Field, HeaderBlock, append, names_to_sign, seconds, sha256, sha256_of,
};
use crate::key::Sign;

/// Why no set is added. The message goes on without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A sealer before has said that the chain failed (RFC 8617 §5.1).
    #[error("the chain has ended: a sealer before said that it failed")]
    Ended,
    /// RFC 8617 §4.2.1.
    #[error("the message has {INSTANCES_MAX} ARC sets, and no more are allowed")]
    TooMany,
}

/// One more set: three whole fields with line ends, to be put before the message.
///
/// `header` is the header block that goes on, with the sets that `validation` is about;
/// `body_hash` is in relaxed form. `authentication_results` is what we found: the value of our own
/// field, without its name ([`to_payload`](crate::results::AuthenticationResults::to_payload)).
#[allow(clippy::too_many_arguments)] // Each is another thing, and all are needed.
pub fn seal(
    key: &(impl Sign + ?Sized),
    domain: &str,
    selector: &str,
    header: &[u8],
    body_hash: &[u8; 32],
    authentication_results: &str,
    validation: &Validation,
    now: Timestamp,
) -> Result<Vec<u8>, SealError> {
    let block = HeaderBlock::new(header.to_vec());
    let mut names = names_to_sign(&block);
    // RFC 8617 §4.1.2: signatures by others are worth covering. Received and
    // Authentication-Results change on the way.
    names.extend(block.named(b"DKIM-Signature").map(|_| "dkim-signature".to_owned()));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let by = By { key, domain, selector, folds: true };
    sealed(&by, &names, &block, body_hash, authentication_results, validation, now)
}

/// [`seal`] over the named fields, with a message signature that is not folded: a seal covers the
/// folds too, and this is the form whose answers the published suite knows.
#[doc(hidden)]
#[allow(clippy::too_many_arguments)] // As above.
pub fn seal_over(
    names: &[&str],
    key: &(impl Sign + ?Sized),
    domain: &str,
    selector: &str,
    header: &[u8],
    body_hash: &[u8; 32],
    authentication_results: &str,
    validation: &Validation,
    now: Timestamp,
) -> Result<Vec<u8>, SealError> {
    let block = HeaderBlock::new(header.to_vec());
    let by = By { key, domain, selector, folds: false };
    sealed(&by, names, &block, body_hash, authentication_results, validation, now)
}

/// Who seals.
struct By<'a, K: ?Sized> {
    key: &'a K,
    domain: &'a str,
    selector: &'a str,
    folds: bool,
}

fn sealed<K: Sign + ?Sized>(
    by: &By<'_, K>,
    names: &[&str],
    header: &HeaderBlock,
    body_hash: &[u8; 32],
    authentication_results: &str,
    validation: &Validation,
    now: Timestamp,
) -> Result<Vec<u8>, SealError> {
    if validation.ended {
        return Err(SealError::Ended);
    }
    if validation.instances >= INSTANCES_MAX {
        return Err(SealError::TooMany);
    }
    let instance = (validation.instances + 1).to_string();
    let results = Unsigned {
        name: "ARC-Authentication-Results",
        value: format!(" i={instance}; {}", on_lines(authentication_results)),
    };
    let message = by.message_signature(&instance, names, header, body_hash, now);
    let mut covered = Context::new(&SHA256);
    // RFC 8617 §5.1.2: of a chain that fails, only the new set is covered.
    if validation.status == ChainStatus::Pass {
        covered.update(&sets_before(header));
    }
    covered.update(&results.canonical());
    covered.update(&message.canonical());
    let seal = by.seal(&instance, validation.status, covered, now);
    Ok([seal, message.whole(), results.whole()].concat())
}

impl<K: Sign + ?Sized> By<'_, K> {
    fn message_signature(
        &self,
        instance: &str,
        names: &[&str],
        header: &HeaderBlock,
        body_hash: &[u8; 32],
        now: Timestamp,
    ) -> Unsigned {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        // Tags in the order of their names, as in the published suite.
        let mut field = Field::new("ARC-Message-Signature");
        field.tag("a", self.key.algorithm().as_str());
        field.signature_here();
        field.tag("bh", &STANDARD.encode(body_hash));
        field.tag("c", "relaxed/relaxed");
        field.tag("d", self.domain);
        field.names(&names);
        field.tag("i", instance);
        field.tag("s", self.selector);
        field.tag("t", &seconds(now));
        let mut input = Vec::with_capacity(2048);
        for signed in header.selected(names.iter().map(String::as_str), None) {
            append(signed, Canonicalization::Relaxed, &mut input);
        }
        field.append_unsigned(Canonicalization::Relaxed, &mut input);
        let signature = self.key.sign(&sha256(&input));
        let whole = match self.folds {
            true => field.signed(&signature),
            false => field.signed_unfolded(&signature),
        };
        Unsigned::of("ARC-Message-Signature", &whole)
    }

    fn seal(
        &self,
        instance: &str,
        cv: ChainStatus,
        mut covered: Context,
        now: Timestamp,
    ) -> Vec<u8> {
        let mut field = Field::new("ARC-Seal");
        field.tag("a", self.key.algorithm().as_str());
        field.signature_here();
        field.tag("cv", cv.as_str());
        field.tag("d", self.domain);
        field.tag("i", instance);
        field.tag("s", self.selector);
        field.tag("t", &seconds(now));
        let mut input = Vec::with_capacity(256);
        field.append_unsigned(Canonicalization::Relaxed, &mut input);
        covered.update(&input);
        field.signed(&self.key.sign(&sha256_of(covered)))
    }
}

/// A field that is written and not yet sealed.
struct Unsigned {
    name: &'static str,
    /// From after the colon, without the line end.
    value: String,
}

impl Unsigned {
    fn of(name: &'static str, whole: &[u8]) -> Unsigned {
        let value = String::from_utf8_lossy(&whole[name.len() + 1..]);
        Unsigned { name, value: value.trim_end().to_owned() }
    }

    fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.value.len() + 40);
        crate::dkim::relaxed_field(self.name.as_bytes(), self.value.as_bytes(), &mut out);
        out.extend_from_slice(b"\r\n");
        out
    }

    fn whole(&self) -> Vec<u8> {
        format!("{}:{}\r\n", self.name, self.value).into_bytes()
    }
}

/// The sets that are there, in the order in which a seal covers them.
fn sets_before(header: &HeaderBlock) -> Vec<u8> {
    let chain = Chain::read(header, &mut Bodies::default());
    let mut out = Vec::with_capacity(4096);
    for set in &chain.sets {
        let message = set.message.as_ref().map(|message| message.place);
        let seal = set.seal.as_ref().map(|seal| seal.place);
        for place in [set.results, message, seal].into_iter().flatten() {
            append(header.field(place), Canonicalization::Relaxed, &mut out);
        }
    }
    out
}

/// The same text with every line end followed by white space, so that it stays one field.
fn on_lines(text: &str) -> String {
    let lines = text.split(['\r', '\n']).map(|line| line.trim_matches([' ', '\t']));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\r\n\t")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Algorithm, SigningKey};

    fn sealed_with(validation: &Validation) -> Result<Vec<u8>, SealError> {
        let key = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap();
        let now = Timestamp::from_second(12345).unwrap();
        let results = "mx.example.org; spf=pass\r\nBcc: x";
        seal(&key, "example.org", "s", b"From: a@x\r\n\r\n", &[0; 32], results, validation, now)
    }

    #[test]
    fn a_chain_that_ended_gets_no_more() {
        let ended = Validation { ended: true, ..Validation::default() };
        assert_eq!(sealed_with(&ended), Err(SealError::Ended));
        let full = Validation { instances: 50, ..Validation::default() };
        assert_eq!(sealed_with(&full), Err(SealError::TooMany));
    }

    #[test]
    fn three_fields_and_no_more() {
        let fields = sealed_with(&Validation::default()).unwrap();
        let block = HeaderBlock::new(fields);
        let names: Vec<_> =
            block.fields().map(|f| String::from_utf8_lossy(f.name).into_owned()).collect();
        assert_eq!(names, ["ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"]);
    }
}
