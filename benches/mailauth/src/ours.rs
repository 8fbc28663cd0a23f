//! Waxwing's side.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use waxwing_dns::{Answer, Dnssec, LookupError, RecordData, RecordType, Resolve};
use waxwing_mailauth::arc::ChainStatus;
use waxwing_mailauth::dkim::{DkimResult, KeyCache, Signer, Verified, Verifier};
use waxwing_message::trace::header_end;

use crate::now_or_never;
use crate::scene::{Scene, body_hash, now};

/// Answers in memory.
pub struct Texts(HashMap<String, Answer<RecordData>>);

impl Texts {
    pub fn new(signers: &[Signer]) -> Texts {
        let answer = |signer: &Signer| {
            let text = signer.key.dns_record().into_bytes();
            let strings = text.chunks(255).map(<[u8]>::to_vec).collect();
            let answer = Answer {
                records: vec![RecordData::Txt(strings)],
                name: signer.key_name(),
                aliases: Vec::new(),
                ttl: Duration::from_secs(3600),
                dnssec: Dnssec::Insecure,
            };
            (signer.key_name(), answer)
        };
        Texts(signers.iter().map(answer).collect())
    }
}

impl Resolve for Texts {
    async fn query(&self, name: &str, _: RecordType) -> Result<Answer<RecordData>, LookupError> {
        self.0.get(name).cloned().ok_or(LookupError::BadName)
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
