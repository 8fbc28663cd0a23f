//! DANE for SMTP (RFC 7672): whether the chain that a server showed fits the TLSA records that its
//! domain signed. Certificates in, decision out.
//!
//! | usage | matched by | then |
//! |---|---|---|
//! | 0 PKIX-TA, 1 PKIX-EE | – | unusable in SMTP (RFC 7672 §3.1.3) |
//! | 2 DANE-TA | an issuer that the server sent, or one that stands whole in the record | the chain must lead there, hold now, and bear a reference identifier (§3.1.2, §3.2.2) |
//! | 3 DANE-EE | the server's own certificate or key | nothing: neither name nor date count (§3.1.1) |
//!
//! Of several digests of the same usage and selector only the strongest counts, beside the whole
//! object (RFC 7671 §9). A record whose data cannot be what it says is unusable.
//!
//! Not here: lookups, and that the records were signed; `delivery::outbound` sees to both.

use std::time::Duration;

use aws_lc_rs::digest;
use pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use waxwing_dns::Tlsa;

/// Records of one host that are looked at: a hundred would be an attack, not a roll-over.
const MAX_RECORDS: usize = 32;
/// Certificates of a chain that are looked at.
const MAX_CHAIN: usize = 16;

const DANE_TA: u8 = 2;
const DANE_EE: u8 = 3;
const CERTIFICATE: u8 = 0;
const PUBLIC_KEY: u8 = 1;
const FULL: u8 = 0;
const SHA_256: u8 = 1;
const SHA_512: u8 = 2;

/// What a server must show: usable records, and the names that may stand in its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dane {
    records: Vec<Tlsa>,
    names: Vec<String>,
}

/// Why a chain does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DaneError {
    /// Neither the certificate nor any issuer is named by a record.
    #[error("no TLSA record fits the certificate that the server showed")]
    NoMatch,
    /// A trust anchor fits, but the certificate is for other names.
    #[error("a TLSA record fits the certificate's issuer, but the certificate is for another name")]
    WrongName,
    /// A trust anchor fits, but the certificate has expired or is not valid yet.
    #[error("a TLSA record fits the certificate's issuer, but the certificate is out of date")]
    OutOfDate,
    /// A trust anchor fits, but the chain does not lead to it.
    #[error("a TLSA record fits an issuer, but the chain does not lead there: {0}")]
    Chain(String),
}

impl Dane {
    /// From the records of one host and its reference identifiers, the TLSA base domain first
    /// (RFC 7672 §3.2.2). `None` when no record is usable: then TLS is a must, but nobody can be
    /// authenticated (§2.2).
    pub fn new(records: &[Tlsa], names: Vec<String>) -> Option<Dane> {
        let usable: Vec<&Tlsa> =
            records.iter().filter(|r| is_usable(r)).take(MAX_RECORDS).collect();
        // RFC 7671 §9: what a stronger digest says as well, a weaker one need not say.
        let outdone = |weak: &Tlsa| {
            let same = |r: &&&Tlsa| (r.usage, r.selector) == (weak.usage, weak.selector);
            weak.matching == SHA_256
                && usable.iter().filter(same).any(|record| record.matching == SHA_512)
        };
        let records: Vec<Tlsa> =
            usable.iter().filter(|r| !outdone(r)).map(|&record| record.clone()).collect();
        (!records.is_empty()).then_some(Dane { records, names })
    }

    /// The name for SNI (RFC 7672 §8.1): the TLSA base domain.
    pub fn base(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// The records that count.
    pub fn records(&self) -> &[Tlsa] {
        &self.records
    }

    /// Which record the chain fits: the server's certificate first, then what it sent along.
    /// `now_secs` is since 1970.
    pub fn check(&self, chain: &[&[u8]], now_secs: u64) -> Result<&Tlsa, DaneError> {
        let chain = &chain[..chain.len().min(MAX_CHAIN)];
        let Some((end_entity, issuers)) = chain.split_first() else {
            return Err(DaneError::NoMatch);
        };
        let of_usage = |usage| self.records.iter().filter(move |record| record.usage == usage);
        let own = Association::of(end_entity);
        if let Some(record) = of_usage(DANE_EE).find(|record| own.fits(record)) {
            return Ok(record);
        }
        let issuers: Vec<Association<'_>> =
            issuers.iter().map(|issuer| Association::of(issuer)).collect();
        let mut why = DaneError::NoMatch;
        for record in of_usage(DANE_TA) {
            let sent = issuers.iter().filter(|issuer| issuer.fits(record)).map(|i| i.certificate);
            // A whole certificate in the record need not be sent.
            let kept = (record.selector == CERTIFICATE && record.matching == FULL)
                .then_some(record.data.as_slice());
            for anchor in sent.chain(kept) {
                match self.leads_to(anchor, end_entity, &issuers, now_secs) {
                    Ok(()) => return Ok(record),
                    // An anchor in the record that issued nothing here says nothing.
                    Err(DaneError::Chain(_)) if kept == Some(anchor) => {}
                    Err(error) => why = error,
                }
            }
        }
        Err(why)
    }

    /// Whether the chain holds from the certificate to that anchor (RFC 5280 §6), and for one of
    /// the names.
    fn leads_to(
        &self,
        anchor: &[u8],
        end_entity: &[u8],
        issuers: &[Association<'_>],
        now_secs: u64,
    ) -> Result<(), DaneError> {
        let chain = |error: webpki::Error| DaneError::Chain(error.to_string());
        let anchor = CertificateDer::from(anchor);
        let anchor: TrustAnchor<'_> = webpki::anchor_from_trusted_cert(&anchor).map_err(chain)?;
        let end_entity = CertificateDer::from(end_entity);
        let end_entity = webpki::EndEntityCert::try_from(&end_entity).map_err(chain)?;
        let issuers: Vec<CertificateDer<'_>> =
            issuers.iter().map(|issuer| CertificateDer::from(issuer.certificate)).collect();
        end_entity
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &[anchor],
                &issuers,
                UnixTime::since_unix_epoch(Duration::from_secs(now_secs)),
                webpki::KeyUsage::server_auth(),
                None,
                None,
            )
            .map_err(|error| match error {
                webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => {
                    DaneError::OutOfDate
                }
                error => DaneError::Chain(error.to_string()),
            })?;
        let bears = |name: &String| {
            ServerName::try_from(name.as_str())
                .is_ok_and(|name| end_entity.verify_is_valid_for_subject_name(&name).is_ok())
        };
        if self.names.iter().any(bears) { Ok(()) } else { Err(DaneError::WrongName) }
    }
}

/// What of a certificate a record can be compared with.
struct Association<'c> {
    certificate: &'c [u8],
    /// SubjectPublicKeyInfo; `None` when the certificate cannot be read.
    public_key: Option<&'c [u8]>,
}

impl<'c> Association<'c> {
    fn of(certificate: &'c [u8]) -> Association<'c> {
        let parsed = x509_parser::parse_x509_certificate(certificate).ok();
        let public_key = parsed.map(|(_, parsed)| parsed.tbs_certificate.subject_pki.raw);
        Association { certificate, public_key }
    }

    /// RFC 6698 §2.1.2 to §2.1.4.
    fn fits(&self, record: &Tlsa) -> bool {
        let object = match record.selector {
            CERTIFICATE => Some(self.certificate),
            PUBLIC_KEY => self.public_key,
            _ => None,
        };
        object.is_some_and(|object| match record.matching {
            FULL => object == record.data,
            SHA_256 => digest::digest(&digest::SHA256, object).as_ref() == record.data,
            SHA_512 => digest::digest(&digest::SHA512, object).as_ref() == record.data,
            _ => false,
        })
    }
}

/// Whether an SMTP client can use a record at all (RFC 7672 §3.1, RFC 6698 §4.1).
pub fn is_usable(record: &Tlsa) -> bool {
    let length_fits = match record.matching {
        FULL => !record.data.is_empty(),
        SHA_256 => record.data.len() == 32,
        SHA_512 => record.data.len() == 64,
        _ => false,
    };
    matches!(record.usage, DANE_TA | DANE_EE)
        && matches!(record.selector, CERTIFICATE | PUBLIC_KEY)
        && length_fits
}

/// A record in its text form (RFC 6698 §2.2): `3 1 1 1f85…`.
pub fn text(record: &Tlsa) -> String {
    let data: String = record.data.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{} {} {} {data}", record.usage, record.selector, record.matching)
}

/// Where the records of a host's port are (RFC 6698 §3).
pub fn record_name(host: &str, port: u16) -> String {
    format!("_{port}._tcp.{host}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};

    const NOW: u64 = 1_767_225_600; // 2026-01-01
    const MX: &str = "mx.wing.example";

    struct Pki {
        root: Certificate,
        middle: Certificate,
        leaf: Certificate,
    }

    fn params(names: &[&str], is_ca: bool) -> CertificateParams {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2025, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    fn named(name: &str) -> CertificateParams {
        let mut params = params(&[], true);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params
    }

    /// Root, intermediate and a certificate for these names.
    fn pki(names: &[&str]) -> Pki {
        pki_with(params(names, false))
    }

    fn pki_with(leaf: CertificateParams) -> Pki {
        let key = || KeyPair::generate().unwrap();
        let (root_key, middle_key, leaf_key) = (key(), key(), key());
        let root = named("Root").self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(named("Root"), root_key);
        let middle = named("Middle").signed_by(&middle_key, &root_issuer).unwrap();
        let middle_issuer = Issuer::new(named("Middle"), middle_key);
        let leaf = leaf.signed_by(&leaf_key, &middle_issuer).unwrap();
        Pki { root, middle, leaf }
    }

    impl Pki {
        /// As a server sends it.
        fn chain(&self) -> Vec<&[u8]> {
            vec![self.leaf.der(), self.middle.der(), self.root.der()]
        }
    }

    fn spki(certificate: &[u8]) -> Vec<u8> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
        parsed.tbs_certificate.subject_pki.raw.to_vec()
    }

    fn tlsa(usage: u8, selector: u8, matching: u8, certificate: &[u8]) -> Tlsa {
        let object = if selector == 0 { certificate.to_vec() } else { spki(certificate) };
        let data = match matching {
            0 => object,
            1 => digest::digest(&digest::SHA256, &object).as_ref().to_vec(),
            _ => digest::digest(&digest::SHA512, &object).as_ref().to_vec(),
        };
        Tlsa { usage, selector, matching, data }
    }

    fn dane(records: &[Tlsa]) -> Dane {
        Dane::new(records, vec![MX.to_owned(), "wing.example".to_owned()]).expect("usable records")
    }

    #[test]
    fn every_selector_and_digest_finds_the_servers_own_certificate() {
        let pki = pki(&["another.name"]);
        for selector in [0, 1] {
            for matching in [0, 1, 2] {
                let record = tlsa(3, selector, matching, pki.leaf.der());
                let dane = dane(&[tlsa(3, 1, 1, pki.root.der()), record.clone()]);
                // The name is another and the year 2100: RFC 7672 §3.1.1.
                assert_eq!(dane.check(&pki.chain(), 4_102_444_800), Ok(&record));
                assert_eq!(dane.check(&pki.chain()[..1], NOW), Ok(&record));
            }
        }
    }

    #[test]
    fn a_certificate_that_no_record_names_does_not_fit() {
        let (ours, theirs) = (pki(&[MX]), pki(&[MX]));
        for usage in [2, 3] {
            for record in [tlsa(usage, 0, 1, ours.leaf.der()), tlsa(usage, 1, 2, ours.root.der())] {
                let dane = dane(&[record]);
                assert_eq!(dane.check(&theirs.chain(), NOW), Err(DaneError::NoMatch));
                assert_eq!(dane.check(&[], NOW), Err(DaneError::NoMatch));
                assert_eq!(dane.check(&[b"no certificate"], NOW), Err(DaneError::NoMatch));
            }
        }
        // An issuer is no end entity, and an end entity no issuer.
        let ee_of_root = dane(&[tlsa(3, 0, 1, ours.root.der())]);
        assert_eq!(ee_of_root.check(&ours.chain(), NOW), Err(DaneError::NoMatch));
        let ta_of_leaf = dane(&[tlsa(2, 0, 1, ours.leaf.der())]);
        assert_eq!(ta_of_leaf.check(&ours.chain(), NOW), Err(DaneError::NoMatch));
    }

    #[test]
    fn an_anchor_in_the_chain_is_found_whether_root_or_not() {
        let pki = pki(&[MX]);
        for anchor in [&pki.root, &pki.middle] {
            for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
                let record = tlsa(2, selector, matching, anchor.der());
                let dane = dane(std::slice::from_ref(&record));
                assert_eq!(dane.check(&pki.chain(), NOW), Ok(&record));
            }
        }
        // RFC 7672 §3.1.2: a digest of an anchor that was not sent cannot be verified.
        let absent = dane(&[tlsa(2, 0, 1, pki.root.der())]);
        assert_eq!(absent.check(&pki.chain()[..2], NOW), Err(DaneError::NoMatch));
        // But one that stands whole in the record can.
        let whole = dane(&[tlsa(2, 0, 0, pki.root.der())]);
        assert!(whole.check(&pki.chain()[..2], NOW).is_ok());
    }

    #[test]
    fn below_an_anchor_name_and_date_count() {
        for (names, fits) in [
            (&["wing.example"][..], true),
            (&["*.wing.example"], true),
            (&["other.example", MX], true),
            (&["other.example"], false),
            (&["*.mx.wing.example"], false),
        ] {
            let pki = pki(names);
            let found = dane(&[tlsa(2, 1, 1, pki.root.der())]).check(&pki.chain(), NOW).map(|_| ());
            let expected = if fits { Ok(()) } else { Err(DaneError::WrongName) };
            assert_eq!(found, expected, "{names:?}");
        }
        let pki = pki(&[MX]);
        let dane = dane(&[tlsa(2, 1, 1, pki.root.der())]);
        for out_of_date in [NOW - 3 * 31_536_000, NOW + 3 * 31_536_000] {
            assert_eq!(dane.check(&pki.chain(), out_of_date), Err(DaneError::OutOfDate));
        }
    }

    #[test]
    fn an_anchor_that_did_not_sign_does_not_help() {
        let (pki, stranger) = (pki(&[MX]), pki(&[MX]));
        // The domain's own anchor is sent along with a chain that it has not signed.
        let chain = [pki.leaf.der().as_ref(), pki.middle.der(), stranger.root.der()];
        let dane = dane(&[tlsa(2, 0, 1, stranger.root.der())]);
        assert!(matches!(dane.check(&chain, NOW), Err(DaneError::Chain(_))));
    }

    #[test]
    fn the_strongest_digest_counts() {
        let (good, bad) = (pki(&[MX]), pki(&[MX]));
        // RFC 7671 §9: SHA-512 is published, so SHA-256 is not looked at.
        let records = [tlsa(3, 1, 1, good.leaf.der()), tlsa(3, 1, 2, bad.leaf.der())];
        assert_eq!(dane(&records).check(&good.chain(), NOW), Err(DaneError::NoMatch));
        // Of another selector it says nothing, and the whole object always counts.
        let records = [tlsa(3, 0, 1, good.leaf.der()), tlsa(3, 1, 2, bad.leaf.der())];
        assert!(dane(&records).check(&good.chain(), NOW).is_ok());
        let records = [tlsa(3, 1, 0, good.leaf.der()), tlsa(3, 1, 2, bad.leaf.der())];
        assert!(dane(&records).check(&good.chain(), NOW).is_ok());
    }

    #[test]
    fn what_smtp_cannot_use_is_left_out() {
        let pki = pki(&[MX]);
        let leaf = pki.leaf.der();
        let mut short = tlsa(3, 1, 1, leaf);
        short.data.pop();
        let mut records = vec![
            // RFC 7672 §3.1.3.
            tlsa(0, 0, 1, pki.root.der()),
            tlsa(1, 1, 1, leaf),
            Tlsa { usage: 255, ..tlsa(3, 1, 1, leaf) },
            Tlsa { selector: 2, ..tlsa(3, 1, 1, leaf) },
            Tlsa { matching: 3, ..tlsa(3, 1, 1, leaf) },
            Tlsa { data: Vec::new(), ..tlsa(3, 1, 0, leaf) },
            short,
        ];
        assert_eq!(Dane::new(&records, vec![MX.to_owned()]), None);
        records.push(tlsa(3, 1, 1, leaf));
        assert_eq!(dane(&records).records().len(), 1);
    }

    #[test]
    fn records_have_the_zones_text_form() {
        let record = Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0x1f, 0x85] };
        assert_eq!(text(&record), "3 1 1 1f85");
        assert_eq!(record_name(MX, 25), "_25._tcp.mx.wing.example");
    }
}
