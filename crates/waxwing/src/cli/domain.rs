//! `waxwing domain`: the domains this server takes mail for.

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;
use waxwing_message::Address;

use super::{Context, keys, print};
use crate::config::HostName;

/// Domain commands.
#[derive(Subcommand)]
pub enum Domain {
    /// Take mail for a domain.
    Add {
        /// Such as example.org.
        name: HostName,
    },
    /// List the domains.
    List,
    /// Stop taking mail for a domain that has no accounts or aliases.
    Remove {
        /// The domain.
        name: HostName,
    },
    /// The keys that sign the domain's mail, and their DNS records.
    Keys {
        /// The domain.
        name: HostName,
    },
    /// The next step of replacing the domain's signing keys: make new ones, use them once the DNS
    /// shows them, forget the old ones.
    RotateKeys {
        /// The domain.
        name: HostName,
        /// Use the new keys without looking whether the DNS shows them.
        #[arg(long)]
        at_once: bool,
    },
    /// Where mail for unknown addresses of the domain goes.
    CatchAll {
        /// The domain.
        name: HostName,
        /// An address, or `none` to refuse such mail.
        target: String,
    },
}

impl Domain {
    pub async fn run(self, context: &Context) -> Result<()> {
        let store = context.store().await?;
        match self {
            Domain::Add { name } => {
                let domain = store.create_domain(name.as_str()).await?;
                let keys = keys::ensure(&store, &domain.name).await?;
                if context.json {
                    let records = keys.iter().map(|key| {
                        json!({ "name": keys::record_name(key), "type": "TXT", "value": key.record })
                    });
                    let records: Vec<_> = records.collect();
                    print::json(&json!({ "domain": domain.name, "records": records }));
                } else {
                    println!("{} is now a domain of this server.", domain.name);
                    println!("Its mail is signed. Add these records to its DNS:\n");
                    for key in &keys {
                        let value = keys::zone_value(&key.record);
                        println!("  {}. TXT {value}\n", keys::record_name(key));
                    }
                    println!("Next: waxwing user add SOMEONE@{}", domain.name);
                }
            }
            Domain::List => list(&store, context).await?,
            Domain::Keys { name } => keys::list(context, &store, name.as_str()).await?,
            Domain::RotateKeys { name, at_once } => {
                keys::rotate(context, &store, name.as_str(), at_once).await?;
            }
            Domain::Remove { name } => {
                store.remove_domain(name.as_str()).await?;
                done(context, &format!("{name} is no longer a domain of this server."));
            }
            Domain::CatchAll { name, target } if target == "none" => {
                store.set_catch_all(name.as_str(), None).await?;
                done(context, &format!("Mail for unknown addresses of {name} is refused."));
            }
            Domain::CatchAll { name, target } => {
                let target: Address = target.parse()?;
                store.set_catch_all(name.as_str(), Some(&target)).await?;
                done(context, &format!("Mail for unknown addresses of {name} goes to {target}."));
            }
        }
        Ok(())
    }
}

async fn list(store: &waxwing_store::Store, context: &Context) -> Result<()> {
    let domains = store.domains().await?;
    let catch_all = |d: &waxwing_store::Domain| d.catch_all.as_ref().map(ToString::to_string);
    if context.json {
        let list: Vec<_> = domains
            .iter()
            .map(|d| json!({ "domain": d.name, "catch_all": catch_all(d), "created_at": d.created_at }))
            .collect();
        print::json(&json!(list));
    } else if domains.is_empty() {
        println!("No domains yet. Add one with: waxwing domain add example.org");
    } else {
        let rows = domains
            .iter()
            .map(|d| {
                vec![
                    d.name.clone(),
                    catch_all(d).unwrap_or_else(|| "–".into()),
                    print::moment(d.created_at),
                ]
            })
            .collect();
        print::table(&["domain", "catch-all", "since"], &[], rows);
    }
    Ok(())
}

/// Says what was done, in words or as JSON.
pub fn done(context: &Context, text: &str) {
    if context.json {
        print::json(&json!({ "done": text }));
    } else {
        println!("{text}");
    }
}
