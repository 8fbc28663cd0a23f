//! Nodes to a program: `require` obeyed, commands and tests known, arguments of the right kind.
//!
//! A command's file says which tags it knows ([`Tag`]) and takes its positional arguments one by one
//! from [`Bound`]; what it leaves is a fault. Faults are gathered, so that a person sees them all.
//!
//! What stands in a branch that `ihave` rules out is not looked at (RFC 5463 §4).

use std::cell::Cell;
use std::collections::BTreeSet;

use super::commands::{self, control};
use super::extension::{self, Capabilities};
use super::lexer::Position;
use super::parser::{Argument, Node, Value};
use super::run::{Flow, Halt, Run};
use super::text::{Text, decode_characters};
use super::{Fault, MAX_FAULTS, test};

/// What a script compiles to.
pub(crate) struct Program {
    pub block: Block,
    /// Whether match variables are to be kept.
    pub variables: bool,
}

/// Commands one after another.
pub(crate) type Block = Vec<Step>;

/// A command and where it stands.
pub(crate) struct Step {
    pub line: u32,
    pub command: Box<dyn Command>,
}

/// A command that can be run.
pub(crate) trait Command: Send + Sync {
    fn run(&self, run: &mut Run<'_>) -> Result<Flow, Halt>;
}

/// A test that can be asked.
pub(crate) trait Test: Send + Sync {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt>;
    /// The answer, where it is the same for every message.
    fn constant(&self) -> Option<bool> {
        None
    }
}

/// How the file of a command or test makes it from a node.
pub(crate) type Compile<T> = fn(&Node, &mut Checker<'_>) -> Result<Box<T>, Fault>;

/// A row in the tables of commands and tests: its name, the extension it needs (or none), its maker.
pub(crate) struct Entry<T: ?Sized>(pub &'static str, pub &'static str, pub Compile<T>);

/// Checks a whole script.
pub(crate) fn check(nodes: &[Node], capabilities: &Capabilities) -> Result<Program, Vec<Fault>> {
    let mut checker = Checker {
        capabilities,
        required: BTreeSet::new(),
        faults: Vec::new(),
        loops: Vec::new(),
        ihave_asked: false,
        expressions: Cell::new(0),
    };
    let requires = nodes.iter().take_while(|node| node.name == "require").count();
    for node in &nodes[..requires] {
        if let Err(fault) = checker.require(node) {
            checker.faults.push(fault);
        }
    }
    let block = checker.block(&nodes[requires..]);
    let variables = checker.has("variables");
    match checker.faults.is_empty() {
        true => Ok(Program { block, variables }),
        false => Err(checker.faults),
    }
}

pub(crate) struct Checker<'c> {
    pub capabilities: &'c Capabilities,
    required: BTreeSet<&'static str>,
    faults: Vec<Fault>,
    /// The names of the `foreverypart` loops around the command being checked.
    pub loops: Vec<Option<String>>,
    /// Whether the test being checked asks `ihave`.
    pub ihave_asked: bool,
    /// How many regular expressions were compiled: each stays in memory with the script.
    pub expressions: Cell<usize>,
}

impl Checker<'_> {
    /// RFC 5228 §3.2.
    fn require(&mut self, node: &Node) -> Result<(), Fault> {
        let mut bound = self.bind(node, &[])?;
        let names = bound.next_constants("the names of extensions")?;
        bound.done()?;
        for (name, at) in names {
            match self.capabilities.find(&name) {
                Some(name) => self.enable(name),
                None => self.faults.push(at.fault(format!(
                    "the extension \"{name}\" is not available here: remove what needs it{}",
                    suggestion(&name, self.capabilities)
                ))),
            }
        }
        Ok(())
    }

    /// From here on the script may use that extension, and what comes with it.
    pub fn enable(&mut self, name: &'static str) {
        self.required.insert(name);
        match name {
            // RFC 5235 §2.1, RFC 6131 §2.
            "spamtestplus" => self.required.insert("spamtest"),
            "vacation-seconds" => self.required.insert("vacation"),
            _ => true,
        };
    }

    /// Whether the script may use that extension.
    pub fn has(&self, extension: &str) -> bool {
        extension.is_empty()
            // RFC 5228 §2.7.3: these need no `require`.
            || matches!(extension, "comparator-i;octet" | "comparator-i;ascii-casemap")
            || self.required.contains(extension)
    }

    /// A fault when the script may not use that extension.
    pub fn needs(&self, extension: &str, at: Position, what: &str) -> Result<(), Fault> {
        if self.has(extension) {
            return Ok(());
        }
        let defined = extension::ALL.iter().any(|(name, _)| *name == extension);
        Err(at.fault(match defined && self.capabilities.allow(extension) {
            true => format!("{what} needs an extension: put require \"{extension}\"; at the top"),
            false => format!(
                "{what} needs the extension \"{extension}\", which is not available here: remove it"
            ),
        }))
    }

    /// The commands of a block, of the outermost one too.
    pub fn block(&mut self, nodes: &[Node]) -> Block {
        let mut block = Vec::new();
        let mut at = 0;
        while at < nodes.len() && self.faults.len() < MAX_FAULTS {
            let node = &nodes[at];
            let chain = match node.name.as_str() {
                "if" => control::chain_length(&nodes[at..]),
                _ => 1,
            };
            match self.command(&nodes[at..at + chain]) {
                Ok(command) => block.push(Step { line: node.at.line, command }),
                Err(fault) => self.faults.push(fault),
            }
            at += chain;
        }
        block
    }

    /// One command; an `if` comes with its `elsif` and `else`.
    fn command(&mut self, nodes: &[Node]) -> Result<Box<dyn Command>, Fault> {
        let node = &nodes[0];
        if node.name == "if" {
            return control::compile_if(nodes, self);
        }
        let Some(Entry(_, extension, compile)) =
            commands::ALL.iter().find(|entry| entry.0 == node.name)
        else {
            return Err(node.at.fault(unknown_command(&node.name)));
        };
        self.needs(extension, node.at, &format!("\"{}\"", node.name))?;
        compile(node, self)
    }

    /// One test.
    pub fn test(&mut self, node: &Node) -> Result<Box<dyn Test>, Fault> {
        if let Some(block) = node.block.as_ref().and_then(|block| block.first()) {
            return Err(block.at.fault("a test has no block"));
        }
        let Some(Entry(_, extension, compile)) =
            test::ALL.iter().find(|entry| entry.0 == node.name)
        else {
            return Err(node.at.fault(unknown_test(&node.name)));
        };
        self.needs(extension, node.at, &format!("the test \"{}\"", node.name))?;
        compile(node, self)
    }

    /// A string with its encoded characters undone and its variables found, as far as the script uses
    /// those extensions.
    pub fn text(&self, text: &str, at: Position) -> Result<Text, Fault> {
        let decoded;
        let text = match self.has("encoded-character") && text.contains("${") {
            true => {
                decoded = decode_characters(text).map_err(|why| at.fault(why))?;
                &decoded
            }
            false => text,
        };
        match self.has("variables") && text.contains("${") {
            true => Text::with_variables(text, self.has("include")).map_err(|why| at.fault(why)),
            false => Ok(Text::literal(text)),
        }
    }

    /// Sorts the arguments of a command or test that has neither tests nor a block.
    pub fn bind<'n>(&self, node: &'n Node, tags: &[&'static [Tag]]) -> Result<Bound<'n>, Fault> {
        if let Some(test) = node.tests.first() {
            return Err(test.at.fault(format!(
                "\"{}\" takes no test: perhaps a \";\" is missing before this",
                node.name
            )));
        }
        if node.block.is_some() {
            return Err(node
                .at
                .fault(format!("\"{}\" takes no block: end it with \";\"", node.name)));
        }
        self.bind_arguments(node, tags)
    }

    /// Sorts the arguments only.
    pub fn bind_arguments<'n>(
        &self,
        node: &'n Node,
        tags: &[&'static [Tag]],
    ) -> Result<Bound<'n>, Fault> {
        let mut bound =
            Bound { name: &node.name, at: node.at, tags: Vec::new(), positional: Vec::new() };
        let mut arguments = node.arguments.iter();
        while let Some(argument) = arguments.next() {
            let Value::Tag(name) = &argument.value else {
                bound.positional.push(argument);
                continue;
            };
            let known = tags.iter().copied().flatten().find(|tag| tag.name == name);
            let Some(tag) = known else {
                return Err(argument.at.fault(unknown_tag(name, &node.name, tags)));
            };
            // RFC 5228 §2.6.2.
            if let Some(first) = bound.positional.first() {
                return Err(argument.at.fault(format!(
                    "\":{name}\" must stand before {}: move it forward",
                    first.value.name()
                )));
            }
            self.needs(tag.extension, argument.at, &format!("\":{name}\""))?;
            if let Some(other) = bound.tags.iter().find(|(other, ..)| {
                other.name == tag.name || (!tag.group.is_empty() && other.group == tag.group)
            }) {
                return Err(argument.at.fault(match other.0.name == tag.name {
                    true => format!("\":{name}\" stands here twice: remove one"),
                    false => format!(
                        "\":{}\" and \":{name}\" exclude each other: remove one",
                        other.0.name
                    ),
                }));
            }
            let value = match tag.takes {
                Takes::Nothing => None,
                takes => {
                    let value = arguments.next().filter(|value| takes.accepts(&value.value));
                    if value.is_none() {
                        return Err(argument
                            .at
                            .fault(format!("after \":{name}\" must stand {}", takes.name())));
                    }
                    value
                }
            };
            bound.tags.push((tag, argument.at, value));
        }
        Ok(bound)
    }
}

fn suggestion(name: &str, capabilities: &Capabilities) -> String {
    let lower = name.to_ascii_lowercase();
    let near = capabilities.names().find(|known| {
        *known == lower || (lower.len() > 3 && (known.contains(&lower) || lower.contains(known)))
    });
    match (lower.as_str(), near) {
        ("imapflags", _) => ", or take its successor \"imap4flags\"".into(),
        ("notify", _) => ", or take its successor \"enotify\"".into(),
        (_, Some(known)) => format!(", or did you mean \"{known}\"?"),
        _ => String::new(),
    }
}

fn unknown_command(name: &str) -> String {
    match name {
        "require" => "\"require\" must stand before all other commands: move it to the top".into(),
        "elsif" | "else" => format!("\"{name}\" must follow the block of an \"if\""),
        name if test::ALL.iter().any(|entry| entry.0 == name) => {
            format!("\"{name}\" is a test, not a command: write if {name} … {{ … }}")
        }
        name => format!("there is no command \"{name}\": check its spelling"),
    }
}

fn unknown_test(name: &str) -> String {
    match commands::ALL.iter().any(|entry| entry.0 == name) {
        true => format!("\"{name}\" is a command, not a test: it belongs into a block"),
        false => format!("there is no test \"{name}\": check its spelling"),
    }
}

fn unknown_tag(name: &str, command: &str, tags: &[&'static [Tag]]) -> String {
    let known: Vec<String> =
        tags.iter().copied().flatten().map(|tag| format!(":{}", tag.name)).collect();
    match known.is_empty() {
        true => format!("\"{command}\" has no tags, so none \":{name}\": remove it"),
        false => format!("\"{command}\" has no tag \":{name}\": it has {}", known.join(", ")),
    }
}

/// What a tag or a place takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    Number,
    String,
    Strings,
}

impl Takes {
    fn accepts(self, value: &Value) -> bool {
        match self {
            Takes::Nothing => false,
            Takes::Number => matches!(value, Value::Number(_)),
            Takes::String => matches!(value, Value::String(_)),
            // RFC 5228 §2.4.2.1: a string is a list of one.
            Takes::Strings => matches!(value, Value::String(_) | Value::List(_)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Takes::Nothing => "nothing",
            Takes::Number => "a number",
            Takes::String => "a string in double quotes",
            Takes::Strings => "a string in double quotes, or a list of them in brackets",
        }
    }
}

impl Value {
    fn name(&self) -> String {
        match self {
            Value::Tag(name) => format!("the tag \":{name}\""),
            Value::Number(number) => format!("the number {number}"),
            Value::String(text) if text.chars().count() <= 30 => format!("the string \"{text}\""),
            Value::String(_) => "the string".to_owned(),
            Value::List(_) => "the list".to_owned(),
        }
    }
}

/// A tag that a command knows.
#[derive(Debug)]
pub(crate) struct Tag {
    pub name: &'static str,
    pub takes: Takes,
    /// Needed for it; empty for none.
    pub extension: &'static str,
    /// Of a group only one tag may stand; empty for none.
    pub group: &'static str,
}

impl Tag {
    pub const fn new(name: &'static str, takes: Takes, extension: &'static str) -> Tag {
        Tag { name, takes, extension, group: "" }
    }
}

/// The arguments of a command, sorted.
pub(crate) struct Bound<'n> {
    pub name: &'n str,
    pub at: Position,
    tags: Vec<(&'static Tag, Position, Option<&'n Argument>)>,
    positional: Vec<&'n Argument>,
}

impl<'n> Bound<'n> {
    /// Whether a tag stands there.
    pub fn flag(&self, name: &str) -> bool {
        self.tags.iter().any(|(tag, ..)| tag.name == name)
    }

    /// Where a tag stands.
    pub fn place(&self, name: &str) -> Option<Position> {
        self.tags.iter().find(|(tag, ..)| tag.name == name).map(|(_, at, _)| *at)
    }

    /// The tag of a group that stands there.
    pub fn of_group(&self, group: &str) -> Option<(&'static str, Position)> {
        self.tags.iter().find(|(tag, ..)| tag.group == group).map(|(tag, at, _)| (tag.name, *at))
    }

    fn value(&self, name: &str) -> Option<&'n Argument> {
        self.tags.iter().find(|(tag, ..)| tag.name == name).and_then(|(.., value)| *value)
    }

    /// The number a tag takes.
    pub fn number_of(&self, name: &str) -> Option<u64> {
        match self.value(name)?.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The string a tag takes, and where.
    pub fn text_of(&self, name: &str, checker: &Checker<'_>) -> Result<Option<Text>, Fault> {
        match self.value(name) {
            Some(Argument { value: Value::String(text), at }) => checker.text(text, *at).map(Some),
            _ => Ok(None),
        }
    }

    /// The string a tag takes as written.
    pub fn string_of(&self, name: &str) -> Option<(&'n str, Position)> {
        match self.value(name) {
            Some(Argument { value: Value::String(text), at }) => Some((text, *at)),
            _ => None,
        }
    }

    /// The strings a tag takes.
    pub fn texts_of(&self, name: &str, checker: &Checker<'_>) -> Result<Option<Vec<Text>>, Fault> {
        self.value(name).map(|argument| texts(argument, checker)).transpose()
    }

    /// How many positional arguments are left.
    pub fn left(&self) -> usize {
        self.positional.len()
    }

    fn next(&mut self, takes: Takes, what: &str) -> Result<&'n Argument, Fault> {
        let Some(argument) = self.positional.first().copied() else {
            return Err(self.at.fault(format!(
                "\"{}\" lacks an argument: {what} ({})",
                self.name,
                takes.name()
            )));
        };
        if !takes.accepts(&argument.value) {
            return Err(argument.at.fault(format!(
                "{} stands where \"{}\" takes {what}: that is {}",
                argument.value.name(),
                self.name,
                takes.name()
            )));
        }
        self.positional.remove(0);
        Ok(argument)
    }

    /// The next positional argument: a string.
    pub fn next_text(&mut self, what: &str, checker: &Checker<'_>) -> Result<Text, Fault> {
        let argument = self.next(Takes::String, what)?;
        match &argument.value {
            Value::String(text) => checker.text(text, argument.at),
            _ => Ok(Text::literal("")),
        }
    }

    /// The next positional argument: a string that may have no variables.
    pub fn next_constant(&mut self, what: &str) -> Result<(&'n str, Position), Fault> {
        let argument = self.next(Takes::String, what)?;
        match &argument.value {
            Value::String(text) => Ok((text, argument.at)),
            _ => Ok(("", argument.at)),
        }
    }

    /// The next positional argument: strings.
    pub fn next_texts(&mut self, what: &str, checker: &Checker<'_>) -> Result<Vec<Text>, Fault> {
        texts(self.next(Takes::Strings, what)?, checker)
    }

    /// The next positional argument: strings that may have no variables.
    pub fn next_constants(&mut self, what: &str) -> Result<Vec<(String, Position)>, Fault> {
        let argument = self.next(Takes::Strings, what)?;
        Ok(match &argument.value {
            Value::String(text) => vec![(text.clone(), argument.at)],
            Value::List(list) => list.clone(),
            _ => Vec::new(),
        })
    }

    /// The next positional argument: a number.
    pub fn next_number(&mut self, what: &str) -> Result<u64, Fault> {
        match self.next(Takes::Number, what)?.value {
            Value::Number(number) => Ok(number),
            _ => Ok(0),
        }
    }

    /// All arguments were taken.
    pub fn done(&self) -> Result<(), Fault> {
        match self.positional.first() {
            None => Ok(()),
            Some(argument) => Err(argument.at.fault(format!(
                "{} is one argument more than \"{}\" takes: remove it",
                argument.value.name(),
                self.name
            ))),
        }
    }
}

fn texts(argument: &Argument, checker: &Checker<'_>) -> Result<Vec<Text>, Fault> {
    match &argument.value {
        Value::String(text) => Ok(vec![checker.text(text, argument.at)?]),
        Value::List(list) => list.iter().map(|(text, at)| checker.text(text, *at)).collect(),
        _ => Ok(Vec::new()),
    }
}
