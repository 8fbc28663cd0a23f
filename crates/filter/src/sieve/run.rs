//! The state of a run, and its bounds.
//!
//! Everything a command does goes through [`Run`]: it counts steps and octets, keeps variables, gathers
//! actions and knows which of them exclude each other (RFC 5429 §2.4, RFC 5230 §4.7). Whatever ends a run
//! early is a [`Halt`]; the outcome is then the implicit keep of the message as it came.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::check::Block;
use super::mail::Mail;
use super::outcome::RunErrorKind;
use super::text::Name;
use super::{Action, Context, DuplicateId, Keep, Outcome, RunError, Script, TraceStep, World};

/// Steps of a trace beyond this are not recorded.
const MAX_TRACE: usize = 500;
/// Characters of a step's text beyond this are cut off.
const MAX_TRACE_TEXT: usize = 200;
/// So many octets looked at count one step.
const OCTETS_PER_STEP: u64 = 64 << 10;

/// Why a run ends before its script does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Halt(pub RunErrorKind);

/// Where a script goes on after a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flow {
    /// With the next command.
    Next,
    /// Nowhere: `stop`.
    Stop,
    /// After the `include`: `return`.
    Return,
    /// After the loop of that name, or the innermost.
    Break(Option<String>),
}

/// The state of a run.
pub(crate) struct Run<'r> {
    pub context: &'r Context<'r>,
    pub world: &'r dyn World,
    /// The message as it is delivered.
    pub mail: Mail<'r>,
    /// The message as `redirect` sends it, where that differs: RFC 5703 §5 and §6.
    pub forwarded: Option<Mail<'r>>,
    /// The parts that the loops around the current command stand at, innermost last.
    pub loops: Vec<usize>,
    /// How many of them stand around the `include` of the script at work.
    pub outer_loops: usize,
    /// Whether `vacation` was run, with an answer or without.
    pub vacation_ran: bool,
    /// The internal variable of RFC 5232 §2.
    pub flags: Vec<String>,
    pub match_values: Vec<String>,
    /// Whether the script at work uses variables.
    pub variables_used: bool,
    /// The scripts at work, each with what is its own; the last one runs.
    pub scripts: Vec<Frame>,
    pub included: BTreeSet<String>,
    pub includes: usize,
    pub seen: Vec<DuplicateId>,
    globals: BTreeMap<String, String>,
    variables_octets: usize,
    actions: Vec<Action>,
    implicit_keep: bool,
    versions: Vec<super::Version>,
    version: Option<usize>,
    forwarded_version: Option<usize>,
    edits: usize,
    edited_octets: usize,
    steps_used: u64,
    octets_used: u64,
    random_used: u32,
    rule: u32,
    line: u32,
    trace: Vec<TraceStep>,
}

/// What is a script's own.
#[derive(Default)]
pub(crate) struct Frame {
    /// Where it was included from, and as what.
    pub name: Option<String>,
    variables: BTreeMap<String, String>,
    /// Declared by the command `global` (RFC 6609 §3.4.1).
    globals: BTreeSet<String>,
}

impl Frame {
    /// That of an included script.
    pub fn named(name: String) -> Frame {
        Frame { name: Some(name), ..Frame::default() }
    }
}

/// Runs a script.
pub(crate) fn run(script: &Script, context: &Context<'_>, world: &dyn World) -> Outcome {
    let mut run = Run::new(context, world);
    run.variables_used = script.program.variables;
    let ended = run.outermost(&script.program.block);
    let ended = ended.and_then(|()| run.implicit_keep());
    let mut outcome = Outcome {
        steps_used: run.steps_used,
        trace: std::mem::take(&mut run.trace),
        ..Outcome::default()
    };
    match ended {
        Ok(keep) => {
            outcome.actions = run.actions;
            outcome.keep = keep;
            outcome.versions = run.versions;
            outcome.seen = run.seen;
        }
        Err(Halt(kind)) => {
            // RFC 5228 §2.10.6.
            let error = RunError { line: run.line, kind };
            let text = cut(&format!("failed, so the message is kept: {}", error.kind));
            outcome.trace.push(TraceStep { rule: run.rule, line: run.line, text });
            outcome.keep = Some(Keep::default());
            outcome.error = Some(error);
        }
    }
    outcome
}

impl<'r> Run<'r> {
    fn new(context: &'r Context<'r>, world: &'r dyn World) -> Run<'r> {
        Run {
            context,
            world,
            mail: Mail::new(context.message),
            forwarded: None,
            loops: Vec::new(),
            outer_loops: 0,
            vacation_ran: false,
            flags: Vec::new(),
            match_values: Vec::new(),
            variables_used: false,
            scripts: vec![Frame::default()],
            included: BTreeSet::new(),
            includes: 0,
            seen: Vec::new(),
            globals: BTreeMap::new(),
            variables_octets: 0,
            actions: Vec::new(),
            implicit_keep: true,
            versions: Vec::new(),
            version: None,
            forwarded_version: None,
            edits: 0,
            edited_octets: 0,
            steps_used: 0,
            octets_used: 0,
            random_used: 0,
            rule: 0,
            line: 0,
            trace: Vec::new(),
        }
    }

    fn outermost(&mut self, block: &Block) -> Result<(), Halt> {
        for (i, step) in block.iter().enumerate() {
            self.rule = i as u32 + 1;
            if self.step(step)? != Flow::Next {
                break;
            }
        }
        Ok(())
    }

    /// Runs the commands of a block.
    pub fn block(&mut self, block: &Block) -> Result<Flow, Halt> {
        for step in block {
            match self.step(step)? {
                Flow::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Next)
    }

    fn step(&mut self, step: &super::check::Step) -> Result<Flow, Halt> {
        // Lines of included scripts are not those of the one a person looks at first.
        if self.scripts.len() == 1 {
            self.line = step.line;
        }
        self.charge(1)?;
        step.command.run(self)
    }

    /// Counts steps.
    pub fn charge(&mut self, steps: u64) -> Result<(), Halt> {
        self.steps_used = self.steps_used.saturating_add(steps);
        match self.steps_used > self.context.limits.steps {
            true => Err(self.limit("steps")),
            false => Ok(()),
        }
    }

    /// Counts octets that are looked at.
    pub fn charge_octets(&mut self, octets: usize) -> Result<(), Halt> {
        self.octets_used = self.octets_used.saturating_add(octets as u64);
        let steps = self.octets_used / OCTETS_PER_STEP;
        self.octets_used %= OCTETS_PER_STEP;
        self.charge(steps)
    }

    /// A limit is passed.
    pub fn limit(&self, of_what: &'static str) -> Halt {
        Halt(RunErrorKind::Limit(of_what))
    }

    /// A value is not what is needed.
    pub fn value_error(&self, why: impl Into<String>) -> Halt {
        Halt(RunErrorKind::Value(why.into()))
    }

    /// Records what was done.
    pub fn note(&mut self, text: impl AsRef<str>) {
        if self.trace.len() < MAX_TRACE {
            let mut text = cut(text.as_ref());
            if let Some(name) = self.scripts.last().and_then(|frame| frame.name.as_ref()) {
                text = cut(&format!("in \"{name}\": {text}"));
            }
            self.trace.push(TraceStep { rule: self.rule, line: self.line, text });
        }
    }

    /// Of what part the tests with `:mime` speak: the loop's, else the message.
    pub fn part(&self) -> usize {
        self.loops[self.outer_loops..].last().copied().unwrap_or(0)
    }

    /// Random octets for the next thing that needs some: all from those given.
    pub fn fresh_random(&mut self) -> [u8; 16] {
        self.random_used += 1;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.context.random);
        hasher.update(&self.random_used.to_be_bytes());
        let mut out = [0; 16];
        hasher.finalize_xof().fill(&mut out);
        out
    }

    // Variables.

    /// The value of a variable; empty where it was never set (RFC 5229 §3).
    pub fn variable(&self, name: &Name) -> &str {
        let value = match self.scripts.last() {
            Some(frame) if !name.global && !frame.globals.contains(&name.name) => {
                frame.variables.get(&name.name)
            }
            _ => self.globals.get(&name.name),
        };
        value.map_or("", String::as_str)
    }

    /// Sets a variable; what is too long is cut off (RFC 5229 §6).
    pub fn set_variable(&mut self, name: &Name, mut value: String) -> Result<(), Halt> {
        truncate(&mut value, self.context.limits.variable_octets);
        self.variables_octets += name.name.len() + value.len();
        let map = match self.scripts.last_mut() {
            Some(frame) if !name.global && !frame.globals.contains(&name.name) => {
                &mut frame.variables
            }
            _ => &mut self.globals,
        };
        if let Some(old) = map.insert(name.name.clone(), value) {
            self.variables_octets -= name.name.len() + old.len();
        }
        self.variables_fit()
    }

    /// Makes a name stand for the global variable of that name in the script at work.
    pub fn declare_global(&mut self, name: &str) {
        if let Some(frame) = self.scripts.last_mut() {
            frame.globals.insert(name.to_owned());
        }
    }

    /// Sets `${0}` and those after it.
    pub fn set_match_values(&mut self, mut values: Vec<String>) -> Result<(), Halt> {
        let octets = |values: &[String]| values.iter().map(String::len).sum::<usize>();
        for value in &mut values {
            truncate(value, self.context.limits.variable_octets);
        }
        self.variables_octets += octets(&values);
        self.variables_octets -= octets(&self.match_values);
        self.match_values = values;
        self.variables_fit()
    }

    /// Forgets the variables of a script that is done, and takes back the match variables of the one that
    /// included it.
    pub fn leave_script(&mut self, match_values: Vec<String>) {
        if let Some(frame) = self.scripts.pop() {
            let octets = frame.variables.iter().map(|(name, value)| name.len() + value.len());
            self.variables_octets -= octets.sum::<usize>();
        }
        // Those taken back were counted all the time.
        self.variables_octets -= self.match_values.iter().map(String::len).sum::<usize>();
        self.match_values = match_values;
    }

    fn variables_fit(&self) -> Result<(), Halt> {
        match self.variables_octets > self.context.limits.variables_octets {
            true => Err(self.limit("octets of variables")),
            false => Ok(()),
        }
    }

    // Actions.

    /// The implicit keep will not take place (RFC 5228 §2.10.2).
    pub fn cancel_implicit_keep(&mut self) {
        self.implicit_keep = false;
    }

    /// What was decided until now.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// Adds an action: unless it is there already, or excludes one that is.
    pub fn act(&mut self, action: Action) -> Result<(), Halt> {
        if self.vacation_ran && Kind::of(&action) == Kind::Rejects {
            return Err(Halt(RunErrorKind::Conflict("vacation", name(&action))));
        }
        for other in &self.actions {
            let (a, b) = (Kind::of(&action), Kind::of(other));
            if a.excludes(b) || b.excludes(a) {
                return Err(Halt(RunErrorKind::Conflict(name(other), name(&action))));
            }
        }
        if self.merge(&action) {
            return Ok(());
        }
        if self.actions.len() >= self.context.limits.actions {
            return Err(self.limit("actions"));
        }
        let alike = |kind: fn(&Action) -> bool| self.actions.iter().filter(|a| kind(a)).count();
        match &action {
            Action::Redirect(_) => {
                let redirects = alike(|action| matches!(action, Action::Redirect(_)));
                if redirects >= self.context.limits.redirects {
                    return Err(self.limit("redirects"));
                }
            }
            Action::Notify(_) => {
                let notifications = alike(|action| matches!(action, Action::Notify(_)));
                if notifications >= self.context.limits.notifications {
                    return Err(self.limit("notifications"));
                }
            }
            _ => {}
        }
        self.actions.push(action);
        Ok(())
    }

    /// Lets an action that repeats another change that one (RFC 5228 §2.10.3). The flags of the later
    /// one count, as with Pigeonhole.
    fn merge(&mut self, action: &Action) -> bool {
        for other in &mut self.actions {
            match (other, action) {
                (Action::Keep(old), Action::Keep(new)) if old.version == new.version => {
                    old.flags.clone_from(&new.flags);
                }
                (Action::FileInto(old), Action::FileInto(new))
                    if same_mailbox(&old.mailbox, &new.mailbox)
                        && old.version == new.version
                        && old.special_use == new.special_use =>
                {
                    old.flags.clone_from(&new.flags);
                    old.create |= new.create;
                    old.copy &= new.copy;
                }
                (Action::FileInto(old), Action::Keep(new))
                    if is_inbox(&old.mailbox) && old.version == new.version =>
                {
                    old.flags.clone_from(&new.flags);
                }
                (Action::Keep(old), Action::FileInto(new))
                    if is_inbox(&new.mailbox) && old.version == new.version =>
                {
                    old.flags.clone_from(&new.flags);
                }
                (Action::Redirect(old), Action::Redirect(new)) if old.address == new.address => {
                    old.copy &= new.copy;
                }
                (Action::Discard, Action::Discard) => {}
                _ => continue,
            }
            return true;
        }
        false
    }

    /// What the implicit keep comes to at the end of the script.
    fn implicit_keep(&mut self) -> Result<Option<Keep>, Halt> {
        if !self.implicit_keep {
            return Ok(None);
        }
        // RFC 5232 §2: the internal variable counts here too.
        let keep = Keep { flags: self.flags.clone(), version: self.version()? };
        let filed = self.actions.iter_mut().any(|action| match action {
            Action::FileInto(old) if is_inbox(&old.mailbox) && old.version == keep.version => {
                old.copy = false;
                true
            }
            Action::Keep(_) => true,
            _ => false,
        });
        if filed {
            return Ok(None);
        }
        self.note("implicit keep");
        Ok(Some(keep))
    }

    // Changes of the message.

    /// Before `replace` and `enclose`, of which `redirect` is to know nothing (RFC 5703 §5, §6).
    pub fn part_ways(&mut self) -> Result<(), Halt> {
        if self.forwarded.is_none() {
            self.charge_edited(self.mail.octets())?;
            self.forwarded = Some(self.mail.clone());
        }
        Ok(())
    }

    /// Counts a change of the message. What was made of it before is no longer current.
    pub fn changed(&mut self) -> Result<(), Halt> {
        self.edits += 1;
        self.version = None;
        self.forwarded_version = None;
        match self.edits > self.context.limits.edits {
            true => Err(self.limit("changes of the message")),
            false => Ok(()),
        }
    }

    /// The message as it stands now, for an action that delivers it.
    pub fn version(&mut self) -> Result<Option<usize>, Halt> {
        if !self.mail.is_changed() {
            return Ok(None);
        }
        if self.version.is_none() {
            let version = self.mail.version();
            self.version = Some(self.keep_version(version)?);
        }
        Ok(self.version)
    }

    /// The message as it stands now, for `redirect`.
    pub fn forwarded_version(&mut self) -> Result<Option<usize>, Halt> {
        let Some(mail) = &self.forwarded else { return self.version() };
        if !mail.is_changed() {
            return Ok(None);
        }
        if self.forwarded_version.is_none() {
            let version = mail.version();
            self.forwarded_version = Some(self.keep_version(version)?);
        }
        Ok(self.forwarded_version)
    }

    fn keep_version(&mut self, version: super::Version) -> Result<usize, Halt> {
        let octets = version.header.len() + version.body.as_ref().map_or(0, Vec::len);
        self.charge_edited(octets)?;
        self.versions.push(version);
        Ok(self.versions.len() - 1)
    }

    /// Counts octets that changed messages take.
    pub fn charge_edited(&mut self, octets: usize) -> Result<(), Halt> {
        self.edited_octets = self.edited_octets.saturating_add(octets);
        match self.edited_octets > self.context.limits.edited_octets {
            true => Err(self.limit("octets of changed messages")),
            false => self.charge_octets(octets),
        }
    }
}

/// What actions are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Delivers,
    Answers,
    Rejects,
    Other,
}

impl Kind {
    fn of(action: &Action) -> Kind {
        match action {
            Action::Keep(_) | Action::FileInto(_) | Action::Redirect(_) => Kind::Delivers,
            Action::Vacation(_) => Kind::Answers,
            Action::Reject(_) => Kind::Rejects,
            Action::Discard | Action::Notify(_) => Kind::Other,
        }
    }

    /// RFC 5429 §2.4: what is rejected is neither delivered nor answered. RFC 5230 §4.7: one answer.
    fn excludes(self, other: Kind) -> bool {
        match self {
            Kind::Rejects => other != Kind::Other,
            Kind::Answers => other == Kind::Answers,
            _ => false,
        }
    }
}

fn name(action: &Action) -> &'static str {
    match action {
        Action::Keep(_) => "keep",
        Action::FileInto(_) => "fileinto",
        Action::Redirect(_) => "redirect",
        Action::Discard => "discard",
        Action::Reject(reject) if reject.ereject => "ereject",
        Action::Reject(_) => "reject",
        Action::Vacation(_) => "vacation",
        Action::Notify(_) => "notify",
    }
}

/// `INBOX` is case-insensitive (RFC 9051 §5.1).
fn is_inbox(mailbox: &str) -> bool {
    mailbox.eq_ignore_ascii_case("INBOX")
}

fn same_mailbox(a: &str, b: &str) -> bool {
    a == b || (is_inbox(a) && is_inbox(b))
}

/// Cuts at a character.
pub(crate) fn truncate(text: &mut String, octets: usize) {
    if text.len() > octets {
        let end = (0..=octets).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}

/// One line of bounded length.
fn cut(text: &str) -> String {
    let mut line: String =
        text.chars().take(MAX_TRACE_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_TRACE_TEXT).is_some() {
        line.push('…');
    }
    line
}
