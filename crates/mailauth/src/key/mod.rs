//! Key pairs that sign: RSA (RFC 6376, RFC 8301) and Ed25519 (RFC 8463), for DKIM and ARC.
//!
//! A key is made here, or read from PKCS#8 or PKCS#1, and says the record that its public half is
//! published in. What a record found in the DNS means is [`crate::dkim`]'s to say. Where keys lie,
//! and which selector names which, is the caller's business.

mod pem;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Bits of the RSA keys made here (RFC 8301 §3.2: at least 2048 is recommended).
const RSA_GENERATED: aws_lc_rs::rsa::KeySize = aws_lc_rs::rsa::KeySize::Rsa2048;
/// Bits that an RSA key which signs must have: what RFC 8301 §3.2 recommends, and what the
/// cryptography library insists on. Verifying accepts 1024.
pub const RSA_BITS_MIN: u32 = 2048;

/// How a signature is made. RSA with SHA-1 is history (RFC 8301 §3.1) and is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 6376 §3.3.2).
    RsaSha256,
    /// Ed25519 over a SHA-256 hash (RFC 8463 §3).
    Ed25519Sha256,
}

impl Algorithm {
    /// As in the `a=` tag.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::RsaSha256 => "rsa-sha256",
            Algorithm::Ed25519Sha256 => "ed25519-sha256",
        }
    }

    /// The key type, as in the `k=` tag of a key record.
    pub fn key_type(self) -> &'static str {
        match self {
            Algorithm::RsaSha256 => "rsa",
            Algorithm::Ed25519Sha256 => "ed25519",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why there is no key. The operator must act, except on [`KeyError::Generate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The cryptography library could not make a key.
    #[error("a key could not be made")]
    Generate,
    /// The text holds no PEM block.
    #[error(
        "this is no PEM file: there is no BEGIN and END line, or what is between is not Base64"
    )]
    NotPem,
    /// A PEM block of another kind.
    #[error(
        "a {0} is not a private key that signs mail; PRIVATE KEY or RSA PRIVATE KEY is expected"
    )]
    OtherPem(String),
    /// A key under a passphrase.
    #[error("the key is encrypted; write it out without a passphrase first")]
    Encrypted,
    /// The octets are no RSA or Ed25519 key.
    #[error("this is no RSA or Ed25519 private key: {0}")]
    Rejected(String),
    /// RFC 8301 §3.2.
    #[error("an RSA key of less than {RSA_BITS_MIN} bits is too weak to sign with; make a new one")]
    TooSmall,
}

/// A private key. Cloning it is cheap.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Pair>,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A new key: RSA of 2048 bits, or Ed25519.
    pub fn generate(algorithm: Algorithm) -> Result<SigningKey, KeyError> {
        let pair = match algorithm {
            Algorithm::RsaSha256 => {
                Pair::Rsa(RsaKeyPair::generate(RSA_GENERATED).map_err(|_| KeyError::Generate)?)
            }
            Algorithm::Ed25519Sha256 => {
                Pair::Ed25519(Ed25519KeyPair::generate().map_err(|_| KeyError::Generate)?)
            }
        };
        Ok(SigningKey { pair: Arc::new(pair) })
    }

    /// From PKCS#8 (RFC 5958), of either kind.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<SigningKey, KeyError> {
        match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            Ok(pair) => Ok(SigningKey { pair: Arc::new(Pair::Ed25519(pair)) }),
            Err(_) => SigningKey::rsa(RsaKeyPair::from_pkcs8(der)),
        }
    }

    /// From PKCS#1: an `RSAPrivateKey` (RFC 8017 §A.1.2).
    pub fn from_pkcs1_der(der: &[u8]) -> Result<SigningKey, KeyError> {
        SigningKey::rsa(RsaKeyPair::from_der(der))
    }

    /// From the 32 octets that an Ed25519 key grows from (RFC 8032 §5.1.5), which is all that some
    /// programs keep.
    pub fn from_ed25519_seed(seed: &[u8; 32]) -> Result<SigningKey, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(rejected)?;
        Ok(SigningKey { pair: Arc::new(Pair::Ed25519(pair)) })
    }

    /// From the first private key of a PEM file (RFC 7468): PKCS#8 or PKCS#1.
    pub fn from_pem(text: &str) -> Result<SigningKey, KeyError> {
        match pem::private_key(text)? {
            pem::PrivateKey::Pkcs8(der) => SigningKey::from_pkcs8_der(&der),
            pem::PrivateKey::Pkcs1(der) => SigningKey::from_pkcs1_der(&der),
        }
    }

    fn rsa(pair: Result<RsaKeyPair, KeyRejected>) -> Result<SigningKey, KeyError> {
        Ok(SigningKey { pair: Arc::new(Pair::Rsa(pair.map_err(rejected)?)) })
    }

    /// PKCS#8, to be kept secret; the octets are wiped when dropped.
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        let der: Result<Pkcs8V1Der<'static>, _> = match &*self.pair {
            Pair::Rsa(pair) => pair.as_der(),
            Pair::Ed25519(pair) => pair.as_der(),
        };
        Zeroizing::new(der.expect("a key that was made or read can be written").as_ref().to_vec())
    }

    /// PKCS#8 as a PEM file, to be kept secret.
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::write("PRIVATE KEY", &self.to_pkcs8_der())
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        match &*self.pair {
            Pair::Rsa(_) => Algorithm::RsaSha256,
            Pair::Ed25519(_) => Algorithm::Ed25519Sha256,
        }
    }

    /// What to publish at `SELECTOR._domainkey.DOMAIN` (RFC 6376 §3.6.1, RFC 8463 §4). An RSA key
    /// has more than 255 octets: as a TXT record it becomes several strings.
    pub fn dns_record(&self) -> String {
        let public = match &*self.pair {
            // Deviates: RFC 6376 §3.6.1 says RSAPublicKey; every verifier expects what its own
            // example shows, SubjectPublicKeyInfo (erratum 3017).
            Pair::Rsa(pair) => {
                let der: Result<PublicKeyX509Der<'_>, _> = pair.public_key().as_der();
                STANDARD.encode(der.expect("a key that was made or read can be written").as_ref())
            }
            Pair::Ed25519(pair) => STANDARD.encode(pair.public_key().as_ref()),
        };
        format!("v=DKIM1; k={}; p={public}", self.algorithm().key_type())
    }
}

/// Signs SHA-256 hashes: a [`SigningKey`], or a key that is kept elsewhere.
pub trait Sign {
    /// What it signs with.
    fn algorithm(&self) -> Algorithm;

    /// The signature of what was hashed.
    fn sign(&self, hash: &[u8; 32]) -> Vec<u8>;
}

impl Sign for SigningKey {
    fn algorithm(&self) -> Algorithm {
        SigningKey::algorithm(self)
    }

    /// RFC 8463 §3: Ed25519 signs the hash as its message.
    fn sign(&self, hash: &[u8; 32]) -> Vec<u8> {
        match &*self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                Digest::import_less_safe(hash, &SHA256)
                    .and_then(|digest| pair.sign_digest(&RSA_PKCS1_SHA256, &digest, &mut signature))
                    .expect("an RSA key of 2048 bits or more signs a SHA-256 hash");
                signature
            }
            Pair::Ed25519(pair) => pair.sign(hash).as_ref().to_vec(),
        }
    }
}

impl fmt::Debug for SigningKey {
    /// Never the key itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

fn rejected(error: KeyRejected) -> KeyError {
    match error.to_string().as_str() {
        "TooSmall" => KeyError::TooSmall,
        reason => KeyError::Rejected(reason.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_being_written() {
        for algorithm in [Algorithm::RsaSha256, Algorithm::Ed25519Sha256] {
            let key = SigningKey::generate(algorithm).unwrap();
            let again = SigningKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
            assert_eq!(again.dns_record(), key.dns_record());
            let again = SigningKey::from_pem(&key.to_pem()).unwrap();
            assert_eq!(again.algorithm(), algorithm);
            assert_eq!(again.dns_record(), key.dns_record());
        }
    }

    #[test]
    fn rfc_8463_appendix_a_1() {
        let seed = STANDARD.decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=").unwrap();
        let key = SigningKey::from_ed25519_seed(seed.as_slice().try_into().unwrap()).unwrap();
        let public = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        assert_eq!(key.dns_record(), format!("v=DKIM1; k=ed25519; p={public}"));
    }

    #[test]
    fn what_is_no_key_is_said() {
        assert_eq!(SigningKey::from_pem("hello").unwrap_err(), KeyError::NotPem);
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = SigningKey::from_pem(certificate).unwrap_err();
        assert_eq!(error, KeyError::OtherPem("CERTIFICATE".into()));
        let error = SigningKey::from_pkcs8_der(b"nonsense").unwrap_err();
        assert!(matches!(error, KeyError::Rejected(_)));
    }

    #[test]
    fn a_key_does_not_show_itself() {
        let key = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey { algorithm: Ed25519Sha256, .. }");
    }
}
