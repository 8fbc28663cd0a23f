//! The match type `:regex` (draft-ietf-sieve-regex): POSIX extended regular expressions, put into the words
//! of an engine whose time is linear in the text.
//!
//! | POSIX (IEEE 1003.1 §9.4) | here |
//! |---|---|
//! | `[]a]`, `[^]a]`, `[a\]` | brackets where `]` may come first and `\` means itself |
//! | `[[:alpha:]]` | the same; `[[.a.]]` and `[[=a=]]` stand for their one character |
//! | `a{2,3}` | the same; a brace that is no interval stands for itself |
//! | `.`, `^`, `$` | any character, line ends too; begin and end of the whole |
//! | `\w \W \s \S \b \B \< \>` | as GNU has them |
//! | `\1` | a fault: no engine has them in linear time |
//! | `(?`, `a**` | a fault: they mean other things to other engines |
//!
//! Deviates: of several alternatives the first that matches is taken, not the longest.

use regex::{Regex, RegexBuilder};

use super::matching::Comparator;

/// What one compiled expression may take.
const SIZE_OCTETS: usize = 256 << 10;
/// The longest expression in octets.
const MAX_OCTETS: usize = 4096;

/// Compiles an expression; the error is for the script's author.
pub(crate) fn compile(expression: &str, comparator: Comparator) -> Result<Regex, String> {
    if expression.len() > MAX_OCTETS {
        return Err(format!("a regular expression has at most {MAX_OCTETS} octets: shorten it"));
    }
    let translated = translate(expression)?;
    RegexBuilder::new(&translated)
        .case_insensitive(comparator == Comparator::AsciiCasemap)
        .dot_matches_new_line(true)
        .size_limit(SIZE_OCTETS)
        .dfa_size_limit(SIZE_OCTETS)
        .nest_limit(50)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                "this regular expression is too large: use smaller repetitions".to_owned()
            }
            _ => format!("\"{expression}\" is no regular expression: check brackets and braces"),
        })
}

fn translate(expression: &str) -> Result<String, String> {
    let mut out = String::with_capacity(expression.len() + 8);
    let mut rest = expression;
    // Whether something stands before that can be repeated, and whether it is repeated already.
    let mut repeatable = false;
    let mut repeated = false;
    while let Some(c) = rest.chars().next() {
        let (mut after, mut is_repeat) = (&rest[c.len_utf8()..], false);
        match c {
            '[' => after = bracket(after, &mut out)?,
            '\\' => after = escape(after, &mut out)?,
            '*' | '+' | '?' | '{' if c != '{' || interval(after).is_some() => {
                if !repeatable || repeated {
                    return Err(format!(
                        "\"{c}\" in the regular expression has nothing to repeat: write \"\\{c}\" \
                         for the character"
                    ));
                }
                is_repeat = true;
                out.push(c);
                if let Some(octets) = interval(after).filter(|_| c == '{') {
                    out.push_str(&after[..octets]);
                    after = &after[octets..];
                }
            }
            '{' | '}' | ']' => out.extend(['\\', c]),
            c => out.push(c),
        }
        repeated = is_repeat;
        repeatable = !matches!(c, '(' | '|' | '^');
        rest = after;
    }
    Ok(out)
}

/// The octets of `2}`, `2,}` or `2,3}`, which stand after an opening brace.
fn interval(after: &str) -> Option<usize> {
    let end = after.find('}')?;
    let (low, high) = after[..end].split_once(',').unwrap_or((&after[..end], ""));
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    (!low.is_empty() && number(low) && number(high)).then_some(end + 1)
}

fn escape<'e>(after: &'e str, out: &mut String) -> Result<&'e str, String> {
    let Some(c) = after.chars().next() else {
        return Err(
            "the regular expression ends with a backslash: write two of them, each doubled \
                    in a quoted string"
                .into(),
        );
    };
    match c {
        'w' | 'W' | 's' | 'S' | 'b' | 'B' => out.extend(['\\', c]),
        '<' => out.push_str("\\b{start}"),
        '>' => out.push_str("\\b{end}"),
        '`' => out.push_str("\\A"),
        '\'' => out.push_str("\\z"),
        '0'..='9' => {
            return Err(format!("\"\\{c}\": a regular expression cannot refer back here"));
        }
        c if c.is_ascii_punctuation() => out.extend(['\\', c]),
        // POSIX leaves it undefined; GNU takes the character.
        c => out.push(c),
    }
    Ok(&after[c.len_utf8()..])
}

/// The classes of characters: IEEE 1003.1 §9.3.5.
const CLASSES: [&str; 12] = [
    "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "xdigit",
];

/// A bracket expression after its opening bracket.
fn bracket<'e>(after: &'e str, out: &mut String) -> Result<&'e str, String> {
    const OPEN: &str = "a bracket of the regular expression is never closed: write \"\\\\[\" for the \
                        character";
    out.push('[');
    let mut rest = after;
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut first = true;
    loop {
        let Some(c) = rest.chars().next() else { return Err(OPEN.into()) };
        let after = &rest[c.len_utf8()..];
        if c == ']' && !first {
            out.push(']');
            return Ok(after);
        }
        first = false;
        let kind = after.chars().next().filter(|k| c == '[' && matches!(k, ':' | '.' | '='));
        if let Some(kind) = kind {
            let inner = &after[1..];
            let end = inner.find(&format!("{kind}]")).ok_or(OPEN)?;
            if kind == ':' && !CLASSES.contains(&&inner[..end]) {
                return Err(format!("\"[:{}:]\" is no class of characters", &inner[..end]));
            }
            if kind == ':' {
                out.push_str(&format!("[:{}:]", &inner[..end]));
            } else {
                let mut chars = inner[..end].chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => push_in_bracket(c, out),
                    _ => return Err(format!("\"[{kind}{}{kind}]\" is not known", &inner[..end])),
                }
            }
            rest = &inner[end + 2..];
            continue;
        }
        match c {
            // A range, unless it stands at an end.
            '-' if !out.ends_with(['[', '^']) && !after.starts_with(']') => out.push('-'),
            c => push_in_bracket(c, out),
        }
        rest = after;
    }
}

fn push_in_bracket(c: char, out: &mut String) {
    if c.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(expression: &str, text: &str) -> Option<Vec<String>> {
        let regex = compile(expression, Comparator::AsciiCasemap).unwrap();
        let found = regex.captures(text)?;
        Some(found.iter().map(|g| g.map_or("", |g| g.as_str()).to_owned()).collect())
    }

    #[test]
    fn posix_brackets() {
        assert!(find("^[]a]+$", "]a]").is_some());
        assert!(find("^[^]a]$", "b").is_some());
        assert!(find("^[^]a]$", "]").is_none());
        assert!(find("^[a\\]$", "\\").is_some());
        assert!(find("^[[:digit:]_-]+$", "12_-3").is_some());
        assert!(find("^[a-c]+$", "ABC").is_some());
        assert!(find("^[[.-.]]$", "-").is_some());
        assert!(find("^[&&~]+$", "&~&").is_some());
    }

    #[test]
    fn repetitions_and_escapes() {
        assert_eq!(find("(a{2,3})(b?)", "xaab").unwrap(), ["aab", "aa", "b"]);
        assert!(find("a{x}", "a{x}").is_some());
        assert!(find("\\.com$", "example.com").is_some());
        assert!(find("\\<word\\>", "a word here").is_some());
        assert!(find("^.*$", "a\r\nb").is_some());
        for bad in
            ["*a", "(?i)a", "a**", "(a", "[a", "a\\", "(.)\\1", "[[:word:]]", "((a{99}){99}){99}"]
        {
            assert!(compile(bad, Comparator::Octet).is_err(), "{bad}");
        }
    }
}
