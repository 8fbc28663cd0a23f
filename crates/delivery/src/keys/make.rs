//! Making keys: one of each algorithm (RFC 8463 §3 wants RSA beside Ed25519, since not everybody
//! knows the latter).

use jiff::Timestamp;
use waxwing_mailauth::key::{Algorithm, SigningKey};
use waxwing_store::{
    AccountError, NewSigningKey, SigningAlgorithm, SigningKeyState, Store, StoredSigningKey,
};

use super::KeysError;

/// Rotations on one day that get selectors of their own.
const MORE: [&str; 4] = ["", "b", "c", "d"];

/// Keys for a domain that has none; they sign at once, since a signature by a key that nobody can
/// look up is worth what none is worth (RFC 6376 §6.1).
pub async fn ensure(
    store: &Store,
    domain: &str,
    now: Timestamp,
) -> Result<Vec<StoredSigningKey>, KeysError> {
    let keys = store.signing_keys(Some(domain)).await?;
    if keys.is_empty() {
        make(store, domain, SigningKeyState::Signing, now).await?;
        return Ok(store.signing_keys(Some(domain)).await?);
    }
    Ok(keys)
}

/// Makes a key of each algorithm. False when another node was first, or the domain had too many
/// new keys today.
pub(super) async fn make(
    store: &Store,
    domain: &str,
    state: SigningKeyState,
    now: Timestamp,
) -> Result<bool, KeysError> {
    let known = store.signing_keys(Some(domain)).await?;
    let day = now.strftime("%Y%m%d").to_string();
    let is_free = |name: &String| !known.iter().any(|key| key.selector.starts_with(name));
    // `20260101` begins `20260101br` too, so the letters are tried from the last.
    let free = MORE.iter().map(|more| format!("{day}{more}"));
    let Some(prefix) = free.rev().take_while(is_free).last() else { return Ok(false) };
    let kinds = [
        (Algorithm::RsaSha256, SigningAlgorithm::RsaSha256, 'r'),
        (Algorithm::Ed25519Sha256, SigningAlgorithm::Ed25519Sha256, 'e'),
    ];
    let mut new = Vec::new();
    for (algorithm, stored, letter) in kinds {
        let making = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm));
        let key = making.await.map_err(|error| KeysError::Make(error.to_string()))?;
        let key = key.map_err(|error| KeysError::Make(error.to_string()))?;
        new.push(NewSigningKey {
            domain: domain.to_owned(),
            selector: format!("{prefix}{letter}"),
            algorithm: stored,
            private_key: key.to_pkcs8_der(),
            record: key.dns_record(),
            state,
        });
    }
    match store.add_signing_keys(new, now).await {
        Ok(_) => Ok(true),
        Err(AccountError::Exists(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
