//! mail-auth's side, as its own examples use it.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::Instant;

use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::dkim::{DkimSigner, Done};
use mail_auth::dmarc::Dmarc;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::spf::Spf;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{
    AuthenticatedMessage, DkimResult, DmarcResult, DnsError, Error, MessageAuthenticator,
    Parameters, ResolverCache, SpfResult, Txt,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::now_or_never;
use crate::scene::{CLIENT, RECORDS, SENDER, Scene};

/// What it knows of other names.
const NOTHING: Error = Error::Dns(DnsError::RecordNotFound(ResponseCode::NXDomain));

/// A cache that never forgets.
struct Map<K, V>(Mutex<HashMap<K, V>>);

impl<K: Hash + Eq, V: Clone> ResolverCache<K, V> for Map<K, V> {
    fn get<Q>(&self, name: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.lock().expect("no panic").get(name).cloned()
    }

    fn remove<Q>(&self, _: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, key: K, value: V, _: Instant) {
        self.0.lock().expect("no panic").insert(key, value);
    }
}

pub struct Peer {
    authenticator: MessageAuthenticator,
    texts: Map<Box<str>, Txt>,
    rsa: DkimSigner<RsaKey<Sha256>, Done>,
    ed25519: DkimSigner<Ed25519Key, Done>,
}

/// The fields that our side signs.
const SIGNED: [&str; 12] = [
    "From",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

impl Peer {
    pub fn new(scene: &Scene) -> Peer {
        let mut texts = HashMap::new();
        for signer in &scene.signers {
            let record = DomainKey::parse(signer.key.dns_record().as_bytes()).expect("a record");
            texts.insert(format!("{}.", signer.key_name()).into(), Txt::from(record));
        }
        let [(domain, spf), (policy, record)] = RECORDS;
        let spf = Spf::parse(spf.as_bytes()).expect("a record");
        texts.insert(format!("{domain}.").into(), Txt::from(spf));
        let record = Dmarc::parse(record.as_bytes()).expect("a record");
        texts.insert(format!("{policy}.").into(), Txt::from(record));
        texts.insert("_dmarc.org.".into(), Txt::Error(NOTHING));
        let [rsa, ed25519] = scene.signers.each_ref().map(|signer| signer.key.to_pkcs8_der());
        let rsa = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(rsa.to_vec()));
        let rsa = RsaKey::<Sha256>::from_key_der(rsa).expect("a key");
        let ed25519 = Ed25519Key::from_pkcs8_maybe_unchecked_der(&ed25519).expect("a key");
        Peer {
            authenticator: MessageAuthenticator::new(
                ResolverConfig::default(),
                ResolverOpts::default(),
            )
            .expect("a resolver"),
            texts: Map(Mutex::new(texts)),
            rsa: DkimSigner::from_key(rsa).domain("example.org").selector("rsa").headers(SIGNED),
            ed25519: DkimSigner::from_key(ed25519)
                .domain("example.org")
                .selector("ed")
                .headers(SIGNED),
        }
    }

    pub fn verify(&self, message: &[u8]) {
        let message = AuthenticatedMessage::parse(message).expect("a message");
        let question = Parameters::new(&message).with_txt_cache(&self.texts);
        let results = now_or_never(self.authenticator.verify_dkim(question));
        assert_eq!(results[0].result(), &DkimResult::Pass);
    }

    pub fn all(&self, message: &[u8]) {
        let question =
            SpfParameters::verify_mail_from(CLIENT, "mail.example.org", "mx.example.net", SENDER);
        let question = Parameters::new(question).with_txt_cache(&self.texts);
        let spf = now_or_never(self.authenticator.verify_spf(question));
        assert_eq!(spf.result(), SpfResult::Pass);
        let message = AuthenticatedMessage::parse(message).expect("a message");
        let question = Parameters::new(&message).with_txt_cache(&self.texts);
        let dkim = now_or_never(self.authenticator.verify_dkim(question));
        let question = DmarcParameters::new(&message, &dkim, "example.org", &spf);
        let question = Parameters::new(question).with_txt_cache(&self.texts);
        let dmarc = now_or_never(self.authenticator.verify_dmarc(question));
        assert_eq!(dmarc.dkim_result(), &DmarcResult::Pass);
        assert_eq!(dmarc.spf_result(), &DmarcResult::Pass);
    }

    pub fn arc(&self, message: &[u8]) {
        let message = AuthenticatedMessage::parse(message).expect("a message");
        let question = Parameters::new(&message).with_txt_cache(&self.texts);
        let result = now_or_never(self.authenticator.verify_arc(question));
        assert_eq!(result.result(), &DkimResult::Pass);
    }

    pub fn sign(&self, message: &[u8]) {
        black_box(self.rsa.sign(message).expect("a signature").to_header());
        black_box(self.ed25519.sign(message).expect("a signature").to_header());
    }
}
