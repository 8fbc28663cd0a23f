//! A command line (RFC 1939 §3) parsed.
//!
//! ```text
//! line     = keyword *(SP argument) CRLF            at most 255 octets (RFC 2449 §4)
//! keyword  = 3*4 printable ASCII characters, any case
//! ```
//!
//! `PASS` takes the rest of its line whole, spaces and all (RFC 1939 §7). `USER` does too, since
//! no account name here holds a space and one that does is merely unknown. `AUTH` may be as long as
//! its initial response makes it.

use waxwing_sasl::Mechanism;
use zeroize::Zeroizing;

/// RFC 2449 §4, with the CRLF.
pub const MAX_COMMAND_OCTETS: usize = 255;

/// A command, well-formed; whether it may be given now is the session's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// RFC 5034. The initial response is still base64, with `=` for an empty one.
    Auth {
        /// `None`: the client asks for the list, as old Outlook Express does.
        mechanism: Option<AuthMechanism>,
        /// In base64.
        initial: Option<Zeroizing<String>>,
    },
    /// RFC 2449 §5.
    Capa,
    /// RFC 1939 §5.
    Dele(MessageNumber),
    /// RFC 6856 §3: a language range, or `None` for the list of languages.
    Lang(Option<String>),
    /// RFC 1939 §5.
    List(Option<MessageNumber>),
    /// RFC 1939 §5.
    Noop,
    /// RFC 1939 §7.
    Pass(Zeroizing<String>),
    /// RFC 1939 §4 and §6.
    Quit,
    /// RFC 1939 §5.
    Retr(MessageNumber),
    /// RFC 1939 §5.
    Rset,
    /// RFC 1939 §5.
    Stat,
    /// RFC 2595 §4.
    Stls,
    /// RFC 1939 §7: the message, and how many lines of its body.
    Top(MessageNumber, u64),
    /// RFC 1939 §7.
    Uidl(Option<MessageNumber>),
    /// RFC 1939 §7.
    User(String),
    /// RFC 6856 §2.1.
    Utf8,
}

/// A message number, fixed for the session, from 1. It may lie beyond the maildrop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageNumber(pub u64);

/// What AUTH names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMechanism {
    /// One that this server has in principle.
    Known(Mechanism),
    /// Any other.
    Unknown,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The line is beyond [`MAX_COMMAND_OCTETS`].
    #[error("that line is too long")]
    TooLong,
    /// The line is not UTF-8 (RFC 6856 §2.2), or holds a control character.
    #[error("that line holds octets that no command may hold")]
    BadOctets,
    /// RFC 1939 §7: optional. It needs every password in clear text on the server, which keeps
    /// none; SCRAM-SHA-256 does better what it was for.
    #[error("APOP is not offered: use AUTH SCRAM-SHA-256")]
    Apop,
    /// No such command.
    #[error("that command is not known")]
    Unknown,
    /// Too many or too few arguments.
    #[error("{0}")]
    Arguments(&'static str),
}

/// Parses one line, its CRLF already taken off.
pub fn parse(line: &[u8]) -> Result<Command, CommandError> {
    let text = std::str::from_utf8(line).map_err(|_| CommandError::BadOctets)?;
    let (keyword, rest) = match text.split_once(' ') {
        Some((keyword, rest)) => (keyword, Some(rest)),
        None => (text, None),
    };
    let is_auth = keyword.eq_ignore_ascii_case("AUTH");
    if line.len() + 2 > MAX_COMMAND_OCTETS && !is_auth {
        return Err(CommandError::TooLong);
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        return Err(CommandError::BadOctets);
    }
    // The longest keywords have four letters.
    let mut upper = [0; 4];
    let Some(upper) = upper.get_mut(..keyword.len()) else { return Err(CommandError::Unknown) };
    upper.copy_from_slice(keyword.as_bytes());
    upper.make_ascii_uppercase();

    match &*upper {
        b"AUTH" => auth(rest),
        b"CAPA" => none(rest, Command::Capa),
        b"DELE" => number(rest).map(Command::Dele),
        b"LANG" => optional(rest).map(|range| Command::Lang(range.map(str::to_owned))),
        b"LIST" => optional_number(rest).map(Command::List),
        b"NOOP" => none(rest, Command::Noop),
        b"PASS" => whole(rest, "PASS needs a password")
            .map(|password| Command::Pass(Zeroizing::new(password.to_owned()))),
        b"QUIT" => none(rest, Command::Quit),
        b"RETR" => number(rest).map(Command::Retr),
        b"RSET" => none(rest, Command::Rset),
        b"STAT" => none(rest, Command::Stat),
        b"STLS" => none(rest, Command::Stls),
        b"TOP" => top(rest),
        b"UIDL" => optional_number(rest).map(Command::Uidl),
        b"USER" => whole(rest, "USER needs a name").map(|name| Command::User(name.to_owned())),
        b"UTF8" => none(rest, Command::Utf8),
        b"APOP" => Err(CommandError::Apop),
        _ => Err(CommandError::Unknown),
    }
}

/// Space at the end of a line is forgiven: some clients build `LIST ` without a number.
fn arguments(rest: Option<&str>) -> impl Iterator<Item = &str> {
    rest.unwrap_or_default().split(' ').filter(|argument| !argument.is_empty())
}

fn none(rest: Option<&str>, command: Command) -> Result<Command, CommandError> {
    match arguments(rest).next() {
        None => Ok(command),
        Some(_) => Err(CommandError::Arguments("that command takes no argument")),
    }
}

fn optional(rest: Option<&str>) -> Result<Option<&str>, CommandError> {
    let mut arguments = arguments(rest);
    match (arguments.next(), arguments.next()) {
        (argument, None) => Ok(argument),
        _ => Err(CommandError::Arguments("that command takes one argument at most")),
    }
}

fn whole<'a>(rest: Option<&'a str>, complaint: &'static str) -> Result<&'a str, CommandError> {
    rest.filter(|rest| !rest.is_empty()).ok_or(CommandError::Arguments(complaint))
}

fn optional_number(rest: Option<&str>) -> Result<Option<MessageNumber>, CommandError> {
    optional(rest)?.map(|digits| parse_digits(digits).map(MessageNumber)).transpose()
}

fn number(rest: Option<&str>) -> Result<MessageNumber, CommandError> {
    optional_number(rest)?.ok_or(CommandError::Arguments("that command needs a message number"))
}

fn top(rest: Option<&str>) -> Result<Command, CommandError> {
    let mut arguments = arguments(rest);
    let (Some(message), Some(lines), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err(CommandError::Arguments("TOP needs a message number and a number of lines"));
    };
    Ok(Command::Top(MessageNumber(parse_digits(message)?), parse_digits(lines)?))
}

fn auth(rest: Option<&str>) -> Result<Command, CommandError> {
    let mut arguments = arguments(rest);
    let mechanism = arguments
        .next()
        .map(|name| Mechanism::parse(name).map_or(AuthMechanism::Unknown, AuthMechanism::Known));
    let initial = arguments.next().map(|base64| Zeroizing::new(base64.to_owned()));
    match arguments.next() {
        None => Ok(Command::Auth { mechanism, initial }),
        Some(_) => Err(CommandError::Arguments("AUTH takes two arguments at most")),
    }
}

/// Digits only; a number too large for `u64` is as good as the largest.
fn parse_digits(digits: &str) -> Result<u64, CommandError> {
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(CommandError::Arguments("a number is written in digits"));
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const N: fn(u64) -> MessageNumber = MessageNumber;

    #[test]
    fn every_command_of_the_rfcs() {
        for (line, command) in [
            ("CAPA", Command::Capa),
            ("DELE 3", Command::Dele(N(3))),
            ("LANG", Command::Lang(None)),
            ("LANG *", Command::Lang(Some("*".into()))),
            ("LIST", Command::List(None)),
            ("LIST ", Command::List(None)),
            ("list 00012", Command::List(Some(N(12)))),
            ("NOOP", Command::Noop),
            ("QUIT", Command::Quit),
            ("retr 1 ", Command::Retr(N(1))),
            ("RETR 99999999999999999999999", Command::Retr(N(u64::MAX))),
            ("RSET", Command::Rset),
            ("STAT", Command::Stat),
            ("STLS", Command::Stls),
            ("TOP 1 0", Command::Top(N(1), 0)),
            ("top 2  10", Command::Top(N(2), 10)),
            ("UIDL", Command::Uidl(None)),
            ("Uidl 7", Command::Uidl(Some(N(7)))),
            ("USER ann@wax.test", Command::User("ann@wax.test".into())),
            ("USER bücher@wax.test", Command::User("bücher@wax.test".into())),
            ("UTF8", Command::Utf8),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn a_password_keeps_its_spaces() {
        let Ok(Command::Pass(password)) = parse(b"pass  two  words ") else { panic!("not PASS") };
        assert_eq!(*password, " two  words ");
        assert!(parse(b"PASS ").is_err());
        assert!(parse(b"PASS").is_err());
    }

    #[test]
    fn auth_with_and_without_its_arguments() {
        let known = |mechanism| Some(AuthMechanism::Known(mechanism));
        let initial = |text: &str| Some(Zeroizing::new(text.to_owned()));
        for (line, mechanism, response) in [
            ("AUTH", None, None),
            ("AUTH plain", known(Mechanism::Plain), None),
            ("AUTH PLAIN =", known(Mechanism::Plain), initial("=")),
            ("AUTH scram-sha-256 biws", known(Mechanism::ScramSha256), initial("biws")),
            ("AUTH GSSAPI", Some(AuthMechanism::Unknown), None),
        ] {
            let command = Command::Auth { mechanism, initial: response };
            assert_eq!(parse(line.as_bytes()), Ok(command), "{line}");
        }
        assert!(parse(b"AUTH PLAIN a b").is_err());
        let long = format!("AUTH PLAIN {}", "A".repeat(2000));
        assert!(matches!(parse(long.as_bytes()), Ok(Command::Auth { .. })));
    }

    #[test]
    fn what_is_no_command() {
        for line in [
            &b""[..],
            b" ",
            b"LIST one",
            b"LIST -1",
            b"LIST +1",
            b"LIST 1 2",
            b"DELE",
            b"RETR",
            b"TOP 1",
            b"TOP 1 2 3",
            b"STAT 1",
            b"USER",
            b"LAST",
            b"LISTS",
            b"QUIT\0",
            b"USER \xff",
            b"USER a\tb",
            b"APOP ann c4c9334bac560ecc979e58001b3e22fb",
        ] {
            assert!(parse(line).is_err(), "{:?}", line.escape_ascii());
        }
    }

    #[test]
    fn the_longest_line_has_255_octets() {
        let longest = format!("USER {}", "x".repeat(MAX_COMMAND_OCTETS - 2 - 5));
        assert!(parse(longest.as_bytes()).is_ok());
        assert_eq!(parse(format!("{longest}x").as_bytes()), Err(CommandError::TooLong));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&line);
        }

        #[test]
        fn nearly_right_lines_do_not_panic(line in "(TOP|LIST|UIDL|AUTH|LANG|PASS|ß)[ 0-9a-z=*é]{0,20}") {
            let _ = parse(line.as_bytes());
        }

        #[test]
        fn numbers_survive(message in any::<u64>(), lines in any::<u64>()) {
            let line = format!("TOP {message} {lines}");
            prop_assert_eq!(parse(line.as_bytes()), Ok(Command::Top(N(message), lines)));
        }
    }
}
