//! Patches of Emails: keywords and mailboxes are all that can be altered (RFC 8621 §4.6).

use serde_json::{Map, Value};
use waxwing_store::{Located, MailboxId, Rearrangement};

use super::{SEEN_AND_OTHERS, target};
use crate::caller::Account;
use crate::context::Context;
use crate::email::keywords::{self, Keywords, is_keyword, visible_places};
use crate::wire::error::{SetError, SetErrorKind};
use crate::wire::patch::Patch;

/// What a patch asks for.
#[derive(Debug, Default)]
pub struct Update {
    keywords: Option<Keywords>,
    add_keywords: Keywords,
    remove_keywords: Keywords,
    mailboxes: Option<Vec<MailboxId>>,
    into: Vec<MailboxId>,
    out_of: Vec<MailboxId>,
}

impl Update {
    /// Reads a patch.
    pub fn read(
        context: &Context,
        account: &Account,
        patch: Map<String, Value>,
    ) -> Result<Update, SetError> {
        let mut update = Update::default();
        let patch = Patch::read(patch)?;
        for (path, value) in patch.changes() {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            match (path.as_slice(), value) {
                (["keywords"], value) => update.keywords = Some(keywords::read(Some(value))?),
                (["keywords", name], value) => {
                    let name = name.to_ascii_lowercase();
                    match value {
                        Value::Bool(true) if is_keyword(&name) => {
                            update.add_keywords.insert(name);
                        }
                        Value::Null => {
                            update.remove_keywords.insert(name);
                        }
                        _ => return Err(SetError::invalid(&path.join("/"), "it is true or null")),
                    }
                }
                (["mailboxIds"], value) => {
                    update.mailboxes = Some(target::read(context, account, Some(value))?);
                }
                (["mailboxIds", id], Value::Bool(true)) => {
                    update.into.push(target::find(context, account, id)?);
                }
                (["mailboxIds", id], Value::Null) => {
                    // Where it is not, it need not leave.
                    update.out_of.extend(target::find(context, account, id));
                }
                (["mailboxIds", _], _) => {
                    return Err(SetError::invalid(&path.join("/"), "it is true or null"));
                }
                (path, _) => {
                    let why = "only keywords and mailboxIds can be altered";
                    return Err(SetError::invalid(&path.join("/"), why));
                }
            }
        }
        Ok(update)
    }

    /// What is to be done to a message for it, if the caller may.
    pub fn rearrangement(
        self,
        account: &Account,
        located: &Located,
    ) -> Result<Rearrangement, SetError> {
        let places = || visible_places(&located.places);
        let now: Vec<MailboxId> = places().map(|place| place.mailbox).collect();
        let (mut into, mut out_of) = (self.into, self.out_of);
        if let Some(wanted) = self.mailboxes {
            out_of.extend(now.iter().filter(|mailbox| !wanted.contains(mailbox)));
            into.extend(wanted);
        }
        into.retain(|mailbox| !now.contains(mailbox));
        out_of.retain(|mailbox| now.contains(mailbox));
        target::check_insert(account, &into)?;
        let may_leave = |id: &MailboxId| account.mailboxes.rights(*id).contains(target::REMOVE);
        if !out_of.iter().all(may_leave) {
            return Err(target::forbidden("you may take nothing out of one of these mailboxes"));
        }
        let had = keywords::of_places(places());
        let mut has = self.keywords.clone().unwrap_or_else(|| had.clone());
        has.extend(self.add_keywords.iter().cloned());
        has.retain(|name| !self.remove_keywords.contains(name));
        keywords::check_count(&has)?;
        // What is said again may still be news in one of its mailboxes.
        let mut altered: Keywords = had.symmetric_difference(&has).cloned().collect();
        altered.extend(self.add_keywords.iter().cloned());
        altered.extend(self.remove_keywords.iter().filter(|name| had.contains(*name)).cloned());
        let rights = now.iter().map(|mailbox| account.mailboxes.rights(*mailbox));
        let (seen, others) = SEEN_AND_OTHERS;
        for rights in rights {
            let lacks = |name: &String| match name.as_str() {
                "$seen" => !rights.contains(seen),
                _ => !rights.contains(others),
            };
            if altered.iter().any(lacks) {
                let why = "you may not alter these keywords in one of its mailboxes";
                return Err(SetError::new(SetErrorKind::Forbidden, why));
            }
        }
        Ok(Rearrangement {
            set: self.keywords.map(|keywords| keywords::flags(&keywords)),
            add: keywords::flags(&self.add_keywords),
            remove: keywords::flags(&self.remove_keywords),
            into,
            out_of,
            within: account.mailboxes.readable(),
            may_vanish: false,
        })
    }
}
