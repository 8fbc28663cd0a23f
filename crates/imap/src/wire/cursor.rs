//! The lexical layer: a place in a complete command, and the tokens of RFC 9051 §9 read from it.
//!
//! A command is contiguous here, with its literals inside (`{5}\r\nalice`): [`super::frame`] has
//! seen to it that they are whole. Nothing here allocates but the strings that are handed out, and
//! every reader either moves forward or fails.

use std::borrow::Cow;

/// Why a command was not understood; becomes the text of a BAD response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad(pub &'static str);

/// A token, or why not.
pub type Parse<T> = Result<T, Bad>;

/// A place in a command.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// RFC 9051 §9 `ATOM-CHAR`.
pub fn is_atom_char(b: u8) -> bool {
    b > 0x20 && b < 0x7f && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// RFC 9051 §9 `ASTRING-CHAR`.
pub fn is_astring_char(b: u8) -> bool {
    is_atom_char(b) || b == b']'
}

/// RFC 9051 §9 `tag` characters.
pub fn is_tag_char(b: u8) -> bool {
    is_astring_char(b) && b != b'+'
}

impl<'a> Cursor<'a> {
    /// At the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// How much was read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next octet.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Everything was read.
    pub fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Passes over `byte` if it is next.
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// `byte` must be next.
    pub fn expect(&mut self, byte: u8, otherwise: &'static str) -> Parse<()> {
        if self.eat(byte) { Ok(()) } else { Err(Bad(otherwise)) }
    }

    /// One space must be next.
    pub fn space(&mut self) -> Parse<()> {
        self.expect(b' ', "A space and another argument are missing")
    }

    /// Nothing may follow. Trailing spaces are forgiven: several clients send them.
    pub fn end(&mut self) -> Parse<()> {
        while self.eat(b' ') {}
        if self.at_end() { Ok(()) } else { Err(Bad("Something follows the last argument")) }
    }

    /// The octets that satisfy `class`, perhaps none.
    pub fn take_while(&mut self, class: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|&b| !class(b)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Passes over `word` in any case if it stands next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self
            .rest()
            .get(..word.len())
            .is_some_and(|next| next.eq_ignore_ascii_case(word.as_bytes()));
        if found {
            self.at += word.len();
        }
        found
    }

    /// RFC 9051 §9 `atom`.
    pub fn atom(&mut self) -> Parse<&'a str> {
        self.ascii(is_atom_char, "A word is missing")
    }

    /// A word, in upper case: command names, items, options.
    pub fn keyword(&mut self) -> Parse<String> {
        self.atom().map(str::to_ascii_uppercase)
    }

    /// One or more ASCII octets of a class.
    pub fn ascii(&mut self, class: impl Fn(u8) -> bool, otherwise: &'static str) -> Parse<&'a str> {
        let token = self.take_while(|b| b.is_ascii() && class(b));
        match std::str::from_utf8(token) {
            Ok(token) if !token.is_empty() => Ok(token),
            _ => Err(Bad(otherwise)),
        }
    }

    /// RFC 9051 §9 `number64`.
    pub fn number64(&mut self) -> Parse<u64> {
        self.ascii(|b| b.is_ascii_digit(), "A number is missing")?
            .parse::<u64>()
            .ok()
            .filter(|&n| n <= i64::MAX as u64)
            .ok_or(Bad("That number is too large"))
    }

    /// RFC 9051 §9 `number`: 32 bits.
    pub fn number(&mut self) -> Parse<u32> {
        u32::try_from(self.number64()?).map_err(|_| Bad("That number is too large"))
    }

    /// RFC 9051 §9 `nz-number`.
    pub fn nz_number(&mut self) -> Parse<u32> {
        match self.number()? {
            0 => Err(Bad("That number must not be 0")),
            n => Ok(n),
        }
    }

    /// RFC 9051 §9 `astring`: an atom (with `]`) or a string.
    pub fn astring(&mut self) -> Parse<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => match self.take_while(is_astring_char) {
                [] => Err(Bad("An argument is missing")),
                atom => Ok(Cow::Borrowed(atom)),
            },
        }
    }

    /// RFC 9051 §9 `list-mailbox`: an astring that may hold wildcards.
    pub fn list_mailbox(&mut self) -> Parse<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => match self.take_while(|b| is_astring_char(b) || b == b'%' || b == b'*') {
                [] => Err(Bad("A mailbox pattern is missing")),
                pattern => Ok(Cow::Borrowed(pattern)),
            },
        }
    }

    /// RFC 9051 §9 `string`: quoted or literal.
    pub fn string(&mut self) -> Parse<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(Bad("A string is missing")),
        }
    }

    /// RFC 9051 §9 `nstring`.
    pub fn nstring(&mut self) -> Parse<Option<Cow<'a, [u8]>>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string().map(Some),
            _ if self.eat_word("NIL") => Ok(None),
            _ => Err(Bad("A string or NIL is missing")),
        }
    }

    /// RFC 9051 §9 `quoted`. Octets above 127 are taken as they are: UTF-8 in rev2, and some
    /// rev1 clients send it without asking.
    pub fn quoted(&mut self) -> Parse<Cow<'a, [u8]>> {
        self.expect(b'"', "A quoted string is missing")?;
        let plain = self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0));
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        while self.eat(b'\\') {
            match self.peek() {
                Some(escaped @ (b'"' | b'\\')) => text.push(escaped),
                _ => return Err(Bad("A backslash in a quoted string escapes nothing")),
            }
            self.at += 1;
            text.extend(self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0)));
        }
        self.expect(b'"', "A quoted string is not closed")?;
        Ok(Cow::Owned(text))
    }

    /// RFC 9051 §9 `literal`, with RFC 7888's `+`: the mark, CRLF and the octets.
    pub fn literal(&mut self) -> Parse<&'a [u8]> {
        let data = self.any_literal()?;
        if data.contains(&0) {
            return Err(Bad("A literal holds a NUL octet")); // RFC 9051 §4.3: CHAR8
        }
        Ok(data)
    }

    fn any_literal(&mut self) -> Parse<&'a [u8]> {
        const NOT_ONE: Bad = Bad("A literal is malformed");
        self.expect(b'{', NOT_ONE.0)?;
        let octets = usize::try_from(self.number64()?).map_err(|_| NOT_ONE)?;
        let _ = self.eat(b'+');
        self.expect(b'}', NOT_ONE.0)?;
        let _ = self.eat(b'\r');
        self.expect(b'\n', NOT_ONE.0)?;
        let data = self.rest().get(..octets).ok_or(NOT_ONE)?;
        self.at += octets;
        Ok(data)
    }

    /// RFC 4466 §6 `literal8` as well as `nstring`: the only string that may hold NUL.
    pub fn nstring8(&mut self) -> Parse<Option<Cow<'a, [u8]>>> {
        match self.eat(b'~') {
            true => self.any_literal().map(|data| Some(Cow::Borrowed(data))),
            false => self.nstring(),
        }
    }

    /// `(` items parted by single spaces `)`; may be empty.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parse<T>) -> Parse<Vec<T>> {
        self.expect(b'(', "An opening parenthesis is missing")?;
        let mut items = Vec::new();
        if self.eat(b')') {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(b')') {
                return Ok(items);
            }
            self.space()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_in_all_their_forms() {
        let read = |text: &'static [u8]| Cursor::new(text).astring().map(Cow::into_owned);
        assert_eq!(read(b"INBOX rest"), Ok(b"INBOX".to_vec()));
        assert_eq!(read(b"a]b "), Ok(b"a]b".to_vec()));
        assert_eq!(read(br#""a \"b\\" "#), Ok(br#"a "b\"#.to_vec()));
        assert_eq!(read(b"\"\""), Ok(b"".to_vec()));
        assert_eq!(read(b"{3}\r\nab\n"), Ok(b"ab\n".to_vec()));
        assert_eq!(read(b"{3+}\r\nabcd"), Ok(b"abc".to_vec()));
        assert!(read(b"{3}\r\nab").is_err());
        assert!(read(b"{1}\r\n\0").is_err());
        assert!(read(b"\"open").is_err());
        assert!(read(br#""bad \x""#).is_err());
        assert!(read(b"").is_err());
        assert!(read(b"(").is_err());
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(Cursor::new(b"4294967295").number(), Ok(u32::MAX));
        assert!(Cursor::new(b"4294967296").number().is_err());
        assert!(Cursor::new(b"0").nz_number().is_err());
        assert!(Cursor::new(b"9223372036854775808").number64().is_err());
        assert!(Cursor::new(b"99999999999999999999999").number64().is_err());
    }
}
