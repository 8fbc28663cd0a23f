//! Domains. Whoever changes names in one locks its row first.

use super::names::stored_address;
use super::{AccountError, Domain, DomainId};
use crate::StoreError;
use crate::engine::{Row, Tx, params};
use crate::instant::timestamp;

pub(super) fn domain_row(row: &Row<'_>) -> Result<Domain, StoreError> {
    Ok(Domain {
        id: DomainId(row.int(0)?),
        name: row.text(1)?,
        catch_all: row.opt_text(2)?.as_deref().map(stored_address).transpose()?,
        created_at: timestamp(row.int(3)?)?,
    })
}

pub(super) async fn domain_by_name(tx: &Tx, name: &String) -> Result<Option<Domain>, StoreError> {
    const SQL: &str = "SELECT id, name, catch_all, created_at FROM domains WHERE name = ?1";
    tx.row(SQL, params![name], domain_row).await
}

/// Locks the domain: what follows about its names happens one after another.
pub(super) async fn lock_domain(tx: &Tx, name: &str) -> Result<Option<DomainId>, StoreError> {
    const SQL: &str = "UPDATE domains SET name = name WHERE name = ?1 RETURNING id";
    tx.row(SQL, params![name], |row| Ok(DomainId(row.int(0)?))).await
}

pub(super) async fn lock_own_domain(tx: &Tx, name: &str) -> Result<DomainId, AccountError> {
    let locked = lock_domain(tx, name).await?;
    locked.ok_or_else(|| AccountError::ForeignDomain(name.to_owned()))
}

pub(super) async fn create_domain_in(
    tx: &Tx,
    name: &String,
    now: i64,
) -> Result<Domain, AccountError> {
    const SQL: &str = "INSERT INTO domains (name, created_at) VALUES (?1, ?2) \
        ON CONFLICT (name) DO NOTHING";
    if tx.run(SQL, params![name, now]).await? == 0 {
        return Err(AccountError::Exists(name.clone()));
    }
    domain_by_name(tx, name).await?.ok_or_else(|| AccountError::NotFound(name.clone()))
}

pub(super) async fn set_catch_all_in(
    tx: &Tx,
    name: &str,
    target: Option<&String>,
) -> Result<(), AccountError> {
    const SQL: &str = "UPDATE domains SET catch_all = ?2 WHERE name = ?1";
    match tx.run(SQL, params![name, target]).await? {
        0 => Err(AccountError::NotFound(name.to_owned())),
        _ => Ok(()),
    }
}

pub(super) async fn remove_domain_in(tx: &Tx, name: &str) -> Result<(), AccountError> {
    const USED: &str = "SELECT (SELECT COUNT(*) FROM accounts WHERE domain = ?1) \
        + (SELECT COUNT(*) FROM aliases WHERE domain = ?1)";
    let not_found = || AccountError::NotFound(name.to_owned());
    let id = lock_domain(tx, name).await?.ok_or_else(not_found)?;
    let used = tx.row(USED, params![id.0], |row| row.int(0)).await?;
    if used != Some(0) {
        return Err(AccountError::InUse(name.to_owned()));
    }
    tx.run("DELETE FROM domains WHERE id = ?1", params![id.0]).await?;
    Ok(())
}
