//! The messages and keys that both sides work on.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use waxwing_dns::Resolve;
use waxwing_mailauth::arc::seal;
use waxwing_mailauth::dkim::{BodyHasher, Canonicalization, Signer, verify};
use waxwing_mailauth::key::{Algorithm, SigningKey};
use waxwing_message::trace::header_end;

use crate::now_or_never;
use crate::ours::Texts;

/// Who sent it, and from where.
pub const SENDER: &str = "joe@example.org";
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// What their domain says beside its keys. Above it there is nothing.
pub const RECORDS: [(&str, &str); 2] = [
    ("example.org", "v=spf1 ip4:192.0.2.0/24 -all"),
    ("_dmarc.example.org", "v=DMARC1; p=reject; rua=mailto:dmarc@example.org"),
];

/// What stands in the way of nobody: messages that both sides find good.
pub struct Scene {
    /// Without signatures.
    pub plain: Vec<u8>,
    /// With one by RSA-2048.
    pub rsa: Vec<u8>,
    /// With one by Ed25519.
    pub ed25519: Vec<u8>,
    /// With a chain of one set, RSA-2048.
    pub arc_1: Vec<u8>,
    /// With a chain of three sets.
    pub arc_3: Vec<u8>,
    /// The same, the body changed by the last sealer.
    pub arc_3_changed: Vec<u8>,
    /// Both signers.
    pub signers: [Signer; 2],
}

impl Scene {
    pub fn new() -> Scene {
        let signers = [("rsa", Algorithm::RsaSha256), ("ed", Algorithm::Ed25519Sha256)];
        let signers = signers.map(|(selector, algorithm)| {
            let key = SigningKey::generate(algorithm).expect("a key");
            Signer::new("example.org", selector, key).expect("names")
        });
        let plain = letter();
        let signed = |signer: &Signer| [sign(signer, &plain), plain.clone()].concat();
        let texts = Texts::new(&signers);
        let arc_1 = sealed(&texts, &signers[0], &plain);
        let arc_2 = sealed(&texts, &signers[0], &arc_1);
        let arc_3 = sealed(&texts, &signers[0], &arc_2);
        let footer = &b"-- \r\nA mailing list\r\n"[..];
        let arc_3_changed = sealed_after(&texts, &signers[0], &arc_2, footer);
        Scene {
            rsa: signed(&signers[0]),
            ed25519: signed(&signers[1]),
            arc_1,
            arc_3,
            arc_3_changed,
            plain,
            signers,
        }
    }
}

/// When it is.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("a time")
}

/// The hash of a body as signers want it.
pub fn body_hash(body: &[u8]) -> [u8; 32] {
    let mut hasher = BodyHasher::new(Canonicalization::Relaxed, None);
    hasher.write(body);
    hasher.finish()
}

/// One signature field.
pub fn sign(signer: &Signer, message: &[u8]) -> Vec<u8> {
    let (header, body) = message.split_at(header_end(message));
    signer.sign(header, &body_hash(body), now(), None)
}

fn sealed(resolver: &impl Resolve, signer: &Signer, message: &[u8]) -> Vec<u8> {
    sealed_after(resolver, signer, message, b"")
}

/// One more set, over a body to which `more` was added.
fn sealed_after(resolver: &impl Resolve, signer: &Signer, message: &[u8], more: &[u8]) -> Vec<u8> {
    let validation = now_or_never(verify(resolver, message, now())).arc;
    let message = &[message, more].concat();
    let (header, body) = message.split_at(header_end(message));
    let results = "mx.example.org; spf=pass smtp.mailfrom=joe@example.org; dmarc=pass";
    let (key, domain, selector) = (&signer.key, &signer.domain, &signer.selector);
    let set = seal(key, domain, selector, header, &body_hash(body), results, &validation, now());
    [set.expect("a set"), message.to_vec()].concat()
}

/// 4 KB with the fields that mail has.
fn letter() -> Vec<u8> {
    let mut letter = String::from(
        "Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n\tby mx.example.net \
         with ESMTPS id 0192;\r\n\tTue, 14 Nov 2023 22:13:20 +0000\r\n\
         From: Joe Q. Public <joe@example.org>\r\nTo: Ann <ann@example.net>,\r\n Bob <bob@example.net>\r\n\
         Cc: Carol <carol@example.net>\r\nSubject: Lunch on Tuesday, and what to bring\r\n\
         Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <0192.17@mail.example.org>\r\n\
         In-Reply-To: <0191.16@mx.example.net>\r\nReferences: <0190.1@mx.example.net>\r\n <0191.16@mx.example.net>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\nX-Mailer: A mailer 1.0\r\n\r\n",
    );
    while letter.len() < 4096 {
        letter += "Dear all, the table is ordered for half past twelve; come as you are.\r\n\r\n";
    }
    letter.into_bytes()
}
