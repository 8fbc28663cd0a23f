//! From evidence to a verdict that explains itself.
//!
//! ```text
//! connection, mailauth ─┐
//! From field ───────────┤
//! what is known of ─────┼─▶ Evidence ─▶ judge(evidence, policy) ─▶ verdict, weight, reasons
//!   sender, domain, IP  │
//! words of the message ─┘
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`evidence`] | all that was observed, as plain data |
//! | [`connection`] | HELO, reverse DNS, blocklists: what the answers mean |
//! | [`absurd`] | what is wrong with the header's From field |
//! | [`lookalike`] | letters and names that pass for others |
//! | [`reputation`] | what is known of the sender, in the order in which it counts |
//! | [`tokens`] | a message cut into what the statistics count |
//! | [`words`] | the learned filter |
//! | [`verdict`] | policy, weights and the verdict |
//!
//! Reasons have weights in whole points: above zero they speak for spam, below zero for the sender;
//! a hundred is certainty. The spam folder is the end of every doubt. A message is refused only when
//! its author's domain asks for that and something else agrees, or when the operator wants it.

pub mod absurd;
pub mod connection;
pub mod evidence;
mod hypertext;
pub mod lookalike;
pub mod reputation;
pub mod tokens;
pub mod verdict;
mod weights;
pub mod words;

pub use evidence::{Authenticity, Evidence};
pub use reputation::{Known, ReputationOutcome, judge_reputation};
pub use tokens::{Token, tokens};
pub use verdict::{Judgement, SpamPolicy, judge};
pub use words::{Corpus, Counts, WordsOutcome, judge_words};
