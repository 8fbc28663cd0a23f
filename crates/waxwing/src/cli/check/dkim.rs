//! The keys that sign for the domain: DKIM records (RFC 6376 §3.6.1).
//!
//! From outside selectors cannot be listed: they are those of our own store, or given.

use serde_json::{Value, json};
use waxwing_dns::{Answer, LookupError, Resolve};
use waxwing_mailauth::dkim::PublishedKey;
use waxwing_store::SigningKeyState;

use super::own::{Key, Own};
use super::section::{Record, Remark, Section};

/// Bits of an RSA key that RFC 8301 §3.2 recommends at least.
const RSA_BITS: u32 = 2048;

/// What the DNS says of one selector.
#[derive(Debug)]
pub struct Selector {
    pub name: String,
    /// The key of ours that is to be there.
    pub own: Option<Key>,
    pub answer: Result<Answer<Vec<u8>>, LookupError>,
}

/// What the DNS says.
#[derive(Debug)]
pub struct Facts {
    pub domain: String,
    pub selectors: Vec<Selector>,
}

impl Facts {
    /// Our own selectors first, then those given.
    pub async fn gather(
        resolver: &impl Resolve,
        domain: &str,
        own: &Own,
        given: &[String],
    ) -> Facts {
        let ours = own.keys.iter().map(|key| (key.selector.clone(), Some(key.clone())));
        let is_new = |name: &&String| own.keys.iter().all(|key| key.selector != **name);
        let given = given.iter().filter(is_new).map(|name| (name.clone(), None));
        let mut selectors = Vec::new();
        for (name, own) in ours.chain(given) {
            let answer = resolver.txt(&record_name(&name, domain)).await;
            selectors.push(Selector { name, own, answer });
        }
        Facts { domain: domain.to_owned(), selectors }
    }
}

fn record_name(selector: &str, domain: &str) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// What is to be said of it.
pub fn judge(facts: &Facts, own: &Own) -> Section {
    let mut section = Section::new("dkim", "Who signs (DKIM)");
    let domain = &facts.domain;
    if own.has_domain && own.keys.is_empty() {
        let text = format!("this server has no key of {domain}: what it sends is not signed");
        section.say(Remark::warning("dkim-no-key", text));
    } else if facts.selectors.is_empty() {
        let text = "selectors cannot be listed from outside: look one up as s= in the DKIM-Signature of a message of the domain, and give it with --selector";
        section.say(Remark::info("dkim-unknown", text));
    }
    if let Some(due) = &own.keys_due {
        section.say(Remark::warning("dkim-keys-old", due.clone()));
    }
    for key in &own.keys {
        if let Some(trouble) = &key.trouble {
            let text = format!("{}: {trouble}", key.selector);
            section.say(Remark::warning("dkim-rotation-stuck", text));
        }
    }
    for selector in &facts.selectors {
        judge_selector(domain, selector, &mut section);
    }
    section.data = facts.selectors.iter().map(as_json).collect();
    section
}

fn as_json(selector: &Selector) -> Value {
    let records = selector.answer.as_ref().map(|answer| answer.records.as_slice());
    let texts: Vec<_> =
        records.unwrap_or_default().iter().map(|text| String::from_utf8_lossy(text)).collect();
    json!({
        "selector": selector.name,
        "state": selector.own.as_ref().map(|key| state_word(key.state)),
        "expected": selector.own.as_ref().map(|key| &key.record),
        "records": texts,
    })
}

fn state_word(state: SigningKeyState) -> &'static str {
    match state {
        SigningKeyState::Published => "published",
        SigningKeyState::Signing => "signing",
        SigningKeyState::Retired => "retired",
    }
}

fn judge_selector(domain: &str, selector: &Selector, section: &mut Section) {
    let name = record_name(&selector.name, domain);
    let answer = match &selector.answer {
        Ok(answer) => answer,
        Err(error) if error.is_absent() => return absent(&name, selector, section),
        Err(error) => {
            return section.say(Remark::unanswered(&format!("the key {}", selector.name), error));
        }
    };
    if answer.records.len() > 1 {
        let text = format!(
            "{name} has {} records, and verifiers may look at any of them",
            answer.records.len()
        );
        section.say(Remark::warning("dkim-several", text));
    }
    let published: Vec<_> = answer.records.iter().map(|text| PublishedKey::read(text)).collect();
    match &selector.own {
        Some(key) => compare(&name, key, &answer.records, &published, section),
        None => {
            for key in published {
                section.say(match key {
                    Ok(key) => {
                        Remark::good("dkim-key", format!("{}: {}", selector.name, words(&key)))
                    }
                    Err(problem) => {
                        Remark::fault("dkim-key-broken", format!("{}: {problem}", selector.name))
                    }
                });
            }
        }
    }
    for key in answer.records.iter().filter_map(|text| PublishedKey::read(text).ok()) {
        remark_key(&selector.name, &key, section);
    }
}

fn absent(name: &str, selector: &Selector, section: &mut Section) {
    let label = &selector.name;
    let Some(key) = &selector.own else {
        let text = format!("there is no key at {name}");
        return section.say(Remark::fault("dkim-missing", text));
    };
    let record = Record::txt(name, &key.record);
    section.say(match key.state {
        SigningKeyState::Signing => {
            let text = format!("{label} signs what leaves, but nobody can check it: its key is not published");
            Remark::fault("dkim-missing", text).add([record])
        }
        SigningKeyState::Published => {
            let text = format!("{label} is to sign next; its key is not published yet");
            Remark::fault("dkim-missing", text).add([record])
        }
        SigningKeyState::Retired => {
            let text = format!("{label} signs no more; its key is gone, so what is still on its way by it cannot be checked");
            Remark::info("dkim-retired-gone", text)
        }
    });
}

/// One of our own keys beside what is published.
fn compare(
    name: &str,
    key: &Key,
    texts: &[Vec<u8>],
    published: &[Result<PublishedKey, waxwing_mailauth::dkim::Problem>],
    section: &mut Section,
) {
    let label = &key.selector;
    let record = Record::txt(name, &key.record);
    let state = match key.state {
        SigningKeyState::Published => "is to sign next",
        SigningKeyState::Signing => "signs what leaves",
        SigningKeyState::Retired => "has signed until lately",
    };
    if texts.iter().any(|text| text == key.record.as_bytes()) {
        let text = format!("{label} {state}, and is published exactly as it should be");
        return section.say(Remark::good("dkim-key", text));
    }
    let expected = PublishedKey::read(key.record.as_bytes()).ok();
    let same = |found: &&PublishedKey| {
        expected
            .as_ref()
            .is_some_and(|e| e.public == found.public && e.algorithm == found.algorithm)
    };
    let usable = published.iter().filter_map(|key| key.as_ref().ok());
    section.say(if usable.clone().any(|found| same(&found)) {
        let text =
            format!("{label} {state}; the record has the right key and is written otherwise");
        Remark::warning("dkim-written-otherwise", text).replace(record)
    } else if let Some(problem) = published.iter().find_map(|key| key.as_ref().err()) {
        let text = format!("{label} {state}, but what is published is no use: {problem}");
        Remark::fault("dkim-key-broken", text).replace(record)
    } else {
        let text = format!("{label} {state}, but another key is published: every signature fails");
        Remark::fault("dkim-other-key", text).replace(record)
    });
}

fn words(key: &PublishedKey) -> String {
    match key.algorithm.key_type() {
        "ed25519" => "an Ed25519 key".to_owned(),
        _ => format!("an RSA key of {} bits", key.bits),
    }
}

/// What is allowed and yet unwise.
fn remark_key(label: &str, key: &PublishedKey, section: &mut Section) {
    if key.testing {
        let text = format!(
            "{label} says that it is only being tested (t=y): some take its mail for unsigned"
        );
        section.say(Remark::warning("dkim-testing", text));
    }
    if key.algorithm.key_type() == "rsa" && key.bits < RSA_BITS {
        let text =
            format!("{label} has {} bits; {RSA_BITS} are recommended (RFC 8301 §3.2)", key.bits);
        section.say(Remark::warning("dkim-small-key", text));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{has, named, zone};
    use super::*;
    use crate::cli::check::section::Level;

    /// RFC 8463 §A.2 and RFC 8032 §7.1, test 2.
    const KEY: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    /// RFC 8463 appendix A.2: 1,024 bits.
    const SMALL: [&str; 2] = [
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5q\
         hdR6wy5bdOKb2jLQiY/J16JYi0Qvx/b",
        "yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G\
         +2kryOTIKT+l/K4w3QIDAQAB",
    ];
    const OTHER: &str = "v=DKIM1; k=ed25519; p=PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";

    async fn ours(published: Option<&str>, state: SigningKeyState) -> Section {
        let text = match published {
            Some(text) => format!("new._domainkey TXT \"{text}\"\n"),
            None => "@ TXT x\n".to_owned(),
        };
        let key = Key { selector: "new".into(), record: KEY.into(), state, trouble: None };
        let own = Own { keys: vec![key], ..Own::of("mx.example.org", &[]) };
        let facts = Facts::gather(&zone(&text), "example.org", &own, &[]).await;
        judge(&facts, &own)
    }

    #[tokio::test]
    async fn our_own_keys_are_published_exactly() {
        let signing = SigningKeyState::Signing;
        assert_eq!(ours(Some(KEY), signing).await.level(), Level::Good);
        let missing = ours(None, signing).await;
        has(&missing, Level::Fault, "dkim-missing");
        let line = named(&missing, "dkim-missing").remedy.as_ref().unwrap().records[0].line();
        assert_eq!(line, format!("new._domainkey.example.org. IN TXT \"{KEY}\""));
        has(&ours(Some(OTHER), signing).await, Level::Fault, "dkim-other-key");
        has(&ours(Some("v=DKIM1; p="), signing).await, Level::Fault, "dkim-key-broken");
        let written = KEY.replace("v=DKIM1; ", "");
        has(&ours(Some(&written), signing).await, Level::Warning, "dkim-written-otherwise");
        has(&ours(None, SigningKeyState::Published).await, Level::Fault, "dkim-missing");
        has(&ours(None, SigningKeyState::Retired).await, Level::Info, "dkim-retired-gone");
    }

    #[tokio::test]
    async fn old_keys_and_stuck_rotations_are_told() {
        let mut own = Own { keys_due: Some("200 days".into()), ..Own::of("mail.example.org", &[]) };
        let state = SigningKeyState::Published;
        let trouble = Some("refused".to_owned());
        own.keys.push(Key { selector: "new".into(), record: KEY.into(), state, trouble });
        let names = zone(&format!("new._domainkey TXT \"{KEY}\"\n"));
        let section = judge(&Facts::gather(&names, "example.org", &own, &[]).await, &own);
        has(&section, Level::Warning, "dkim-keys-old");
        has(&section, Level::Warning, "dkim-rotation-stuck");
    }

    #[tokio::test]
    async fn selectors_of_others_are_looked_at_when_given() {
        let own = Own::default();
        let [small, rest] = SMALL;
        let text =
            format!("good._domainkey TXT \"{KEY}\"\nsmall._domainkey TXT \"{small}\" \"{rest}\"\n");
        let given = ["good", "small", "none"].map(str::to_owned);
        let facts = Facts::gather(&zone(&text), "example.org", &own, &given).await;
        let section = judge(&facts, &own);
        has(&section, Level::Good, "dkim-key");
        has(&section, Level::Warning, "dkim-small-key");
        has(&section, Level::Fault, "dkim-missing");
        let none = Facts::gather(&zone(&text), "example.org", &own, &[]).await;
        has(&judge(&none, &own), Level::Info, "dkim-unknown");
    }
}
