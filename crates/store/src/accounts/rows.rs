//! Accounts: making, changing and removing their rows.

use waxwing_message::Address;

use super::domains::{lock_domain, lock_own_domain};
use super::names::{key, stored_address};
use super::{Account, AccountError, AccountId};
use crate::engine::{Row, Tx, params};
use crate::instant::{count, timestamp};
use crate::passwords::{self, Credentials, NewCredentials};
use crate::{MailboxId, StoreError, mailboxes};

macro_rules! select_accounts {
    ($rest:literal) => {
        concat!(
            "SELECT a.id, a.address, a.display_name, a.quota_octets, a.used_octets, \
             a.message_count, a.disabled, a.created_at FROM accounts a ",
            $rest
        )
    };
}
pub(super) const ACCOUNT_BY_ID: &str = select_accounts!("WHERE a.id = ?1");

pub(super) fn account_row(row: &Row<'_>) -> Result<Account, StoreError> {
    Ok(Account {
        id: AccountId(row.int(0)?),
        address: stored_address(&row.text(1)?)?,
        display_name: row.text(2)?,
        quota_octets: row.opt_int(3)?.map(count).transpose()?,
        used_octets: count(row.int(4)?)?,
        message_count: count(row.int(5)?)?,
        disabled: row.flag(6)?,
        created_at: timestamp(row.int(7)?)?,
    })
}

pub(crate) async fn account_by_key(tx: &Tx, key: &String) -> Result<Option<Account>, StoreError> {
    const SQL: &str = select_accounts!("WHERE a.address_key = ?1");
    tx.row(SQL, params![key], account_row).await
}

pub(crate) async fn account_by_id_in(
    tx: &Tx,
    id: AccountId,
) -> Result<Option<Account>, StoreError> {
    tx.row(ACCOUNT_BY_ID, params![id.0], account_row).await
}

pub(crate) async fn account_and_credentials_in(
    tx: &Tx,
    address: &Address,
) -> Result<Option<(Account, Credentials)>, StoreError> {
    let Some(account) = account_by_key(tx, &key(address)).await? else { return Ok(None) };
    let credentials = passwords::load(tx, account.id).await?;
    Ok(credentials.map(|credentials| (account, credentials)))
}

pub(super) async fn accounts_in(
    tx: &Tx,
    domain: Option<&String>,
) -> Result<Vec<Account>, StoreError> {
    const ALL: &str = select_accounts!("ORDER BY a.address_key");
    const SOME: &str = select_accounts!(
        "JOIN domains d ON d.id = a.domain WHERE d.name = ?1 ORDER BY a.address_key"
    );
    match domain {
        None => tx.rows(ALL, &[], account_row).await,
        Some(name) => tx.rows(SOME, params![name], account_row).await,
    }
}

pub(super) struct CreateAccount {
    pub(super) domain: String,
    pub(super) address: String,
    pub(super) key: String,
    pub(super) display_name: String,
    pub(super) quota_octets: Option<i64>,
    pub(super) credentials: NewCredentials,
    pub(super) now: i64,
}

pub(super) async fn create_account_in(
    tx: &Tx,
    new: &CreateAccount,
) -> Result<Account, AccountError> {
    const INSERT: &str = "INSERT INTO accounts (domain, address, address_key, display_name, \
        disabled, quota_octets, used_octets, message_count, modseq, created_at, threaded_upto) \
        VALUES (?1, ?2, ?3, ?4, 0, ?5, 0, 0, 0, ?6, NULL) RETURNING id";
    const ALIAS: &str = "SELECT COUNT(*) FROM aliases WHERE address_key = ?1";
    let domain = lock_own_domain(tx, &new.domain).await?;
    let aliases = tx.row(ALIAS, params![&new.key], |row| row.int(0)).await?;
    if aliases != Some(0) || account_by_key(tx, &new.key).await?.is_some() {
        return Err(AccountError::Exists(new.address.clone()));
    }
    let CreateAccount { address, key, display_name, quota_octets, now, .. } = new;
    let values = params![domain.0, address, key, display_name, *quota_octets, *now];
    let id = tx.row(INSERT, values, |row| row.int(0)).await?;
    let id = AccountId(id.ok_or_else(|| AccountError::NotFound(address.clone()))?);
    passwords::save(tx, id, &new.credentials).await?;
    mailboxes::create_first(tx, id).await?;
    let made = tx.row(ACCOUNT_BY_ID, params![id.0], account_row).await?;
    made.ok_or_else(|| AccountError::NotFound(address.clone()))
}

pub(super) enum Change {
    Password(NewCredentials),
    DisplayName(String),
    Quota(Option<i64>),
    Disabled(bool),
}

pub(super) async fn change_in(
    tx: &Tx,
    address: &Address,
    change: &Change,
) -> Result<(), AccountError> {
    const NAME: &str = "UPDATE accounts SET display_name = ?2 WHERE id = ?1";
    const QUOTA: &str = "UPDATE accounts SET quota_octets = ?2 WHERE id = ?1";
    const GRANTS: &str = "DELETE FROM oauth_grants WHERE account = ?1";
    const CODES: &str = "DELETE FROM oauth_codes WHERE account = ?1";
    const DEVICES: &str = "DELETE FROM oauth_devices WHERE account = ?1";
    const DISABLED: &str = "UPDATE accounts SET disabled = ?2 WHERE id = ?1";
    let account = account_by_key(tx, &key(address)).await?;
    let id = account.ok_or_else(|| AccountError::NotFound(address.to_string()))?.id;
    match change {
        Change::Password(credentials) => {
            // Whoever knew the old one may have given programs access, or be about to: first nobody can by
            // the old one, then what they are on their way with goes, and what came of it last.
            passwords::save(tx, id, credentials).await?;
            for sql in [CODES, DEVICES, GRANTS] {
                tx.run(sql, params![id.0]).await?;
            }
        }
        Change::DisplayName(name) => drop(tx.run(NAME, params![id.0, name]).await?),
        Change::Quota(octets) => drop(tx.run(QUOTA, params![id.0, *octets]).await?),
        Change::Disabled(disabled) => drop(tx.run(DISABLED, params![id.0, *disabled]).await?),
    }
    tx.touch(id);
    Ok(())
}

pub(super) async fn remove_account_in(
    tx: &Tx,
    address: &Address,
    now: i64,
) -> Result<(), AccountError> {
    const MAILBOXES: &str = "SELECT id FROM mailboxes WHERE account = ?1";
    const ACCOUNT: &str = "DELETE FROM accounts WHERE id = ?1";
    let not_found = || AccountError::NotFound(address.to_string());
    lock_domain(tx, address.domain()).await?.ok_or_else(not_found)?;
    let id = account_by_key(tx, &key(address)).await?.ok_or_else(not_found)?.id;
    // The lock on the account: no deposit comes in between.
    crate::messages::next_modseq(tx, id, 0, 0).await?;
    for mailbox in tx.rows(MAILBOXES, params![id.0], |row| row.int(0)).await? {
        mailboxes::remove_rows(tx, id, MailboxId(mailbox), now).await?;
    }
    crate::uploads::remove_all(tx, id, now).await?;
    crate::submissions::remove_all(tx, id, now).await?;
    tx.run(ACCOUNT, params![id.0]).await?;
    Ok(())
}
