//! Eight times the input takes about eight times the time, whatever the input: where the time were
//! quadratic it would be sixty-four times. The best of several runs is compared, so that a busy
//! machine does not decide.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use waxwing_message::Summary;
use waxwing_message::dsn::DeliveryStatus;
use waxwing_message::parse::{Message, PartId, addresses, content, date, html, words};

fn best_of(runs: usize, mut work: impl FnMut()) -> Duration {
    let once = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..runs).map(once).min().expect("at least one run")
}

fn assert_linear(what: &str, build: impl Fn(usize) -> Vec<u8>, work: impl Fn(&[u8])) {
    // One at a time: the tests of a file run side by side.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (small, large) = (build(32 * 1024), build(256 * 1024));
    let mut ratio = 0.0;
    for _ in 0..5 {
        let short = best_of(3, || work(&small)).max(Duration::from_micros(100));
        let long = best_of(2, || work(&large));
        ratio = long.as_secs_f64() / short.as_secs_f64();
        if ratio < 32.0 {
            return;
        }
    }
    panic!("{what}: {ratio:.0} times the time for 8 times the input");
}

fn repeated(piece: &str) -> impl Fn(usize) -> Vec<u8> {
    move |size| piece.repeat(size / piece.len() + 1).into_bytes()
}

fn after(head: &str, piece: &str) -> impl Fn(usize) -> Vec<u8> {
    move |size| [head.as_bytes(), &repeated(piece)(size)].concat()
}

/// As much as an IMAP or JMAP server would ask.
fn all(raw: &[u8]) {
    let message = Message::parse(raw);
    for i in 0..message.parts.len() {
        message.text(PartId(i as u32));
    }
    Summary::of(&message);
    message.searchable_text(1 << 20);
}

#[test]
fn messages() {
    let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    let nested = "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    for (head, piece) in [
        ("", "\r"),
        ("", "\n--"),
        ("", "a:\r\n"),
        ("", "a:\r\n b\r\n"),
        ("", "junk line\r\n"),
        ("a: b\r\n", "junk\r\nc: d\r\n"),
        ("", "a"),
        ("Subject: ", "=?utf-8?q?a?= "),
        ("Content-Type: text/html\r\n\r\n", "<a href='"),
        ("Content-Transfer-Encoding: quoted-printable\r\n\r\n", "=\r\n= =3"),
        ("Content-Transfer-Encoding: base64\r\n\r\n", "=A"),
        ("Content-Transfer-Encoding: uuencode\r\n\r\n", "begin \n"),
        ("Content-Type: text/plain; charset=utf-7\r\n\r\n", "+"),
        ("Content-Type: text/plain; charset=utf-7\r\n\r\n", "+AGE-"),
        (multipart, "--b\r\n"),
        (multipart, "--b\r\n\r\n"),
        (multipart, "--c\r\n"),
        (multipart, "--b--\r\n"),
        (multipart, "--bb\r\n--b \r\n"),
        (multipart, nested),
        ("", "Content-Type: message/rfc822\r\n\r\n"),
        (multipart, "--b\r\nContent-Type: message/rfc822\r\n\r\n"),
    ] {
        assert_linear(&format!("{head:?} {piece:?}"), after(head, piece), all);
    }
}

#[test]
fn deep_boundaries_that_begin_alike() {
    let build = |size: usize| {
        let common = "x".repeat(60);
        let mut raw = Vec::new();
        for i in 0..60 {
            let boundary = format!("{common}{i:02}");
            raw.extend(
                format!(
                    "Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n"
                )
                .bytes(),
            );
        }
        raw.extend(b"\r\n");
        raw.extend(repeated(&format!("--{common}zz\r\n"))(size));
        raw
    };
    assert_linear("deep boundaries", build, all);
}

#[test]
fn address_fields() {
    for piece in [
        "<", "(", "\"", "[", "a@b <", "<(", "(a) ", "\\", "=?a?q?", "=?a?q?,", "a,", ":;", "@",
        "a b ", "a@b c@d ", "<@a:", "(\"", "\"(", "g: a@b, ", "(()", "a.", "\"a\" ", "<a\"", ")(",
    ] {
        let work = |raw: &[u8]| drop(addresses::parse(raw));
        assert_linear(&format!("addresses {piece:?}"), repeated(piece), work);
        let closed = |size| [&repeated(piece)(size)[..], b")\"]>?="].concat();
        assert_linear(&format!("addresses {piece:?} closed"), closed, work);
    }
}

#[test]
fn parameters() {
    let numbered = |size: usize| {
        let mut value = String::from("a/b");
        for i in 0..size / 12 {
            value.push_str(&format!("; n*{}*=%41", (i * 7919) % (size / 12)));
        }
        value.into_bytes()
    };
    let work = |raw: &[u8]| drop(content::params(raw));
    assert_linear("sections", numbered, work);
    let distinct = |size: usize| {
        let names = (0..size / 8).map(|i| format!(";p{i}=v"));
        names.fold(String::from("a/b"), |all, one| all + &one).into_bytes()
    };
    assert_linear("distinct", distinct, work);
    for piece in
        ["; a=b", "; a=\"", "; a*0=b", " a", " a=", "a b ", "(", ";", "=", "; a=b (", "; a=(b)"]
    {
        assert_linear(&format!("parameters {piece:?}"), after("a/b; x=", piece), work);
        assert_linear(&format!("parameters {piece:?}"), after("a/b", piece), work);
    }
}

#[test]
fn other_fields() {
    for piece in ["=?", "=?utf-8?", "=?utf-8?q?", "=?utf-8?q?x", "=?utf-8?b?eA==?=", "?=", " \r\n "]
    {
        let work = |raw: &[u8]| drop(words::decode_text(raw));
        assert_linear(&format!("text {piece:?}"), repeated(piece), work);
        let closed = |size| [&repeated(piece)(size)[..], b" ?="].concat();
        assert_linear(&format!("text {piece:?} closed"), closed, work);
    }
    for piece in ["<", "<a", "<a>", ">", "a "] {
        assert_linear(&format!("ids {piece:?}"), repeated(piece), |raw| {
            drop(words::message_ids(raw))
        });
    }
    for piece in ["1 ", "(", "Jan ", "10:00:00 ", "-", "1-", ":", "+1 "] {
        assert_linear(&format!("date {piece:?}"), repeated(piece), |raw| {
            date::parse(raw);
        });
    }
    for piece in [
        "a: b\r\n",
        "a: b\r\n\r\n",
        "\r\n",
        "junk\r\n",
        "Action: failed\r\n\r\nFinal-Recipient: x\r\n",
    ] {
        assert_linear(&format!("status {piece:?}"), repeated(piece), |raw| {
            DeliveryStatus::parse(raw);
        });
    }
    for piece in ["<", "<a \"", "<!--", "<style>", "</", "&", "<a '>", "<title></titl"] {
        assert_linear(&format!("html {piece:?}"), repeated(piece), |raw| {
            html::to_text(&String::from_utf8_lossy(raw), usize::MAX);
        });
    }
}
