//! Sieve (RFC 5228): the reader's own rules for arriving mail.
//!
//! ```text
//! octets ─lexer─▶ tokens ─parser─▶ nodes ─check─▶ Script      compile(): at upload, once
//! Script + Context + World ─run─▶ Outcome                     run(): at each delivery
//! ```
//!
//! [`compile`] finds every fault that can be found without a message and says where it is and what to
//! do. [`run`] decides and does nothing: what a script wants done comes back as [`Action`]s, with a
//! [`TraceStep`] for each, which join the message's journey. What a script asks of the world (does a
//! mailbox exist, was this message seen before) it asks of a [`World`], which answers at once; what it
//! knows of the delivery stands in the [`Context`].
//!
//! No script runs on: [`Limits`] bound steps, memory, actions, includes. A script that meets a limit, or
//! fails in any other way, ends in the implicit keep (RFC 5228 §2.10.6), with the error in the outcome.
//!
//! | module | what it holds |
//! |---|---|
//! | `lexer`, `parser` | octets to nodes, by the generic grammar of RFC 5228 §8 |
//! | `check` | nodes to commands and tests: `require`, arguments, extensions |
//! | [`extension`] | the extensions by name, and which a site allows |
//! | `text` | strings: encoded characters, variables |
//! | `matching` | match types and comparators; `pattern` and `regex` are two of the former |
//! | `mail` | the message as scripts see and change it |
//! | `address` | what stands in address fields, and parts of addresses |
//! | `commands` | one file for each group of commands |
//! | `test` | one file for each group of tests |
//! | [`world`] | what is passed in |
//! | [`outcome`] | what comes out |
//! | `run` | the state of a run, and its bounds |
//!
//! Extensions and their RFCs are listed in [`extension`]. Pigeonhole's behaviour is followed where an
//! RFC leaves room; `tests/pigeonhole.rs` compares.

mod address;
mod check;
mod commands;
pub mod extension;
mod letter;
mod lexer;
mod mail;
mod matching;
pub mod outcome;
mod parser;
mod pattern;
mod regex;
mod run;
mod test;
mod text;
pub mod world;

use std::fmt;
use std::sync::Arc;

pub use extension::Capabilities;
pub use outcome::{
    Action, Fcc, FileInto, Keep, Notification, Outcome, Redirect, Reject, Reply, RunError,
    TraceStep, Vacation, Version,
};
pub use world::{Context, DuplicateId, Limits, Location, Nowhere, World};

/// The longest script in octets.
pub const MAX_SCRIPT_OCTETS: usize = 1 << 20;
/// How deep blocks and tests may stand in one another, together.
pub const MAX_NESTING: usize = 32;
/// More faults than this are not listed.
pub const MAX_FAULTS: usize = 20;

/// A script that can be run. Cheap to clone.
#[derive(Clone)]
pub struct Script {
    program: Arc<check::Program>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("rules", &self.program.block.len()).finish()
    }
}

/// Why a text is not a script that can be run: every fault that was found, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError(pub Vec<Fault>);

/// Something wrong at one place of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if i > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ScriptError {}

/// Compiles a script. What it may `require` is what `capabilities` allow.
pub fn compile(
    source: impl AsRef<[u8]>,
    capabilities: &Capabilities,
) -> Result<Script, ScriptError> {
    let nodes = parser::parse(source.as_ref()).map_err(|fault| ScriptError(vec![fault]))?;
    let program = check::check(&nodes, capabilities).map_err(ScriptError)?;
    Ok(Script { program: Arc::new(program) })
}

/// Runs a script on a message. Never fails: a script that does ends in the implicit keep.
pub fn run(script: &Script, context: &Context<'_>, world: &dyn World) -> Outcome {
    run::run(script, context, world)
}

/// A script written out again from what was understood of it, for the property that this changes
/// nothing.
#[doc(hidden)]
pub fn reformat(source: &[u8]) -> Result<String, ScriptError> {
    let nodes = parser::parse(source).map_err(|fault| ScriptError(vec![fault]))?;
    Ok(nodes.iter().map(|node| node.to_string()).collect())
}
