//! `:fcc` (RFC 8580): a copy of mail that a script causes.

use super::{deliver, flags};
use crate::sieve::check::{Bound, Checker, Tag, Takes};
use crate::sieve::run::{Halt, Run};
use crate::sieve::text::Text;
use crate::sieve::{Fault, Fcc};

/// `:fcc` and what may stand with it (RFC 8580 §3.2).
pub(crate) const TAGS: &[Tag] = &[
    Tag::new("fcc", Takes::String, "fcc"),
    Tag::new("create", Takes::Nothing, "mailbox"),
    Tag::new("flags", Takes::Strings, "imap4flags"),
    Tag::new("specialuse", Takes::String, "special-use"),
];

/// Where the copy goes.
pub(crate) struct FccTag {
    mailbox: Text,
    create: bool,
    flags: Vec<Text>,
    special_use: Option<Text>,
}

impl FccTag {
    pub fn new(bound: &Bound<'_>, checker: &Checker<'_>) -> Result<Option<FccTag>, Fault> {
        let Some(mailbox) = bound.text_of("fcc", checker)? else {
            let stray = ["create", "flags", "specialuse"].into_iter().find_map(|n| bound.place(n));
            return match stray {
                Some(at) => Err(at.fault("this tag stands with \":fcc\" only: add it")),
                None => Ok(None),
            };
        };
        Ok(Some(FccTag {
            mailbox,
            create: bound.flag("create"),
            flags: bound.texts_of("flags", checker)?.unwrap_or_default(),
            special_use: bound.text_of("specialuse", checker)?,
        }))
    }

    pub fn expand(&self, run: &mut Run<'_>) -> Result<Fcc, Halt> {
        let mailbox = self.mailbox.expand(run)?;
        if let Some(why) = deliver::mailbox_fault(&mailbox) {
            return Err(run.value_error(why));
        }
        Ok(Fcc {
            mailbox,
            create: self.create,
            special_use: self.special_use.as_ref().map(|text| text.expand(run)).transpose()?,
            flags: flags::expand(&self.flags, run)?,
        })
    }
}
