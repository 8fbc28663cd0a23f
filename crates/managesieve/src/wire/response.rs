//! Responses, written: RFC 5804 §1.2, §1.3 and §4.

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is done.
    Ok,
    /// It is not.
    No,
    /// It is not, and the connection ends.
    Bye,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::No => "NO",
            Status::Bye => "BYE",
        }
    }
}

/// What a program may want to know of it: RFC 5804 §1.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// TLS comes first.
    EncryptNeeded,
    /// No space, for no reason that is told.
    Quota,
    /// Too many scripts.
    QuotaMaxScripts,
    /// Too large a script.
    QuotaMaxSize,
    /// The last word of a mechanism, in base64.
    Sasl(String),
    /// It would work at another time.
    TryLater,
    /// The script is active.
    Active,
    /// There is no such script.
    NonExistent,
    /// There is such a script.
    AlreadyExists,
    /// What NOOP was given.
    Tag(String),
    /// The text is about faults that are none.
    Warnings,
}

/// Writes the line that ends a command.
pub fn end(out: &mut Vec<u8>, status: Status, code: Option<&Code>, text: &str) {
    out.extend_from_slice(status.word().as_bytes());
    if let Some(code) = code {
        out.extend_from_slice(b" (");
        let (word, value) = match code {
            Code::EncryptNeeded => ("ENCRYPT-NEEDED", None),
            Code::Quota => ("QUOTA", None),
            Code::QuotaMaxScripts => ("QUOTA/MAXSCRIPTS", None),
            Code::QuotaMaxSize => ("QUOTA/MAXSIZE", None),
            Code::Sasl(last) => ("SASL", Some(last)),
            Code::TryLater => ("TRYLATER", None),
            Code::Active => ("ACTIVE", None),
            Code::NonExistent => ("NONEXISTENT", None),
            Code::AlreadyExists => ("ALREADYEXISTS", None),
            Code::Tag(tag) => ("TAG", Some(tag)),
            Code::Warnings => ("WARNINGS", None),
        };
        out.extend_from_slice(word.as_bytes());
        if let Some(value) = value {
            out.push(b' ');
            string(out, value.as_bytes());
        }
        out.push(b')');
    }
    out.push(b' ');
    string(out, text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a string: quoted where it can be, else as a literal.
pub fn string(out: &mut Vec<u8>, octets: &[u8]) {
    let plain = octets.len() <= 1024
        && std::str::from_utf8(octets).is_ok()
        && !octets.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
    if !plain {
        return literal(out, octets);
    }
    out.push(b'"');
    for &b in octets {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(b);
    }
    out.push(b'"');
}

/// Writes a literal: RFC 5804 §4 `literal-s2c`.
pub fn literal(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend_from_slice(format!("{{{}}}\r\n", octets.len()).as_bytes());
    out.extend_from_slice(octets);
}
