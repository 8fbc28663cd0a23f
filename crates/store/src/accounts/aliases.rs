//! Aliases: addresses that lead to others.

use waxwing_message::Address;

use super::domains::lock_own_domain;
use super::names::{key, stored_address};
use super::resolve::EXPANSION_MAX;
use super::rows::account_by_key;
use super::{AccountError, Alias};
use crate::StoreError;
use crate::engine::{Row, Tx, params};

pub(super) async fn create_alias_in(
    tx: &Tx,
    address: &Address,
    target: &Address,
) -> Result<(), AccountError> {
    const SQL: &str = "INSERT INTO aliases (domain, address_key, target_key, address, target) \
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    const TARGETS: &str = "SELECT COUNT(*) FROM aliases WHERE address_key = ?1";
    let domain = lock_own_domain(tx, address.domain()).await?;
    let (alias, target_key) = (key(address), key(target));
    if alias == target_key {
        return Err(AccountError::Invalid(format!("{address} cannot lead to itself")));
    }
    if account_by_key(tx, &alias).await?.is_some() {
        return Err(AccountError::Exists(address.to_string()));
    }
    let known = tx.row(TARGETS, params![&alias], |row| row.int(0)).await?;
    if known.is_some_and(|known| known >= EXPANSION_MAX as i64) {
        return Err(AccountError::Invalid(format!(
            "{address} has {EXPANSION_MAX} targets, and cannot have more: use a mailing list"
        )));
    }
    let (address_text, target_text) = (address.to_string(), target.to_string());
    let values = params![domain.0, &alias, &target_key, &address_text, &target_text];
    match tx.run(SQL, values).await? {
        0 => Err(AccountError::Exists(format!("{address} → {target}"))),
        _ => Ok(()),
    }
}

pub(super) async fn remove_alias_in(
    tx: &Tx,
    address: &Address,
    target: Option<&Address>,
) -> Result<(), AccountError> {
    const ALL: &str = "DELETE FROM aliases WHERE address_key = ?1";
    const ONE: &str = "DELETE FROM aliases WHERE address_key = ?1 AND target_key = ?2";
    let (alias, target) = (key(address), target.map(key));
    let removed = match &target {
        None => tx.run(ALL, params![&alias]).await?,
        Some(target) => tx.run(ONE, params![&alias, target]).await?,
    };
    if removed == 0 { Err(AccountError::NotFound(address.to_string())) } else { Ok(()) }
}

pub(super) async fn aliases_in(tx: &Tx, domain: Option<&String>) -> Result<Vec<Alias>, StoreError> {
    const ALL: &str = "SELECT address, target FROM aliases ORDER BY address_key, target_key";
    const SOME: &str = "SELECT a.address, a.target FROM aliases a JOIN domains d ON d.id = a.domain \
        WHERE d.name = ?1 ORDER BY a.address_key, a.target_key";
    let read = |row: &Row<'_>| Ok((stored_address(&row.text(0)?)?, stored_address(&row.text(1)?)?));
    let rows = match domain {
        None => tx.rows(ALL, &[], read).await?,
        Some(name) => tx.rows(SOME, params![name], read).await?,
    };
    let mut aliases: Vec<Alias> = Vec::new();
    for (address, target) in rows {
        match aliases.last_mut() {
            Some(alias) if key(&alias.address) == key(&address) => alias.targets.push(target),
            _ => aliases.push(Alias { address, targets: vec![target] }),
        }
    }
    Ok(aliases)
}
