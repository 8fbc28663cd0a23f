//! What the DNS shows of a key, and changing that.

use std::time::Duration;

use waxwing_dns::update::zone_of;
use waxwing_dns::{Change, Resolve};
use waxwing_store::StoredSigningKey;

use super::{Keys, Via, record_name};
use crate::clock::Clock;

/// How long others may keep the records that we add.
const TTL_SECS: u32 = 3600;

/// What the DNS says at a key's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The key, for so long.
    Yes(Duration),
    /// Certainly nothing.
    Nothing(String),
    /// Something else: the operator must act.
    Another,
    /// Nobody can say now.
    Unknown(String),
}

impl Shown {
    /// Why the key cannot be relied on; `None` when it can.
    pub fn problem(&self) -> Option<String> {
        match self {
            Shown::Yes(_) => None,
            Shown::Nothing(why) | Shown::Unknown(why) => Some(why.clone()),
            Shown::Another => Some("the DNS shows another record".to_owned()),
        }
    }
}

impl<R: Resolve, C: Clock> Keys<R, C> {
    /// Looks a key up.
    pub(super) async fn look_up(&self, key: &StoredSigningKey) -> Shown {
        // Verifiers do not see white space in a record (RFC 6376 §3.6.1), and zone files add some.
        let squeezed = |text: &[u8]| -> Vec<u8> {
            text.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect()
        };
        let wanted = squeezed(key.record.as_bytes());
        match self.resolver.txt(&record_name(key)).await {
            Ok(answer) if answer.records.iter().all(|text| squeezed(text) == wanted) => {
                Shown::Yes(answer.ttl)
            }
            Ok(_) => Shown::Another,
            Err(error) if error.is_absent() => Shown::Nothing(error.to_string()),
            Err(error) => Shown::Unknown(error.to_string()),
        }
    }

    /// Adds a key's record. An error is for people.
    pub(super) async fn add(&self, key: &StoredSigningKey, via: &Via) -> Result<(), String> {
        let (name, text) = (record_name(key), key.record.clone());
        self.change(via, Change::Add { name, ttl_secs: TTL_SECS, text }).await
    }

    /// Withdraws a key's record. An error is for people.
    pub(super) async fn withdraw(&self, key: &StoredSigningKey, via: &Via) -> Result<(), String> {
        self.change(via, Change::Remove { name: record_name(key) }).await
    }

    async fn change(&self, via: &Via, change: Change) -> Result<(), String> {
        let zone = match &via.zone {
            Some(zone) => zone.clone(),
            None => zone_of(&self.resolver, change.name()).await.map_err(|error| {
                format!("which zone {} is in cannot be found out: {error}", change.name())
            })?,
        };
        via.server.change(&zone, &change).await.map_err(|error| error.to_string())
    }
}
