//! Emails (RFC 8621 §4).
//!
//! | file | what |
//! |---|---|
//! | `header/` | header fields as properties, both ways; pure |
//! | `part`, `body`, `value` | parts, their objects, their texts; pure |
//! | `wanted` | which properties a client wants; pure |
//! | `compose/` | an object that is to be created, made a message; pure |
//! | `keywords` | keywords and flags; pure |
//! | `show` | one object |
//! | `get`, `changes`, `query/`, `set/`, … | the methods |

pub mod body;
mod changes;
pub mod compose;
mod copy;
mod get;
pub mod header;
mod import;
pub mod keywords;
mod parse;
pub mod part;
pub mod query;
mod set;
mod show;
pub mod value;
pub mod wanted;

use crate::dispatch::{Method, methods};
use query::changes as query_changes;

pub(crate) const METHODS: &[Method] = methods! {
    "Email/get" Mail get::run,
    "Email/changes" Mail changes::run,
    "Email/query" Mail query::run,
    "Email/queryChanges" Mail query_changes::run,
    "Email/set" Mail set::run,
    "Email/copy" Mail copy::run,
    "Email/import" Mail import::run,
    "Email/parse" Mail parse::run,
};

/// What `Email/query` can sort by (RFC 8621 §1.3.1 `emailQuerySortOptions`).
pub const SORT_OPTIONS: &[&str] = query::OPTIONS;
