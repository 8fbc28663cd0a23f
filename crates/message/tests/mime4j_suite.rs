//! The MIME-tools torture messages and mime4j's own: the shape of the tree and the decoded parts as
//! mime4j reads them. Where the input is broken its reading is a judgement, and [`JUDGED`] has ours.

use std::path::{Path, PathBuf};
use waxwing_suites as suites;

use waxwing_message::parse::{Body, Message, PartId};

/// Messages whose tree or parts we read differently, and why.
const JUDGED: &[(&str, &str)] = &[
    ("badbound", "a multipart whose boundary is missing or never occurs is read as text"),
    ("missing-boundary", "a multipart whose boundary is missing or never occurs is read as text"),
    (
        "missing-inner-boundary",
        "a multipart whose boundary is missing or never occurs is read as text",
    ),
    (
        "missing-inner-start-boundary",
        "a multipart whose boundary is missing or never occurs is read as text",
    ),
    ("multipartnopart", "a multipart whose boundary is missing or never occurs is read as text"),
    ("frag", "an unfinished base64 quantum gives the octets it has"),
    ("multi-frag", "what is no base64 digit is passed over (RFC 2045 §6.8), and decoding goes on"),
    ("hdr-fakeout", "a line of white space folds; text after it is body, not header"),
    (
        "basic-plain-with-bad-header-separator",
        "a line of white space folds; text after it is body, not header",
    ),
    ("multi-2gifs-base64", "a message in base64 is not opened in place: it has no offsets"),
    (
        "bad-newlines-multiple-parts-base64",
        "a message in base64 is not opened in place: it has no offsets",
    ),
    (
        "base64encoded-rfc822message-nested",
        "a message in base64 is not opened in place: it has no offsets",
    ),
    (
        "base64encoded-rfc822message",
        "a message in base64 is not opened in place: it has no offsets",
    ),
    ("malformedHeader-noheader", "without any header all is body"),
    ("malformedHeaderStartsBody-noheader", "without any header all is body"),
    (
        "malformedHeaderStartsBody-nocrlfcrlf",
        "one line that is no field between fields is junk in the header",
    ),
    ("multipartemptypart", "their files hold preamble and epilogue here"),
    ("multipartnestedemptyparts", "their files hold preamble and epilogue here"),
    ("very-long-boundary", "RFC 2046 §5.1.1: a boundary does not end with white space"),
    ("very-very-long-boundary", "RFC 2046 §5.1.1: a boundary does not end with white space"),
    ("weird-boundary", "RFC 2046 §5.1.1: a boundary does not end with white space"),
];

#[test]
fn trees_and_parts() {
    let Some(folder) = suites::unpacked("mime/mime4j-testmsgs.tar.xz", env!("CARGO_TARGET_TMPDIR"))
    else {
        return;
    };
    let mut compared = 0;
    let mut wrong = Vec::new();
    for file in suites::files(&folder, &[".msg"]) {
        let raw = std::fs::read(&file).expect("a message");
        let Ok(xml) = std::fs::read(file.with_extension("xml")) else { continue };
        let message = Message::parse(&raw);
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        compared += 1;
        let (ours, theirs) = (our_tree(&message), their_tree(&String::from_utf8_lossy(&xml)));
        if ours != theirs {
            wrong.push(format!("{name}: tree\n    ours   {ours}\n    theirs {theirs}"));
            continue;
        }
        let leaves: Vec<PartId> = (0..message.parts.len() as u32)
            .map(PartId)
            .filter(|id| message.part(*id).content == Body::Leaf)
            .collect();
        let files = decoded_files(&file);
        if leaves.len() != files.len() {
            wrong.push(format!("{name}: {} leaves, {} files", leaves.len(), files.len()));
            continue;
        }
        for (id, file) in leaves.iter().zip(&files) {
            let theirs = std::fs::read(file).expect("a decoded part");
            let ours = message.decoded(*id);
            if lines(&ours) != lines(&theirs) {
                let shown = |octets: &[u8]| {
                    String::from_utf8_lossy(&octets[..octets.len().min(300)]).into_owned()
                };
                wrong.push(format!(
                    "{name}: part {}\n    ours   {:?}\n    theirs {:?}",
                    id.0,
                    shown(&ours),
                    shown(&theirs)
                ));
            }
        }
    }
    assert!(compared >= 70, "{compared}");
    for (judged, _) in JUDGED {
        let differs = wrong.iter().any(|line| line.starts_with(&format!("{judged}:")));
        assert!(differs, "no longer differs: {judged}");
    }
    wrong.retain(|line| !JUDGED.iter().any(|(judged, _)| line.starts_with(&format!("{judged}:"))));
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// The answers have line ends of either kind, and one at the very end or not.
fn lines(octets: &[u8]) -> Vec<u8> {
    let plain: Vec<u8> = octets.iter().copied().filter(|b| *b != b'\r').collect();
    plain.strip_suffix(b"\n").unwrap_or(&plain).to_vec()
}

/// `NAME_decoded_1_2.txt` and the like, in the order of the tree.
fn decoded_files(message: &Path) -> Vec<PathBuf> {
    let name = message.file_stem().expect("a name").to_string_lossy().into_owned();
    let prefix = format!("{name}_decoded_");
    let folder = message.parent().expect("a folder");
    let mut found: Vec<(Vec<u32>, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if let Some(place) = stem.strip_prefix(&prefix) {
            let place = place.split('_').map(|n| n.parse().expect("a number")).collect();
            found.push((place, path));
        }
    }
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

fn our_tree(message: &Message<'_>) -> String {
    fn part(message: &Message<'_>, id: PartId, out: &mut String) {
        match &message.part(id).content {
            Body::Leaf => out.push('.'),
            Body::Message(root) => {
                out.push_str("M(");
                part(message, *root, out);
                out.push(')');
            }
            Body::Multipart(children) => {
                out.push('(');
                children.iter().for_each(|child| part(message, *child, out));
                out.push(')');
            }
        }
    }
    let mut out = String::new();
    part(message, PartId::ROOT, &mut out);
    out
}

fn their_tree(xml: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    for line in xml.lines() {
        match line.trim() {
            "<message>" => {
                if depth > 0 {
                    out.push_str("M(");
                }
                depth += 1;
            }
            "</message>" => {
                depth -= 1;
                if depth > 0 {
                    out.push(')');
                }
            }
            "<multipart>" => out.push('('),
            "</multipart>" => out.push(')'),
            "<body>" | "<body></body>" => out.push('.'),
            _ => {}
        }
    }
    out
}
