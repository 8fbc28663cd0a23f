//! The commands, one file for each group; [`ALL`] is the table that the checker looks in.

use super::check::{Command, Entry};

pub(crate) mod control;
mod deliver;
mod editheader;
mod enclose;
mod error;
mod extracttext;
mod fcc;
mod flags;
mod foreverypart;
mod include;
pub(crate) mod notify;
mod redirect;
mod reject;
mod replace;
mod vacation;
mod variables;

pub(crate) use flags::words as flag_words;

/// Every command but `require` and the chain of `if`, which the checker knows by itself.
pub(crate) const ALL: &[Entry<dyn Command>] = &[
    Entry("addflag", "imap4flags", flags::add),
    Entry("addheader", "editheader", editheader::add),
    Entry("break", "foreverypart", foreverypart::compile_break),
    Entry("deleteheader", "editheader", editheader::delete),
    Entry("discard", "", deliver::discard),
    Entry("enclose", "enclose", enclose::compile),
    Entry("ereject", "ereject", reject::ereject),
    Entry("error", "ihave", error::compile),
    Entry("extracttext", "extracttext", extracttext::compile),
    Entry("fileinto", "fileinto", deliver::fileinto),
    Entry("foreverypart", "foreverypart", foreverypart::compile),
    Entry("global", "include", include::global),
    Entry("include", "include", include::compile),
    Entry("keep", "", deliver::keep),
    Entry("notify", "enotify", notify::compile),
    Entry("redirect", "", redirect::compile),
    Entry("reject", "reject", reject::reject),
    Entry("removeflag", "imap4flags", flags::remove),
    Entry("replace", "replace", replace::compile),
    Entry("return", "include", include::compile_return),
    Entry("set", "variables", variables::set),
    Entry("setflag", "imap4flags", flags::set),
    Entry("stop", "", control::stop),
    Entry("vacation", "vacation", vacation::compile),
];
