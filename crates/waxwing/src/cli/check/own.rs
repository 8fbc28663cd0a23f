//! What this server is to the domain that is checked: its names, its addresses, its keys.

use std::net::IpAddr;

use jiff::Timestamp;
use waxwing_delivery::keys::KeySettings;
use waxwing_dns::Resolve;
use waxwing_mailauth::policy::mta_sts::Policy;
use waxwing_store::{SigningKeyState, Store, StoreError, StoredSigningKey};

use super::hosts::Host;
use super::mx;
use super::section::{Record, is_internal};
use crate::cli::keys::{reminder, trouble_words};
use crate::config::Config;
use crate::serve::autoconfig::Announced;

/// Empty when there is no configuration: then every domain is somebody else's.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// Our host name first.
    pub names: Vec<String>,
    /// Where our mail comes from.
    pub addresses: Vec<IpAddr>,
    /// All of our mail leaves through this host instead.
    pub smarthost: Option<String>,
    /// The domain is one that this server takes mail for.
    pub has_domain: bool,
    /// The MTA-STS policy that this server shows for its domains.
    pub mta_sts: Option<Policy>,
    /// The keys that sign for the domain.
    pub keys: Vec<Key>,
    /// That they have signed for long, in words.
    pub keys_due: Option<String>,
    /// What we tell programs that set up accounts, where we do.
    pub pages: Option<Pages>,
}

/// What we tell programs that set up accounts.
#[derive(Debug, Clone)]
pub struct Pages {
    pub announced: Announced,
    pub name: Option<String>,
}

/// A key of ours.
#[derive(Debug, Clone)]
pub struct Key {
    pub selector: String,
    /// As it is to be published.
    pub record: String,
    pub state: SigningKeyState,
    /// What keeps its record from being added or withdrawn, in words.
    pub trouble: Option<String>,
}

impl From<StoredSigningKey> for Key {
    fn from(key: StoredSigningKey) -> Key {
        let trouble = (!key.trouble.is_empty()).then(|| trouble_words(&key));
        Key { selector: key.selector, record: key.record, state: key.state, trouble }
    }
}

impl Own {
    /// As the configuration says; the store is asked apart.
    pub async fn configured(resolver: &impl Resolve, config: &Config) -> Own {
        let mut own = Own { names: vec![config.hostname.to_string()], ..Own::default() };
        own.names.extend(config.tls.names.iter().map(ToString::to_string));
        own.mta_sts = crate::serve::sts::policy(config);
        own.pages = config.autoconfig.as_ref().map(|settings| Pages {
            announced: Announced::of(config),
            name: settings.name.clone(),
        });
        own.smarthost = config.outbound.smarthost.as_ref().map(|s| s.host.host.clone());
        let source = config.outbound.source;
        own.addresses = match source.filter(|ip| !is_internal(*ip)) {
            Some(source) => vec![source],
            // Behind a translating router only the DNS knows the address that others see.
            None => {
                let mut all = crate::cli::setup::own_addresses();
                all.extend(Host::look_up(resolver, &own.names[0]).await.addresses);
                all
            }
        };
        own.addresses.sort();
        own.addresses.dedup();
        own
    }

    /// What the store knows of the domain.
    pub async fn learn(
        &mut self,
        store: &Store,
        domain: &str,
        settings: &KeySettings,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.has_domain = store.domains().await?.iter().any(|known| known.name == domain);
        let keys = store.signing_keys(Some(domain)).await?;
        self.keys_due = reminder(domain, &keys, settings, now);
        self.keys = keys.into_iter().map(Key::from).collect();
        Ok(())
    }

    /// Our host name, when the domain is ours.
    pub fn host_of(&self) -> Option<&str> {
        self.names.first().filter(|_| self.has_domain).map(String::as_str)
    }

    /// The MX record that names this server, when the domain is ours.
    pub fn record_of_ours(&self, domain: &str) -> Option<Record> {
        Some(Record::new(domain, mx::mx(10, self.host_of()?)))
    }

    pub fn shown(&self) -> &str {
        self.names.first().map_or("this machine", String::as_str)
    }
}

#[cfg(test)]
impl Own {
    /// The server of a domain.
    pub fn of(name: &str, addresses: &[&str]) -> Own {
        Own {
            names: vec![name.to_owned()],
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
            has_domain: true,
            ..Own::default()
        }
    }
}
