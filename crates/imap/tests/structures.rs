//! ENVELOPE and BODYSTRUCTURE of real and of broken mail: read back by a reader that knows only the
//! grammar of RFC 3501 §9, and compared with the sections that FETCH would give.
//!
//! Where the suites are absent, only the messages of this repository are read.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use waxwing_imap::wire::command::SectionText;
use waxwing_imap::wire::out::Out;
use waxwing_imap::wire::section::locate;
use waxwing_imap::wire::structure;
use waxwing_message::{Message, Summary};

/// What IMAP writes data as.
#[derive(Debug, PartialEq)]
enum Value {
    Nil,
    Number(u64),
    Text(Vec<u8>),
    List(Vec<Value>),
}

use Value::{List, Nil, Number, Text};

fn read(input: &mut &[u8]) -> Value {
    match input[0] {
        b'(' => {
            *input = &input[1..];
            let mut items = Vec::new();
            loop {
                match input[0] {
                    b')' => break,
                    b' ' => *input = &input[1..],
                    _ => items.push(read(input)),
                }
            }
            *input = &input[1..];
            List(items)
        }
        b'"' => {
            let mut text = Vec::new();
            let mut at = 1;
            while input[at] != b'"' {
                at += usize::from(input[at] == b'\\');
                assert!(
                    !matches!(input[at], b'\r' | b'\n' | 0 | 0x80..),
                    "an octet not for quotes"
                );
                text.push(input[at]);
                at += 1;
            }
            *input = &input[at + 1..];
            Text(text)
        }
        b'{' => {
            let end = input.iter().position(|&b| b == b'}').expect("a closing brace");
            let octets: usize = std::str::from_utf8(&input[1..end]).unwrap().parse().unwrap();
            assert_eq!(&input[end + 1..end + 3], b"\r\n");
            let text = input[end + 3..end + 3 + octets].to_vec();
            assert!(!text.contains(&0), "NUL in a literal");
            *input = &input[end + 3 + octets..];
            Text(text)
        }
        b'N' => {
            assert!(input.starts_with(b"NIL"));
            *input = &input[3..];
            Nil
        }
        _ => {
            let end = input.iter().position(|b| !b.is_ascii_digit()).unwrap_or(input.len());
            let number = std::str::from_utf8(&input[..end]).unwrap().parse().expect("a number");
            *input = &input[end..];
            Number(number)
        }
    }
}

fn is_nstring(value: &Value) -> bool {
    matches!(value, Nil | Text(_))
}

fn check_params(value: &Value) {
    if let List(items) = value {
        assert!(!items.is_empty() && items.len() % 2 == 0, "{items:?}");
        assert!(items.iter().all(|item| matches!(item, Text(_))), "{items:?}");
    } else {
        assert_eq!(*value, Nil);
    }
}

/// `body-fld-dsp SP body-fld-lang SP body-fld-loc`.
fn check_extension(values: &[Value]) {
    let [disposition, language, location] = values else { panic!("{values:?}") };
    match disposition {
        List(items) => {
            assert!(matches!(items[0], Text(_)) && items.len() == 2);
            check_params(&items[1]);
        }
        other => assert_eq!(*other, Nil),
    }
    match language {
        List(items) => assert!(items.iter().all(|item| matches!(item, Text(_)))),
        other => assert!(is_nstring(other)),
    }
    assert!(is_nstring(location));
}

fn check_envelope(value: &Value) {
    let List(items) = value else { panic!("{value:?}") };
    assert_eq!(items.len(), 10);
    assert!([0, 1, 8, 9].iter().all(|&at| is_nstring(&items[at])), "{items:?}");
    for list in &items[2..8] {
        let List(addresses) = list else {
            assert_eq!(*list, Nil);
            continue;
        };
        assert!(!addresses.is_empty());
        for address in addresses {
            let List(fields) = address else { panic!("{address:?}") };
            assert!(fields.len() == 4 && fields.iter().all(is_nstring), "{fields:?}");
        }
    }
}

/// Checks a body, and gathers the octets of each numbered leaf.
fn check_body(value: &Value, path: &[u32], is_root: bool, leaves: &mut Vec<(Vec<u32>, u64)>) {
    let List(items) = value else { panic!("{value:?}") };
    if matches!(items[0], List(_)) {
        let children = items.iter().take_while(|item| matches!(item, List(_))).count();
        for (i, child) in items[..children].iter().enumerate() {
            let path = [path, &[i as u32 + 1]].concat();
            check_body(child, &path, false, leaves);
        }
        assert!(matches!(items[children], Text(_)));
        check_params(&items[children + 1]);
        return check_extension(&items[children + 2..]);
    }
    let path = if is_root { [path, &[1]].concat() } else { path.to_vec() };
    let (Text(media_type), Text(subtype)) = (&items[0], &items[1]) else { panic!("{items:?}") };
    check_params(&items[2]);
    assert!(is_nstring(&items[3]) && is_nstring(&items[4]) && matches!(items[5], Text(_)));
    let Number(octets) = items[6] else { panic!("{items:?}") };
    leaves.push((path.clone(), octets));
    let mut rest = &items[7..];
    let message =
        media_type.eq_ignore_ascii_case(b"message") && subtype.eq_ignore_ascii_case(b"rfc822");
    if message {
        check_envelope(&rest[0]);
        // One that could not be read shows an empty text, which has no part number.
        let mut inside = Vec::new();
        check_body(&rest[1], &path, true, &mut inside);
        leaves.extend(inside.into_iter().filter(|(_, octets)| *octets > 0));
        rest = &rest[2..];
    }
    if message || media_type.eq_ignore_ascii_case(b"text") {
        assert!(matches!(rest[0], Number(_)), "{items:?}");
        rest = &rest[1..];
    }
    assert!(is_nstring(&rest[0]), "{items:?}");
    check_extension(&rest[1..]);
}

fn check(raw: &[u8]) {
    let summary = Summary::of(&Message::parse(raw));
    for utf8 in [false, true] {
        let mut out = Out::default();
        structure::envelope(&mut out, &summary.overview);
        let mut input = out.waiting();
        check_envelope(&read(&mut input));
        assert!(input.is_empty());
        let mut out = Out::default();
        structure::body(&mut out, &summary, true, utf8);
        let mut input = out.waiting();
        let body = read(&mut input);
        assert!(input.is_empty());
        let mut leaves = Vec::new();
        if !utf8 {
            check_body(&body, &[], true, &mut leaves);
        }
        for (path, octets) in leaves {
            let size = raw.len() as u64;
            let found = locate(&summary.parts, &path, &SectionText::Whole, size);
            match found {
                Some(extent) => {
                    assert_eq!(extent.octets, octets, "{path:?}");
                    assert!(extent.offset + extent.octets <= size, "{path:?}");
                }
                None => assert_eq!(octets, 0, "{path:?}"),
            }
        }
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => files(&path, found),
            path if path.extension().is_some_and(|e| e == "eml" || e == "txt" || e == "msg") => {
                found.push(path);
            }
            _ => {}
        }
    }
}

#[test]
fn mail_as_it_is_found() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(&here.join("tests/messages"), &mut found);
    let own = found.len();
    assert!(own >= 3);
    if let Some(suite) = waxwing_suites::find("mime") {
        files(&suite, &mut found);
    }
    for file in &found {
        check(&std::fs::read(file).expect("a message"));
    }
    println!("{} messages", found.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    /// Lines that mail is made of, in any order.
    #[test]
    fn mail_as_nobody_writes_it(lines in proptest::collection::vec(prop_oneof![
        Just("Content-Type: multipart/mixed; boundary=a"),
        Just("Content-Type: multipart/alternative; boundary=\"b\""),
        Just("Content-Type: message/rfc822"),
        Just("Content-Type: message/global"),
        Just("Content-Type: multipart/digest; boundary=c"),
        Just("Content-Type: text/plain; charset=\"\u{fc}\"; x*0=1; x*1=\"2\\\"\""),
        Just("Content-Transfer-Encoding: base64"),
        Just("Content-Disposition: attachment; filename=x"),
        Just("Content-Language: de, en"),
        Just("From: a <b@c>, g: d@e, \"f\\\"\" <>;, \u{fc}@"),
        Just("Subject: \u{fc} \"x\""),
        Just("--a"), Just("--a--"), Just("--b"), Just("--b--"), Just("--c"), Just("--c--"),
        Just(""), Just(""), Just("text"), Just("\0"),
    ], 0..60)) {
        check(lines.join("\r\n").as_bytes());
    }
}
