//! `waxwing sieve`: people's own rules for arriving mail.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use serde_json::json;
use waxwing_delivery::sieve_capabilities;
use waxwing_filter::sieve::{self, Fault, ScriptError};
use waxwing_message::Address;
use waxwing_store::{AccountId, Store};

use super::domain::done;
use super::{Context, print};
use crate::config::Octets;

/// Commands for Sieve scripts (RFC 5228).
#[derive(Subcommand)]
pub enum Sieve {
    /// List an account's scripts.
    List {
        /// Whose.
        user: Address,
    },
    /// Print a script.
    Show {
        /// Whose.
        user: Address,
        /// The script's name; without it, the active one.
        name: Option<String>,
    },
    /// Keep a script, if it has no faults.
    Put {
        /// Whose.
        user: Address,
        /// The script's name.
        name: String,
        /// The file; `-` is standard input.
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Make it the one that runs.
        #[arg(long)]
        activate: bool,
    },
    /// Make a script the one that runs at each delivery.
    Activate {
        /// Whose.
        user: Address,
        /// The script's name.
        #[arg(required_unless_present = "none")]
        name: Option<String>,
        /// Let no script run.
        #[arg(long, conflicts_with = "name")]
        none: bool,
    },
    /// Delete a script that is not active.
    Remove {
        /// Whose.
        user: Address,
        /// The script's name.
        name: String,
    },
    /// Say whether a file is a script that could be kept, and what is wrong with it.
    Check {
        /// Whose.
        user: Address,
        /// The file; `-` is standard input.
        #[arg(default_value = "-")]
        file: PathBuf,
    },
}

impl Sieve {
    pub async fn run(self, context: &Context) -> Result<()> {
        let store = context.store().await?;
        match self {
            Sieve::List { user } => list(&store, context, &user).await?,
            Sieve::Show { user, name } => show(&store, context, &user, name).await?,
            Sieve::Put { user, name, file, activate } => {
                let account = find(&store, &user).await?;
                let content = checked(context, &file)?;
                let now = jiff::Timestamp::now();
                store.put_sieve_script(account, &name, content, now).await?;
                if activate {
                    store.activate_sieve_script(account, Some(&name)).await?;
                }
                let runs = if activate { " and runs from now on" } else { "" };
                done(context, &format!("The script \"{name}\" of {user} is kept{runs}."));
            }
            Sieve::Activate { user, name, .. } => {
                let account = find(&store, &user).await?;
                store.activate_sieve_script(account, name.as_deref()).await?;
                done(
                    context,
                    &match name {
                        Some(name) => format!("The script \"{name}\" of {user} runs from now on."),
                        None => format!("No script of {user} runs any more."),
                    },
                );
            }
            Sieve::Remove { user, name } => {
                let account = find(&store, &user).await?;
                store.delete_sieve_script(account, &name).await?;
                done(context, &format!("The script \"{name}\" of {user} is removed."));
            }
            Sieve::Check { user, file } => {
                find(&store, &user).await?;
                checked(context, &file)?;
                done(context, "The script has no faults.");
            }
        }
        Ok(())
    }
}

async fn find(store: &Store, user: &Address) -> Result<AccountId> {
    match store.account_by_address(user).await? {
        Some(account) => Ok(account.id),
        None => bail!("there is no account {user}: `waxwing user list` shows those that are"),
    }
}

async fn list(store: &Store, context: &Context, user: &Address) -> Result<()> {
    let scripts = store.sieve_scripts(find(store, user).await?).await?;
    if context.json {
        let one = |script: &waxwing_store::SieveScript| {
            json!({
                "name": script.name,
                "active": script.active,
                "size_octets": script.size_octets,
                "changed_at": script.changed_at,
            })
        };
        print::json(&json!(scripts.iter().map(one).collect::<Vec<_>>()));
        return Ok(());
    }
    if scripts.is_empty() {
        println!("{user} has no scripts.");
        return Ok(());
    }
    let rows = scripts.iter().map(|script| {
        vec![
            script.name.clone(),
            if script.active { "active".to_owned() } else { String::new() },
            Octets(script.size_octets).to_string(),
            print::moment(script.changed_at),
        ]
    });
    print::table(&["script", "", "size", "changed"], &[2], rows.collect());
    Ok(())
}

async fn show(
    store: &Store,
    context: &Context,
    user: &Address,
    name: Option<String>,
) -> Result<()> {
    let account = find(store, user).await?;
    let name = match name {
        Some(name) => name,
        None => match store.active_sieve_scripts(vec![account]).await?.pop() {
            Some(active) => active.name,
            None => bail!("no script of {user} is active: name the one to be shown"),
        },
    };
    let Some(content) = store.sieve_script(account, &name).await? else {
        bail!("{user} has no script \"{name}\"");
    };
    let text = String::from_utf8_lossy(&content);
    if context.json {
        print::json(&json!({ "name": name, "content": text }));
    } else {
        print!("{text}");
    }
    Ok(())
}

/// The octets of a script that has no faults.
fn checked(context: &Context, file: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let shown = match file.to_str() {
        Some("-") => {
            std::io::stdin().lock().read_to_end(&mut content).context("reading the script")?;
            "standard input".to_owned()
        }
        _ => {
            content =
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            file.display().to_string()
        }
    };
    let ScriptError(faults) = match sieve::compile(&content, &sieve_capabilities()) {
        Ok(_) => return Ok(content),
        Err(faults) => faults,
    };
    if context.json {
        let one = |fault: &Fault| json!({ "line": fault.line, "column": fault.column, "message": fault.message });
        print::json(&json!({ "faults": faults.iter().map(one).collect::<Vec<_>>() }));
        std::process::exit(1);
    }
    let text = String::from_utf8_lossy(&content);
    let pointed: Vec<String> = faults.iter().map(|fault| point_at(&shown, &text, fault)).collect();
    bail!("the script has faults:\n{}", pointed.join("\n"))
}

/// `FILE:LINE:COLUMN: what`, the line, and a caret beneath the place.
fn point_at(file: &str, text: &str, fault: &Fault) -> String {
    let Fault { line, column, message } = fault;
    let source = text.lines().nth(*line as usize - 1).unwrap_or_default();
    let source = print::clean(&source.replace('\t', " "));
    let number = line.to_string();
    let (margin, before) = (" ".repeat(number.len()), " ".repeat(*column as usize - 1));
    format!("{file}:{line}:{column}: {message}\n  {number} | {source}\n  {margin} | {before}^")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_pointed_at() {
        let text = "keep;\nif true { filinto \"x\"; }\n";
        let fault = Fault { line: 2, column: 11, message: "what is this?".into() };
        assert_eq!(
            point_at("rules", text, &fault),
            "rules:2:11: what is this?\n  2 | if true { filinto \"x\"; }\n    |           ^"
        );
    }
}
