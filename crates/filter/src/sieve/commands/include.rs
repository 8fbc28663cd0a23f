//! `include`, `return` and `global` (RFC 6609): scripts in scripts.
//!
//! Which script a name means is asked of the world when it is needed, so that a script may be uploaded
//! before those it includes (§3.2). A script that includes itself, through others or at once, is an error
//! (§3.2), and so are too many.

use crate::sieve::check::{Checker, Command, Tag, Takes};
use crate::sieve::outcome::RunErrorKind;
use crate::sieve::parser::Node;
use crate::sieve::run::{Flow, Frame, Halt, Run};
use crate::sieve::text::Name;
use crate::sieve::{Fault, Location};

const TAGS: &[Tag] = &[
    Tag { name: "personal", takes: Takes::Nothing, extension: "include", group: "location" },
    Tag { name: "global", takes: Takes::Nothing, extension: "include", group: "location" },
    Tag::new("once", Takes::Nothing, "include"),
    Tag::new("optional", Takes::Nothing, "include"),
];

struct Include {
    name: String,
    location: Location,
    once: bool,
    optional: bool,
}

/// `include`.
pub(crate) fn compile(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    let mut bound = checker.bind(node, &[TAGS])?;
    // RFC 6609 §3.2: the name is constant.
    let (name, at) = bound.next_constant("the name of a script")?;
    bound.done()?;
    if checker.text(name, at)?.constant().is_none() {
        return Err(at.fault("the name of an included script may have no variables in it"));
    }
    if name.is_empty() || name.len() > 512 || name.chars().any(|c| c.is_control() || c == '/') {
        return Err(at.fault("this cannot be the name of a script"));
    }
    let location = match bound.of_group("location") {
        Some(("global", _)) => Location::Global,
        _ => Location::Personal,
    };
    Ok(Box::new(Include {
        name: name.to_owned(),
        location,
        once: bound.flag("once"),
        optional: bound.flag("optional"),
    }))
}

impl Command for Include {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        let key = match self.location {
            Location::Personal => self.name.clone(),
            Location::Global => format!(":global/{}", self.name),
        };
        if self.once && run.included.contains(&key) {
            return Ok(Flow::Next);
        }
        if run.scripts.iter().any(|frame| frame.name.as_ref() == Some(&key)) {
            return Err(include_error(format!("the script \"{}\" includes itself", self.name)));
        }
        run.includes += 1;
        if run.scripts.len() > run.context.limits.include_depth {
            return Err(run.limit("scripts included in one another"));
        }
        if run.includes > run.context.limits.includes {
            return Err(run.limit("included scripts"));
        }
        let Some(script) = run.world.included(&self.name, self.location) else {
            if self.optional {
                run.note(format!("include \"{}\": there is none, which is allowed", self.name));
                return Ok(Flow::Next);
            }
            return Err(include_error(format!(
                "there is no script \"{}\" to include, or it has faults: upload it again",
                self.name
            )));
        };
        run.note(format!("include \"{}\"", self.name));
        run.included.insert(key.clone());
        run.scripts.push(Frame::named(key));
        let match_values = std::mem::take(&mut run.match_values);
        let variables_used = std::mem::replace(&mut run.variables_used, script.program.variables);
        // A loop of the including script is none of the included one.
        let outer_loops = std::mem::replace(&mut run.outer_loops, run.loops.len());
        let flow = run.block(&script.program.block);
        run.outer_loops = outer_loops;
        run.variables_used = variables_used;
        run.leave_script(match_values);
        Ok(match flow? {
            Flow::Stop => Flow::Stop,
            _ => Flow::Next,
        })
    }
}

fn include_error(why: String) -> Halt {
    Halt(RunErrorKind::Include(why))
}

struct Return;

/// `return`.
pub(crate) fn compile_return(
    node: &Node,
    checker: &mut Checker<'_>,
) -> Result<Box<dyn Command>, Fault> {
    checker.bind(node, &[])?.done()?;
    Ok(Box::new(Return))
}

impl Command for Return {
    /// Outside of an included script this is `stop` (RFC 6609 §3.3).
    fn run(&self, _run: &mut Run<'_>) -> Result<Flow, Halt> {
        Ok(Flow::Return)
    }
}

struct Global {
    names: Vec<String>,
}

/// `global`.
pub(crate) fn global(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Command>, Fault> {
    checker.needs("variables", node.at, "\"global\"")?;
    let mut bound = checker.bind(node, &[])?;
    let given = bound.next_constants("the names of variables")?;
    bound.done()?;
    let mut names = Vec::new();
    for (name, at) in given {
        let name = Name::parse(&name, false).map_err(|why| at.fault(why))?;
        names.push(name.name);
    }
    Ok(Box::new(Global { names }))
}

impl Command for Global {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt> {
        self.names.iter().for_each(|name| run.declare_global(name));
        Ok(Flow::Next)
    }
}
