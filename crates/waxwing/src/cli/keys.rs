//! Signing keys of our domains: made, listed, rotated.
//!
//! A rotation is three runs of `waxwing domain rotate-keys` (or of the server's own clock, when it may
//! change the DNS): new keys are made and their records are to be published; once the DNS shows
//! them they sign and the old ones rest; a week later the old ones and their records may go.

use anyhow::{Context as _, Result, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use waxwing_dns::Resolve;
use waxwing_mailauth::key::{Algorithm, SigningKey};
use waxwing_store::{
    AccountError, NewSigningKey, SigningAlgorithm, SigningKeyState, Store, StoredSigningKey,
};

use super::{Context, print};
use crate::serve::road;

/// How long old keys stay in the DNS: longer than any message waits in a queue.
const KEPT_AFTER_RETIREMENT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Characters of one string in a zone file; a TXT string holds 255 octets at most.
const STRING_CHARS: usize = 250;

/// Makes a key of each algorithm; gives what the DNS is to say.
pub async fn make(
    store: &Store,
    domain: &str,
    state: SigningKeyState,
) -> Result<Vec<StoredSigningKey>> {
    let day = Timestamp::now().strftime("%Y%m%d").to_string();
    let kinds = [
        (Algorithm::RsaSha256, SigningAlgorithm::RsaSha256, 'r'),
        (Algorithm::Ed25519Sha256, SigningAlgorithm::Ed25519Sha256, 'e'),
    ];
    let mut made = Vec::new();
    for (algorithm, stored, letter) in kinds {
        let key = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await??;
        // A second rotation on one day gets another letter before it.
        let mut names = ["", "b", "c", "d"].into_iter().map(|more| format!("{day}{more}{letter}"));
        let id = loop {
            let Some(selector) = names.next() else {
                bail!("{domain} has had too many new keys today: try again tomorrow");
            };
            let new = NewSigningKey {
                domain: domain.to_owned(),
                selector,
                algorithm: stored,
                private_key: key.to_pkcs8_der(),
                record: key.dns_record(),
                state,
            };
            match store.add_signing_key(new).await {
                Ok(id) => break id,
                Err(AccountError::Exists(_)) => {}
                Err(error) => return Err(error.into()),
            }
        };
        made.push(id);
    }
    let all = store.signing_keys(Some(domain)).await?;
    Ok(all.into_iter().filter(|key| made.contains(&key.id)).collect())
}

/// The name of a key's record.
pub fn record_name(key: &StoredSigningKey) -> String {
    format!("{}._domainkey.{}", key.selector, key.domain)
}

/// A TXT record's value as zone files have it: in strings of at most 255 octets.
pub fn zone_value(record: &str) -> String {
    let strings: Vec<String> = record
        .as_bytes()
        .chunks(STRING_CHARS)
        .map(|part| format!("\"{}\"", String::from_utf8_lossy(part)))
        .collect();
    strings.join(" ")
}

/// `waxwing domain keys`.
pub async fn list(context: &Context, store: &Store, domain: &str) -> Result<()> {
    let keys = store.signing_keys(Some(domain)).await?;
    if context.json {
        print::json(&json!(keys.iter().map(as_json).collect::<Vec<_>>()));
        return Ok(());
    }
    if keys.is_empty() {
        println!(
            "{domain} has no signing keys. Make some with: waxwing domain rotate-keys {domain}"
        );
        return Ok(());
    }
    for key in &keys {
        println!("{}  {}, since {}", key.selector, words(key.state), print::moment(key.changed_at));
        print_record(key);
    }
    Ok(())
}

/// `waxwing domain rotate-keys`: the next step of a rotation.
pub async fn rotate(context: &Context, store: &Store, domain: &str, at_once: bool) -> Result<()> {
    if store.domain(domain).await?.is_none() {
        bail!("{domain} is not a domain of this server");
    }
    let step = advance(context, store, domain, at_once).await?;
    if context.json {
        print::json(&step.as_json());
    } else {
        step.say(domain);
    }
    Ok(())
}

/// What a run of the rotation did.
enum Rotated {
    /// New keys wait for their records.
    Made(Vec<StoredSigningKey>),
    /// Records are not there yet.
    NotPublished(Vec<(StoredSigningKey, String)>),
    /// New keys sign.
    Switched { signing: Vec<StoredSigningKey>, retired: Vec<StoredSigningKey> },
    /// Old keys are gone.
    Removed(Vec<StoredSigningKey>),
}

async fn advance(context: &Context, store: &Store, domain: &str, at_once: bool) -> Result<Rotated> {
    let keys = store.signing_keys(Some(domain)).await?;
    let of = |state| keys.iter().filter(move |key| key.state == state).cloned();
    let fresh: Vec<StoredSigningKey> = of(SigningKeyState::Published).collect();
    if !fresh.is_empty() {
        let missing = if at_once { Vec::new() } else { unpublished(context, &fresh).await? };
        if !missing.is_empty() {
            return Ok(Rotated::NotPublished(missing));
        }
        let retired: Vec<StoredSigningKey> = of(SigningKeyState::Signing).collect();
        let states = fresh.iter().map(|key| (key.id, SigningKeyState::Signing));
        let states = states.chain(retired.iter().map(|key| (key.id, SigningKeyState::Retired)));
        store.set_signing_key_states(states.collect()).await?;
        return Ok(Rotated::Switched { signing: fresh, retired });
    }
    let before = Timestamp::now().saturating_sub(KEPT_AFTER_RETIREMENT)?;
    let old: Vec<StoredSigningKey> =
        of(SigningKeyState::Retired).filter(|key| key.changed_at < before).collect();
    if !old.is_empty() {
        for key in &old {
            store.remove_signing_key(key.id).await?;
        }
        return Ok(Rotated::Removed(old));
    }
    // The first keys of a domain sign at once: an unknown key is worth what none is worth.
    let first = of(SigningKeyState::Signing).next().is_none();
    let state = if first { SigningKeyState::Signing } else { SigningKeyState::Published };
    Ok(Rotated::Made(make(store, domain, state).await?))
}

/// Those whose records the DNS does not show, and what it says instead.
async fn unpublished(
    context: &Context,
    keys: &[StoredSigningKey],
) -> Result<Vec<(StoredSigningKey, String)>> {
    let resolver = road::resolver(&context.config()?)?;
    let mut missing = Vec::new();
    for key in keys {
        let found = resolver.txt(&record_name(key)).await;
        let squeezed = |text: &[u8]| -> Vec<u8> {
            text.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect()
        };
        let wanted = squeezed(key.record.as_bytes());
        match found {
            Ok(answer) if answer.records.iter().any(|text| squeezed(text) == wanted) => {}
            Ok(_) => missing.push((key.clone(), "the DNS shows another record".to_owned())),
            Err(error) => missing.push((key.clone(), error.to_string())),
        }
    }
    Ok(missing)
}

impl Rotated {
    fn as_json(&self) -> Value {
        let list = |keys: &[StoredSigningKey]| keys.iter().map(as_json).collect::<Vec<_>>();
        match self {
            Rotated::Made(keys) => json!({ "made": list(keys) }),
            Rotated::NotPublished(keys) => {
                let keys = keys.iter().map(|(key, why)| json!({ "key": as_json(key), "why": why }));
                json!({ "not_published": keys.collect::<Vec<_>>() })
            }
            Rotated::Switched { signing, retired } => {
                json!({ "signing": list(signing), "retired": list(retired) })
            }
            Rotated::Removed(keys) => json!({ "removed": list(keys) }),
        }
    }

    fn say(&self, domain: &str) {
        match self {
            Rotated::Made(keys) => {
                println!("Made new keys for {domain}. Add these records to its DNS:\n");
                keys.iter().for_each(print_record);
                println!("Once they can be looked up: waxwing domain rotate-keys {domain}");
            }
            Rotated::NotPublished(keys) => {
                println!("The new keys of {domain} cannot be used yet:\n");
                for (key, why) in keys {
                    println!("{}: {why}", record_name(key));
                    print_record(key);
                }
                println!(
                    "Until then the keys before go on signing. Try again when the DNS shows them."
                );
            }
            Rotated::Switched { signing, retired } => {
                let names = |keys: &[StoredSigningKey]| {
                    keys.iter().map(|k| k.selector.clone()).collect::<Vec<_>>().join(", ")
                };
                println!("Mail of {domain} is signed with {} from now on.", names(signing));
                if !retired.is_empty() {
                    println!(
                        "{} sign no more. Leave their records in the DNS for a week, for mail on its way;\n\
                         then: waxwing domain rotate-keys {domain}",
                        names(retired)
                    );
                }
            }
            Rotated::Removed(keys) => {
                println!("Forgot old keys of {domain}. These records may go from its DNS:\n");
                keys.iter().for_each(|key| println!("  {}. TXT", record_name(key)));
            }
        }
    }
}

fn print_record(key: &StoredSigningKey) {
    println!("  {}. TXT {}\n", record_name(key), zone_value(&key.record));
}

fn words(state: SigningKeyState) -> &'static str {
    match state {
        SigningKeyState::Published => "waits for its record",
        SigningKeyState::Signing => "signs",
        SigningKeyState::Retired => "retired",
    }
}

fn as_json(key: &StoredSigningKey) -> Value {
    json!({
        "selector": key.selector,
        "algorithm": match key.algorithm {
            SigningAlgorithm::RsaSha256 => "rsa-sha256",
            SigningAlgorithm::Ed25519Sha256 => "ed25519-sha256",
        },
        "state": match key.state {
            SigningKeyState::Published => "published",
            SigningKeyState::Signing => "signing",
            SigningKeyState::Retired => "retired",
        },
        "record_name": record_name(key),
        "record": key.record,
        "changed_at": key.changed_at,
    })
}

/// Keys for a domain that has none; for `setup` and `domain add`.
pub async fn ensure(store: &Store, domain: &str) -> Result<Vec<StoredSigningKey>> {
    let keys = store.signing_keys(Some(domain)).await?;
    match keys.is_empty() {
        false => Ok(keys),
        true => make(store, domain, SigningKeyState::Signing)
            .await
            .with_context(|| format!("making the signing keys of {domain}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_records_stand_in_several_strings() {
        let record = format!("v=DKIM1; k=rsa; p={}", "A".repeat(390));
        let value = zone_value(&record);
        let strings: Vec<&str> = value.split("\" \"").collect();
        assert_eq!(strings.len(), 2);
        assert!(strings.iter().all(|string| string.trim_matches('"').len() <= 255));
        assert_eq!(value.replace("\" \"", "").trim_matches('"'), record);
    }
}
