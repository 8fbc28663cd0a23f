//! Where imported messages go: mailboxes by role or by name, found or made; and which messages are in
//! them already that no import brought.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Result, anyhow};
use waxwing_message::Summary;
use waxwing_message::summary::Overview;
use waxwing_migrate::{names, print};
use waxwing_store::{AccountId, Mailbox, MailboxError, MailboxId, Role, Store, Uid};

/// Entries that are looked at at once.
const SLICE: usize = 500;
/// What is read of a stored message at once.
const PIECE_OCTETS: u64 = 256 * 1024;

/// Where a message belongs, as its source says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the mailbox with that role; by this name where there is none and one has to be made.
    Role(Role, String),
    /// In the mailbox of this name.
    Name(String),
}

impl Place {
    /// By name, which may tell a role (`Sent Items`).
    pub fn named(name: String) -> Place {
        match names::role_of_name(&name) {
            Some(role) => Place::Role(role, name),
            None => Place::Name(name),
        }
    }

    /// By role.
    pub fn of_role(role: Role) -> Place {
        let name = match role {
            Role::Inbox => "INBOX",
            Role::Drafts => "Drafts",
            Role::Sent => "Sent",
            Role::Junk => "Junk",
            Role::Trash => "Trash",
            Role::Archive | Role::All | Role::Flagged | Role::Important => "Archive",
        };
        Place::Role(role, name.to_owned())
    }
}

/// A mailbox that takes messages.
#[derive(Debug, Clone)]
pub struct Target {
    /// `None` in a dry run, where there is none yet.
    pub id: Option<MailboxId>,
    /// Its name.
    pub name: String,
}

/// The mailboxes of the account.
pub struct Places {
    store: Store,
    account: AccountId,
    into: Option<String>,
    dry_run: bool,
    /// As they were at the beginning.
    before: Vec<Mailbox>,
    known: HashMap<Place, Target>,
    present: HashMap<MailboxId, Present>,
}

impl Places {
    pub async fn open(
        store: &Store,
        account: AccountId,
        into: Option<String>,
        dry_run: bool,
    ) -> Result<Places> {
        let into = match into {
            Some(name) => {
                let whole = names::ours(&name, Some('/'), "");
                Some(whole.ok_or_else(|| anyhow!("{name:?} is no mailbox name"))?)
            }
            None => None,
        };
        let before = store.mailboxes(account).await?;
        let (store, known, present) = (store.clone(), HashMap::new(), HashMap::new());
        Ok(Places { store, account, into, dry_run, before, known, present })
    }

    /// The mailbox of a place; made, and subscribed to, where there is none.
    pub async fn target(&mut self, place: &Place) -> Result<Target> {
        if let Some(target) = self.known.get(place) {
            return Ok(target.clone());
        }
        let target = self.find_or_make(place).await?;
        self.known.insert(place.clone(), target.clone());
        Ok(target)
    }

    async fn find_or_make(&self, place: &Place) -> Result<Target> {
        let (role, name) = match (place, &self.into) {
            (Place::Role(role, name), None) => (Some(*role), name.clone()),
            (Place::Name(name), None) => (None, name.clone()),
            (Place::Role(_, name) | Place::Name(name), Some(into)) => {
                (None, format!("{into}/{name}"))
            }
        };
        // What only shows other mailboxes is no role that a mailbox of ours has.
        let role = role.filter(|r| !matches!(r, Role::All | Role::Flagged | Role::Important));
        if let Some(found) = self.before.iter().find(|m| role.is_some() && m.role == role) {
            return Ok(Target { id: Some(found.id), name: found.name.clone() });
        }
        if let Some(found) = self.store.mailbox_by_name(self.account, &name).await? {
            return Ok(Target { id: Some(found.id), name: found.name });
        }
        if self.dry_run {
            return Ok(Target { id: None, name });
        }
        let made = match self.store.create_mailbox(self.account, &name, role).await {
            // Somebody was quicker.
            Err(MailboxError::Exists) => self.store.mailbox_by_name(self.account, &name).await?,
            made => Some(made.map_err(|error| anyhow!("the mailbox {name}: {error}"))?),
        };
        let made = made.ok_or_else(|| anyhow!("the mailbox {name} comes and goes"))?;
        self.store.set_subscribed(self.account, &made.name, true).await?;
        Ok(Target { id: Some(made.id), name: made.name })
    }

    /// Whether the mailbox held that message before any import: by Message-ID, and then by content.
    pub async fn holds(
        &mut self,
        mailbox: MailboxId,
        summary: &Summary,
        content: &print::Content,
    ) -> Result<bool> {
        let Some(before) = self.before.iter().find(|before| before.id == mailbox) else {
            return Ok(false);
        };
        if !self.present.contains_key(&mailbox) {
            let present = Present::read(&self.store, before).await?;
            self.present.insert(mailbox, present);
        }
        for uid in self.present[&mailbox].candidates(&summary.overview) {
            let Some(stored) = self.store.content(mailbox, uid).await? else { continue };
            let mut spool = self.store.spool();
            while spool.len() < stored.size_octets {
                let piece = stored.read(spool.len(), PIECE_OCTETS).await?;
                if piece.is_empty() {
                    break;
                }
                spool.write(&piece)?;
            }
            if print::content(spool.finish()?.as_bytes()) == *content {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What a mailbox held at the beginning: a hash of each Message-ID and the UID, twelve octets a message.
struct Present(Vec<(u64, Uid)>);

impl Present {
    async fn read(store: &Store, mailbox: &Mailbox) -> Result<Present> {
        let mut all = Vec::new();
        let mut after = Uid(0);
        loop {
            let slice = store.entries_after(mailbox.id, after, SLICE).await?;
            let uids: Vec<Uid> = slice.iter().map(|entry| entry.uid).collect();
            let Some(&last) = uids.last() else { break };
            let summaries = store.summaries(mailbox.id, &uids).await?;
            let old = summaries.iter().filter(|(uid, _)| *uid < mailbox.uid_next);
            all.extend(old.map(|(uid, summary)| (key(&summary.overview), *uid)));
            if last >= mailbox.uid_next {
                break;
            }
            after = last;
        }
        all.sort_unstable();
        Ok(Present(all))
    }

    fn candidates(&self, overview: &Overview) -> impl Iterator<Item = Uid> {
        let key = key(overview);
        let first = self.0.partition_point(|(other, _)| *other < key);
        self.0[first..].iter().take_while(move |(other, _)| *other == key).map(|(_, uid)| *uid)
    }
}

/// Of what a message is called: its Message-ID, or date and subject where it has none.
fn key(overview: &Overview) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &overview.message_id {
        Some(id) => id.trim_ascii().hash(&mut hasher),
        None => (&overview.date, &overview.subject).hash(&mut hasher),
    }
    hasher.finish()
}
