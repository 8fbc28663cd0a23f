//! `v=NAME; key=value; …`: what MTA-STS (RFC 8461 §3.1) and TLS-RPT (RFC 8460 §3) share.
//!
//! A record is one thing or nothing: a syntax error anywhere makes it void, as both RFCs demand.

/// Why there is no usable record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// More than one record of that version: none counts.
    #[error("there are {0} records where one is allowed")]
    Several(usize),
    /// Against the grammar.
    #[error("the record cannot be read: {0}")]
    Syntax(&'static str),
    /// A field that must be there is not.
    #[error("the record has no {0}")]
    Missing(&'static str),
}

/// Longer records are not read: real ones have a hundred octets.
const MAX_RECORD_OCTETS: usize = 8 * 1024;

/// The one record of this version among the texts, read by `parse`. A record of another version, or
/// something else that lives at the same name, is no error.
pub(super) fn select<'t, T>(
    texts: impl IntoIterator<Item = &'t [u8]>,
    version: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, RecordError>,
) -> Result<Option<T>, RecordError> {
    let is_ours = |text: &&[u8]| {
        text.strip_prefix(version.as_bytes())
            .is_some_and(|rest| rest.trim_ascii_start().starts_with(b";"))
    };
    match texts.into_iter().filter(is_ours).collect::<Vec<_>>().as_slice() {
        [] => Ok(None),
        [one] => parse(one).map(Some),
        several => Err(RecordError::Several(several.len())),
    }
}

/// The fields after the version, in order; names as written.
pub(super) fn fields<'t>(
    text: &'t [u8],
    version: &str,
) -> Result<Vec<(&'t str, &'t str)>, RecordError> {
    let syntax = |why| Err(RecordError::Syntax(why));
    if text.len() > MAX_RECORD_OCTETS {
        return syntax("it is too long");
    }
    let Ok(text) = std::str::from_utf8(text) else { return syntax("it is not ASCII") };
    let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
    if parts.next() != Some(version) {
        return syntax("it does not begin with its version");
    }
    let mut fields = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        // One delimiter may end the record.
        if part.is_empty() && parts.peek().is_none() && !fields.is_empty() {
            break;
        }
        let Some((name, value)) = part.split_once('=') else {
            return syntax("a field has no `=`");
        };
        if !is_name(name) {
            return syntax("a field's name is none");
        }
        if value.is_empty() || !value.bytes().all(|b| (0x20..0x7f).contains(&b) || b == b'\t') {
            return syntax("a field's value is empty or not ASCII");
        }
        fields.push((name, value));
    }
    match fields.is_empty() {
        true => syntax("it has no fields"),
        false => Ok(fields),
    }
}

/// `(ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".")`
pub(super) fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// `1*(%x21-3A / %x3C / %x3E-7E)`: what an unknown field may hold.
pub(super) fn is_extension_value(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_graphic() && b != b'=' && b != b';')
}
