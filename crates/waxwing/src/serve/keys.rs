//! From configuration to how signing keys are replaced.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use waxwing_delivery::SystemClock;
use waxwing_delivery::keys::{KeySettings, Keys, Via};
use waxwing_dns::{Resolver, UpdateServer};
use waxwing_store::Store;
use zeroize::Zeroizing;

use super::road;
use crate::config::{Config, Update};

/// When and through whom keys are replaced. Reads the secrets, which root alone may be able to.
pub fn settings(config: &Config) -> Result<KeySettings> {
    let keys = &config.keys;
    let via_for = keys.update_for.iter().map(|(domain, to)| Ok((domain.to_string(), via(to)?)));
    Ok(KeySettings {
        rotate_after: Some(keys.rotate_every.0),
        expire_after: config.outbound.expire_after.0,
        via: keys.update.as_ref().map(via).transpose()?,
        via_for: via_for.collect::<Result<_>>()?,
    })
}

/// What tends keys, for commands.
pub fn keys(config: &Config, store: &Store) -> Result<Keys<Resolver, SystemClock>> {
    let (resolver, settings) = (road::resolver(config)?, settings(config)?);
    Ok(Keys { store: store.clone(), resolver, clock: SystemClock, settings })
}

fn via(update: &Update) -> Result<Via> {
    let secret = read_secret(&update.secret_file)?;
    let server = UpdateServer::new(update.server, &update.key, &secret)
        .with_context(|| format!("the key {} of the name server {}", update.key, update.server))?;
    Ok(Via { server: Arc::new(server), zone: update.zone.as_ref().map(ToString::to_string) })
}

fn read_secret(file: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let text = std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .with_context(|| format!("cannot read the name server's key in {}", file.display()))?;
    // What is in the file is not repeated: it is a secret, even when it is none.
    let octets = base64::engine::general_purpose::STANDARD.decode(text.trim()).ok();
    octets.map(Zeroizing::new).with_context(|| {
        format!(
            "{} must hold the secret of the name server's key alone, in base64, as in the `secret` of its configuration",
            file.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(secret: &str, more: &str) -> Result<KeySettings> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, secret).unwrap();
        let update =
            format!("{{ server = '192.0.2.53:53', key = 'waxwing', secret-file = {file:?} }}");
        let text = format!(
            "hostname='mx.wax.test'\n[tls]\nself-signed=true\n[keys]\n{}\n",
            more.replace("UPDATE", &update)
        );
        settings(&Config::parse(&text, Path::new("x")).unwrap())
    }

    const SECRET: &str = "dGhpcnR5LXR3byBvY3RldHMgb2YgYSBzZWNyZXQuLi4=\n";

    #[test]
    fn a_server_for_all_and_others_for_some() {
        let all = parsed(SECRET, "update = UPDATE").unwrap();
        assert!(all.via("any.test").is_some());
        let some = parsed(SECRET, "update-for = { 'wax.test' = UPDATE }").unwrap();
        assert!(some.via("wax.test").is_some() && some.via("any.test").is_none());
        let none = parsed(SECRET, "rotate-every = '90d'").unwrap();
        assert!(none.via("wax.test").is_none());
        assert_eq!(none.rotate_after.unwrap().as_secs(), 90 * 86_400);
    }

    #[test]
    fn a_bad_secret_is_refused_and_not_repeated() {
        for (secret, words) in [("hunter2!", "in base64"), ("c2hvcnQ=", "must have at least")] {
            let error = format!("{:#}", parsed(secret, "update = UPDATE").err().unwrap());
            assert!(error.contains(words) && !error.contains(secret), "{error}");
        }
    }
}
