//! Tokens to nodes, by the generic grammar of RFC 5228 §8.2; which commands there are is not known here.
//!
//! ```text
//! command   = identifier arguments (";" / block)
//! arguments = *argument [ test / test-list ]
//! argument  = string-list / number / tag
//! ```
//!
//! Blocks and tests stand at most [`MAX_NESTING`] deep in one another, a script has at most
//! [`MAX_SCRIPT_OCTETS`] octets, and [`MAX_LIST`] strings stand in a list: beyond is a fault.

use std::fmt;

use super::lexer::{Lexer, Position, Token};
use super::{Fault, MAX_NESTING, MAX_SCRIPT_OCTETS};

/// Strings in one list.
const MAX_LIST: usize = 10_000;
/// Arguments of one command.
const MAX_ARGUMENTS: usize = 100;

/// A command or test with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// In lower case: identifiers are case-insensitive (RFC 5228 §2.1).
    pub name: String,
    pub at: Position,
    pub arguments: Vec<Argument>,
    pub tests: Vec<Node>,
    /// Whether the tests stood in parentheses.
    pub listed: bool,
    /// `None` where a semicolon ended it; tests have none.
    pub block: Option<Vec<Node>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Argument {
    pub at: Position,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Tag(String),
    Number(u64),
    String(String),
    /// In brackets; the position of each.
    List(Vec<(String, Position)>),
}

/// Parses a script.
pub(crate) fn parse(source: &[u8]) -> Result<Vec<Node>, Fault> {
    let start = Position { line: 1, column: 1 };
    if source.len() > MAX_SCRIPT_OCTETS {
        return Err(start.fault(format!(
            "the script has {} octets, and at most {MAX_SCRIPT_OCTETS} are allowed: make it shorter",
            source.len()
        )));
    }
    let source = std::str::from_utf8(source).map_err(|error| {
        let before = &source[..error.valid_up_to()];
        let line = 1 + memchr::memchr_iter(b'\n', before).count() as u32;
        // RFC 5228 §2.1.
        Position { line, column: 1 }
            .fault("this line is not in UTF-8: save the script in that encoding")
    })?;
    let mut lexer = Lexer::new(source);
    let (token, at) = lexer.next()?;
    let mut parser = Parser { lexer, token, at, depth: 0 };
    let mut nodes = Vec::new();
    while parser.token != Token::End {
        nodes.push(parser.command()?);
    }
    Ok(nodes)
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    token: Token,
    at: Position,
    depth: usize,
}

impl Parser<'_> {
    /// Goes on to the next token and gives the one that was.
    fn take(&mut self) -> Result<Token, Fault> {
        let (token, at) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn is(&self, c: char) -> bool {
        self.token == Token::Punctuation(c)
    }

    fn expect(&mut self, c: char, why: &str) -> Result<(), Fault> {
        if self.is(c) {
            self.take()?;
            return Ok(());
        }
        Err(self.at.fault(format!("{} stands where \"{c}\" {why}", self.token.name())))
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= MAX_NESTING {
            return Err(self.at.fault(format!(
                "blocks and tests stand more than {MAX_NESTING} deep in one another: take it apart"
            )));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn identifier(&mut self, what: &str) -> Result<(String, Position), Fault> {
        let at = self.at;
        match &self.token {
            Token::Identifier(name) => {
                let name = name.to_ascii_lowercase();
                self.take()?;
                Ok((name, at))
            }
            other => Err(at.fault(format!("{} stands where {what} should begin", other.name()))),
        }
    }

    fn command(&mut self) -> Result<Node, Fault> {
        let (name, at) = self.identifier("a command")?;
        let mut node = self.arguments(name, at)?;
        if !self.is('{') {
            self.expect(';', "should end the command (or \"{\" begin a block)")?;
            return Ok(node);
        }
        let open = self.at;
        let block = self.deeper(|parser| {
            parser.take()?;
            let mut block = Vec::new();
            while !parser.is('}') {
                if parser.token == Token::End {
                    return Err(open.fault("this block never ends: close it with \"}\""));
                }
                block.push(parser.command()?);
            }
            parser.take()?;
            Ok(block)
        })?;
        node.block = Some(block);
        Ok(node)
    }

    fn arguments(&mut self, name: String, at: Position) -> Result<Node, Fault> {
        let mut node =
            Node { name, at, arguments: Vec::new(), tests: Vec::new(), listed: false, block: None };
        while let Some(argument) = self.argument()? {
            if node.arguments.len() >= MAX_ARGUMENTS {
                return Err(argument.at.fault("too many arguments: put strings into a list"));
            }
            node.arguments.push(argument);
        }
        match &self.token {
            Token::Identifier(_) => node.tests.push(self.deeper(Self::test)?),
            Token::Punctuation('(') => {
                node.listed = true;
                self.take()?;
                loop {
                    node.tests.push(self.deeper(Self::test)?);
                    if !self.is(',') {
                        break;
                    }
                    self.take()?;
                }
                self.expect(')', "should end the list of tests (or \",\" go on with it)")?;
            }
            _ => {}
        }
        Ok(node)
    }

    fn test(&mut self) -> Result<Node, Fault> {
        let (name, at) = self.identifier("a test")?;
        self.arguments(name, at)
    }

    fn argument(&mut self) -> Result<Option<Argument>, Fault> {
        let at = self.at;
        let value = match &self.token {
            Token::Tag(_) | Token::Number(_) | Token::String(_) => match self.take()? {
                Token::Tag(name) => Value::Tag(name),
                Token::Number(number) => Value::Number(number),
                Token::String(text) => Value::String(text),
                _ => return Ok(None),
            },
            Token::Punctuation('[') => Value::List(self.list()?),
            _ => return Ok(None),
        };
        Ok(Some(Argument { at, value }))
    }

    fn list(&mut self) -> Result<Vec<(String, Position)>, Fault> {
        self.take()?;
        let mut list = Vec::new();
        // Deviates: RFC 5228 §8.2 has no empty list; Pigeonhole has none either.
        loop {
            let at = self.at;
            let Token::String(_) = self.token else {
                return Err(at.fault(format!(
                    "{} stands where a string of the list should",
                    self.token.name()
                )));
            };
            if list.len() >= MAX_LIST {
                return Err(at.fault(format!("a list has at most {MAX_LIST} strings: split it")));
            }
            if let Token::String(text) = self.take()? {
                list.push((text, at));
            }
            if !self.is(',') {
                break;
            }
            self.take()?;
        }
        self.expect(']', "should end the list (or \",\" go on with it)")?;
        Ok(list)
    }
}

fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{c}")?;
    }
    f.write_str("\"")
}

impl Node {
    /// One for itself, a whole command with its block.
    fn write(&self, f: &mut fmt::Formatter<'_>, command: bool, indent: usize) -> fmt::Result {
        write!(f, "{}", self.name)?;
        for argument in &self.arguments {
            match &argument.value {
                Value::Tag(name) => write!(f, " :{name}")?,
                Value::Number(number) => write!(f, " {number}")?,
                Value::String(text) => {
                    f.write_str(" ")?;
                    write_string(f, text)?;
                }
                Value::List(list) => {
                    for (i, (text, _)) in list.iter().enumerate() {
                        f.write_str(if i == 0 { " [" } else { ", " })?;
                        write_string(f, text)?;
                    }
                    f.write_str("]")?;
                }
            }
        }
        for (i, test) in self.tests.iter().enumerate() {
            f.write_str(match (i, self.listed) {
                (0, true) => " (",
                (0, false) => " ",
                _ => ", ",
            })?;
            test.write(f, false, indent)?;
        }
        if self.listed {
            f.write_str(")")?;
        }
        match &self.block {
            None if command => f.write_str(";\r\n"),
            None => Ok(()),
            Some(block) => {
                f.write_str(" {\r\n")?;
                for node in block {
                    write!(f, "{:1$}", "", indent + 4)?;
                    node.write(f, true, indent + 4)?;
                }
                write!(f, "{:1$}}}\r\n", "", indent)
            }
        }
    }
}

/// A command as it could stand in a script.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, true, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_tests_and_blocks_nest() {
        let nodes =
            parse(b"if anyof (true, not header :is [\"a\", \"b\"] \"c\") { keep; } stop;").unwrap();
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[0].tests[0].name, "anyof");
        assert_eq!(nodes[0].tests[0].tests[1].tests[0].arguments.len(), 3);
        assert_eq!(nodes[0].block.as_ref().unwrap()[0].name, "keep");
        assert_eq!(nodes[1].at, Position { line: 1, column: 58 });
    }

    #[test]
    fn faults_say_what_to_do() {
        let fault = |source: &str| parse(source.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            fault("keep"),
            "line 1, column 5: the end of the script stands where \";\" should end the command \
             (or \"{\" begin a block)"
        );
        assert!(fault("if true { keep;").starts_with("line 1, column 9: this block never ends"));
        assert!(fault("fileinto [\"a\" \"b\"];").contains("should end the list"));
        assert!(fault("fileinto [];").contains("where a string of the list should"));
        assert!(fault(&"if true {".repeat(40)).contains("more than 32 deep"));
        assert!(parse(b"keep;\n\xff").unwrap_err().to_string().contains("line 2"));
    }
}
