//! Octets to tokens (RFC 5228 §8.1).
//!
//! White space and comments are passed over. Line ends inside strings become CRLF, as which a script
//! that was edited with bare LF was meant (RFC 5228 §2.2).

use super::Fault;

/// Where something stands in a script; both are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub line: u32,
    pub column: u32,
}

impl Position {
    /// Something wrong here.
    pub fn fault(self, message: impl Into<String>) -> Fault {
        Fault { line: self.line, column: self.column, message: message.into() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Identifier(String),
    /// Without its colon, in lower case: tags are case-insensitive (RFC 5228 §2.6.2).
    Tag(String),
    Number(u64),
    String(String),
    /// One of `[](){},;`.
    Punctuation(char),
    End,
}

impl Token {
    /// As a person would name it.
    pub fn name(&self) -> String {
        match self {
            Token::Identifier(name) => format!("the word \"{name}\""),
            Token::Tag(name) => format!("the tag \":{name}\""),
            Token::Number(number) => format!("the number {number}"),
            Token::String(_) => "a string".to_owned(),
            Token::Punctuation(c) => format!("\"{c}\""),
            Token::End => "the end of the script".to_owned(),
        }
    }
}

pub(crate) struct Lexer<'s> {
    source: &'s str,
    at: usize,
    /// Where `line` begins.
    line_start: usize,
    line: u32,
}

impl<'s> Lexer<'s> {
    pub fn new(source: &'s str) -> Lexer<'s> {
        // A byte order mark is what some editors begin a file with.
        let start = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Lexer { source, at: start, line_start: start, line: 1 }
    }

    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    fn position(&self) -> Position {
        // Counting characters of a line costs at most one look at each per token; a script that is
        // one line of a megabyte counts octets instead.
        let before = &self.source[self.line_start..self.at];
        let column = if before.len() < 4096 { before.chars().count() } else { before.len() };
        Position { line: self.line, column: column as u32 + 1 }
    }

    /// Goes to `end`, counting lines.
    fn advance_to(&mut self, end: usize) {
        let passed = &self.source.as_bytes()[self.at..end];
        for lf in memchr::memchr_iter(b'\n', passed) {
            self.line += 1;
            self.line_start = self.at + lf + 1;
        }
        self.at = end;
    }

    /// The next token and where it begins.
    pub fn next(&mut self) -> Result<(Token, Position), Fault> {
        self.skip_blank()?;
        let position = self.position();
        let token = match self.peek() {
            None => Token::End,
            Some(c @ (b'[' | b']' | b'(' | b')' | b'{' | b'}' | b',' | b';')) => {
                self.at += 1;
                Token::Punctuation(c as char)
            }
            Some(b'"') => Token::String(self.quoted(position)?),
            Some(b':') => {
                self.at += 1;
                let name = self.identifier();
                if name.is_empty() {
                    return Err(position.fault("a colon begins a tag: put its name right after it"));
                }
                Token::Tag(name.to_ascii_lowercase())
            }
            Some(b) if b.is_ascii_digit() => self.number(position)?,
            Some(b) if b.is_ascii_alphabetic() || b == b'_' => {
                let name = self.identifier();
                if name.eq_ignore_ascii_case("text") && self.peek() == Some(b':') {
                    self.at += 1;
                    Token::String(self.multi_line(position)?)
                } else {
                    Token::Identifier(name.to_owned())
                }
            }
            Some(_) => {
                let c = self.rest().chars().next().unwrap_or_default();
                let what = if c.is_control() {
                    format!("the control character U+{:04X}", u32::from(c))
                } else {
                    format!("\"{c}\"")
                };
                return Err(position.fault(format!(
                    "{what} means nothing here: text belongs in double quotes, remarks after \"#\""
                )));
            }
        };
        Ok((token, position))
    }

    /// RFC 5228 §2.3.
    fn skip_blank(&mut self) -> Result<(), Fault> {
        loop {
            let rest = self.rest();
            match self.peek() {
                Some(b) if b.is_ascii_whitespace() => self.advance_to(self.at + 1),
                Some(b'#') => {
                    let end = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |n| n + 1);
                    self.advance_to(self.at + end);
                }
                Some(b'/') if rest.starts_with("/*") => {
                    let Some(end) = rest[2..].find("*/") else {
                        return Err(self
                            .position()
                            .fault("this comment never ends: close it with \"*/\""));
                    };
                    self.advance_to(self.at + 2 + end + 2);
                }
                _ => return Ok(()),
            }
        }
    }

    fn identifier(&mut self) -> &'s str {
        let rest = self.rest();
        let end = rest
            .bytes()
            .position(|b| !(b.is_ascii_alphanumeric() || b == b'_'))
            .unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn number(&mut self, position: Position) -> Result<Token, Fault> {
        let rest = self.rest();
        let digits = rest.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        self.at += digits;
        let quantifier = match self.peek().map(|b| b.to_ascii_uppercase()) {
            Some(b'K') => 1 << 10,
            Some(b'M') => 1 << 20,
            Some(b'G') => 1 << 30,
            _ => 1u64,
        };
        if quantifier > 1 {
            self.at += 1;
        }
        if !self.identifier().is_empty() {
            return Err(position.fault(
                "after a number only K, M or G may stand, such as 100K: put a space before a word",
            ));
        }
        let number = rest[..digits].parse::<u64>().ok();
        number
            .and_then(|number| number.checked_mul(quantifier))
            // RFC 5228 §2.4.1 asks for 2^31; what nobody can mean is an error rather than cut off.
            .filter(|number| *number <= 1 << 53)
            .map(Token::Number)
            .ok_or_else(|| position.fault("this number is too large: at most 9007199254740992"))
    }

    /// RFC 5228 §2.4.2: a backslash makes any character stand for itself.
    fn quoted(&mut self, position: Position) -> Result<String, Fault> {
        let start = self.at + 1;
        let octets = self.source.as_bytes();
        let mut out = String::new();
        let mut from = start;
        let mut at = start;
        loop {
            let Some(next) =
                octets.get(at..).and_then(|rest| rest.iter().position(|b| b"\"\\\n\0".contains(b)))
            else {
                return Err(
                    position.fault("this string never ends: close it with another double quote")
                );
            };
            at += next;
            out.push_str(&self.source[from..at]);
            match octets[at] {
                b'"' => break,
                b'\\' => {
                    // The character after it stands for itself, also a quote or a line end.
                    from = at + 1;
                    at += 1;
                    match octets.get(at) {
                        Some(b'\n' | 0) | None => {}
                        Some(_) => at += self.source[at..].chars().next().map_or(1, char::len_utf8),
                    }
                }
                b'\n' => {
                    if out.ends_with('\r') {
                        out.pop();
                    }
                    out.push_str("\r\n");
                    at += 1;
                    from = at;
                }
                _ => return Err(position.fault(NUL)),
            }
        }
        self.advance_to(at + 1);
        Ok(out)
    }

    /// `text:`, lines, and a line with a dot alone: RFC 5228 §2.4.2.
    fn multi_line(&mut self, position: Position) -> Result<String, Fault> {
        let rest = self.rest();
        let first = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        let opening = rest[..first].trim();
        if !opening.is_empty() && !opening.starts_with('#') {
            return Err(position
                .fault("after \"text:\" the line must end: the text begins in the next one"));
        }
        let mut out = String::new();
        let mut at = self.at + first + 1;
        while let Some(rest) = self.source.get(at..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest.as_bytes());
            let line = &rest[..end.unwrap_or(rest.len())];
            at += line.len() + usize::from(end.is_some());
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line == "." {
                self.advance_to(at);
                return Ok(out);
            }
            if line.contains('\0') {
                return Err(position.fault(NUL));
            }
            // Dot-stuffing: RFC 5228 §2.4.2.
            out.push_str(if line.starts_with("..") { &line[1..] } else { line });
            out.push_str("\r\n");
        }
        Err(position.fault("this text never ends: close it with a line that is a single dot"))
    }
}

const NUL: &str = "a string may not hold the character NUL: take it away";

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(source: &str) -> Vec<Token> {
        let mut lexer = Lexer::new(source);
        let mut out = Vec::new();
        loop {
            match lexer.next().unwrap().0 {
                Token::End => return out,
                token => out.push(token),
            }
        }
    }

    fn fault(source: &str) -> Fault {
        let mut lexer = Lexer::new(source);
        loop {
            match lexer.next() {
                Ok((Token::End, _)) => panic!("no fault in {source:?}"),
                Ok(_) => {}
                Err(fault) => return fault,
            }
        }
    }

    #[test]
    fn words_numbers_and_punctuation() {
        use Token::*;
        assert_eq!(
            tokens("if SIZE :OVER 100K # remark\n { /* and * / this */ }"),
            [
                Identifier("if".into()),
                Identifier("SIZE".into()),
                Tag("over".into()),
                Number(102_400),
                Punctuation('{'),
                Punctuation('}'),
            ]
        );
        assert_eq!(tokens("1k 1M 2g"), [Number(1 << 10), Number(1 << 20), Number(2 << 30)]);
    }

    #[test]
    fn strings_of_rfc_5228_section_2_4_2() {
        assert_eq!(tokens(r#""a\"b\\c\d""#), [Token::String(r#"a"b\cd"#.into())]);
        assert_eq!(tokens("\"a\nb\r\nc\""), [Token::String("a\r\nb\r\nc".into())]);
        assert_eq!(
            tokens("text: # remark\nYour message\n..dot\n.\n;"),
            [Token::String("Your message\r\n.dot\r\n".into()), Token::Punctuation(';')]
        );
        assert_eq!(tokens("\"\\é\""), [Token::String("é".into())]);
    }

    #[test]
    fn faults_tell_where() {
        let at = |source| (fault(source).line, fault(source).column);
        assert_eq!(at("keep;\n  \"open"), (2, 3));
        assert_eq!(at("/* never\n"), (1, 1));
        assert_eq!(at("\"é\" §"), (1, 5));
        assert_eq!(at("text: x\n.\n"), (1, 1));
        assert_eq!(at("99999999999999999999"), (1, 1));
        assert_eq!(at("12abc"), (1, 1));
        assert_eq!(at("\"a\0\""), (1, 1));
    }
}
