//! Domains, accounts, aliases, and who may send as whom.
//!
//! Addresses are compared folded: the local part in NFC and lower case. How they were written is
//! kept for showing. What is about names in one domain is written one after another: such
//! transactions lock the domain's row first.

use std::collections::{HashSet, VecDeque};

use jiff::Timestamp;
use unicode_normalization::UnicodeNormalization as _;
use waxwing_message::Address;
use waxwing_sasl::ScramKeys;

use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{count, micros, timestamp};
use crate::passwords::{self, Credentials};
use crate::{MailboxId, Store, StoreError, mailboxes};

/// Destinations of one recipient at most, and addresses looked at on the way; targets of one alias.
const EXPANSION_MAX: usize = 1_000;
/// Octets in a display name.
const DISPLAY_NAME_OCTETS_MAX: usize = 1_000;

/// Names a domain for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainId(pub i64);
/// Names an account for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub i64);

/// A domain whose mail is taken here.
#[derive(Debug, Clone)]
pub struct Domain {
    /// For ever.
    pub id: DomainId,
    /// Lower case, A-labels.
    pub name: String,
    /// Where mail for unknown local parts goes.
    pub catch_all: Option<Address>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// Someone who has mailboxes here.
#[derive(Debug, Clone)]
pub struct Account {
    /// For ever.
    pub id: AccountId,
    /// The login name too.
    pub address: Address,
    /// For `From`.
    pub display_name: String,
    /// `None`: unlimited.
    pub quota_octets: Option<u64>,
    /// In all mailboxes; copies count.
    pub used_octets: u64,
    /// In all mailboxes; copies count.
    pub message_count: u64,
    /// Cannot log in, takes no mail.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An account to be made.
pub struct NewAccount<'a> {
    /// Its domain must exist.
    pub address: &'a Address,
    /// For `From`.
    pub display_name: &'a str,
    /// Not empty.
    pub password: &'a str,
    /// `None`: unlimited.
    pub quota_octets: Option<u64>,
}

/// An address that leads elsewhere.
#[derive(Debug, Clone)]
pub struct Alias {
    /// In one of our domains.
    pub address: Address,
    /// Here or elsewhere, in order.
    pub targets: Vec<Address>,
}

/// Where a recipient leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Not one of our domains.
    NotLocal,
    /// Our domain, but nobody there: 550 5.1.1.
    NoSuchRecipient,
    /// The account exists but takes no mail: 550 5.2.1.
    Disabled,
    /// Aliases followed, each destination once. (More than a thousand are an error, never a part.)
    Leads(Vec<Destination>),
}

/// One place where a recipient leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// Here.
    Account {
        /// Whose.
        id: AccountId,
        /// Theirs, without the detail.
        address: Address,
        /// The detail of plus addressing, such as `lists` in alice+lists@.
        detail: Option<String>,
    },
    /// Not one of our domains.
    Remote(Address),
}

/// Why an operation on domains, accounts or aliases was refused.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is one already.
    #[error("{0} already exists")]
    Exists(String),
    /// There is none.
    #[error("{0} does not exist")]
    NotFound(String),
    /// Not one of our domains.
    #[error("{0} is not a domain of this server: add it first")]
    ForeignDomain(String),
    /// Remove those first.
    #[error("{0} still has accounts or aliases")]
    InUse(String),
    /// What was given cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The store could not do its work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why someone was not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Wrong name or password: never say which.
    #[error("wrong address or password")]
    Rejected,
    /// Only said to those who know the password.
    #[error("this account is disabled")]
    Disabled,
    /// The store could not do its work: temporary.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// From now on mail for this domain is taken here.
    pub async fn create_domain(&self, name: &str) -> Result<Domain, AccountError> {
        let asked = (domain_name(name)?, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (name, now)| {
                Box::pin(create_domain_in(tx, name, *now))
            })
            .await
    }

    /// In order of name.
    pub async fn domains(&self) -> Result<Vec<Domain>, StoreError> {
        const SQL: &str = "SELECT id, name, catch_all, created_at FROM domains ORDER BY name";
        let engine = &self.inner.engine;
        engine.read((), |tx, ()| Box::pin(async move { tx.rows(SQL, &[], domain_row).await })).await
    }

    /// By name, in any case and in U- or A-labels.
    pub async fn domain(&self, name: &str) -> Result<Option<Domain>, StoreError> {
        let Ok(name) = domain_name(name) else { return Ok(None) };
        self.inner.engine.read_brief(name, |tx, name| Box::pin(domain_by_name(tx, name))).await
    }

    /// `None`: mail for unknown local parts is refused.
    pub async fn set_catch_all(
        &self,
        name: &str,
        target: Option<&Address>,
    ) -> Result<(), AccountError> {
        let asked = (domain_name(name)?, target.map(ToString::to_string));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Harmless, |tx, (name, target)| {
                Box::pin(set_catch_all_in(tx, name, target.as_ref()))
            })
            .await
    }

    /// Refused while it has accounts or aliases.
    pub async fn remove_domain(&self, name: &str) -> Result<(), AccountError> {
        let name = domain_name(name)?;
        let engine = &self.inner.engine;
        engine.write(name, Repeat::Never, |tx, name| Box::pin(remove_domain_in(tx, name))).await
    }

    /// Also makes INBOX, Drafts, Sent, Junk, Trash and Archive.
    pub async fn create_account(&self, new: NewAccount<'_>) -> Result<Account, AccountError> {
        let asked = CreateAccount {
            domain: new.address.domain().to_owned(),
            address: new.address.to_string(),
            key: key(new.address),
            display_name: display_name(new.display_name)?,
            quota_octets: quota(new.quota_octets)?,
            credentials: self.inner.passwords.derive(new.password).await?,
            now: micros(Timestamp::now()),
        };
        if new.address.local_part().contains('+') {
            return Err(AccountError::Invalid(format!(
                "{}: an account's address has no +detail",
                new.address
            )));
        }
        let engine = &self.inner.engine;
        engine.write(asked, Repeat::Never, |tx, asked| Box::pin(create_account_in(tx, asked))).await
    }

    /// In order of address.
    pub async fn accounts(&self, domain: Option<&str>) -> Result<Vec<Account>, StoreError> {
        let Ok(domain) = domain.map(domain_name).transpose() else { return Ok(Vec::new()) };
        let engine = &self.inner.engine;
        engine.read(domain, |tx, domain| Box::pin(accounts_in(tx, domain.as_ref()))).await
    }

    /// By id.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let engine = &self.inner.engine;
        engine
            .read_brief(id, |tx, id| {
                let id = id.0;
                Box::pin(async move { tx.row(ACCOUNT_BY_ID, params![id], account_row).await })
            })
            .await
    }

    /// By address, in any case.
    pub async fn account_by_address(
        &self,
        address: &Address,
    ) -> Result<Option<Account>, StoreError> {
        let engine = &self.inner.engine;
        engine.read(key(address), |tx, key| Box::pin(account_by_key(tx, key))).await
    }

    /// Sessions that are logged in stay so.
    pub async fn set_password(
        &self,
        address: &Address,
        password: &str,
    ) -> Result<(), AccountError> {
        let credentials = self.inner.passwords.derive(password).await?;
        self.change(address, Change::Password(credentials)).await
    }

    /// For `From`.
    pub async fn set_display_name(
        &self,
        address: &Address,
        name: &str,
    ) -> Result<(), AccountError> {
        self.change(address, Change::DisplayName(display_name(name)?)).await
    }

    /// What is over a lower quota stays; nothing is added to it.
    pub async fn set_quota(
        &self,
        address: &Address,
        octets: Option<u64>,
    ) -> Result<(), AccountError> {
        self.change(address, Change::Quota(quota(octets)?)).await
    }

    /// A disabled account cannot log in and takes no mail; its mail stays.
    pub async fn set_disabled(
        &self,
        address: &Address,
        disabled: bool,
    ) -> Result<(), AccountError> {
        self.change(address, Change::Disabled(disabled)).await
    }

    async fn change(&self, address: &Address, change: Change) -> Result<(), AccountError> {
        let asked = (address.clone(), change);
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Harmless, |tx, (address, change)| {
                Box::pin(change_in(tx, address, change))
            })
            .await
    }

    /// With all its mail. Aliases that lead to it stay, and lead nowhere.
    pub async fn remove_account(&self, address: &Address) -> Result<(), AccountError> {
        let asked = (address.clone(), micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (address, now)| {
                Box::pin(remove_account_in(tx, address, *now))
            })
            .await
    }

    /// Checks a password (Argon2id, off the async threads; the same time for unknown names). The
    /// login name is the address, in any case.
    pub async fn login(&self, login: &str, password: &str) -> Result<Account, LoginError> {
        let found = match Address::parse(login) {
            Ok(address) => self.account_and_credentials(&address).await?,
            Err(_) => None,
        };
        let stored = found.as_ref().map(|(_, credentials)| credentials.argon2.as_str());
        let right = self.inner.passwords.verify(stored, password).await?;
        match found {
            Some((account, _)) if right && account.disabled => Err(LoginError::Disabled),
            Some((account, _)) if right => Ok(account),
            _ => Err(LoginError::Rejected),
        }
    }

    /// Keys for SCRAM. Unknown or disabled logins get invented keys, the same each time, and
    /// `None` for the account, so that the exchange fails like a wrong password.
    pub async fn scram_keys(
        &self,
        login: &str,
    ) -> Result<(Option<AccountId>, ScramKeys), StoreError> {
        let (folded, found) = match Address::parse(login) {
            Ok(address) => (key(&address), self.account_and_credentials(&address).await?),
            Err(_) => (login.to_lowercase(), None),
        };
        Ok(match found {
            Some((account, credentials)) if !account.disabled => {
                (Some(account.id), credentials.scram)
            }
            _ => (None, self.inner.passwords.invented(&folded)),
        })
    }

    async fn account_and_credentials(
        &self,
        address: &Address,
    ) -> Result<Option<(Account, Credentials)>, StoreError> {
        let engine = &self.inner.engine;
        engine
            .read(key(address), |tx, key| {
                Box::pin(async move {
                    let Some(account) = account_by_key(tx, key).await? else { return Ok(None) };
                    let credentials = passwords::load(tx, account.id).await?;
                    Ok(credentials.map(|credentials| (account, credentials)))
                })
            })
            .await
    }

    /// One more target for an address of one of our domains.
    pub async fn create_alias(
        &self,
        address: &Address,
        target: &Address,
    ) -> Result<(), AccountError> {
        let asked = (address.clone(), target.clone());
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (address, target)| {
                Box::pin(create_alias_in(tx, address, target))
            })
            .await
    }

    /// `target: None` removes all targets.
    pub async fn remove_alias(
        &self,
        address: &Address,
        target: Option<&Address>,
    ) -> Result<(), AccountError> {
        let asked = (address.clone(), target.cloned());
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (address, target)| {
                Box::pin(remove_alias_in(tx, address, target.as_ref()))
            })
            .await
    }

    /// In order of address.
    pub async fn aliases(&self, domain: Option<&str>) -> Result<Vec<Alias>, StoreError> {
        let Ok(domain) = domain.map(domain_name).transpose() else { return Ok(Vec::new()) };
        let engine = &self.inner.engine;
        engine.read(domain, |tx, domain| Box::pin(aliases_in(tx, domain.as_ref()))).await
    }

    /// Where a recipient leads: an account, an alias, the same without the +detail, the catch-all,
    /// in this order.
    pub async fn resolve(&self, recipient: &Address) -> Result<Resolution, StoreError> {
        let engine = &self.inner.engine;
        engine
            .read_brief(recipient.clone(), |tx, recipient| Box::pin(resolve_in(tx, recipient)))
            .await
    }

    /// Own address (with any +detail), an alias that leads to the account, or any address of a
    /// domain whose catch-all is the account (unless it is someone else's). In short: whether mail
    /// to that address would reach the account.
    pub async fn may_send_as(
        &self,
        account: AccountId,
        address: &Address,
    ) -> Result<bool, StoreError> {
        Ok(match self.resolve(address).await? {
            Resolution::Leads(destinations) => destinations.iter().any(
                |destination| matches!(destination, Destination::Account { id, .. } if *id == account),
            ),
            Resolution::NotLocal | Resolution::NoSuchRecipient | Resolution::Disabled => false,
        })
    }
}

// ── Names ───────────────────────────────────────────────────────────────────────────────────────

/// Lower case, A-labels. Address literals are not domains that anybody can own.
fn domain_name(name: &str) -> Result<String, AccountError> {
    let address = Address::new("postmaster", name)
        .ok()
        .filter(|address| !address.domain().starts_with('['))
        .ok_or_else(|| AccountError::Invalid(format!("{name:?} is not a domain name")))?;
    Ok(address.domain().to_owned())
}

/// What addresses are compared by.
fn key(address: &Address) -> String {
    key_of(address.local_part(), address.domain())
}

fn key_of(local_part: &str, domain: &str) -> String {
    let local_part: String = local_part.nfc().collect();
    format!("{}@{domain}", local_part.to_lowercase())
}

fn display_name(name: &str) -> Result<String, AccountError> {
    let name = name.trim();
    if name.len() > DISPLAY_NAME_OCTETS_MAX || name.chars().any(char::is_control) {
        return Err(AccountError::Invalid(
            "a display name is one line of at most 1,000 octets".into(),
        ));
    }
    Ok(name.to_owned())
}

fn quota(octets: Option<u64>) -> Result<Option<i64>, AccountError> {
    octets
        .map(i64::try_from)
        .transpose()
        .map_err(|_| AccountError::Invalid("that quota is larger than any disk".into()))
}

fn stored_address(text: &str) -> Result<Address, StoreError> {
    Address::parse(text).map_err(|e| StoreError::Damaged(format!("address {text:?}: {e}")))
}

// ── Domains ─────────────────────────────────────────────────────────────────────────────────────

fn domain_row(row: &Row<'_>) -> Result<Domain, StoreError> {
    Ok(Domain {
        id: DomainId(row.int(0)?),
        name: row.text(1)?,
        catch_all: row.opt_text(2)?.as_deref().map(stored_address).transpose()?,
        created_at: timestamp(row.int(3)?)?,
    })
}

async fn domain_by_name(tx: &Tx, name: &String) -> Result<Option<Domain>, StoreError> {
    const SQL: &str = "SELECT id, name, catch_all, created_at FROM domains WHERE name = ?1";
    tx.row(SQL, params![name], domain_row).await
}

/// Locks the domain: what follows about its names happens one after another.
async fn lock_domain(tx: &Tx, name: &str) -> Result<Option<DomainId>, StoreError> {
    const SQL: &str = "UPDATE domains SET name = name WHERE name = ?1 RETURNING id";
    tx.row(SQL, params![name], |row| Ok(DomainId(row.int(0)?))).await
}

async fn lock_own_domain(tx: &Tx, name: &str) -> Result<DomainId, AccountError> {
    let locked = lock_domain(tx, name).await?;
    locked.ok_or_else(|| AccountError::ForeignDomain(name.to_owned()))
}

async fn create_domain_in(tx: &Tx, name: &String, now: i64) -> Result<Domain, AccountError> {
    const SQL: &str = "INSERT INTO domains (name, created_at) VALUES (?1, ?2) \
        ON CONFLICT (name) DO NOTHING";
    if tx.run(SQL, params![name, now]).await? == 0 {
        return Err(AccountError::Exists(name.clone()));
    }
    domain_by_name(tx, name).await?.ok_or_else(|| AccountError::NotFound(name.clone()))
}

async fn set_catch_all_in(
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

async fn remove_domain_in(tx: &Tx, name: &str) -> Result<(), AccountError> {
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

// ── Accounts ────────────────────────────────────────────────────────────────────────────────────

macro_rules! select_accounts {
    ($rest:literal) => {
        concat!(
            "SELECT a.id, a.address, a.display_name, a.quota_octets, a.used_octets, \
             a.message_count, a.disabled, a.created_at FROM accounts a ",
            $rest
        )
    };
}
const ACCOUNT_BY_ID: &str = select_accounts!("WHERE a.id = ?1");

fn account_row(row: &Row<'_>) -> Result<Account, StoreError> {
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

async fn account_by_key(tx: &Tx, key: &String) -> Result<Option<Account>, StoreError> {
    const SQL: &str = select_accounts!("WHERE a.address_key = ?1");
    tx.row(SQL, params![key], account_row).await
}

async fn accounts_in(tx: &Tx, domain: Option<&String>) -> Result<Vec<Account>, StoreError> {
    const ALL: &str = select_accounts!("ORDER BY a.address_key");
    const SOME: &str = select_accounts!(
        "JOIN domains d ON d.id = a.domain WHERE d.name = ?1 ORDER BY a.address_key"
    );
    match domain {
        None => tx.rows(ALL, &[], account_row).await,
        Some(name) => tx.rows(SOME, params![name], account_row).await,
    }
}

struct CreateAccount {
    domain: String,
    address: String,
    key: String,
    display_name: String,
    quota_octets: Option<i64>,
    credentials: Credentials,
    now: i64,
}

async fn create_account_in(tx: &Tx, new: &CreateAccount) -> Result<Account, AccountError> {
    const INSERT: &str = "INSERT INTO accounts (domain, address, address_key, display_name, \
        disabled, quota_octets, used_octets, message_count, modseq, created_at) \
        VALUES (?1, ?2, ?3, ?4, 0, ?5, 0, 0, 0, ?6) RETURNING id";
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

enum Change {
    Password(Credentials),
    DisplayName(String),
    Quota(Option<i64>),
    Disabled(bool),
}

async fn change_in(tx: &Tx, address: &Address, change: &Change) -> Result<(), AccountError> {
    const NAME: &str = "UPDATE accounts SET display_name = ?2 WHERE id = ?1";
    const QUOTA: &str = "UPDATE accounts SET quota_octets = ?2 WHERE id = ?1";
    const DISABLED: &str = "UPDATE accounts SET disabled = ?2 WHERE id = ?1";
    let account = account_by_key(tx, &key(address)).await?;
    let id = account.ok_or_else(|| AccountError::NotFound(address.to_string()))?.id;
    match change {
        Change::Password(credentials) => passwords::save(tx, id, credentials).await?,
        Change::DisplayName(name) => drop(tx.run(NAME, params![id.0, name]).await?),
        Change::Quota(octets) => drop(tx.run(QUOTA, params![id.0, *octets]).await?),
        Change::Disabled(disabled) => drop(tx.run(DISABLED, params![id.0, *disabled]).await?),
    }
    tx.touch(id);
    Ok(())
}

async fn remove_account_in(tx: &Tx, address: &Address, now: i64) -> Result<(), AccountError> {
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
    tx.run(ACCOUNT, params![id.0]).await?;
    Ok(())
}

// ── Aliases ─────────────────────────────────────────────────────────────────────────────────────

async fn create_alias_in(tx: &Tx, address: &Address, target: &Address) -> Result<(), AccountError> {
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

async fn remove_alias_in(
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

async fn aliases_in(tx: &Tx, domain: Option<&String>) -> Result<Vec<Alias>, StoreError> {
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

// ── Where a recipient leads ─────────────────────────────────────────────────────────────────────

/// What one address is, before anything is followed.
enum Step {
    Remote,
    Nobody,
    Disabled,
    Account(AccountId, Address, Option<String>),
    Leads(Vec<Address>),
}

async fn resolve_in(tx: &Tx, recipient: &Address) -> Result<Resolution, StoreError> {
    let mut waiting = VecDeque::from([recipient.clone()]);
    let mut seen = HashSet::from([key(recipient)]);
    let mut destinations = Vec::new();
    let mut disabled = false;
    while let Some(address) = waiting.pop_front() {
        let found = match look_up(tx, &address).await? {
            Step::Remote if address == *recipient => return Ok(Resolution::NotLocal),
            Step::Remote => Destination::Remote(address),
            Step::Account(id, address, detail) => Destination::Account { id, address, detail },
            Step::Nobody => continue,
            Step::Disabled => {
                disabled = true;
                continue;
            }
            Step::Leads(targets) => {
                let new = targets.into_iter().filter(|target| seen.insert(key(target)));
                waiting.extend(new);
                // Not one of them is left out in silence: RFC 5321 §3.9 wants all or an error.
                if seen.len() > EXPANSION_MAX + 1 {
                    return Err(StoreError::Damaged(format!(
                        "{recipient} leads to more than {EXPANSION_MAX} addresses: \
                         aliases must be removed"
                    )));
                }
                continue;
            }
        };
        if !destinations.iter().any(|known| same_place(known, &found)) {
            destinations.push(found);
        }
    }
    Ok(match destinations.is_empty() {
        false => Resolution::Leads(destinations),
        true if disabled => Resolution::Disabled,
        true => Resolution::NoSuchRecipient,
    })
}

/// One message goes to one place once, with whichever detail came first.
fn same_place(a: &Destination, b: &Destination) -> bool {
    match (a, b) {
        (Destination::Account { id: a, .. }, Destination::Account { id: b, .. }) => a == b,
        _ => a == b,
    }
}

async fn look_up(tx: &Tx, address: &Address) -> Result<Step, StoreError> {
    let Some(domain) = domain_by_name(tx, &address.domain().to_owned()).await? else {
        return Ok(Step::Remote);
    };
    if let Some(step) = look_up_exactly(tx, &key(address), None).await? {
        return Ok(step);
    }
    if let (base, Some(detail)) = address.subaddress() {
        let base = key_of(base, address.domain());
        if let Some(step) = look_up_exactly(tx, &base, Some(detail)).await? {
            return Ok(step);
        }
    }
    Ok(match domain.catch_all {
        Some(target) => Step::Leads(vec![target]),
        None => Step::Nobody,
    })
}

async fn look_up_exactly(
    tx: &Tx,
    key: &String,
    detail: Option<&str>,
) -> Result<Option<Step>, StoreError> {
    const TARGETS: &str = "SELECT target FROM aliases WHERE address_key = ?1 ORDER BY target_key";
    if let Some(account) = account_by_key(tx, key).await? {
        return Ok(Some(if account.disabled {
            Step::Disabled
        } else {
            Step::Account(account.id, account.address, detail.map(str::to_owned))
        }));
    }
    let targets = tx.rows(TARGETS, params![key], |row| stored_address(&row.text(0)?)).await?;
    Ok((!targets.is_empty()).then_some(Step::Leads(targets)))
}
