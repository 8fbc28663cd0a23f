//! Domains, accounts, aliases, and who may send as whom.

use jiff::Timestamp;
use waxwing_message::Address;
use waxwing_sasl::ScramKeys;

use crate::{Store, StoreError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainId(pub i64);
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub i64);

#[derive(Debug, Clone)]
pub struct Domain {
    pub id: DomainId,
    /// Lower case, A-labels.
    pub name: String,
    /// Where mail for unknown local parts goes.
    pub catch_all: Option<Address>,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct Account {
    pub id: AccountId,
    pub address: Address,
    pub display_name: String,
    /// `None`: unlimited.
    pub quota_octets: Option<u64>,
    pub used_octets: u64,
    pub message_count: u64,
    pub disabled: bool,
    pub created_at: Timestamp,
}

pub struct NewAccount<'a> {
    pub address: &'a Address,
    pub display_name: &'a str,
    pub password: &'a str,
    pub quota_octets: Option<u64>,
}

#[derive(Debug, Clone)]
pub struct Alias {
    pub address: Address,
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
    /// Aliases followed (bounded, each destination once).
    Leads(Vec<Destination>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    Account {
        id: AccountId,
        address: Address,
        /// The detail of plus addressing, such as `lists` in alice+lists@.
        detail: Option<String>,
    },
    Remote(Address),
}

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("{0} already exists")]
    Exists(String),
    #[error("{0} does not exist")]
    NotFound(String),
    #[error("{0} is not a domain of this server: add it first")]
    ForeignDomain(String),
    #[error("{0} still has accounts or aliases")]
    InUse(String),
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Wrong name or password: never say which.
    #[error("wrong address or password")]
    Rejected,
    #[error("this account is disabled")]
    Disabled,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    pub async fn create_domain(&self, name: &str) -> Result<Domain, AccountError> {
        todo!()
    }
    pub async fn domains(&self) -> Result<Vec<Domain>, StoreError> {
        todo!()
    }
    pub async fn domain(&self, name: &str) -> Result<Option<Domain>, StoreError> {
        todo!()
    }
    pub async fn set_catch_all(
        &self,
        name: &str,
        target: Option<&Address>,
    ) -> Result<(), AccountError> {
        todo!()
    }
    pub async fn remove_domain(&self, name: &str) -> Result<(), AccountError> {
        todo!()
    }

    /// Also makes INBOX, Drafts, Sent, Junk, Trash and Archive.
    pub async fn create_account(&self, new: NewAccount<'_>) -> Result<Account, AccountError> {
        todo!()
    }
    pub async fn accounts(&self, domain: Option<&str>) -> Result<Vec<Account>, StoreError> {
        todo!()
    }
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        todo!()
    }
    pub async fn account_by_address(
        &self,
        address: &Address,
    ) -> Result<Option<Account>, StoreError> {
        todo!()
    }
    pub async fn set_password(
        &self,
        address: &Address,
        password: &str,
    ) -> Result<(), AccountError> {
        todo!()
    }
    pub async fn set_display_name(
        &self,
        address: &Address,
        name: &str,
    ) -> Result<(), AccountError> {
        todo!()
    }
    pub async fn set_quota(
        &self,
        address: &Address,
        octets: Option<u64>,
    ) -> Result<(), AccountError> {
        todo!()
    }
    pub async fn set_disabled(
        &self,
        address: &Address,
        disabled: bool,
    ) -> Result<(), AccountError> {
        todo!()
    }
    pub async fn remove_account(&self, address: &Address) -> Result<(), AccountError> {
        todo!()
    }

    /// Checks a password (Argon2id, off the async threads; the same time for unknown names). The
    /// login name is the address, in any case.
    pub async fn login(&self, login: &str, password: &str) -> Result<Account, LoginError> {
        todo!()
    }
    /// Keys for SCRAM. Unknown or disabled logins get invented keys, the same each time, and
    /// `None` for the account, so that the exchange fails like a wrong password.
    pub async fn scram_keys(
        &self,
        login: &str,
    ) -> Result<(Option<AccountId>, ScramKeys), StoreError> {
        todo!()
    }

    pub async fn create_alias(
        &self,
        address: &Address,
        target: &Address,
    ) -> Result<(), AccountError> {
        todo!()
    }
    /// `target: None` removes all targets.
    pub async fn remove_alias(
        &self,
        address: &Address,
        target: Option<&Address>,
    ) -> Result<(), AccountError> {
        todo!()
    }
    pub async fn aliases(&self, domain: Option<&str>) -> Result<Vec<Alias>, StoreError> {
        todo!()
    }

    pub async fn resolve(&self, recipient: &Address) -> Result<Resolution, StoreError> {
        todo!()
    }
    /// Own address (with any +detail), an alias that leads to the account, or any address of a
    /// domain whose catch-all is the account.
    pub async fn may_send_as(
        &self,
        account: AccountId,
        address: &Address,
    ) -> Result<bool, StoreError> {
        todo!()
    }
}
