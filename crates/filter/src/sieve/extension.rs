//! The extensions by the names that `require` has for them.

use std::collections::BTreeSet;

/// Every extension there is here, with what defines it.
pub const ALL: &[(&str, &str)] = &[
    ("body", "RFC 5173"),
    ("comparator-i;ascii-casemap", "RFC 5228 §2.7.3"),
    ("comparator-i;ascii-numeric", "RFC 4790 §9.1"),
    ("comparator-i;octet", "RFC 5228 §2.7.3"),
    ("copy", "RFC 3894"),
    ("date", "RFC 5260"),
    ("duplicate", "RFC 7352"),
    ("editheader", "RFC 5293"),
    ("enclose", "RFC 5703"),
    ("encoded-character", "RFC 5228 §2.4.2.4"),
    ("enotify", "RFC 5435"),
    ("envelope", "RFC 5228 §5.4"),
    ("environment", "RFC 5183"),
    ("ereject", "RFC 5429"),
    ("extracttext", "RFC 5703"),
    ("fcc", "RFC 8580"),
    ("fileinto", "RFC 5228 §4.1"),
    ("foreverypart", "RFC 5703"),
    ("ihave", "RFC 5463"),
    ("imap4flags", "RFC 5232"),
    ("include", "RFC 6609"),
    ("index", "RFC 5260"),
    ("mailbox", "RFC 5490"),
    ("mboxmetadata", "RFC 5490"),
    ("mime", "RFC 5703"),
    ("regex", "draft-ietf-sieve-regex"),
    ("reject", "RFC 5429"),
    ("relational", "RFC 5231"),
    ("replace", "RFC 5703"),
    ("servermetadata", "RFC 5490"),
    ("spamtest", "RFC 5235"),
    ("spamtestplus", "RFC 5235"),
    ("special-use", "RFC 8579"),
    ("subaddress", "RFC 5233"),
    ("vacation", "RFC 5230"),
    ("vacation-seconds", "RFC 6131"),
    ("variables", "RFC 5229"),
    ("virustest", "RFC 5235"),
];

/// The extensions that scripts may use at this site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    allowed: BTreeSet<&'static str>,
}

impl Default for Capabilities {
    /// All.
    fn default() -> Capabilities {
        Capabilities { allowed: ALL.iter().map(|(name, _)| *name).collect() }
    }
}

impl Capabilities {
    /// Without one of them; a name that is none changes nothing.
    pub fn without(mut self, extension: &str) -> Capabilities {
        self.allowed.remove(extension);
        self
    }

    /// Whether scripts may use it.
    pub fn allow(&self, extension: &str) -> bool {
        self.allowed.contains(extension)
    }

    /// Their names in order, as ManageSieve lists them (RFC 5804 §1.7).
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.allowed.iter().copied()
    }

    /// The name as it stands in [`ALL`], when it is allowed.
    pub(crate) fn find(&self, extension: &str) -> Option<&'static str> {
        self.allowed.get(extension).copied()
    }
}

/// The methods of `notify` (RFC 5435 §3), as ManageSieve lists them (RFC 5804 §1.7 `NOTIFY`).
pub const NOTIFY_METHODS: &[&str] = &["mailto"];
