//! Messages to send: complete (Date and Message-ID included), so that nothing needs repair on the
//! way and every octet can be compared at the other end.

use std::sync::atomic::{AtomicU64, Ordering};

/// A text message with a subject that no other has.
pub fn plain(from: &str, to: &str, subject: &str) -> Vec<u8> {
    message(from, to, subject, "Content-Type: text/plain; charset=us-ascii\r\n", b"Hello.\r\n")
}

/// A message with these header lines (each with its CRLF) and this body.
pub fn message(from: &str, to: &str, subject: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let id = unique();
    let mut text = format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{id}@client.test>\r\n\
         MIME-Version: 1.0\r\n{more}\r\n"
    )
    .into_bytes();
    text.extend_from_slice(body);
    text
}

/// A word that this process has not used before.
pub fn unique() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("{}.{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Octets that look random and are the same each time.
pub fn noise(octets: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(octets).collect()
}

/// One message for each thing that a careless server harms: name and message.
pub fn gallery(from: &str, to: &str) -> Vec<(&'static str, Vec<u8>)> {
    let text = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
    let make = |name: &'static str, more: &str, body: &[u8]| {
        (name, message(from, to, &format!("gallery: {name}"), more, body))
    };
    let mut dots = Vec::new();
    for line in [".", "..", "...", ".x", "x.", "", ".", " .", ". "] {
        dots.extend_from_slice(line.as_bytes());
        dots.extend_from_slice(b"\r\n");
    }
    let long_line = ["x".repeat(998), "y".repeat(997), String::new()].join("\r\n");
    let mut encoded = String::new();
    for line in noise(1_000_000).chunks(57) {
        encoded.push_str(&crate::base64(line));
        encoded.push_str("\r\n");
    }
    let attachment = format!(
        "--=_b1\r\nContent-Type: text/plain\r\n\r\nSee the attachment.\r\n--=_b1\r\n\
         Content-Type: application/octet-stream; name=\"noise.bin\"\r\n\
         Content-Disposition: attachment; filename=\"noise.bin\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{encoded}--=_b1--\r\n"
    );
    vec![
        make("8-bit", text, "Grüße, κόσμε, 世界, 🪶\r\n".as_bytes()),
        make(
            "latin-1",
            "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n",
            b"Gr\xfc\xdfe\r\n",
        ),
        make("dots", text, &dots),
        make("long lines", text, long_line.as_bytes()),
        make("empty body", text, b""),
        make("blank lines", text, b"\r\n\r\nx\r\n\r\n\r\n"),
        make("trailing space", text, b"a \r\nb\t\r\n \r\n--\x20\r\nsignature\r\n"),
        make("From at the start of a line", text, b"From here on\r\n>From there\r\nFrom \r\n"),
        make("folded header", "X-Folded: one\r\n two\r\n\tthree\r\n", b"x\r\n"),
        make("UTF-8 header", "X-Name: J\u{f6}rg\r\nContent-Type: text/plain\r\n", b"x\r\n"),
        make(
            "attachment",
            "Content-Type: multipart/mixed; boundary=\"=_b1\"\r\n",
            attachment.as_bytes(),
        ),
    ]
}

/// Whether `delivered` is `sent` with nothing but header lines before it.
pub fn arrived_intact(sent: &[u8], delivered: &[u8]) -> bool {
    let Some(trace) = delivered.strip_suffix(sent) else {
        return false;
    };
    let lines = trace.strip_suffix(b"\r\n").unwrap_or(trace).split(|&octet| octet == b'\n');
    trace.is_empty()
        || (trace.ends_with(b"\r\n")
            && lines.into_iter().all(|line| {
                line.first().is_some_and(|octet| {
                    octet.is_ascii_graphic() || *octet == b' ' || *octet == b'\t'
                })
            }))
}

/// The first value of a header field, unfolded.
pub fn field(message: &[u8], name: &str) -> Option<String> {
    fields(message, name).into_iter().next()
}

/// Every value of a header field, unfolded.
pub fn fields(message: &[u8], name: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(message);
    let header = text.split("\r\n\r\n").next().unwrap_or_default();
    let mut values: Vec<String> = Vec::new();
    let mut ours = false;
    for line in header.split("\r\n") {
        if line.starts_with([' ', '\t']) {
            if let (true, Some(value)) = (ours, values.last_mut()) {
                value.push_str(line);
            }
            continue;
        }
        ours = false;
        if let Some((key, value)) = line.split_once(':') {
            ours = key.eq_ignore_ascii_case(name);
            if ours {
                values.push(value.trim().to_owned());
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_unfolded_and_the_body_is_not_searched() {
        let message = b"A: 1\r\nReceived: from x\r\n\tby y\r\nReceived: z\r\n\r\nReceived: no\r\n";
        assert_eq!(fields(message, "received"), ["from x\tby y", "z"]);
    }

    #[test]
    fn intact_means_only_header_lines_before() {
        let sent = b"From: a\r\n\r\nx\r\n";
        assert!(arrived_intact(sent, sent));
        assert!(arrived_intact(sent, b"Received: x\r\n y\r\nFrom: a\r\n\r\nx\r\n"));
        assert!(!arrived_intact(sent, b"Received: x\r\n\r\nFrom: a\r\n\r\nx\r\n"));
        assert!(!arrived_intact(sent, b"From: a\r\n\r\nx\r\ny\r\n"));
        assert!(!arrived_intact(sent, b"x From: a\r\n\r\nx\r\n"));
    }
}
