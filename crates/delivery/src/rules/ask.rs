//! What a script asks of the store.
//!
//! A script runs without waiting, and what it will ask is known only when it asks. So it runs in a
//! world that notes the questions it has no answer to; these are then looked up, and the script runs
//! again, alike but for the answers. Most scripts ask nothing and run once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use waxwing_filter::sieve::{self, DuplicateId, Location, Script, World};
use waxwing_store::{AccountId, MetadataEntry, Role, Store, StoreError};

use super::capabilities;

/// Everything that was looked up for one message and script.
#[derive(Default)]
pub(super) struct Known {
    mailboxes: Option<Vec<(String, Option<Role>)>>,
    /// All scripts of the account, compiled; those with faults are left out.
    scripts: Option<BTreeMap<String, Script>>,
    /// By mailbox; `None` is the server.
    metadata: HashMap<Option<String>, Vec<MetadataEntry>>,
    seen: HashMap<[u8; 32], bool>,
    due: HashMap<([u8; 32], u64), bool>,
}

/// What is not known yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    Mailboxes,
    Scripts,
    Metadata(Option<String>),
    Seen([u8; 32]),
    Due([u8; 32], u64),
}

/// The world of one run.
pub(super) struct Asking {
    known: Known,
    questions: RefCell<BTreeSet<Question>>,
}

impl Asking {
    pub fn new(known: Known) -> Asking {
        Asking { known, questions: RefCell::default() }
    }

    pub fn into_parts(self) -> (Known, BTreeSet<Question>) {
        (self.known, self.questions.into_inner())
    }

    fn ask<T>(&self, answer: Option<T>, question: Question) -> Option<T> {
        if answer.is_none() {
            self.questions.borrow_mut().insert(question);
        }
        answer
    }

    fn mailboxes(&self) -> &[(String, Option<Role>)] {
        self.ask(self.known.mailboxes.as_deref(), Question::Mailboxes).unwrap_or_default()
    }
}

impl World for Asking {
    fn mailbox_exists(&self, name: &str) -> bool {
        self.mailboxes().iter().any(|(known, _)| is_named(known, name))
    }

    fn special_use_exists(&self, mailbox: Option<&str>, special_use: &str) -> bool {
        let Some(role) = Role::of_special_use(special_use) else { return false };
        let named = |name: &str| mailbox.is_none_or(|mailbox| is_named(name, mailbox));
        self.mailboxes().iter().any(|(name, known)| *known == Some(role) && named(name))
    }

    /// Names are the same in any case (RFC 5464 §3.2).
    fn metadata(&self, mailbox: Option<&str>, annotation: &str) -> Option<String> {
        let mailbox = mailbox.map(str::to_owned);
        let question = Question::Metadata(mailbox.clone());
        let entries = self.ask(self.known.metadata.get(&mailbox), question)?;
        let named = |(name, _): &&MetadataEntry| name.eq_ignore_ascii_case(annotation);
        entries.iter().find(named).map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    fn duplicate(&self, id: &DuplicateId) -> bool {
        let hash = seen_hash(id);
        self.ask(self.known.seen.get(&hash).copied(), Question::Seen(hash)).unwrap_or(false)
    }

    fn included(&self, name: &str, location: Location) -> Option<Script> {
        // RFC 6609 §3.2: there are no scripts of the site.
        if location != Location::Personal {
            return None;
        }
        self.ask(self.known.scripts.as_ref(), Question::Scripts)?.get(name).cloned()
    }

    fn vacation_due(&self, handle: &str, sender: &str, seconds: u64) -> bool {
        let key = (answer_hash(handle, sender), seconds);
        self.ask(self.known.due.get(&key).copied(), Question::Due(key.0, key.1)).unwrap_or(true)
    }
}

impl Known {
    /// With what another run has asked.
    pub fn with(mut self, other: Known) -> Known {
        self.mailboxes = self.mailboxes.or(other.mailboxes);
        self.scripts = self.scripts.or(other.scripts);
        self.metadata.extend(other.metadata);
        self.seen.extend(other.seen);
        self.due.extend(other.due);
        self
    }

    /// Whether a mailbox is there; looks when that is not known yet.
    pub async fn mailbox(
        &mut self,
        store: &Store,
        account: AccountId,
        is: impl Fn(&str, Option<Role>) -> bool,
    ) -> Result<bool, StoreError> {
        if self.mailboxes.is_none() {
            self.mailboxes = Some(look_at_mailboxes(store, account).await?);
        }
        Ok(self.mailboxes.iter().flatten().any(|(name, role)| is(name, *role)))
    }

    /// Looks everything up that was asked.
    pub async fn learn(
        &mut self,
        store: &Store,
        account: AccountId,
        questions: BTreeSet<Question>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for question in questions {
            match question {
                Question::Mailboxes => {
                    self.mailboxes = Some(look_at_mailboxes(store, account).await?);
                }
                Question::Scripts => self.scripts = Some(compile_all(store, account).await?),
                Question::Metadata(mailbox) => {
                    let entries = look_at_metadata(store, account, mailbox.as_deref()).await?;
                    self.metadata.insert(mailbox, entries);
                }
                Question::Seen(hash) => {
                    self.seen.insert(hash, store.was_seen(account, hash, now).await?);
                }
                Question::Due(whom, seconds) => {
                    let from = earlier(now, seconds);
                    let due = store.vacation_due(account, whom, from).await?;
                    self.due.insert((whom, seconds), due);
                }
            }
        }
        Ok(())
    }
}

async fn look_at_mailboxes(
    store: &Store,
    account: AccountId,
) -> Result<Vec<(String, Option<Role>)>, StoreError> {
    let all = store.mailboxes(account).await?;
    Ok(all.into_iter().map(|mailbox| (mailbox.name, mailbox.role)).collect())
}

/// RFC 5490 §3.3: a mailbox that is not there has none.
async fn look_at_metadata(
    store: &Store,
    account: AccountId,
    mailbox: Option<&str>,
) -> Result<Vec<MetadataEntry>, StoreError> {
    let mailbox = match mailbox {
        None => None,
        Some(name) => match store.mailbox_by_name(account, name).await? {
            Some(mailbox) => Some(mailbox.id),
            None => return Ok(Vec::new()),
        },
    };
    store.metadata(mailbox, account).await
}

/// A script that cannot be compiled is like one that is not there.
async fn compile_all(
    store: &Store,
    account: AccountId,
) -> Result<BTreeMap<String, Script>, StoreError> {
    let mut compiled = BTreeMap::new();
    for script in store.sieve_scripts(account).await? {
        if let Some(content) = store.sieve_script(account, &script.name).await?
            && let Ok(ready) = sieve::compile(&content, &capabilities())
        {
            compiled.insert(script.name, ready);
        }
    }
    Ok(compiled)
}

/// `INBOX` is written in any case (RFC 9051 §5.1).
pub(super) fn is_named(mailbox: &str, name: &str) -> bool {
    mailbox == name || (mailbox == "INBOX" && name.eq_ignore_ascii_case("INBOX"))
}

/// Of an id that `duplicate` remembers.
pub(super) fn seen_hash(id: &DuplicateId) -> [u8; 32] {
    hash_of(&id.handle, &id.id)
}

/// Of somebody who is answered, whatever the case of the address.
pub(super) fn answer_hash(handle: &str, sender: &str) -> [u8; 32] {
    hash_of(handle, &sender.to_lowercase())
}

fn hash_of(handle: &str, what: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(handle.len() as u64).to_be_bytes());
    hasher.update(handle.as_bytes());
    hasher.update(what.as_bytes());
    *hasher.finalize().as_bytes()
}

/// So many seconds before.
pub(super) fn earlier(now: Timestamp, seconds: u64) -> Timestamp {
    let span = jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    now.saturating_sub(span).unwrap_or(Timestamp::MIN)
}
