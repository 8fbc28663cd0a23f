//! LANG (RFC 6856 §3): the language of the texts after `+OK` and `-ERR`. There is one.

use crate::wire::response;

const TAG: &str = "en";

pub(super) fn run(range: Option<&str>, out: &mut Vec<u8>) {
    match range {
        None => {
            response::ok(out, "languages follow");
            response::line(out, format_args!("{TAG} English"));
            response::end(out);
        }
        Some(range) if matches(range) => response::ok(out, format_args!("{TAG} so be it")),
        Some(_) => response::err(out, "that language is not known here"),
    }
}

/// By lookup (RFC 4647 §3.4): `en-GB` is content with `en`.
fn matches(range: &str) -> bool {
    let primary = range.split('-').next().unwrap_or_default();
    range == "*" || primary.eq_ignore_ascii_case(TAG)
}
