//! `waxwing alias`: addresses that lead to others.

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;
use waxwing_message::Address;

use super::domain::done;
use super::{Context, print};

/// Alias commands.
#[derive(Subcommand)]
pub enum Alias {
    /// Let an address lead to another, here or elsewhere. Repeat it to lead to several.
    Add {
        /// The alias, such as info@example.org.
        address: Address,
        /// Where its mail goes.
        target: Address,
    },
    /// List the aliases.
    List {
        /// Only of this domain.
        #[arg(long)]
        domain: Option<String>,
    },
    /// Remove an alias, or one of its targets.
    Remove {
        /// The alias.
        address: Address,
        /// Only this target.
        target: Option<Address>,
    },
}

impl Alias {
    pub async fn run(self, context: &Context) -> Result<()> {
        let store = context.store().await?;
        match self {
            Alias::Add { address, target } => {
                store.create_alias(&address, &target).await?;
                done(context, &format!("{address} leads to {target}."));
            }
            Alias::Remove { address, target } => {
                store.remove_alias(&address, target.as_ref()).await?;
                match target {
                    Some(target) => {
                        done(context, &format!("{address} no longer leads to {target}."))
                    }
                    None => done(context, &format!("The alias {address} is gone.")),
                }
            }
            Alias::List { domain } => {
                let aliases = store.aliases(domain.as_deref()).await?;
                if context.json {
                    let list: Vec<_> = aliases
                        .iter()
                        .map(|a| json!({ "address": a.address, "targets": a.targets }))
                        .collect();
                    print::json(&json!(list));
                } else if aliases.is_empty() {
                    println!(
                        "No aliases. Add one with: waxwing alias add info@example.org you@example.org"
                    );
                } else {
                    let rows = aliases
                        .iter()
                        .map(|a| {
                            let targets: Vec<String> =
                                a.targets.iter().map(ToString::to_string).collect();
                            vec![a.address.to_string(), targets.join(", ")]
                        })
                        .collect();
                    print::table(&["alias", "leads to"], &[], rows);
                }
            }
        }
        Ok(())
    }
}
