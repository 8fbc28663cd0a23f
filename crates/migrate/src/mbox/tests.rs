use std::io::Cursor;

use jiff::Timestamp;
use proptest::prelude::*;
use waxwing_store::{Flags, Role, SystemFlags};

use super::*;
use crate::flags::{Gathered, keywords};

fn read(file: &[u8]) -> Vec<(Head, String)> {
    let mut reader = Reader::new(Cursor::new(file)).unwrap();
    let mut all = Vec::new();
    loop {
        let mut message = Vec::new();
        match reader.next(&mut |piece| message.extend_from_slice(piece)).unwrap() {
            Some(head) => all.push((head, String::from_utf8_lossy(&message).into_owned())),
            None => return all,
        }
    }
}

fn texts(file: &str) -> Vec<String> {
    read(file.as_bytes()).into_iter().map(|(_, text)| text).collect()
}

const FROM: &str = "From a@b Thu Nov 26 20:30:47 2026\n";

#[test]
fn messages_end_before_a_from_line() {
    let file = format!(
        "{FROM}Subject: 1\n\n>From here\n>>From there\n> From x\n\nFrom nowhere\n\n\n{FROM}Subject: 2\n\n{FROM}\nno header\n"
    );
    assert_eq!(
        texts(&file),
        [
            "Subject: 1\r\n\r\nFrom here\r\n>From there\r\n> From x\r\n\r\nFrom nowhere\r\n\r\n",
            "Subject: 2\r\n\r\n",
            "\r\nno header\r\n",
        ]
    );
    assert_eq!(texts(""), [""; 0]);
    assert_eq!(texts("\n\nFrom x\n\nnot dated\n"), ["\r\nnot dated\r\n"]);
    assert!(Reader::new(Cursor::new(b"Subject: x\n\ny\n")).is_err());
}

#[test]
fn content_length_counts_where_it_is_right() {
    let body = format!("\n\n{FROM}is quoted nowhere\n");
    let file = format!("{FROM}Content-Length: {}\n\n{body}\n{FROM}Subject: 2\n\n", body.len());
    let found = texts(&file);
    assert_eq!(found[0], format!("\r\n{}", body.replace('\n', "\r\n")));
    assert_eq!(found.len(), 2);
    for wrong in ["7", "99999999", "-1", "18446744073709551615", "x"] {
        let file = format!("{FROM}Content-Length: {wrong}\n\nbody of it\n\n{FROM}Subject: 2\n\n");
        assert_eq!(texts(&file), ["\r\nbody of it\r\n", "Subject: 2\r\n\r\n"], "{wrong}");
    }
}

#[test]
fn notes_are_flags_and_no_part_of_the_message() {
    let file = format!(
        "{FROM}Status: RO\nSubject: x\nX-Status: AF\nX-Keywords: $Junk\n work\n\nx\n\n\
         {FROM}X-Mozilla-Status: 1003\nX-Mozilla-Keys: $label1   \n\nx\n\n\
         {FROM}X-Mozilla-Status: 0009\n\nx\n\n\
         {FROM}X-IMAP: 1 2\n\nx\n\n\
         {FROM}X-Gmail-Labels: =?UTF-8?Q?Entw=C3=BCrfe,Starred?=\n\nx\n"
    );
    let all = read(file.as_bytes());
    assert_eq!(all[0].1, "Subject: x\r\n\r\nx\r\n");
    let flags: Vec<Flags> = all.iter().map(|(head, _)| head.flags()).collect();
    let expected = SystemFlags::SEEN.with(SystemFlags::ANSWERED).with(SystemFlags::FLAGGED);
    assert_eq!(flags[0].system, expected);
    assert_eq!(keywords(&flags[0]).collect::<Vec<_>>(), ["$Junk", "work"]);
    assert_eq!(flags[1].system, SystemFlags::SEEN.with(SystemFlags::ANSWERED));
    assert_eq!(keywords(&flags[1]).collect::<Vec<_>>(), ["$Forwarded", "$label1"]);
    assert!(all[2].0.is_expunged() && !all[1].0.is_expunged());
    assert!(all[3].0.is_internal() && !all[2].0.is_internal());
    let labels = all[4].0.labels().unwrap();
    assert_eq!((labels.roles, labels.mailboxes), (Vec::<Role>::new(), vec!["Entwürfe".to_owned()]));
    assert_eq!(all[0].0.received_at.unwrap().as_second(), 1_795_725_047);
}

#[test]
fn long_lines_come_whole() {
    for octets in [65_535, 65_536, 65_537, 200_000] {
        let line = "x".repeat(octets);
        for end in ["\n", "\r\n"] {
            let file = format!("{FROM}Subject: 1{end}{end}{line}{end}");
            assert_eq!(texts(&file), [format!("Subject: 1\r\n\r\n{line}\r\n")]);
            assert_eq!(written(file.split_once(end).unwrap().1.as_bytes(), &Flags::default()), {
                format!("{}{line}\n\n", header())
            });
        }
    }
}

fn header() -> String {
    "From MAILER-DAEMON Thu Nov 26 20:30:47 2026\nStatus: O\n\n".to_owned()
}

fn at() -> Timestamp {
    Timestamp::from_second(1_795_725_047).unwrap()
}

fn written(message: &[u8], flags: &Flags) -> String {
    let mut out = Vec::new();
    let mut writer = Writer::new(at(), flags, &mut out);
    message.chunks(7).for_each(|piece| writer.push(piece, &mut out));
    writer.finish(&mut out);
    String::from_utf8_lossy(&out).into_owned().replace("Subject: 1\n", "")
}

#[test]
fn what_is_written_is_mboxrd() {
    let mut flags = Gathered::default();
    flags.imap("\\Seen");
    flags.imap("\\Draft");
    flags.imap("work");
    let message = b"A: b\r\nStatus: x\r\n y\r\nC: d\r\n\r\nFrom x\r\n>From y\r\n\r\nlast";
    assert_eq!(
        written(message, &flags.finish()),
        "From MAILER-DAEMON Thu Nov 26 20:30:47 2026\nA: b\nC: d\nStatus: RO\nX-Status: T\n\
         X-Keywords: work\n\n>From x\n>>From y\n\nlast\n\n"
    );
    assert!(written(b"A: b\r\n", &Flags::default()).ends_with("A: b\nStatus: O\n\n\n"));
}

proptest! {
    #[test]
    fn messages_come_back(
        messages in proptest::collection::vec(
            ("([A-Z][a-z]{0,5}: [ -~]{0,12}\r\n){1,4}", "(>{0,2}(From [a-z ]{0,9}|[ -~]{0,9}|From a@b Thu Nov 26 20:30:47 2026)\r\n){0,8}", 0u8..32, "[a-z]{0,4}"),
            1..5,
        )
    ) {
        prop_assume!(messages.iter().all(|(header, ..)| {
            waxwing_message::parse::field::fields(header.as_bytes()).all(|f| !is_note(f.name))
        }));
        let mut file = Vec::new();
        let mut expected = Vec::new();
        for (header, body, system, keyword) in &messages {
            let mut flags = Gathered::default();
            flags.system(SystemFlags(*system));
            flags.keyword(keyword);
            let flags = flags.finish();
            let text = format!("{header}\r\n{body}");
            let mut writer = Writer::new(at(), &flags, &mut file);
            writer.push(text.as_bytes(), &mut file);
            writer.finish(&mut file);
            expected.push((text, flags));
        }
        let found: Vec<_> = read(&file).into_iter().map(|(head, text)| {
            assert_eq!(head.received_at, Some(at()));
            (text, head.flags())
        }).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_octets_are_read_to_their_end(octets in proptest::collection::vec(any::<u8>(), 0..300), text in "(From |From a@b Thu Nov 26 20:30:47 2026|Content-Length: [0-9]{1,3}|[a-z:> ]{0,5}|\r?\n){0,40}") {
        let begun = [FROM.as_bytes(), &octets, b"\n\n", text.as_bytes()].concat();
        crate::fuzzing::fuzz_mbox(&begun);
        if Reader::new(Cursor::new(&octets)).is_ok() {
            crate::fuzzing::fuzz_mbox(&octets);
        }
    }
}
