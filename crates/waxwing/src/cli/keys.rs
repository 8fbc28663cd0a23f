//! Signing keys of our domains: made, listed, rotated.
//!
//! A rotation is three runs of `waxwing domain rotate-keys`: new keys are made and their records are
//! to be published; once the DNS shows them they sign and the old ones rest; a week later the old
//! ones and their records may go. Where the server may change the DNS, it does all of that itself.

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use waxwing_delivery::keys::{Advanced, KeySettings};
use waxwing_store::{SigningAlgorithm, SigningKeyState, Store, StoredSigningKey};

use super::{Context, print};
use crate::serve::keys;

pub use waxwing_delivery::keys::record_name;

/// Characters of one string in a zone file; a TXT string holds 255 octets at most.
const STRING_CHARS: usize = 250;

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
    let settings = keys::settings(&context.config()?)?;
    let now = Timestamp::now();
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
        if !key.trouble.is_empty() {
            println!("  {}", trouble_words(key));
        }
        print_record(key);
    }
    if let Some(reminder) = reminder(domain, &keys, &settings, now) {
        println!("{reminder}");
    }
    Ok(())
}

/// What is wrong with a key's record, and what follows.
pub fn trouble_words(key: &StoredSigningKey) -> String {
    let (what, effect) = match key.state {
        SigningKeyState::Published => ("added", "the keys before go on signing"),
        SigningKeyState::Signing => ("added", "signatures by it cannot be checked"),
        SigningKeyState::Retired => ("withdrawn", "it does no harm meanwhile"),
    };
    format!("Its record could not be {what}: {}. Until then {effect}.", key.trouble)
}

/// Says that keys have signed for long, and who replaces them; nothing when they have not, or others
/// wait already.
pub fn reminder(
    domain: &str,
    keys: &[StoredSigningKey],
    settings: &KeySettings,
    now: Timestamp,
) -> Option<String> {
    let due = keys.iter().find(|key| settings.is_due(key, now))?;
    if keys.iter().any(|key| key.state == SigningKeyState::Published) {
        return None;
    }
    let days = now.duration_since(due.changed_at).as_hours() / 24;
    let next = match settings.via(domain) {
        Some(_) => "the server replaces them within the hour, while it runs".to_owned(),
        None => format!("replace them with: waxwing domain rotate-keys {domain}"),
    };
    Some(format!("The keys of {domain} have signed for {days} days, which is long: {next}"))
}

/// `waxwing domain rotate-keys`: the next step of a rotation.
pub async fn rotate(context: &Context, store: &Store, domain: &str, at_once: bool) -> Result<()> {
    if store.domain(domain).await?.is_none() {
        bail!("{domain} is not a domain of this server");
    }
    let keys = keys::keys(&context.config()?, store)?;
    let step = keys.advance(domain, at_once).await?;
    if let Advanced::TooMany = step {
        bail!(
            "{domain} has had too many new keys today, or is getting some now: try again tomorrow"
        );
    }
    if context.json {
        print::json(&step_json(&step));
    } else {
        say(&step, domain, keys.settings.via(domain).is_some());
        if let Advanced::Made(_) = step {
            let all = store.signing_keys(Some(domain)).await?;
            resting(&all, &keys.settings).iter().for_each(|text| println!("{text}"));
        }
    }
    Ok(())
}

/// Says of keys of a rotation before that their records must stay, and until when.
fn resting(keys: &[StoredSigningKey], settings: &KeySettings) -> Option<String> {
    let old = keys.iter().filter(|key| key.state == SigningKeyState::Retired);
    let names: Vec<&str> = old.clone().map(|key| key.selector.as_str()).collect();
    let last = old.map(|key| key.changed_at).max()?;
    let until = last.saturating_add(settings.keep_retired()).unwrap_or(Timestamp::MAX);
    Some(format!(
        "Leave the records of {}, which sign no more, in the DNS until {}.",
        names.join(", "),
        print::moment(until)
    ))
}

fn step_json(step: &Advanced) -> Value {
    let list = |keys: &[StoredSigningKey]| keys.iter().map(as_json).collect::<Vec<_>>();
    let why = |keys: &[(StoredSigningKey, String)]| {
        let keys = keys.iter().map(|(key, why)| json!({ "key": as_json(key), "why": why }));
        keys.collect::<Vec<_>>()
    };
    match step {
        Advanced::Made(keys) => json!({ "made": list(keys) }),
        Advanced::TooMany => Value::Null,
        Advanced::NotShown(keys) => json!({ "not_published": why(keys) }),
        Advanced::Switched { signing, retired } => {
            json!({ "signing": list(signing), "retired": list(retired) })
        }
        Advanced::Removed { keys, withdrawn } => {
            json!({ "removed": list(keys), "withdrawn": withdrawn })
        }
        Advanced::NotWithdrawn(keys) => json!({ "not_withdrawn": why(keys) }),
    }
}

/// In words; `updates` when the server may change the domain's records.
fn say(step: &Advanced, domain: &str, updates: bool) {
    let names = |keys: &[StoredSigningKey]| {
        keys.iter().map(|k| k.selector.clone()).collect::<Vec<_>>().join(", ")
    };
    match step {
        Advanced::Made(keys) if updates => {
            println!("Made new keys for {domain}: {}.", names(keys));
            for key in keys.iter().filter(|key| !key.trouble.is_empty()) {
                println!("{}: {}", key.selector, trouble_words(key));
            }
            println!("The server adds their records, and uses them once the DNS has shown them.");
        }
        Advanced::Made(keys) => {
            println!("Made new keys for {domain}. Add these records to its DNS:\n");
            keys.iter().for_each(print_record);
            println!("Once they can be looked up: waxwing domain rotate-keys {domain}");
        }
        Advanced::TooMany => {}
        Advanced::NotShown(keys) => {
            println!("The new keys of {domain} cannot be used yet:\n");
            for (key, why) in keys {
                println!("{}: {why}", record_name(key));
                print_record(key);
            }
            println!(
                "Until then the keys before go on signing. Try again when the DNS shows them."
            );
        }
        Advanced::Switched { signing, retired } => {
            println!("Mail of {domain} is signed with {} from now on.", names(signing));
            if !retired.is_empty() && updates {
                println!("{} sign no more; their records are withdrawn later.", names(retired));
            } else if !retired.is_empty() {
                println!(
                    "{} sign no more. Leave their records in the DNS for a week, for mail on its way;\n\
                     then: waxwing domain rotate-keys {domain}",
                    names(retired)
                );
            }
        }
        Advanced::Removed { keys, withdrawn: true } => {
            println!("Forgot old keys of {domain}, and withdrew their records: {}.", names(keys));
        }
        Advanced::Removed { keys, withdrawn: false } => {
            println!("Forgot old keys of {domain}. These records may go from its DNS:\n");
            keys.iter().for_each(|key| println!("  {}. TXT", record_name(key)));
        }
        Advanced::NotWithdrawn(keys) => {
            println!("The records of old keys of {domain} could not be withdrawn:\n");
            keys.iter().for_each(|(key, why)| println!("{}: {why}", record_name(key)));
            println!("They do no harm meanwhile. Try again later.");
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
        "created_at": key.created_at,
        "changed_at": key.changed_at,
        "shown_at": key.shown_at,
        "trouble": (!key.trouble.is_empty()).then_some(&key.trouble),
    })
}

/// Keys for a domain that has none; for `setup` and `domain add`.
pub async fn ensure(store: &Store, domain: &str) -> Result<Vec<StoredSigningKey>> {
    waxwing_delivery::keys::ensure(store, domain, Timestamp::now())
        .await
        .with_context(|| format!("making the signing keys of {domain}"))
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
    fn key(state: SigningKeyState, since: Timestamp) -> StoredSigningKey {
        StoredSigningKey {
            id: waxwing_store::SigningKeyId(1),
            domain: "wax.test".to_owned(),
            selector: "a".to_owned(),
            algorithm: SigningAlgorithm::Ed25519Sha256,
            private_key: Default::default(),
            record: String::new(),
            state,
            created_at: since,
            changed_at: since,
            shown_at: None,
            trouble: String::new(),
        }
    }

    #[test]
    fn keys_that_have_signed_for_long_are_called_to_mind() {
        let since: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |days: i64| since + jiff::SignedDuration::from_hours(24 * days);
        let settings = KeySettings::default();
        let signing = key(SigningKeyState::Signing, since);
        let said =
            |keys: &[StoredSigningKey], days| reminder("wax.test", keys, &settings, after(days));
        assert_eq!(said(std::slice::from_ref(&signing), 179), None);
        let text = said(std::slice::from_ref(&signing), 181).unwrap();
        assert!(text.contains("181 days") && text.contains("rotate-keys wax.test"), "{text}");
        let old = key(SigningKeyState::Retired, since);
        let stays = resting(&[old, signing.clone()], &settings).unwrap();
        assert!(
            stays.contains("of a, which sign no more") && stays.contains("2026-01-"),
            "{stays}"
        );
        assert_eq!(resting(std::slice::from_ref(&signing), &settings), None);
        let fresh = key(SigningKeyState::Published, after(181));
        assert_eq!(said(&[signing, fresh], 181), None, "the next step is under way");
    }
}
