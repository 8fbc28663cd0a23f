//! Waxwing's side.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use waxwing_dns::{Answer, Dnssec, LookupError, RecordData, RecordType, Resolve};
use waxwing_mailauth::arc::ChainStatus;
use waxwing_mailauth::dkim::{DkimResult, KeyCache, Signer, Verified, Verifier};
use waxwing_mailauth::{dmarc, spf};
use waxwing_message::trace::header_end;
use waxwing_message::{Address, ReversePath};

use crate::now_or_never;
use crate::scene::{CLIENT, RECORDS, SENDER, Scene, body_hash, now};

/// What there is at other names.
const NOTHING: LookupError =
    LookupError::NxDomain { dnssec: Dnssec::Insecure, ttl: Duration::from_secs(3600) };

/// Answers in memory.
pub struct Texts(HashMap<String, Answer<RecordData>>);

impl Texts {
    pub fn new(signers: &[Signer]) -> Texts {
        let answer = |(name, text): (String, String)| {
            let strings = text.as_bytes().chunks(255).map(<[u8]>::to_vec).collect();
            let answer = Answer {
                records: vec![RecordData::Txt(strings)],
                name: name.clone(),
                aliases: Vec::new(),
                ttl: Duration::from_secs(3600),
                dnssec: Dnssec::Insecure,
            };
            (name, answer)
        };
        let keys = signers.iter().map(|signer| (signer.key_name(), signer.key.dns_record()));
        let rest = RECORDS.map(|(name, text)| (name.to_owned(), text.to_owned()));
        Texts(keys.chain(rest).map(answer).collect())
    }
}

impl Resolve for Texts {
    async fn query(&self, name: &str, _: RecordType) -> Result<Answer<RecordData>, LookupError> {
        self.0.get(name).cloned().ok_or(NOTHING)
    }
}

pub struct Ours<'s> {
    texts: Texts,
    cache: KeyCache,
    scene: &'s Scene,
}

impl<'s> Ours<'s> {
    pub fn new(scene: &'s Scene) -> Ours<'s> {
        Ours { texts: Texts::new(&scene.signers), cache: KeyCache::new(), scene }
    }

    fn verified(&self, message: &[u8]) -> Verified {
        let mut verifier = Verifier::new();
        verifier.write(message);
        now_or_never(verifier.finish_with(&self.texts, &self.cache, now()))
    }

    pub fn verify(&self, message: &[u8]) {
        let verified = self.verified(message);
        assert_eq!(verified.dkim[0].result, DkimResult::Pass);
    }

    pub fn all(&self, message: &[u8]) {
        let sender = ReversePath::Address(Address::parse(SENDER).expect("an address"));
        let request = spf::Request {
            ip: CLIENT,
            helo: "mail.example.org",
            sender: &sender,
            receiver: "mx.example.net",
            now: now(),
        };
        let spf = now_or_never(spf::check_mail_from(&self.texts, &request));
        assert_eq!(spf.result, spf::SpfResult::Pass);
        let verified = self.verified(message);
        let signature = &verified.dkim[0];
        let pass = signature.result == DkimResult::Pass;
        let (domain, selector) = (&*signature.domain, &*signature.selector);
        let dkim = [dmarc::DkimInput { domain, selector, pass }];
        let input = dmarc::SpfInput { result: spf.result, domain: &spf.domain };
        let outcome = now_or_never(dmarc::evaluate(&self.texts, "example.org", &input, &dkim));
        assert!(outcome.spf_aligned && outcome.dkim_aligned, "{outcome:?}");
    }

    pub fn arc(&self, message: &[u8]) {
        let verified = self.verified(message);
        assert_eq!(verified.arc.status, ChainStatus::Pass);
    }

    pub fn sign(&self, message: &[u8]) {
        let (header, body) = message.split_at(header_end(message));
        let hash = body_hash(body);
        for signer in &self.scene.signers {
            black_box(signer.sign(header, &hash, now(), None));
        }
    }
}
