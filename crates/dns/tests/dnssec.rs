//! A signed world: the root zone holds everything, its key is the trust anchor, and what is forged,
//! stale or left out is found.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::op::Message;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType as WireType, SerialNumber};
use hickory_resolver::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, NSEC, RRSIG, SigInput};
use hickory_resolver::proto::dnssec::{DnssecSigner, SigningKey, TBS};
use waxwing_dns::answer::{Transport, answer};
use waxwing_dns::{
    Dnssec, DnssecMode, LookupError, NameServers, Resolve, Resolver, ResolverOptions, Zone, Zones,
};

const EVERYTHING: &str = "
wax.test      MX 10 mail.wax.test.
mail.wax.test A 127.0.0.1
www.wax.test  CNAME mail.wax.test.
forged.test   A 127.0.0.1
stale.test    A 127.0.0.1
bare.test     A 127.0.0.1
";

struct Signed {
    zones: Zones,
    signer: DnssecSigner,
}

impl Signed {
    fn new() -> Signed {
        let pkcs8 = Ed25519SigningKey::generate_pkcs8().unwrap();
        let key = Ed25519SigningKey::from_pkcs8(&pkcs8).unwrap();
        let dnskey = DNSKEY::with_flags(257, key.to_public_key().unwrap());
        let signer =
            DnssecSigner::new(dnskey, Box::new(key), Name::root(), Duration::from_secs(60));
        Signed { zones: [Zone::parse(".", EVERYTHING).unwrap()].into_iter().collect(), signer }
    }

    fn signature(&self, records: &[Record], expires_in: i64) -> Record {
        let first = &records[0];
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let input = SigInput {
            type_covered: first.record_type(),
            algorithm: self.signer.key().algorithm(),
            num_labels: first.name.num_labels(),
            original_ttl: first.ttl,
            sig_expiration: SerialNumber::new((now + expires_in) as u32),
            sig_inception: SerialNumber::new((now - 10_000) as u32),
            key_tag: self.signer.calculate_key_tag().unwrap(),
            signer_name: Name::root(),
        };
        let tbs = TBS::from_input(&first.name, DNSClass::IN, &input, records.iter()).unwrap();
        let rrsig = RRSIG::from_sig(input, self.signer.sign(&tbs).unwrap());
        let data = RData::DNSSEC(DNSSECRData::RRSIG(rrsig));
        Record::from_rdata(first.name.clone(), first.ttl, data)
    }

    /// Signs a section as a signing server would, but for the names that tell of a fault.
    fn sign(&self, records: &mut Vec<Record>) {
        let mut sets: Vec<Vec<Record>> = Vec::new();
        for record in records.iter() {
            let like = |set: &&mut Vec<Record>| {
                set[0].name == record.name && set[0].record_type() == record.record_type()
            };
            match sets.iter_mut().find(like) {
                Some(set) => set.push(record.clone()),
                None => sets.push(vec![record.clone()]),
            }
        }
        for set in sets {
            match set[0].name.to_string().as_str() {
                "bare.test." => {}
                "stale.test." => records.push(self.signature(&set, -5)),
                _ => records.push(self.signature(&set, 3600)),
            }
        }
    }

    fn answer(&self, packet: &[u8]) -> Vec<u8> {
        let reply = answer(&self.zones, packet, Transport::Tcp).unwrap();
        let mut reply = Message::from_vec(&reply).unwrap();
        let question = reply.queries[0].clone();
        if question.query_type == WireType::DNSKEY {
            let key = RData::DNSSEC(DNSSECRData::DNSKEY(self.signer.to_dnskey()));
            reply.answers = vec![Record::from_rdata(question.name.clone(), 300, key)];
            reply.authorities.clear();
        } else if reply.answers.is_empty() {
            // It exists, with an address only: RFC 4035 §3.1.3.1.
            let types = [WireType::A, WireType::NSEC, WireType::RRSIG];
            let next = Name::from_ascii("zzz.").unwrap();
            let nsec = RData::DNSSEC(DNSSECRData::NSEC(NSEC::new(next, types)));
            reply.authorities.push(Record::from_rdata(question.name.clone(), 60, nsec));
        }
        self.sign(&mut reply.answers);
        self.sign(&mut reply.authorities);
        for record in &mut reply.answers {
            if record.name.to_string() == "forged.test." && record.record_type() == WireType::A {
                record.data = RData::A(Ipv4Addr::new(10, 66, 66, 66).into());
            }
        }
        reply.to_vec().unwrap()
    }
}

async fn resolver() -> (Resolver, tempfile::TempDir) {
    let signed = Arc::new(Signed::new());
    let folder = tempfile::tempdir().unwrap();
    let anchors = folder.path().join("anchors");
    std::fs::write(&anchors, format!(". 300 IN DNSKEY {}\n", signed.signer.to_dnskey())).unwrap();
    let udp = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address: SocketAddr = udp.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((octets, peer)) = udp.recv_from(&mut buffer).await {
            udp.send_to(&signed.answer(&buffer[..octets]), peer).await.unwrap();
        }
    });
    let options = ResolverOptions {
        dnssec: DnssecMode::Validate,
        trust_anchors: Some(anchors),
        retries: 0,
        ..ResolverOptions::default()
    };
    (Resolver::new(NameServers::These(vec![address]), options).unwrap(), folder)
}

#[tokio::test]
async fn signed_answers_are_secure_aliases_and_all() {
    let (dns, _folder) = resolver().await;
    let mx = dns.mx("wax.test").await.unwrap();
    assert_eq!((mx.dnssec, &*mx.records[0].exchange), (Dnssec::Secure, "mail.wax.test"));
    let www = dns.a("www.wax.test").await.unwrap();
    assert_eq!((www.dnssec, www.aliases.len()), (Dnssec::Secure, 1));
    assert!(www.aliases[0].dnssec.is_secure());
}

#[tokio::test]
async fn proven_absence_is_secure() {
    let (dns, _folder) = resolver().await;
    match dns.mx("mail.wax.test").await {
        Err(LookupError::NoData { dnssec, .. }) => assert_eq!(dnssec, Dnssec::Secure),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn forged_stale_and_unsigned_answers_are_bogus_and_wait() {
    let (dns, _folder) = resolver().await;
    for name in ["forged.test", "stale.test", "bare.test"] {
        let error = dns.a(name).await.unwrap_err();
        assert_eq!(error, LookupError::Bogus, "{name}");
        assert!(error.is_temporary() && !error.is_absent());
    }
    // An absence whose proof speaks of a name that has the record is none.
    assert_eq!(dns.a("nobody.test").await.unwrap_err(), LookupError::Bogus);
}

#[test]
fn trust_anchors_must_be_there() {
    let options = |file: &str| ResolverOptions {
        dnssec: DnssecMode::Validate,
        trust_anchors: Some(file.into()),
        ..ResolverOptions::default()
    };
    let servers = || NameServers::These(vec![([127, 0, 0, 1], 53).into()]);
    assert!(Resolver::new(servers(), options("/nonexistent/anchors")).is_err());
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    assert!(Resolver::new(servers(), options(empty.to_str().unwrap())).is_err());
}
