//! The grammar of commands: RFC 5804 §2 and §4.

use zeroize::Zeroizing;

/// The longest quoted string in octets: RFC 5804 §4.
const MAX_QUOTED_OCTETS: usize = 1024;
/// The longest name of a script in octets: RFC 5804 §1.6 asks for 128 characters.
pub const MAX_NAME_OCTETS: usize = 512;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// §2.1, with the initial response, still in base64.
    Authenticate(String, Option<Zeroizing<Vec<u8>>>),
    /// §2.2.
    StartTls,
    /// §2.3.
    Logout,
    /// §2.4.
    Capability,
    /// §2.5.
    HaveSpace(String, u64),
    /// §2.6.
    PutScript(String, Vec<u8>),
    /// §2.7.
    ListScripts,
    /// §2.8; `None` for the empty name.
    SetActive(Option<String>),
    /// §2.9.
    GetScript(String),
    /// §2.10.
    DeleteScript(String),
    /// §2.11.
    RenameScript(String, String),
    /// §2.12.
    CheckScript(Vec<u8>),
    /// §2.13, with what is to be echoed.
    Noop(Option<String>),
    /// §2.14.1.
    Unauthenticate,
}

/// Why octets are no command; the text is for the client's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No command has that name.
    #[error("there is no such command")]
    Unknown,
    /// Too few, too many, or of another kind.
    #[error("these are not the arguments of that command")]
    Arguments,
    /// A quoted string or literal is malformed.
    #[error("a string is malformed: quote it, or send it as a literal {{n+}}")]
    Malformed,
    /// RFC 5804 §1.6.
    #[error("that cannot be the name of a script: take 1 to 128 characters, none of control")]
    Name,
}

#[derive(Debug)]
enum Argument {
    String(Vec<u8>),
    Number(u64),
}

/// Parses a command, as [`super::frame::Framer`] cut it.
pub fn parse(octets: &[u8]) -> Result<Command, CommandError> {
    let (name, rest) = split_name(octets);
    let mut arguments = arguments(rest)?.into_iter();
    let mut next = || arguments.next();
    let command = match name.to_ascii_uppercase().as_str() {
        "AUTHENTICATE" => {
            let mechanism = text(next())?;
            let initial = match next() {
                None => None,
                Some(Argument::String(octets)) => Some(Zeroizing::new(octets)),
                Some(_) => return Err(CommandError::Arguments),
            };
            Command::Authenticate(mechanism, initial)
        }
        "STARTTLS" => Command::StartTls,
        // Old clients ask for more than they should.
        "LOGOUT" => Command::Logout,
        "CAPABILITY" => Command::Capability,
        "HAVESPACE" => Command::HaveSpace(script_name(next())?, number(next())?),
        "PUTSCRIPT" => Command::PutScript(script_name(next())?, string(next())?),
        "LISTSCRIPTS" => Command::ListScripts,
        "SETACTIVE" => {
            let name = string(next())?;
            let some = (!name.is_empty()).then(|| script_name(Some(Argument::String(name))));
            Command::SetActive(some.transpose()?)
        }
        "GETSCRIPT" => Command::GetScript(script_name(next())?),
        "DELETESCRIPT" => Command::DeleteScript(script_name(next())?),
        "RENAMESCRIPT" => Command::RenameScript(script_name(next())?, script_name(next())?),
        "CHECKSCRIPT" => Command::CheckScript(string(next())?),
        "NOOP" => Command::Noop(next().map(|argument| text(Some(argument))).transpose()?),
        "UNAUTHENTICATE" => Command::Unauthenticate,
        _ => return Err(CommandError::Unknown),
    };
    match arguments.next() {
        None => Ok(command),
        Some(_) => Err(CommandError::Arguments),
    }
}

/// The one string of a line that answers a challenge (RFC 5804 §2.1).
pub fn parse_response(octets: &[u8]) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let mut arguments = arguments(octets)?.into_iter();
    let response = string(arguments.next()).map(Zeroizing::new)?;
    match arguments.next() {
        None => Ok(response),
        Some(_) => Err(CommandError::Arguments),
    }
}

/// Whether a script may have that name: RFC 5804 §1.6.
pub fn is_script_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    !name.is_empty()
        && name.len() <= MAX_NAME_OCTETS
        && name.chars().count() <= 128
        && !name.chars().any(forbidden)
}

fn split_name(octets: &[u8]) -> (&str, &[u8]) {
    let end = octets.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(octets.len());
    (std::str::from_utf8(&octets[..end]).unwrap_or_default(), &octets[end..])
}

fn arguments(mut rest: &[u8]) -> Result<Vec<Argument>, CommandError> {
    let mut out = Vec::new();
    loop {
        let blank = rest.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(rest.len());
        let spaced = blank > 0 || out.is_empty();
        rest = &rest[blank..];
        if matches!(rest, b"" | b"\r\n" | b"\n") {
            return Ok(out);
        }
        if !spaced || out.len() >= 4 {
            return Err(CommandError::Arguments);
        }
        let (argument, after) = match rest[0] {
            b'"' => quoted(rest)?,
            b'{' => literal(rest)?,
            b if b.is_ascii_digit() => number_at(rest)?,
            _ => return Err(CommandError::Malformed),
        };
        out.push(argument);
        rest = after;
    }
}

fn quoted(rest: &[u8]) -> Result<(Argument, &[u8]), CommandError> {
    let mut out = Vec::new();
    let mut at = 1;
    loop {
        match *rest.get(at).ok_or(CommandError::Malformed)? {
            b'"' => return Ok((Argument::String(out), &rest[at + 1..])),
            b'\\' => {
                at += 1;
                out.push(*rest.get(at).ok_or(CommandError::Malformed)?);
            }
            b'\r' | b'\n' | 0 => return Err(CommandError::Malformed),
            b => out.push(b),
        }
        if out.len() > MAX_QUOTED_OCTETS {
            return Err(CommandError::Malformed);
        }
        at += 1;
    }
}

fn literal(rest: &[u8]) -> Result<(Argument, &[u8]), CommandError> {
    let lf = memchr::memchr(b'\n', rest).ok_or(CommandError::Malformed)?;
    let digits: Vec<u8> = rest[1..lf].iter().copied().take_while(u8::is_ascii_digit).collect();
    let octets = String::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
    let octets = octets.ok_or(CommandError::Malformed)?;
    let body = &rest[lf + 1..];
    match body.split_at_checked(octets) {
        Some((literal, after)) => Ok((Argument::String(literal.to_vec()), after)),
        None => Err(CommandError::Malformed),
    }
}

fn number_at(rest: &[u8]) -> Result<(Argument, &[u8]), CommandError> {
    let end = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
    let digits = std::str::from_utf8(&rest[..end]).map_err(|_| CommandError::Malformed)?;
    let number = digits.parse().map_err(|_| CommandError::Arguments)?;
    Ok((Argument::Number(number), &rest[end..]))
}

fn string(argument: Option<Argument>) -> Result<Vec<u8>, CommandError> {
    match argument {
        Some(Argument::String(octets)) => Ok(octets),
        _ => Err(CommandError::Arguments),
    }
}

fn text(argument: Option<Argument>) -> Result<String, CommandError> {
    String::from_utf8(string(argument)?).map_err(|_| CommandError::Malformed)
}

fn script_name(argument: Option<Argument>) -> Result<String, CommandError> {
    let name = String::from_utf8(string(argument)?).map_err(|_| CommandError::Name)?;
    if is_script_name(&name) { Ok(name) } else { Err(CommandError::Name) }
}

fn number(argument: Option<Argument>) -> Result<u64, CommandError> {
    match argument {
        Some(Argument::Number(number)) => Ok(number),
        _ => Err(CommandError::Arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_5804_section_2() {
        use Command::*;
        let parsed = |text: &str| parse(text.as_bytes());
        assert_eq!(
            parsed("HAVESPACE \"myscript\" 999999\r\n"),
            Ok(HaveSpace("myscript".into(), 999_999))
        );
        assert_eq!(
            parsed("Putscript \"mysievescript\" {4+}\r\nke\r\n\r\n"),
            Ok(PutScript("mysievescript".into(), b"ke\r\n".to_vec()))
        );
        assert_eq!(parsed("Setactive \"\"\r\n"), Ok(SetActive(None)));
        assert_eq!(
            parsed("NOOP \"STARTTLS-SYNC-42\"\r\n"),
            Ok(Noop(Some("STARTTLS-SYNC-42".into())))
        );
        assert_eq!(parsed("logout\r\n"), Ok(Logout));
        assert_eq!(
            parsed("Renamescript \"foo\" \"b\\\"a\\\\r\"\r\n"),
            Ok(RenameScript("foo".into(), "b\"a\\r".into()))
        );
    }

    #[test]
    fn what_is_no_command() {
        use CommandError::*;
        let fault = |text: &str| parse(text.as_bytes()).unwrap_err();
        assert_eq!(fault("FOO\r\n"), Unknown);
        assert_eq!(fault("\r\n"), Unknown);
        assert_eq!(fault("NOOP \"a\" \"b\"\r\n"), Arguments);
        assert_eq!(fault("HAVESPACE \"a\"\r\n"), Arguments);
        assert_eq!(fault("HAVESPACE \"a\" 99999999999999999999\r\n"), Arguments);
        assert_eq!(fault("GETSCRIPT \"a\r\n"), Malformed);
        assert_eq!(fault("GETSCRIPT a\r\n"), Malformed);
        assert_eq!(fault("GETSCRIPT \"\"\r\n"), Name);
        assert_eq!(fault("GETSCRIPT \"a\u{7f}\"\r\n"), Name);
    }
}
