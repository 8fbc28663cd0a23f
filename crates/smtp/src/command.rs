//! The grammar of commands: one line in, a [`Command`] or the reason it is none.
//!
//! RFC 5321 §4.1, with the parameters of RFC 1870 (SIZE), 6152 and 3030 (BODY, BDAT), 6531
//! (SMTPUTF8), 3461 (RET, ENVID, NOTIFY, ORCPT), 4954 (AUTH) and 8689 (REQUIRETLS). Whether a
//! parameter was announced, and whether a command is in its place, is for the session to say.
//!
//! Forgiven, because clients in use need it: white space around the colon of `MAIL FROM:` and
//! `RCPT TO:` (hand-typed sessions and scripts; RFC 5321 §3.3 calls it a common error), a path
//! without angle brackets (printers, scanners and monitoring devices), white space at the end of a
//! line, and source routes, which are skipped (RFC 5321 Appendix C).

use waxwing_message::{
    Address, BodyKind, DsnReturn, Notify, OriginalRecipient, Recipient, ReversePath,
};

use crate::reply::Reply;
use crate::xtext;

/// A command, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// HELO with the client's name.
    Helo(String),
    /// EHLO with the client's name.
    Ehlo(String),
    /// LHLO (RFC 2033) with the client's name.
    Lhlo(String),
    /// MAIL FROM.
    Mail(Box<Mail>),
    /// RCPT TO.
    Rcpt(Box<Rcpt>),
    /// DATA.
    Data,
    /// BDAT (RFC 3030).
    Bdat {
        /// Octets that follow the line.
        octets: u64,
        /// The message ends with them.
        last: bool,
    },
    /// RSET.
    Rset,
    /// NOOP; what it says is ignored.
    Noop,
    /// QUIT.
    Quit,
    /// VRFY.
    Vrfy,
    /// EXPN.
    Expn,
    /// HELP.
    Help,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954).
    Auth {
        /// As given.
        mechanism: String,
        /// Still in base64; `=` stands for an empty one.
        initial: Option<String>,
    },
}

/// MAIL FROM with its parameters, as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// `<>` or an address.
    pub reverse_path: ReversePath,
    /// The path was written with UTF-8, which needs SMTPUTF8.
    pub path_is_utf8: bool,
    /// SIZE=
    pub size_octets: Option<u64>,
    /// BODY=
    pub body: Option<BodyKind>,
    /// SMTPUTF8
    pub smtputf8: bool,
    /// REQUIRETLS
    pub require_tls: bool,
    /// RET=
    pub dsn_return: Option<DsnReturn>,
    /// ENVID=, decoded.
    pub envelope_id: Option<String>,
    /// AUTH= was given. Its value is not believed (RFC 4954 §5 allows that) and so not kept.
    pub auth: bool,
}

/// RCPT TO with its parameters, as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    /// `None` is `<Postmaster>` without a domain (RFC 5321 §4.1.1.3).
    pub forward_path: Option<Address>,
    /// Path or ORCPT were written with UTF-8, which needs SMTPUTF8.
    pub is_utf8: bool,
    /// NOTIFY=
    pub notify: Option<Notify>,
    /// ORCPT=, decoded.
    pub original: Option<OriginalRecipient>,
}

impl Rcpt {
    /// The recipient, `<Postmaster>` being given this host's name; `None` if that is no domain.
    pub fn into_recipient(self, host_name: &str) -> Option<Recipient> {
        let address = match self.forward_path {
            Some(address) => address,
            None => Address::new("postmaster", host_name).ok()?,
        };
        Some(Recipient { address, notify: self.notify, original: self.original })
    }
}

/// Why a line is not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such command.
    #[error("command not recognised")]
    Unknown,
    /// Octets that no command may have.
    #[error("control characters or malformed UTF-8 in a command")]
    Octets,
    /// The argument does not fit the command.
    #[error("{0}")]
    Argument(&'static str),
    /// MAIL FROM's path.
    #[error("malformed reverse-path: {0}")]
    ReversePath(&'static str),
    /// RCPT TO's path.
    #[error("malformed forward-path: {0}")]
    ForwardPath(&'static str),
    /// A parameter that no extension here defines.
    #[error("parameter not recognised")]
    Parameter,
    /// BDAT whose chunk size is unreadable: where the next command begins cannot be known.
    #[error("BDAT needs a chunk size in octets, and perhaps LAST")]
    Chunk,
}

impl CommandError {
    /// What the client is told.
    pub fn reply(self) -> Reply {
        let text = self.to_string();
        match self {
            CommandError::Unknown => Reply::new(500, (5, 5, 1), text),
            CommandError::Octets => Reply::new(500, (5, 5, 2), text),
            CommandError::Argument(_) | CommandError::Chunk => Reply::new(501, (5, 5, 4), text),
            CommandError::ReversePath(_) => Reply::new(501, (5, 1, 7), text),
            CommandError::ForwardPath(_) => Reply::new(501, (5, 1, 3), text),
            // RFC 5321 §4.1.1.11
            CommandError::Parameter => Reply::new(555, (5, 5, 4), text),
        }
    }
}

impl Command {
    /// Parses a line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Command, CommandError> {
        let line = std::str::from_utf8(line).map_err(|_| CommandError::Octets)?;
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(CommandError::Octets);
        }
        let line = line.trim_end_matches([' ', '\t']);
        let (verb, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let argument = argument.trim_start_matches([' ', '\t']);
        let alone = |command| match argument {
            "" => Ok(command),
            _ => Err(CommandError::Argument("this command takes no argument")),
        };
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => hello_name(argument).map(Command::Ehlo),
            "HELO" => hello_name(argument).map(Command::Helo),
            "LHLO" => hello_name(argument).map(Command::Lhlo),
            "MAIL" => parse_mail(argument),
            "RCPT" => parse_rcpt(argument),
            "DATA" => alone(Command::Data),
            "BDAT" => parse_bdat(argument),
            "RSET" => alone(Command::Rset),
            "NOOP" => Ok(Command::Noop),
            "QUIT" => alone(Command::Quit),
            "VRFY" | "EXPN" if argument.is_empty() => {
                Err(CommandError::Argument("an argument is missing"))
            }
            "VRFY" => Ok(Command::Vrfy),
            "EXPN" => Ok(Command::Expn),
            "HELP" => Ok(Command::Help),
            "STARTTLS" => alone(Command::StartTls),
            "AUTH" => parse_auth(argument),
            _ => Err(CommandError::Unknown),
        }
    }
}

/// RFC 5321 §4.1.1.1 wants a domain or address literal. Deviates: any printable ASCII word is
/// taken, since desktop clients send bare or underscored machine names; what it is worth is for
/// those to judge who read it.
fn hello_name(argument: &str) -> Result<String, CommandError> {
    if argument.is_empty() {
        return Err(CommandError::Argument("your host name is missing"));
    }
    if argument.len() > 255 || !argument.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(CommandError::Argument("that is not a host name"));
    }
    Ok(argument.to_owned())
}

fn parse_auth(argument: &str) -> Result<Command, CommandError> {
    let mut words = argument.split_ascii_whitespace();
    let Some(mechanism) = words.next() else {
        return Err(CommandError::Argument("the mechanism is missing"));
    };
    let initial = words.next().map(str::to_owned);
    if words.next().is_some() {
        return Err(CommandError::Argument("AUTH takes a mechanism and one initial response"));
    }
    Ok(Command::Auth { mechanism: mechanism.to_owned(), initial })
}

/// RFC 3030 §2.
fn parse_bdat(argument: &str) -> Result<Command, CommandError> {
    let mut words = argument.split_ascii_whitespace();
    let octets = words.next().and_then(parse_number).ok_or(CommandError::Chunk)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(CommandError::Chunk),
    };
    match words.next() {
        None => Ok(Command::Bdat { octets, last }),
        Some(_) => Err(CommandError::Chunk),
    }
}

/// RFC 1870 §4: one to twenty digits.
fn parse_number(text: &str) -> Option<u64> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn parse_mail(argument: &str) -> Result<Command, CommandError> {
    let rest = after_keyword(argument, "FROM")
        .ok_or(CommandError::Argument("MAIL is followed by FROM:<address>"))?;
    let (path, parameters) = split_path(rest).map_err(CommandError::ReversePath)?;
    let reverse_path = match path {
        "" => ReversePath::Null,
        path => ReversePath::Address(parse_mailbox(path).map_err(CommandError::ReversePath)?),
    };
    let mut mail = Mail {
        reverse_path,
        path_is_utf8: !path.is_ascii(),
        size_octets: None,
        body: None,
        smtputf8: false,
        require_tls: false,
        dsn_return: None,
        envelope_id: None,
        auth: false,
    };
    for parameter in Parameters::new(parameters) {
        let (keyword, value) = parameter?;
        mail.take(&keyword, value)?;
    }
    Ok(Command::Mail(Box::new(mail)))
}

impl Mail {
    fn take(&mut self, keyword: &str, value: Option<&str>) -> Result<(), CommandError> {
        let wrong = CommandError::Argument;
        match keyword {
            "SIZE" => {
                let octets = value.and_then(parse_number);
                self.size_octets = Some(octets.ok_or(wrong("SIZE= takes a number"))?);
            }
            "BODY" => {
                let upper = value.map(str::to_ascii_uppercase);
                self.body = Some(match upper.as_deref() {
                    Some("7BIT") => BodyKind::SevenBit,
                    Some("8BITMIME") => BodyKind::EightBitMime,
                    Some("BINARYMIME") => BodyKind::BinaryMime,
                    _ => return Err(wrong("BODY= takes 7BIT, 8BITMIME or BINARYMIME")),
                });
            }
            "SMTPUTF8" if value.is_none() => self.smtputf8 = true,
            "SMTPUTF8" => return Err(wrong("SMTPUTF8 takes no value")),
            "REQUIRETLS" if value.is_none() => self.require_tls = true,
            "REQUIRETLS" => return Err(wrong("REQUIRETLS takes no value")),
            "RET" => {
                let upper = value.map(str::to_ascii_uppercase);
                self.dsn_return = Some(match upper.as_deref() {
                    Some("FULL") => DsnReturn::Full,
                    Some("HDRS") => DsnReturn::Headers,
                    _ => return Err(wrong("RET= takes FULL or HDRS")),
                });
            }
            // RFC 3461 §4.4: at most 100 characters.
            "ENVID" => {
                let id = value.filter(|v| v.len() <= 100).and_then(xtext::decode);
                self.envelope_id = Some(id.ok_or(wrong("ENVID= takes xtext of 100 characters"))?);
            }
            "AUTH" => {
                let value = value.ok_or(wrong("AUTH= takes an address or <>"))?;
                if value != "<>" && xtext::decode(value).is_none() {
                    return Err(wrong("AUTH= takes an address in xtext or <>"));
                }
                self.auth = true;
            }
            _ => return Err(CommandError::Parameter),
        }
        Ok(())
    }
}

fn parse_rcpt(argument: &str) -> Result<Command, CommandError> {
    let rest = after_keyword(argument, "TO")
        .ok_or(CommandError::Argument("RCPT is followed by TO:<address>"))?;
    let (path, parameters) = split_path(rest).map_err(CommandError::ForwardPath)?;
    let forward_path = if path.eq_ignore_ascii_case("postmaster") {
        None
    } else {
        Some(parse_mailbox(path).map_err(CommandError::ForwardPath)?)
    };
    let mut rcpt = Rcpt { forward_path, is_utf8: !rest.is_ascii(), notify: None, original: None };
    for parameter in Parameters::new(parameters) {
        let (keyword, value) = parameter?;
        match keyword.as_str() {
            "NOTIFY" => {
                let notify = value.and_then(parse_notify);
                rcpt.notify = Some(notify.ok_or(CommandError::Argument(
                    "NOTIFY= takes NEVER, or some of SUCCESS,FAILURE,DELAY",
                ))?);
            }
            "ORCPT" => {
                let original = value.and_then(parse_original);
                rcpt.original = Some(original.ok_or(CommandError::Argument(
                    "ORCPT= takes a type, a semicolon and an address in xtext",
                ))?);
            }
            _ => return Err(CommandError::Parameter),
        }
    }
    Ok(Command::Rcpt(Box::new(rcpt)))
}

/// RFC 3461 §4.1.
fn parse_notify(value: &str) -> Option<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in value.split(',') {
        let flag = match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => &mut success,
            "FAILURE" => &mut failure,
            "DELAY" => &mut delay,
            _ => return None,
        };
        *flag = true;
    }
    Some(Notify::On { success, failure, delay })
}

/// RFC 3461 §4.2, RFC 6533 §3: at most 500 characters.
fn parse_original(value: &str) -> Option<OriginalRecipient> {
    let (address_type, encoded) = value.split_once(';').filter(|_| value.len() <= 500)?;
    let type_ok = !address_type.is_empty()
        && address_type.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let address = match address_type.eq_ignore_ascii_case("utf-8") {
        true => xtext::decode_utf8_address(encoded)?,
        false => xtext::decode(encoded)?,
    };
    match type_ok && !address.is_empty() {
        true => Some(OriginalRecipient { address_type: address_type.to_owned(), address }),
        false => None,
    }
}

/// What follows `FROM:` or `TO:`.
fn after_keyword<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = argument.split_once(':')?;
    let head = head.trim_end_matches([' ', '\t']);
    head.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches([' ', '\t']))
}

/// Splits into the path, without angle brackets and source route, and the parameters.
fn split_path(text: &str) -> Result<(&str, &str), &'static str> {
    let Some(inner) = text.strip_prefix('<') else {
        let (path, parameters) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        return match path {
            "" => Err("it is missing"),
            path if path.contains(['<', '>']) => Err("the angle brackets do not match"),
            path => Ok((path, parameters)),
        };
    };
    let close = find_unquoted(inner, '>').ok_or("the closing angle bracket is missing")?;
    let (path, parameters) = (&inner[..close], &inner[close + 1..]);
    if !(parameters.is_empty() || parameters.starts_with([' ', '\t'])) {
        return Err("a space is missing after the closing angle bracket");
    }
    let path = match path.starts_with('@') {
        // RFC 5321 Appendix C: a source route is accepted and ignored.
        true => &path[find_unquoted(path, ':').ok_or("the source route has no end")? + 1..],
        false => path,
    };
    Ok((path, parameters))
}

/// The first such character outside quoted strings and address literals.
fn find_unquoted(text: &str, wanted: char) -> Option<usize> {
    let (mut quoted, mut escaped, mut literal) = (false, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            c if c == wanted && !(literal && c == ':') => return Some(at),
            '[' => literal = true,
            ']' => literal = false,
            _ => {}
        }
    }
    None
}

fn parse_mailbox(path: &str) -> Result<Address, &'static str> {
    use waxwing_message::AddressError;
    Address::parse(path).map_err(|error| match error {
        AddressError::NoDomain => "it needs an @ and a domain",
        AddressError::LocalPart => "the part before the @",
        AddressError::Domain => "the part after the @ is not a domain",
        AddressError::TooLong => "it is too long",
    })
}

/// ESMTP parameters: `KEYWORD` or `KEYWORD=value`, each keyword once.
struct Parameters<'a> {
    words: std::str::SplitAsciiWhitespace<'a>,
    seen: Vec<String>,
}

impl<'a> Parameters<'a> {
    fn new(text: &'a str) -> Parameters<'a> {
        Parameters { words: text.split_ascii_whitespace(), seen: Vec::new() }
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(String, Option<&'a str>), CommandError>;

    fn next(&mut self) -> Option<Self::Item> {
        let word = self.words.next()?;
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        let keyword = keyword.to_ascii_uppercase();
        if value == Some("") || keyword.is_empty() {
            return Some(Err(CommandError::Argument("a parameter's value is missing")));
        }
        if self.seen.contains(&keyword) {
            return Some(Err(CommandError::Argument("a parameter is given twice")));
        }
        // Every known keyword can be seen once, and the first unknown one ends it all.
        self.seen.push(keyword.clone());
        Some(Ok((keyword, value)))
    }
}
