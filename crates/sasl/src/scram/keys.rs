//! The key schedule of RFC 5802 §3 with SHA-256.
//!
//! ```text
//! SaltedPassword = PBKDF2(password, salt, i)
//! ClientKey = HMAC(SaltedPassword, "Client Key")     StoredKey = SHA-256(ClientKey)
//! ServerKey = HMAC(SaltedPassword, "Server Key")
//! ClientProof = ClientKey XOR HMAC(StoredKey, AuthMessage)
//! ServerSignature = HMAC(ServerKey, AuthMessage)
//! ```

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::prepare::prepare_password;

/// What a server keeps of a login instead of its passwords (RFC 5802 §3).
///
/// The client hears one salt and one count before it proves anything, so several passwords of one login
/// have to share them.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// At least 16 octets, another for each login.
    pub salt: Vec<u8>,
    /// At least 4096 (RFC 7677 §4).
    pub iterations: u32,
    /// One for each password. A proof is compared with all of them, so that the time it takes tells how
    /// many there are, and no more: whoever would hide that fills up with [`ScramPair::NONE`].
    pub pairs: Vec<ScramPair>,
}

/// What is kept of one password.
///
/// Whoever steals it can pose as this server, but not log in without guessing the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramPair {
    /// SHA-256 of the client's key.
    pub stored_key: [u8; 32],
    /// The key of the server's own proof.
    pub server_key: [u8; 32],
}

/// Secrets stay out of logs.
impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScramKeys({} of {} iterations)", self.pairs.len(), self.iterations)
    }
}

/// Secrets stay out of logs.
impl std::fmt::Debug for ScramPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScramPair")
    }
}

impl ScramPair {
    /// Of no password: nobody knows what SHA-256 makes these octets of.
    pub const NONE: ScramPair = ScramPair { stored_key: [0; 32], server_key: [0; 32] };

    /// What to keep of a password. Takes time in proportion to `iterations` (of which there is at
    /// least one).
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> ScramPair {
        let salted = salted_password(password, salt, iterations.max(1));
        ScramPair { stored_key: sha256(&client_key(&salted)[..]), server_key: *server_key(&salted) }
    }
}

impl ScramKeys {
    /// The keys of a login with one password.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
        let iterations = iterations.max(1);
        let pairs = vec![ScramPair::derive(password, salt, iterations)];
        ScramKeys { salt: salt.to_vec(), iterations, pairs }
    }

    /// Keys for a login that does not exist: the same each time for one login and `secret`, and of
    /// the same shape as real ones, so that asking tells nothing (RFC 5802 §5.1). No password opens
    /// them. `secret` is a lasting secret of the server's; `iterations` what real accounts have.
    pub fn invented(login: &str, secret: &[u8; 32], iterations: u32) -> ScramKeys {
        let salt = hmac(secret, &[b"salt\0", login.as_bytes()])[..16].to_vec();
        ScramKeys { salt, iterations: iterations.max(1), pairs: vec![ScramPair::NONE] }
    }
}

pub(super) type Key = Zeroizing<[u8; 32]>;

/// `SaltedPassword`, of the password by SASLprep.
pub(super) fn salted_password(password: &str, salt: &[u8], iterations: u32) -> Key {
    let mut salted = Zeroizing::new([0; 32]);
    let prepared = prepare_password(password);
    pbkdf2::pbkdf2_hmac::<Sha256>(prepared.as_bytes(), salt, iterations, &mut salted[..]);
    salted
}

pub(super) fn client_key(salted: &Key) -> Key {
    hmac(&salted[..], &[b"Client Key"])
}

pub(super) fn server_key(salted: &Key) -> Key {
    hmac(&salted[..], &[b"Server Key"])
}

pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

pub(super) fn sha256(octets: &[u8]) -> [u8; 32] {
    Sha256::digest(octets).into()
}

pub(super) fn xor(left: &[u8; 32], right: &[u8; 32]) -> Key {
    let mut out = Zeroizing::new(*left);
    out.iter_mut().zip(right).for_each(|(octet, other)| *octet ^= other);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_keys_last_and_differ_by_login() {
        let secret = [5; 32];
        let keys = ScramKeys::invented("nobody@x.test", &secret, 4096);
        assert!(keys == ScramKeys::invented("nobody@x.test", &secret, 4096));
        assert!(keys.salt != ScramKeys::invented("noone@x.test", &secret, 4096).salt);
        assert!(keys.salt != ScramKeys::invented("nobody@x.test", &[6; 32], 4096).salt);
        assert_eq!(keys.salt.len(), 16);
    }

    #[test]
    fn one_password_in_two_spellings_has_the_same_keys() {
        let salt = [1; 16];
        assert!(ScramKeys::derive("e\u{301}", &salt, 1) == ScramKeys::derive("\u{E9}", &salt, 1));
        assert!(ScramKeys::derive("e", &salt, 1) != ScramKeys::derive("\u{E9}", &salt, 1));
    }
}
