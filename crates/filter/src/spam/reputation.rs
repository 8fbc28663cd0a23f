//! What is known of the sender, in the order in which it counts.
//!
//! Questions are asked from the narrowest to the widest, and the first that has enough and clear
//! history decides. Only when none has, the words of the message are asked.
//!
//! | level | holds when | clears a sender | convicts a sender |
//! |---|---|---|---|
//! | the exact address | From is authentic | 1 message | 1 message |
//! | written to | From is authentic, or its network is known for ham only | having written | – |
//! | the domain | From is authentic | 3 | 6 |
//! | the organizational domain | From is authentic | 5 | 10 |
//! | a domain that signed (DKIM) | the signature holds | 5 | 10 |
//! | the domain of the reverse-path | SPF passes | 5 | 10 |
//! | the client's address (/32, or /64) | always | 5 | 10 |
//! | its network (/24, or /48) | always | 10 | 20 |
//!
//! History is clear when at least nine in ten messages were of one kind (four in five for the exact
//! address). Convicting a domain takes twice as many messages as clearing it, because many people
//! may share it. At a large provider the history of the domain is mixed and decides nothing; the
//! next level is asked, as it should be.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::evidence::Authenticity;

/// What became of earlier mail: what readers kept and what they called spam.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Messages that were wanted.
    pub ham: u32,
    /// Messages that were spam.
    pub spam: u32,
    /// When the last one came.
    pub last: Option<Timestamp>,
}

/// Silence of this length halves what is remembered.
const HALF_LIFE_DAYS: i64 = 180;

impl History {
    /// A history without a date.
    pub fn of(ham: u32, spam: u32) -> History {
        History { ham, spam, last: None }
    }

    /// As it is remembered at `now`: halved for each half year of silence, because domains and
    /// addresses change hands.
    #[must_use]
    pub fn faded(self, now: Timestamp) -> History {
        let Some(last) = self.last else { return self };
        let silent_days = (now.as_second() - last.as_second()).max(0) / 86_400;
        let halvings = u32::try_from(silent_days / HALF_LIFE_DAYS).unwrap_or(31).min(31);
        History { ham: self.ham >> halvings, spam: self.spam >> halvings, last: self.last }
    }
}

/// All that is known of a sender; what is unknown is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// The account has written to the From address.
    pub written_to: bool,
    /// The exact From address.
    pub sender: History,
    /// Its domain.
    pub domain: History,
    /// Its organizational domain (RFC 9989).
    pub org_domain: History,
    /// Of each `d=` among the signatures.
    pub dkim_domains: Vec<(String, History)>,
    /// The domain of the reverse-path.
    pub spf_domain: History,
    /// The client's address, or its /64: the first of [`super::connection::networks`].
    pub ip: History,
    /// Its network, /24 or /48: the second of them.
    pub network: History,
    /// Nothing from this From address has ever come to this account.
    pub first_contact: bool,
}

/// How narrowly a sender is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The exact address.
    Sender,
    /// The account wrote to it.
    WrittenTo,
    /// Its domain.
    Domain,
    /// Its organizational domain.
    OrgDomain,
    /// A domain that signed.
    Dkim,
    /// The domain of the reverse-path.
    Spf,
    /// The client's address.
    Ip,
    /// The client's network.
    Network,
}

/// Which way a history points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leaning {
    /// Wanted mail.
    Ham,
    /// Spam.
    Spam,
}

/// What is known of the sender, summed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ReputationOutcome {
    /// Enough is known, and it is clear.
    Conclusive {
        /// Which way.
        leaning: Leaning,
        /// From which level.
        level: Level,
        /// In words for people.
        reason: String,
    },
    /// The words must tell.
    Inconclusive {
        /// Nothing ever came from this address.
        first_contact: bool,
        /// In words for people.
        reason: String,
    },
}

impl ReputationOutcome {
    /// The leaning, when it is conclusive.
    pub fn leaning(&self) -> Option<Leaning> {
        match self {
            ReputationOutcome::Conclusive { leaning, .. } => Some(*leaning),
            ReputationOutcome::Inconclusive { .. } => None,
        }
    }
}

/// What a level asks of a history.
struct Threshold {
    /// Messages that clear a sender.
    clear: u32,
    /// Messages that convict one.
    convict: u32,
    /// The part of the other kind that is still no doubt: one in so many.
    one_in: u64,
}

impl Threshold {
    const SENDER: Threshold = Threshold { clear: 1, convict: 1, one_in: 5 };
    const DOMAIN: Threshold = Threshold { clear: 3, convict: 6, one_in: 10 };
    const WIDER: Threshold = Threshold { clear: 5, convict: 10, one_in: 10 };
    const NETWORK: Threshold = Threshold { clear: 10, convict: 20, one_in: 10 };

    fn leaning(&self, history: History) -> Option<Leaning> {
        let (ham, spam) = (u64::from(history.ham), u64::from(history.spam));
        let few = |part: u64| part * self.one_in <= ham + spam;
        if ham >= u64::from(self.clear) && few(spam) {
            Some(Leaning::Ham)
        } else if spam >= u64::from(self.convict) && few(ham) {
            Some(Leaning::Spam)
        } else {
            None
        }
    }
}

/// Asks the levels in order; the first with enough and clear history decides.
pub fn judge_reputation(known: &Known, evidence: &Authenticity) -> ReputationOutcome {
    let conclusive =
        |leaning, level, reason| ReputationOutcome::Conclusive { leaning, level, reason };
    if evidence.from
        && let Some(leaning) = Threshold::SENDER.leaning(known.sender)
    {
        let reason = told(leaning, "this sender", known.sender);
        return conclusive(leaning, Level::Sender, reason);
    }
    if known.written_to
        && let Some(how) = proven(known, evidence)
    {
        let reason = format!("You have written to this sender, and {how}");
        return conclusive(Leaning::Ham, Level::WrittenTo, reason);
    }
    for (level, threshold, history, whom) in wider(known, evidence) {
        if let Some(leaning) = threshold.leaning(history) {
            return conclusive(leaning, level, told(leaning, &whom, history));
        }
    }
    let reason = match (known.first_contact, evidence.from) {
        (true, _) => "This sender has never written to you before",
        (false, true) => "What is known of this sender is too little or points both ways",
        (false, false) => {
            "The sender is not proven, so that what is known of the name does not count"
        }
    };
    let reason = reason.to_owned();
    ReputationOutcome::Inconclusive { first_contact: known.first_contact, reason }
}

/// Why the From address may be believed for someone the account has written to.
fn proven(known: &Known, evidence: &Authenticity) -> Option<&'static str> {
    let only_ham = |history: History| history.ham >= 1 && history.spam == 0;
    if evidence.from {
        return Some("the message is authentic");
    }
    // Small domains without SPF and DKIM exist; their mail always comes from the same place.
    (only_ham(known.ip) || only_ham(known.network))
        .then_some("only wanted mail came from the place it was sent from")
}

/// The levels below the exact sender that hold for this message.
fn wider(known: &Known, evidence: &Authenticity) -> Vec<(Level, Threshold, History, String)> {
    let mut levels = Vec::new();
    let mut add = |level, threshold, history, whom: &str| {
        levels.push((level, threshold, history, whom.to_owned()));
    };
    if evidence.from {
        add(Level::Domain, Threshold::DOMAIN, known.domain, "the sender's domain");
        add(Level::OrgDomain, Threshold::WIDER, known.org_domain, "the sender's organization");
    }
    for (domain, history) in &known.dkim_domains {
        if evidence.dkim_domains.iter().any(|signed| signed.eq_ignore_ascii_case(domain)) {
            add(Level::Dkim, Threshold::WIDER, *history, &format!("{domain}, which signed this"));
        }
    }
    if let Some(domain) = &evidence.spf_domain {
        add(Level::Spf, Threshold::WIDER, known.spf_domain, &format!("{domain}, which sent this"));
    }
    add(Level::Ip, Threshold::WIDER, known.ip, "the computer that sent this");
    add(Level::Network, Threshold::NETWORK, known.network, "the network that sent this");
    levels
}

fn told(leaning: Leaning, whom: &str, history: History) -> String {
    let all = u64::from(history.ham) + u64::from(history.spam);
    match leaning {
        Leaning::Ham => {
            format!("{} of {all} earlier messages from {whom} were wanted", history.ham)
        }
        Leaning::Spam => {
            format!("{} of {all} earlier messages from {whom} were spam", history.spam)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authentic() -> Authenticity {
        let dkim_domains = vec!["example.org".to_owned()];
        Authenticity { from: true, dkim_domains, spf_domain: Some("example.org".to_owned()) }
    }

    fn decided(known: &Known, evidence: &Authenticity) -> Option<(Leaning, Level)> {
        match judge_reputation(known, evidence) {
            ReputationOutcome::Conclusive { leaning, level, .. } => Some((leaning, level)),
            ReputationOutcome::Inconclusive { .. } => None,
        }
    }

    #[test]
    fn the_exact_sender_goes_before_the_domain() {
        let known =
            Known { sender: History::of(1, 0), domain: History::of(0, 100), ..Known::default() };
        assert_eq!(decided(&known, &authentic()), Some((Leaning::Ham, Level::Sender)));
        let known = Known { sender: History::of(1, 2), ..known };
        assert_eq!(decided(&known, &authentic()), Some((Leaning::Spam, Level::Domain)));
    }

    #[test]
    fn a_name_that_is_not_proven_does_not_count() {
        let known =
            Known { sender: History::of(50, 0), domain: History::of(90, 0), ..Known::default() };
        assert_eq!(decided(&known, &Authenticity::default()), None);
    }

    #[test]
    fn someone_written_to_needs_proof_or_a_known_place() {
        let known = Known { written_to: true, ..Known::default() };
        assert_eq!(decided(&known, &authentic()), Some((Leaning::Ham, Level::WrittenTo)));
        assert_eq!(decided(&known, &Authenticity::default()), None);
        let known = Known { ip: History::of(1, 0), ..known };
        assert_eq!(
            decided(&known, &Authenticity::default()),
            Some((Leaning::Ham, Level::WrittenTo))
        );
        let known = Known { ip: History::of(1, 1), ..known };
        assert_eq!(decided(&known, &Authenticity::default()), None);
    }

    #[test]
    fn every_level_decides_when_those_before_it_are_silent() {
        let spam = History::of(0, 30);
        let cases = [
            (Known { domain: spam, ..Known::default() }, Level::Domain),
            (Known { org_domain: spam, ..Known::default() }, Level::OrgDomain),
            (
                Known { dkim_domains: vec![("Example.org".into(), spam)], ..Known::default() },
                Level::Dkim,
            ),
            (Known { spf_domain: spam, ..Known::default() }, Level::Spf),
            (Known { ip: spam, ..Known::default() }, Level::Ip),
            (Known { network: spam, ..Known::default() }, Level::Network),
        ];
        for (known, level) in cases {
            assert_eq!(decided(&known, &authentic()), Some((Leaning::Spam, level)));
        }
    }

    #[test]
    fn a_signature_that_does_not_hold_lends_no_history() {
        let known = Known {
            dkim_domains: vec![("other.example".into(), History::of(90, 0))],
            ..Known::default()
        };
        assert_eq!(decided(&known, &authentic()), None);
    }

    #[test]
    fn mixed_or_little_history_decides_nothing() {
        for history in
            [History::of(50, 50), History::of(2, 0), History::of(0, 5), History::of(80, 10)]
        {
            let known = Known { domain: history, ..Known::default() };
            assert_eq!(decided(&known, &authentic()), None, "{history:?}");
        }
    }

    #[test]
    fn silence_fades_history() {
        let then: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let history = History { ham: 8, spam: 3, last: Some(then) };
        let after = |text: &str| history.faded(text.parse().expect("a time"));
        assert_eq!(after("2026-06-01T00:00:00Z").ham, 8);
        assert_eq!((after("2027-01-01T00:00:00Z").ham, after("2027-01-01T00:00:00Z").spam), (2, 0));
        assert_eq!(after("2025-01-01T00:00:00Z").ham, 8, "a clock that went back forgets nothing");
        assert_eq!(after("2999-01-01T00:00:00Z").ham, 0);
    }
}
