//! The stored octets of a message: what stands before it, what was left out, and the summary that
//! fits. The body is neither read nor copied where it is large.

use waxwing_message::summary::{Overview, PartInfo, PartKind};
use waxwing_message::trace::Edited;
use waxwing_message::{Message, Summary};

/// Up to here a message is put together in memory and parsed as it will be stored.
const PARSE_WHOLE_OCTETS: usize = 1024 * 1024;

/// The summary of an edited message, as it will stand in the store.
pub(crate) fn summary(original: &[u8], edited: &Edited) -> Summary {
    let rest = edited.rest.min(original.len());
    if edited.header.len() + (original.len() - rest) <= PARSE_WHOLE_OCTETS {
        return Summary::of(&Message::parse(&edited.concat(original)));
    }
    let mut summary = Summary::of(&Message::parse(original));
    let added = edited.header.len() as i64 - rest as i64;
    for part in &mut summary.parts {
        shift(part, rest as u64, added);
    }
    // Its fields may have changed: they are read from the new header alone.
    let end =
        summary.parts.first().map_or(0, |root| (root.header.offset + root.header.octets) as i64);
    let old_end = usize::try_from(end - added).unwrap_or(0).clamp(rest, original.len());
    let header = [&edited.header, &original[rest..old_end]].concat();
    let message = Message::parse(&header);
    summary.overview = Overview::of(message.root());
    summary
}

/// Moves a part: what begins at or after `rest` comes later by `added`; what holds `rest` grows.
fn shift(part: &mut PartInfo, rest: u64, added: i64) {
    for extent in [&mut part.header, &mut part.body] {
        if extent.offset >= rest && extent.offset > 0 {
            extent.offset = extent.offset.saturating_add_signed(added);
        } else if extent.offset + extent.octets >= rest {
            extent.octets = extent.octets.saturating_add_signed(added);
        }
    }
    debug_assert!(matches!(
        part.kind,
        PartKind::Leaf | PartKind::Multipart { .. } | PartKind::Message { .. }
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use waxwing_message::trace;

    /// What a summary must be: that of the octets as they will be stored.
    fn honest(original: &[u8], edited: &Edited) -> Summary {
        Summary::of(&Message::parse(&edited.concat(original)))
    }

    fn large(header: &str, subject: &str) -> Vec<u8> {
        let mut message = format!(
            "{header}Subject: {subject}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
             --b\r\n\r\nhello\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx\r\n--b\r\n\
             Content-Type: application/octet-stream\r\nContent-Disposition: attachment\r\n\r\n"
        )
        .into_bytes();
        message.resize(message.len() + PARSE_WHOLE_OCTETS, b'A');
        message.extend_from_slice(b"\r\n--b--\r\n");
        message
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_large_message_has_the_summary_of_its_stored_octets(
            header in "((Bcc|To|Return-Path|X): [a-z@]{1,20}\r\n){0,4}",
            before in "(Received: [a-z]{1,300}\r\n){0,3}",
        ) {
            let original = large(&header, "s");
            let edited = trace::edit(&original, before.as_bytes(), |field| {
                field.is("Bcc") || field.is("Return-Path")
            });
            prop_assert_eq!(summary(&original, &edited), honest(&original, &edited));
        }
    }
}
