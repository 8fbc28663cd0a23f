//! Canonicalization: which changes on the way a signature overlooks (RFC 6376 §3.4).
//!
//! | | header | body |
//! |---|---|---|
//! | simple | none | empty lines at the end |
//! | relaxed | case of names, folding, runs of white space | those, and white space at line ends and its amount within lines |
//!
//! Octets are taken as they stand: only CRLF ends a line of the body. A bare CR or LF is an octet
//! like another, as it is to a signer that hashes what it sends.
//!
//! The body is canonicalised as it streams, by slices of the input: a run of octets that
//! canonicalization leaves alone goes to the hash in one piece and is never copied.
//!
//! | what waits in the machine | until |
//! |---|---|
//! | CR | the next octet says whether it begins CRLF |
//! | white space (relaxed) | the next octet says whether it ends the line |
//! | line ends | another octet says that they are not at the end of the body |

/// How much may change on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Canonicalization {
    /// Almost nothing.
    Simple,
    /// White space, and the case of field names.
    Relaxed,
}

impl Canonicalization {
    /// As in the `c=` tag.
    pub fn as_str(self) -> &'static str {
        match self {
            Canonicalization::Simple => "simple",
            Canonicalization::Relaxed => "relaxed",
        }
    }

    /// From one half of the `c=` tag.
    pub(crate) fn parse(text: &[u8]) -> Option<Canonicalization> {
        match text {
            b"simple" => Some(Canonicalization::Simple),
            b"relaxed" => Some(Canonicalization::Relaxed),
            _ => None,
        }
    }
}

/// Appends a field in relaxed form, without its final line end (RFC 6376 §3.4.2).
pub(crate) fn relaxed_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend(name.iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let start = out.len();
    let mut gap = false;
    let mut at = 0;
    while let Some(&octet) = value.get(at) {
        let folds = octet == b'\r' && value.get(at + 1) == Some(&b'\n');
        if folds || matches!(octet, b' ' | b'\t' | b'\n') {
            gap = true;
            at += 1;
            continue;
        }
        if gap && out.len() > start {
            out.push(b' ');
        }
        gap = false;
        let run = value[at + 1..].iter().position(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
        let end = run.map_or(value.len(), |n| at + 1 + n);
        out.extend_from_slice(&value[at..end]);
        at = end;
    }
}

/// A body on its way through one canonicalization.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    kind: Canonicalization,
    /// CRLFs that are not written yet.
    line_ends: u64,
    /// A CR at the end of a piece.
    cr: bool,
    /// Relaxed: white space that is not written yet.
    gap: bool,
    /// Anything but white space and line ends has come.
    any: bool,
}

impl Body {
    pub fn new(kind: Canonicalization) -> Body {
        Body { kind, line_ends: 0, cr: false, gap: false, any: false }
    }

    /// Takes a piece of the body and gives its canonical form to `sink`, as far as it is certain.
    pub fn write(&mut self, input: &[u8], sink: &mut impl FnMut(&[u8])) {
        let mut rest = input;
        if self.cr && !rest.is_empty() {
            self.cr = false;
            if rest[0] == b'\n' {
                self.line_end();
                rest = &rest[1..];
            } else {
                self.octets(b"\r", sink);
            }
        }
        match self.kind {
            Canonicalization::Simple => self.simple(rest, sink),
            Canonicalization::Relaxed => self.relaxed(rest, sink),
        }
    }

    /// The end of the body.
    pub fn finish(mut self, sink: &mut impl FnMut(&[u8])) {
        if self.cr {
            self.octets(b"\r", sink);
        }
        match self.kind {
            // RFC 6376 §3.4.3: there is always one CRLF at the end, also of an empty body.
            Canonicalization::Simple => sink(b"\r\n"),
            // RFC 6376 §3.4.4: an empty body stays empty.
            Canonicalization::Relaxed if self.any => sink(b"\r\n"),
            Canonicalization::Relaxed => {}
        }
    }

    /// Only the line ends at the end of a piece are in question.
    fn simple(&mut self, mut input: &[u8], sink: &mut impl FnMut(&[u8])) {
        if let [rest @ .., b'\r'] = input {
            self.cr = true;
            input = rest;
        }
        let mut line_ends = 0;
        let mut head = input;
        while let [rest @ .., b'\r', b'\n'] = head {
            head = rest;
            line_ends += 1;
        }
        if !head.is_empty() {
            self.octets(head, sink);
        }
        self.line_ends += line_ends;
    }

    fn relaxed(&mut self, input: &[u8], sink: &mut impl FnMut(&[u8])) {
        let mut at = 0;
        while let Some(&octet) = input.get(at) {
            match octet {
                b' ' | b'\t' => {
                    self.gap = true;
                    at += 1;
                }
                b'\r' if at + 1 == input.len() => {
                    self.cr = true;
                    at += 1;
                }
                b'\r' if input[at + 1] == b'\n' => {
                    self.line_end();
                    at += 2;
                }
                _ => {
                    let end = untouched(input, at);
                    self.octets(&input[at..end], sink);
                    at = end;
                }
            }
        }
    }

    fn line_end(&mut self) {
        self.gap = false;
        self.line_ends += 1;
    }

    /// What canonicalization leaves alone, after what waited for it.
    fn octets(&mut self, octets: &[u8], sink: &mut impl FnMut(&[u8])) {
        const LINE_ENDS: &[u8; 64] = &{
            let mut ends = [b'\r'; 64];
            let mut i = 1;
            while i < 64 {
                ends[i] = b'\n';
                i += 2;
            }
            ends
        };
        while self.line_ends > 0 {
            let some = self.line_ends.min(32);
            sink(&LINE_ENDS[..some as usize * 2]);
            self.line_ends -= some;
        }
        if self.gap {
            self.gap = false;
            sink(b" ");
        }
        self.any = true;
        sink(octets);
    }
}

/// Where the run that begins at `at` with an octet that stays meets something that relaxed
/// canonicalization may change. Single spaces between words and line ends between lines stay.
fn untouched(input: &[u8], at: usize) -> usize {
    let stays = |octet: Option<&u8>| octet.is_some_and(|b| !matches!(b, b' ' | b'\t' | b'\r'));
    let mut at = at + 1;
    // Most text is left alone, which is seen of many octets at once. What is skipped ends in an octet
    // that stays whatever comes after it.
    while let Some(window) = input[at..].first_chunk::<WINDOW>()
        && !may_change(window)
        && let Some(last) =
            window[..WINDOW - 1].iter().rposition(|b| !matches!(b, b' ' | b'\r' | b'\n'))
    {
        at += last + 1;
    }
    loop {
        match input[at..].iter().position(|b| matches!(b, b' ' | b'\t' | b'\r')) {
            None => return input.len(),
            Some(n) => at += n,
        }
        let after = match input[at] {
            b' ' => at + 1,
            _ => at + 2 * input[at..].chunks_exact(2).take_while(|pair| pair == b"\r\n").count(),
        };
        if after == at || !stays(input.get(after)) {
            return at;
        }
        at = after + 1;
    }
}

/// Octets that are looked at at once, and the one after them.
const WINDOW: usize = 65;

/// Whether there may be something to change among the octets of a window, but for its last: a tab, a
/// space before white space or a line end, a CR that ends no line. Without a branch, so that it takes
/// several octets at a time.
fn may_change(window: &[u8; WINDOW]) -> bool {
    let pairs = window.iter().zip(&window[1..]);
    pairs.fold(false, |found, (octet, next)| {
        let white = (*next == b' ') | (*next == b'\t') | (*next == b'\r');
        let space = (*octet == b' ') & white;
        let cr = (*octet == b'\r') & (*next != b'\n');
        found | (*octet == b'\t') | space | cr
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> String {
        let mut out = Vec::new();
        relaxed_field(name.as_bytes(), value.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn body(kind: Canonicalization, pieces: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut sink = |octets: &[u8]| out.extend_from_slice(octets);
        let mut body = Body::new(kind);
        for piece in pieces {
            body.write(piece, &mut sink);
        }
        body.finish(&mut sink);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_in_relaxed_form() {
        assert_eq!(field("A", " X"), "a:X");
        assert_eq!(field("Subject", "\r\n \t"), "subject:");
        assert_eq!(field("Subject", "a\rb  \r\n c"), "subject:a\rb c");
    }

    /// RFC 6376 §3.4.5, its body; the header is in `header.rs`.
    #[test]
    fn the_examples_of_rfc_6376_section_3_4_5() {
        let raw = b" C \r\nD \t E\r\n\r\n\r\n";
        assert_eq!(body(Canonicalization::Relaxed, &[raw]), " C\r\nD E\r\n");
        assert_eq!(body(Canonicalization::Simple, &[raw]), " C \r\nD \t E\r\n");
    }

    /// RFC 6376 §3.4.3 and §3.4.4.
    #[test]
    fn the_ends_of_bodies() {
        use Canonicalization::{Relaxed, Simple};
        assert_eq!(body(Simple, &[]), "\r\n");
        assert_eq!(body(Relaxed, &[]), "");
        assert_eq!(body(Simple, &[b"\r\n\r\n"]), "\r\n");
        assert_eq!(body(Relaxed, &[b"\r\n\r\n"]), "");
        assert_eq!(body(Relaxed, &[b" \r\n\t\r\n "]), "");
        assert_eq!(body(Simple, &[b"a"]), "a\r\n");
        assert_eq!(body(Relaxed, &[b"a"]), "a\r\n");
        assert_eq!(body(Relaxed, &[b"a \r\n \r\nb"]), "a\r\n\r\nb\r\n");
        assert_eq!(body(Relaxed, &[b"a\r\r\n"]), "a\r\r\n");
        assert_eq!(body(Relaxed, &[b"a \rb"]), "a \rb\r\n");
        assert_eq!(body(Simple, &[b"a\nb\n"]), "a\nb\n\r\n");
    }

    #[test]
    fn pieces_make_no_difference() {
        let raw: &[u8] = b"a  b \r\n\r\n\r \t\r\nc\r\n \r\n\r";
        for kind in [Canonicalization::Simple, Canonicalization::Relaxed] {
            let whole = body(kind, &[raw]);
            let single: Vec<&[u8]> = raw.chunks(1).collect();
            assert_eq!(body(kind, &single), whole);
            for cut in 0..raw.len() {
                assert_eq!(body(kind, &[&raw[..cut], &raw[cut..]]), whole, "cut at {cut}");
            }
        }
    }
}
