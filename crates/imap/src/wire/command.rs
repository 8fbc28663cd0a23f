//! What a client can ask: the commands of RFC 3501 and RFC 9051 and of the announced extensions,
//! as data. Parsing them is next door: [`super::parse`] and its neighbours.
//!
//! Mailbox names and search strings are octets here: what they mean depends on what the session
//! has enabled.

use waxwing_store::{Role, SystemFlags};

pub use super::parse_acl::RightsChange;
pub use super::parse_append::{AppendHead, MessageHead};
pub use super::parse_fetch::{Fetch, FetchItem, Partial, Section, SectionText};
pub use super::parse_list::{List, ListReturn, ListSelect, StatusItem};
pub use super::parse_metadata::{Depth, GetMetadata, SetMetadata};
pub use super::parse_notify::Notify;
pub use super::parse_search::{Search, SearchKey, SearchReturn};
pub use super::parse_select::{Qresync, Select};
pub use super::parse_sort::{Algorithm, Criterion, Sort, SortKey, Thread};
use super::sequence::SequenceSet;

/// One command without its tag.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// CAPABILITY.
    Capability,
    /// NOOP, and rev1's CHECK.
    Noop,
    /// LOGOUT.
    Logout,
    /// ID (RFC 2971): what the client says of itself.
    Id(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    /// STARTTLS.
    StartTls,
    /// AUTHENTICATE, with the initial response (RFC 4959) still in base64.
    Authenticate {
        /// As written.
        mechanism: String,
        /// `=` is an empty one.
        initial: Option<Secret>,
    },
    /// LOGIN.
    Login {
        /// The address.
        user: Vec<u8>,
        /// Never printed.
        password: Secret,
    },
    /// ENABLE (RFC 5161): names in upper case.
    Enable(Vec<String>),
    /// SELECT or EXAMINE.
    Select(Select),
    /// CREATE, perhaps with `(USE (\Sent))` (RFC 6154 §3).
    Create {
        /// Which.
        mailbox: Vec<u8>,
        /// The special use; `Some(None)` is one that is not supported.
        special_use: Option<Option<Role>>,
    },
    /// DELETE.
    Delete(Vec<u8>),
    /// RENAME.
    Rename {
        /// Existing name.
        from: Vec<u8>,
        /// New name.
        to: Vec<u8>,
    },
    /// SUBSCRIBE.
    Subscribe(Vec<u8>),
    /// UNSUBSCRIBE.
    Unsubscribe(Vec<u8>),
    /// LIST, LSUB and XLIST's heirs.
    List(List),
    /// NAMESPACE.
    Namespace,
    /// GETJMAPACCESS (RFC 9698).
    GetJmapAccess,
    /// STATUS.
    Status {
        /// Which.
        mailbox: Vec<u8>,
        /// What to tell.
        items: Vec<StatusItem>,
    },
    /// GETQUOTA (RFC 9208): the root.
    GetQuota(Vec<u8>),
    /// GETQUOTAROOT: the mailbox.
    GetQuotaRoot(Vec<u8>),
    /// SETACL (RFC 4314).
    SetAcl {
        /// Which.
        mailbox: Vec<u8>,
        /// Whom.
        identifier: Vec<u8>,
        /// What.
        change: RightsChange,
    },
    /// DELETEACL: mailbox and identifier.
    DeleteAcl(Vec<u8>, Vec<u8>),
    /// GETACL.
    GetAcl(Vec<u8>),
    /// LISTRIGHTS: mailbox and identifier.
    ListRights(Vec<u8>, Vec<u8>),
    /// MYRIGHTS.
    MyRights(Vec<u8>),
    /// GETMETADATA (RFC 5464).
    GetMetadata(GetMetadata),
    /// SETMETADATA.
    SetMetadata(SetMetadata),
    /// NOTIFY (RFC 5465).
    Notify(Notify),
    /// COMPRESS (RFC 4978): whether it is DEFLATE.
    Compress {
        /// It is.
        deflate: bool,
    },
    /// IDLE.
    Idle,
    /// CLOSE.
    Close,
    /// UNSELECT.
    Unselect,
    /// EXPUNGE, and UID EXPUNGE with its set.
    Expunge(Option<SequenceSet>),
    /// SEARCH and UID SEARCH.
    Search {
        /// Answer with UIDs.
        uid: bool,
        /// The rest.
        search: Search,
    },
    /// SORT and UID SORT (RFC 5256).
    Sort {
        /// Answer with UIDs.
        uid: bool,
        /// The rest.
        sort: Sort,
    },
    /// THREAD and UID THREAD (RFC 5256).
    Thread {
        /// Answer with UIDs.
        uid: bool,
        /// The rest.
        thread: Thread,
    },
    /// FETCH and UID FETCH.
    Fetch {
        /// The set has UIDs.
        uid: bool,
        /// The rest.
        fetch: Fetch,
    },
    /// STORE and UID STORE.
    Store {
        /// The set has UIDs.
        uid: bool,
        /// The rest.
        store: StoreFlags,
    },
    /// COPY and UID COPY.
    Copy {
        /// The set has UIDs.
        uid: bool,
        /// What.
        set: SequenceSet,
        /// Where to.
        mailbox: Vec<u8>,
    },
    /// MOVE and UID MOVE (RFC 6851).
    Move {
        /// The set has UIDs.
        uid: bool,
        /// What.
        set: SequenceSet,
        /// Where to.
        mailbox: Vec<u8>,
    },
}

/// STORE.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreFlags {
    /// What.
    pub set: SequenceSet,
    /// UNCHANGEDSINCE (RFC 7162 §3.1.3).
    pub unchanged_since: Option<u64>,
    /// FLAGS, +FLAGS or -FLAGS.
    pub how: StoreHow,
    /// `.SILENT`.
    pub silent: bool,
    /// The flags.
    pub flags: FlagList,
}

/// FLAGS, +FLAGS, -FLAGS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreHow {
    /// These and no others.
    Set,
    /// These too.
    Add,
    /// Not these.
    Remove,
}

/// Flags as a client gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlagList {
    /// `\Seen` and its like.
    pub system: SystemFlags,
    /// As written, perhaps repeated.
    pub keywords: Vec<String>,
}

/// A password or SASL response: not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
