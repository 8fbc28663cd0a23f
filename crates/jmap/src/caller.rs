//! Who asks, and which accounts and mailboxes exist for them.
//!
//! An account is there for whoever owns it, and for those to whom one of its mailboxes is shared with the
//! right `l`; to the latter, whatever is not in such a mailbox is as absent (RFC 8620 §1.6.2, RFC 4314).

use std::collections::BTreeMap;

use waxwing_store::{
    AccountId, Admitted, Mailbox, MailboxId, ModSeq, Pass, Rights, Scope, VisibleAccount,
    VisibleMailbox,
};

use crate::wire::error::MethodError;
use crate::wire::id;
use crate::wire::state::State;

/// Who was let in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Their own account.
    pub account: waxwing_store::Account,
    /// With what.
    pub pass: Pass,
    /// What else it opens: sending, rules.
    pub scopes: Scope,
}

impl From<Admitted> for Caller {
    fn from(admitted: Admitted) -> Caller {
        let Admitted { account, pass } = admitted;
        Caller { account, pass, scopes: pass.scopes() }
    }
}

/// An account as the caller sees it at one moment.
#[derive(Debug, Clone)]
pub struct Account {
    /// Which.
    pub id: AccountId,
    /// The caller's.
    pub is_own: bool,
    /// Of that moment.
    pub modseq: ModSeq,
    /// What others may do there was changed then last.
    pub shared_modseq: ModSeq,
    /// What went before is not known any more.
    pub forgotten_modseq: ModSeq,
    /// Those that exist for the caller.
    pub mailboxes: Mailboxes,
}

impl Account {
    pub(crate) fn new(id: AccountId, is_own: bool, visible: VisibleAccount) -> Account {
        let VisibleAccount { modseq, shared_modseq, forgotten_modseq, mailboxes, .. } = visible;
        let mailboxes = Mailboxes::new(mailboxes);
        Account { id, is_own, modseq, shared_modseq, forgotten_modseq, mailboxes }
    }

    /// `accountId`.
    pub fn text(&self) -> String {
        id::text(self.id)
    }

    /// Of that moment.
    pub fn state(&self) -> State {
        State::after(self.modseq)
    }

    /// The state that a client names, where what changed since can be told: not from the future, nor from
    /// before what is still known, nor from before a change of rights, by which whole mailboxes come and go.
    pub fn since(&self, text: &str) -> Result<State, MethodError> {
        let state = State::read(text).filter(|state| state.modseq <= self.modseq);
        let state = state.ok_or(MethodError::CannotCalculateChanges)?;
        match self.shared_modseq.max(self.forgotten_modseq) > state.since() {
            true => Err(MethodError::CannotCalculateChanges),
            false => Ok(state),
        }
    }
}

/// Mailboxes of one account that exist for the caller, and what the caller may do in each.
#[derive(Debug, Clone, Default)]
pub struct Mailboxes {
    all: BTreeMap<MailboxId, VisibleMailbox>,
}

impl Mailboxes {
    pub(crate) fn new(visible: Vec<VisibleMailbox>) -> Mailboxes {
        let listed = visible.into_iter().filter(|one| one.rights.contains(Rights::LOOKUP));
        Mailboxes { all: listed.map(|one| (one.mailbox.id, one)).collect() }
    }

    /// By id.
    pub fn iter(&self) -> impl Iterator<Item = &VisibleMailbox> {
        self.all.values()
    }

    /// One of them.
    pub fn get(&self, id: MailboxId) -> Option<&Mailbox> {
        self.all.get(&id).map(|one| &one.mailbox)
    }

    /// The one that an id on the wire names.
    pub fn find(&self, text: &str) -> Option<&VisibleMailbox> {
        self.all.get(&id::read(text)?)
    }

    /// By its full name in the account.
    pub fn named(&self, name: &str) -> Option<&VisibleMailbox> {
        self.iter().find(|one| one.mailbox.name == name)
    }

    /// What the caller may do there; nothing where there is no such mailbox.
    pub fn rights(&self, id: MailboxId) -> Rights {
        self.all.get(&id).map_or(Rights::NONE, |one| one.rights)
    }

    /// Whether its messages exist for the caller.
    pub fn may_read(&self, id: MailboxId) -> bool {
        self.rights(id).contains(Rights::READ)
    }

    /// Those whose messages exist for the caller.
    pub fn readable(&self) -> Vec<MailboxId> {
        self.all.keys().copied().filter(|&id| self.may_read(id)).collect()
    }

    /// Nothing can be altered in any of them.
    pub fn are_read_only(&self) -> bool {
        let alter = Rights::INSERT
            .with(Rights::EXPUNGE)
            .with(Rights::SEEN)
            .with(Rights::DELETE_MESSAGES)
            .with(Rights::WRITE)
            .with(Rights::CREATE)
            .with(Rights::DELETE_MAILBOX);
        !self.iter().any(|one| one.rights.has_any(alter))
    }
}
