//! What a run is given: the [`Context`] of the delivery, the [`World`] it may ask, its [`Limits`].

use jiff::Timestamp;
use jiff::tz::Offset;
use waxwing_message::{Address, Message, ReversePath};

use super::Script;

/// What is known of the message and its delivery.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The message.
    pub message: &'a Message<'a>,
    /// Envelope sender.
    pub from: ReversePath,
    /// Envelope recipient, after aliases: whose script this is.
    pub to: Address,
    /// Envelope recipient as the sender's server gave it, where that differs.
    pub original_to: Option<Address>,
    /// Addresses of the script's owner besides `to`: vacation answers mail to any of them.
    pub own_addresses: Vec<Address>,
    /// The owner's name, for mail that is sent on their behalf.
    pub own_name: Option<String>,
    /// Now.
    pub now: Timestamp,
    /// The owner's zone: what `date` and `currentdate` mean by local time.
    pub zone: Offset,
    /// How likely the message is spam, in percent; `None` when nobody judged.
    pub spam_percent: Option<f32>,
    /// How likely it carries a virus, by RFC 5235 §3.2: 1 (clean) to 5; `None` when nobody looked.
    pub virus_level: Option<u8>,
    /// Items of `environment` (RFC 5183 §4.1) beside `version` and `name`: such as `host`, `domain`,
    /// `phase`, `location`, `remote-host`, `remote-ip`.
    pub environment: Vec<(String, String)>,
    /// Host or domain for Message-IDs of mail that the script causes.
    pub domain: String,
    /// Makes Message-IDs and boundaries unlike any other.
    pub random: [u8; 16],
    /// Bounds of the run.
    pub limits: Limits,
}

impl<'a> Context<'a> {
    /// A context with what cannot be left out.
    pub fn new(message: &'a Message<'a>, from: ReversePath, to: Address, now: Timestamp) -> Self {
        Context {
            message,
            from,
            domain: to.domain().to_owned(),
            to,
            original_to: None,
            own_addresses: Vec::new(),
            own_name: None,
            now,
            zone: Offset::UTC,
            spam_percent: None,
            virus_level: None,
            environment: Vec::new(),
            random: [0; 16],
            limits: Limits::default(),
        }
    }

    /// The recipient whom the sender meant.
    pub(crate) fn recipient(&self) -> &Address {
        self.original_to.as_ref().unwrap_or(&self.to)
    }
}

/// Bounds of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Commands, tests, and each 64 KB of text that is searched count one.
    pub steps: u64,
    /// All variables together, in octets.
    pub variables_octets: usize,
    /// One variable; what is longer is cut off (RFC 5229 §6).
    pub variable_octets: usize,
    /// Actions of all kinds.
    pub actions: usize,
    /// Redirects (RFC 5228 §10 wants them few).
    pub redirects: usize,
    /// Notifications.
    pub notifications: usize,
    /// Scripts included in one another.
    pub include_depth: usize,
    /// Scripts included in all.
    pub includes: usize,
    /// Loops over parts inside one another.
    pub loop_depth: usize,
    /// Header fields added, and changes of the message as a whole.
    pub edits: usize,
    /// What all changed versions of the message may take together, in octets.
    pub edited_octets: usize,
    /// Shortest and longest time between two answers of `vacation`, in seconds.
    pub vacation_seconds: (u64, u64),
    /// Longest time that `duplicate` remembers, in seconds.
    pub duplicate_seconds: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        const DAY: u64 = 24 * 60 * 60;
        Limits {
            steps: 100_000,
            variables_octets: 1 << 20,
            variable_octets: 64 << 10,
            actions: 32,
            redirects: 4,
            notifications: 4,
            include_depth: 10,
            includes: 100,
            loop_depth: 4,
            edits: 200,
            edited_octets: 128 << 20,
            // RFC 5230 §4.1 wants a minimum of a day; RFC 6131 §2 lets seconds go below.
            vacation_seconds: (60, 365 * DAY),
            duplicate_seconds: 30 * DAY,
        }
    }
}

/// Where `include` looks: RFC 6609 §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Location {
    /// Among the user's own scripts.
    Personal,
    /// Among the site's.
    Global,
}

/// What `duplicate` asks about: RFC 7352 §3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateId {
    /// Tests with different handles know nothing of each other; empty without one.
    pub handle: String,
    /// What makes the message unique.
    pub id: String,
    /// For how long it is remembered.
    pub seconds: u64,
    /// Whether seeing it again begins that time anew (`:last`).
    pub last: bool,
}

/// What a script may ask. Answers are given at once: from the store, or from what was fetched before.
///
/// Everything has an answer of its own, that of a world that is empty.
pub trait World {
    /// Whether the user could file into that mailbox (RFC 5490 §3.1).
    fn mailbox_exists(&self, _name: &str) -> bool {
        false
    }
    /// Whether a mailbox (or any, where none is named) has that special use, such as `\Junk`
    /// (RFC 8579 §4).
    fn special_use_exists(&self, _mailbox: Option<&str>, _special_use: &str) -> bool {
        false
    }
    /// The value of an annotation of a mailbox, or of the server where none is named (RFC 5490).
    fn metadata(&self, _mailbox: Option<&str>, _annotation: &str) -> Option<String> {
        None
    }
    /// Whether this was seen before and is still remembered. That it was seen now is to be recorded when
    /// the run is over: [`super::Outcome::seen`].
    fn duplicate(&self, _id: &DuplicateId) -> bool {
        false
    }
    /// The script that `include` names.
    fn included(&self, _name: &str, _location: Location) -> Option<Script> {
        None
    }
    /// Whether no answer under that handle went to that sender within so many seconds. That one goes now
    /// is recorded by who carries the action out.
    fn vacation_due(&self, _handle: &str, _sender: &str, _seconds: u64) -> bool {
        true
    }
}

/// A world with nothing in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl World for Nowhere {}
