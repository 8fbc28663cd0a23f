//! Strings of a script: encoded characters (RFC 5228 §2.4.2.4) undone once, variables (RFC 5229 §3)
//! filled in whenever the string is used.

use super::run::{Halt, Run};

/// The highest match variable: RFC 5229 §3.2 asks for at least `${9}`.
pub(crate) const MAX_MATCH_VARIABLE: usize = 99;
/// The longest name of a variable in octets: RFC 5229 §6 asks for 32.
const MAX_NAME_OCTETS: usize = 128;

/// A string, perhaps with variables in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Match(usize),
    Variable(Name),
}

/// The name of a variable, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    /// `global.`: RFC 6609 §3.4.3.
    pub global: bool,
    pub name: String,
}

impl Text {
    /// A string without variables.
    pub fn literal(text: impl Into<String>) -> Text {
        Text { pieces: vec![Piece::Literal(text.into())] }
    }

    /// Finds the variables in a string. Fails on a namespace that does not exist (RFC 5229 §3).
    pub fn with_variables(text: &str, globals: bool) -> Result<Text, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            let Some((piece, octets)) = reference(rest, globals)? else {
                literal.push_str("${");
                rest = &rest[2..];
                continue;
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(piece);
            rest = &rest[octets..];
        }
        literal.push_str(rest);
        if !literal.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Text { pieces })
    }

    /// The string, when it has no variables.
    pub fn constant(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The string with its variables filled in.
    pub fn expand(&self, run: &mut Run<'_>) -> Result<String, Halt> {
        if let Some(text) = self.constant() {
            return Ok(text.to_owned());
        }
        let mut out = String::new();
        for piece in &self.pieces {
            let value = match piece {
                Piece::Literal(text) => text,
                Piece::Match(index) => run.match_values.get(*index).map_or("", String::as_str),
                Piece::Variable(name) => run.variable(name),
            };
            out.push_str(value);
            run_limit(&out, run)?;
        }
        run.charge_octets(out.len())?;
        Ok(out)
    }
}

/// A string made of variables is no longer than all of them may be.
fn run_limit(out: &str, run: &Run<'_>) -> Result<(), Halt> {
    match out.len() > run.context.limits.variables_octets.max(super::MAX_SCRIPT_OCTETS) {
        true => Err(run.limit("octets in one string")),
        false => Ok(()),
    }
}

/// The reference that `text` begins with, and its length. What has not the form of one is text (RFC
/// 5229 §3).
fn reference(text: &str, globals: bool) -> Result<Option<(Piece, usize)>, String> {
    let Some(end) = text.bytes().take(MAX_NAME_OCTETS + 20).position(|b| b == b'}') else {
        return Ok(None);
    };
    let inner = &text[2..end];
    let octets = end + 1;
    if !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_digit()) {
        let index = inner.parse().unwrap_or(usize::MAX);
        if index > MAX_MATCH_VARIABLE {
            return Err(format!("\"${{{inner}}}\": match variables go up to {MAX_MATCH_VARIABLE}"));
        }
        return Ok(Some((Piece::Match(index), octets)));
    }
    // Namespaces: `a.b`, where later parts may be numbers.
    let well_formed = inner.split('.').enumerate().all(|(i, part)| {
        is_identifier(part)
            || (i > 0 && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    });
    if !well_formed {
        return Ok(None);
    }
    Name::parse(inner, globals).map(|name| Some((Piece::Variable(name), octets)))
}

fn is_identifier(text: &str) -> bool {
    let first = text.bytes().next();
    first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl Name {
    /// Reads a name of a variable that can be set.
    pub fn parse(text: &str, globals: bool) -> Result<Name, String> {
        let lower = text.to_ascii_lowercase();
        let (global, name) = match lower.split_once('.') {
            Some(("global", name)) if globals => (true, name),
            Some(("global", _)) => {
                return Err(format!("\"{text}\" needs the extension \"include\": require it"));
            }
            Some((namespace, _)) => {
                return Err(format!("\"{text}\": there is no namespace \"{namespace}\""));
            }
            None => (false, lower.as_str()),
        };
        if !is_identifier(name) {
            return Err(format!(
                "\"{text}\" is no name for a variable: take letters, digits and \"_\", a letter first"
            ));
        }
        if name.len() > MAX_NAME_OCTETS {
            return Err(format!("a variable's name has at most {MAX_NAME_OCTETS} octets"));
        }
        Ok(Name { global, name: name.to_owned() })
    }
}

/// Undoes `${hex: …}` and `${unicode: …}`; what has not the form of one stands as written. Fails on a
/// code point that is none.
pub(crate) fn decode_characters(text: &str) -> Result<String, String> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        match encoded(rest)? {
            Some((octets, length)) => {
                out.extend_from_slice(&octets);
                rest = &rest[length..];
            }
            None => {
                out.extend_from_slice(b"${");
                rest = &rest[2..];
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    if out.contains(&0) {
        return Err("a string may not hold the character NUL: take it away".into());
    }
    String::from_utf8(out).map_err(|_| {
        "the octets given as \"${hex: …}\" are not UTF-8: give whole characters".to_owned()
    })
}

/// The encoded characters that `text` begins with, and the length of what encoded them.
fn encoded(text: &str) -> Result<Option<(Vec<u8>, usize)>, String> {
    let inner = &text[2..];
    let keyword =
        |word: &str| inner.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word));
    let (hex, start) = match () {
        () if keyword("hex:") => (true, 4),
        () if keyword("unicode:") => (false, 8),
        () => return Ok(None),
    };
    // Only digits and white space may stand before the brace.
    let body = &inner[start..];
    let end = body.bytes().position(|b| !(b.is_ascii_hexdigit() || b.is_ascii_whitespace()));
    let Some(end) = end.filter(|end| body.as_bytes()[*end] == b'}') else { return Ok(None) };
    let mut octets = Vec::new();
    for digits in body[..end].split_ascii_whitespace() {
        let Ok(number) = u32::from_str_radix(digits.trim_start_matches('0'), 16)
            .or(if digits.bytes().all(|b| b == b'0') { Ok(0) } else { Err(()) })
        else {
            return Err(format!("\"{digits}\" is no code point of Unicode"));
        };
        if hex {
            // RFC 5228 §2.4.2.4: one or two digits for an octet.
            if digits.len() > 2 {
                return Ok(None);
            }
            octets.push(number as u8);
        } else {
            let Some(c) = char::from_u32(number) else {
                return Err(format!("\"{digits}\" is no code point of Unicode"));
            };
            octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    if octets.is_empty() {
        return Ok(None);
    }
    Ok(Some((octets, 2 + start + end + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_rfc_5228_section_2_4_2_4() {
        let decoded = |text: &str| decode_characters(text).unwrap();
        assert_eq!(decoded("$${hex:40}"), "$@");
        assert_eq!(decoded("${hex: 40 }"), "@");
        assert_eq!(decoded("${HEX: 40}"), "@");
        assert_eq!(decoded("${hex:40"), "${hex:40");
        assert_eq!(decoded("${hex:400}"), "${hex:400}");
        assert_eq!(decoded("${hex:4${hex:30}}"), "${hex:40}");
        assert_eq!(decoded("${unicode:40}"), "@");
        assert_eq!(decoded("${ unicode:40}"), "${ unicode:40}");
        assert_eq!(decoded("${UNICODE:40}"), "@");
        assert_eq!(decoded("${UnICoDE:0000040}"), "@");
        assert_eq!(decoded("${Unicode:40}"), "@");
        assert_eq!(decoded("${Unicode:Cool}"), "${Unicode:Cool}");
        assert!(decode_characters("${unicode:200000}").is_err());
        assert!(decode_characters("${Unicode:DF01}").is_err());
    }

    #[test]
    fn references_of_rfc_5229_section_3() {
        let pieces = |text: &str| Text::with_variables(text, false).unwrap().pieces;
        let variable = |name: &str| Piece::Variable(Name { global: false, name: name.into() });
        assert_eq!(pieces("&%${}!"), [Piece::Literal("&%${}!".into())]);
        assert_eq!(pieces("${doh!}"), [Piece::Literal("${doh!}".into())]);
        assert_eq!(
            pieces("${BAD${Company}"),
            [Piece::Literal("${BAD".into()), variable("company")]
        );
        assert_eq!(pieces("${President, ${Company} Inc.}").len(), 3);
        assert_eq!(pieces("${02}"), [Piece::Match(2)]);
        assert!(Text::with_variables("${envelope.from}", false).is_err());
        assert!(Text::with_variables("${global.a}", true).is_ok());
    }
}
