//! Who knocks, and what they were let in with.

use std::net::IpAddr;

use super::{AppPasswordId, ConsentId};
use crate::{Account, AccountId};

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Reading mail.
    Imap,
    /// Fetching mail.
    Pop3,
    /// Sending mail.
    Submission,
    /// Rules for arriving mail.
    Sieve,
    /// Pages of this server.
    Web,
    /// Reading mail, by programs and pages that speak JMAP.
    Jmap,
}

impl Protocol {
    const ALL: [Protocol; 6] = [
        Protocol::Imap,
        Protocol::Pop3,
        Protocol::Submission,
        Protocol::Sieve,
        Protocol::Web,
        Protocol::Jmap,
    ];

    /// `imap`, `pop3`, `smtp`, `sieve`, `web`, `jmap`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
            Protocol::Submission => "smtp",
            Protocol::Sieve => "sieve",
            Protocol::Web => "web",
            Protocol::Jmap => "jmap",
        }
    }

    /// What a credential for programs must have in its scope; pages take none.
    pub fn scope(self) -> Option<Scope> {
        match self {
            // What may read mail may read it either way.
            Protocol::Imap | Protocol::Jmap => Some(Scope::IMAP),
            Protocol::Pop3 => Some(Scope::POP3),
            Protocol::Submission => Some(Scope::SUBMISSION),
            Protocol::Sieve => Some(Scope::SIEVE),
            Protocol::Web => None,
        }
    }

    pub(super) fn number(self) -> i64 {
        self as i64
    }

    pub(super) fn of_number(number: i64) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.number() == number)
    }
}

/// What a credential for programs opens: a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope(pub(crate) i64);

impl Scope {
    /// Nothing.
    pub const NONE: Scope = Scope(0);
    /// Reading mail by IMAP.
    pub const IMAP: Scope = Scope(1);
    /// Fetching mail by POP3.
    pub const POP3: Scope = Scope(2);
    /// Sending mail.
    pub const SUBMISSION: Scope = Scope(4);
    /// ManageSieve.
    pub const SIEVE: Scope = Scope(8);
    /// What a mail program needs: IMAP, POP3, sending.
    pub const MAIL: Scope = Scope(7);
    /// Everything.
    pub const ALL: Scope = Scope(15);

    const NAMES: [(&'static str, Scope); 4] = [
        ("imap", Scope::IMAP),
        ("pop3", Scope::POP3),
        ("smtp", Scope::SUBMISSION),
        ("sieve", Scope::SIEVE),
    ];

    /// `imap`, `pop3`, `smtp`, `sieve`, or `mail` for the first three; any case.
    pub fn parse(name: &str) -> Option<Scope> {
        if name.eq_ignore_ascii_case("mail") {
            return Some(Scope::MAIL);
        }
        let known = Scope::NAMES.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        known.map(|(_, scope)| scope)
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Scope) -> Scope {
        Scope(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    pub fn has(self, other: Scope) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of what is in it.
    pub fn names(self) -> Vec<&'static str> {
        let within = |(name, scope): (&'static str, Scope)| self.has(scope).then_some(name);
        Scope::NAMES.into_iter().filter_map(within).collect()
    }
}

/// Who knocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor {
    /// At which door.
    pub protocol: Protocol,
    /// From where; unspecified when that is not known.
    pub address: IpAddr,
    /// Over TLS.
    pub tls: bool,
}

/// What a session was let in with: plain data, to be kept by the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    pub(crate) account: AccountId,
    pub(super) proof: Proof,
}

impl Pass {
    /// Whose.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// What it opens, beside the door at which it was given.
    pub fn scopes(&self) -> Scope {
        match self.proof {
            Proof::Password { .. } => Scope::ALL,
            Proof::AppPassword(_, scopes) | Proof::Consent(_, scopes) => scopes,
        }
    }

    /// One that no store has given, for sessions that are tested without one.
    #[doc(hidden)]
    pub fn invented(account: AccountId) -> Pass {
        Pass { account, proof: Proof::Password { version: 0 } }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The main password, by that count of those that the account has had.
    Password { version: i64 },
    /// Which opens so much.
    AppPassword(AppPasswordId, Scope),
    /// Consent to a program, of such a scope.
    Consent(ConsentId, Scope),
}

/// Someone who was let in.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Whose account.
    pub account: Account,
    /// With what.
    pub pass: Pass,
}
