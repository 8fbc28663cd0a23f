//! What a method is given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use waxwing_message::{Address, Envelope, JourneyId};
use waxwing_store::{AccountId, Spool, Store};

use crate::caller::{Account, Caller};
use crate::wire::error::MethodError;
use crate::wire::id;

/// What a request may be (RFC 8620 §2, the core capability).
#[derive(Debug, Clone)]
pub struct Limits {
    /// Octets of one upload.
    pub max_size_upload: u64,
    /// Uploads of one account at a time.
    pub max_concurrent_upload: usize,
    /// Octets of one request.
    pub max_size_request: usize,
    /// Requests of one account at a time.
    pub max_concurrent_requests: usize,
    /// Methods in one request.
    pub max_calls_in_request: usize,
    /// Objects in one `/get`.
    pub max_objects_in_get: usize,
    /// Objects in one `/set`.
    pub max_objects_in_set: usize,
    /// Octets of one message.
    pub max_size_message: u64,
    /// Recipients of one message.
    pub max_recipients: usize,
}

impl Limits {
    /// For messages of that many octets.
    pub fn of_messages(max_size_message: u64) -> Limits {
        Limits {
            max_size_upload: max_size_message,
            max_concurrent_upload: 4,
            max_size_request: 10_000_000,
            max_concurrent_requests: 8,
            max_calls_in_request: 32,
            max_objects_in_get: 500,
            max_objects_in_set: 500,
            max_size_message,
            max_recipients: 1_000,
        }
    }
}

/// A message to be sent.
pub struct Outgoing {
    /// By whom.
    pub account: AccountId,
    /// Their login.
    pub login: Address,
    /// Who to whom.
    pub envelope: Envelope,
    /// What.
    pub octets: Spool,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Not now: trying again may help.
    Later(String),
    /// There are no such recipients.
    Recipients(Vec<Address>),
    /// The account may not write as its author.
    Author(String),
    /// Never; why, as an SMTP reply says it.
    Never(String),
}

/// What is beyond the store: sending.
pub trait Outside: Send + Sync {
    /// Takes responsibility for a message, durably, and gives its journey.
    fn send(&self, mail: Outgoing) -> BoxFuture<'_, Result<JourneyId, Refused>>;
}

/// For one request.
pub struct Context {
    /// Everything that lasts.
    pub store: Store,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// What a request may be.
    pub limits: Arc<Limits>,
    /// What is beyond the store.
    pub outside: Arc<dyn Outside>,
    /// When the request came.
    pub now: Timestamp,
    created: Mutex<BTreeMap<String, String>>,
}

impl Context {
    /// For a request that begins now.
    pub fn new(
        store: Store,
        caller: Arc<Caller>,
        limits: Arc<Limits>,
        outside: Arc<dyn Outside>,
        now: Timestamp,
    ) -> Context {
        Context { store, caller, limits, outside, now, created: Mutex::default() }
    }

    /// The account that an `accountId` names, at this moment, with the mailboxes that exist for the
    /// caller.
    pub async fn account(&self, text: &str) -> Result<Account, MethodError> {
        let own = self.caller.account.id;
        let id: AccountId = id::read(text).ok_or(MethodError::AccountNotFound)?;
        let visible = self.store.visible_account(own, id).await?;
        let visible = visible.ok_or(MethodError::AccountNotFound)?;
        let account = Account::new(id, id == own, visible);
        match account.is_own || account.mailboxes.iter().next().is_some() {
            true => Ok(account),
            false => Err(MethodError::AccountNotFound),
        }
    }

    /// Notes what was created under a creation id (without `#`), for the rest of the request.
    pub fn note_created(&self, creation_id: &str, id: String) {
        let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        created.insert(creation_id.to_owned(), id);
    }

    /// An id as it is, or for `#x` the id of what was created as `x` (RFC 8620 §5.3). `None`: nothing
    /// was.
    pub fn resolve_id(&self, id: &str) -> Option<String> {
        match id.strip_prefix('#') {
            None => Some(id.to_owned()),
            Some(creation_id) => {
                let created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
                created.get(creation_id).cloned()
            }
        }
    }

    pub(crate) fn begin_with_created(&self, ids: BTreeMap<String, String>) {
        *self.created.lock().unwrap_or_else(PoisonError::into_inner) = ids;
    }

    pub(crate) fn all_created(&self) -> BTreeMap<String, String> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
