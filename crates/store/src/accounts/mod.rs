//! Domains, accounts, aliases, and who may send as whom.
//!
//! Addresses are compared folded: the local part in NFC and lower case. How they were written is
//! kept for showing. What is about names in one domain is written one after another: such
//! transactions lock the domain's row first.

mod aliases;
mod domains;
mod names;
mod resolve;
mod rows;

use jiff::Timestamp;
use waxwing_message::Address;

use crate::engine::{Repeat, params};
use crate::instant::micros;
use crate::passwords::{self, ScramBasis};
use crate::{Store, StoreError};

use aliases::{aliases_in, create_alias_in, remove_alias_in};
use domains::{create_domain_in, domain_by_name, domain_row, remove_domain_in, set_catch_all_in};
use names::{display_name, domain_name, key, quota};
use resolve::resolve_in;
use rows::{
    ACCOUNT_BY_ID, Change, CreateAccount, account_row, accounts_in, change_in, create_account_in,
    remove_account_in,
};

pub(crate) use names::{login_key, login_key_of};
pub(crate) use rows::{account_and_credentials_in, account_by_id_in, account_by_key};

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
        /// How much there is of theirs, and how much there may be; `None`: unlimited.
        quota: Option<Quota>,
    },
    /// Not one of our domains.
    Remote(Address),
}

/// What an account holds and may hold, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// At most.
    pub limit_octets: u64,
    /// In all mailboxes; copies count.
    pub used_octets: u64,
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
        let basis = self.inner.passwords.basis(&key(new.address));
        let asked = CreateAccount {
            domain: new.address.domain().to_owned(),
            address: new.address.to_string(),
            key: key(new.address),
            display_name: display_name(new.display_name)?,
            quota_octets: quota(new.quota_octets)?,
            credentials: self.inner.passwords.derive(new.password, basis).await?,
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

    /// Sessions that the old one opened end, and what programs were given access by consent is
    /// withdrawn; app passwords stay.
    pub async fn set_password(
        &self,
        address: &Address,
        password: &str,
    ) -> Result<(), AccountError> {
        let basis = self.scram_basis(address).await?;
        let credentials = self.inner.passwords.derive(password, basis).await?;
        self.change(address, Change::Password(credentials)).await
    }

    /// What the keys of a new main password are made with. The salt stays, so that the keys of app
    /// passwords do; so does the count, while there are any.
    async fn scram_basis(&self, address: &Address) -> Result<ScramBasis, StoreError> {
        let engine = &self.inner.engine;
        let found = engine
            .read(key(address), |tx, key| {
                Box::pin(async move {
                    match account_by_key(tx, key).await? {
                        Some(account) => passwords::basis_in(tx, account.id).await,
                        None => Ok(None),
                    }
                })
            })
            .await?;
        let iterations = self.inner.passwords.iterations();
        Ok(match found {
            Some((basis, true)) => basis,
            Some((basis, false)) => ScramBasis { iterations, ..basis },
            None => self.inner.passwords.basis(&key(address)),
        })
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
