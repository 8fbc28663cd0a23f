//! Random searches, compared with the same question asked of a plain list of messages.

mod support;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use support::World;

/// What a message is, for asking questions of it here.
#[derive(Debug)]
struct Plain {
    uid: u32,
    flags: Vec<&'static str>,
    subject: String,
    from: &'static str,
    to: Option<&'static str>,
    label: Option<&'static str>,
    /// Day of March 2020 in INTERNALDATE and in Date.
    received: u32,
    sent: u32,
    size: usize,
}

const FLAGS: [&str; 5] = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "Work"];
const SENDERS: [&str; 3] =
    ["Ann <ann@one.example>", "bob@two.example", "\"C. Três\" <c@one.example>"];
const WORDS: [&str; 4] = ["spring", "SPRING", "autumn", "grün"];

impl Plain {
    fn random(random: &mut StdRng, uid: u32) -> (Plain, Vec<u8>) {
        let flags = FLAGS.into_iter().filter(|_| random.random_bool(0.4)).collect();
        let word = WORDS[random.random_range(0..WORDS.len())];
        let mut plain = Plain {
            uid,
            flags,
            subject: format!("About {word} {uid}"),
            from: SENDERS[random.random_range(0..SENDERS.len())],
            to: random.random_bool(0.5).then_some("list@two.example"),
            label: random.random_bool(0.5).then_some("Blue Sky"),
            received: random.random_range(1..=5),
            sent: random.random_range(1..=5),
            size: 0,
        };
        let mut text = format!("From: {}\r\nSubject: {}\r\n", plain.from, plain.subject);
        if let Some(to) = plain.to {
            text.push_str(&format!("To: {to}\r\n"));
        }
        if let Some(label) = plain.label {
            text.push_str(&format!("X-Label: {label}\r\n"));
        }
        // Late in the evening, far in the west: the day is as it is written.
        text.push_str(&format!("Date: {} Mar 2020 23:30:00 -0800\r\n\r\n", plain.sent));
        text.push_str(&"x".repeat(random.random_range(0..400)));
        plain.size = text.len();
        (plain, text.into_bytes())
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }
}

/// A key as IMAP writes it, and the same as a question.
struct Key {
    text: String,
    fits: Box<dyn Fn(&Plain) -> bool>,
}

fn key(text: impl Into<String>, fits: impl Fn(&Plain) -> bool + 'static) -> Key {
    Key { text: text.into(), fits: Box::new(fits) }
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

fn random_key(random: &mut StdRng, depth: u32, count: u32) -> Key {
    let day = random.random_range(1..=6);
    let octets = random.random_range(100..600);
    let (a, b) = (random.random_range(1..=count), random.random_range(1..=count));
    let word = WORDS[random.random_range(0..WORDS.len())];
    let kinds = if depth == 0 { 17 } else { 20 };
    match random.random_range(0..kinds) {
        0 => key("ALL", |_| true),
        1 => key("SEEN", |m| m.has("\\Seen")),
        2 => key("UNSEEN", |m| !m.has("\\Seen")),
        3 => key("FLAGGED", |m| m.has("\\Flagged")),
        4 => key("UNDRAFT", |m| !m.has("\\Draft")),
        5 => key("KEYWORD work", |m| m.has("Work")),
        6 => key("UNKEYWORD WORK", |m| !m.has("Work")),
        7 => key(format!("BEFORE {day}-Mar-2020"), move |m| m.received < day),
        8 => key(format!("ON {day}-Mar-2020"), move |m| m.received == day),
        9 => key(format!("SENTSINCE {day}-Mar-2020"), move |m| m.sent >= day),
        10 => key(format!("LARGER {octets}"), move |m| m.size > octets),
        11 => key(format!("SMALLER {octets}"), move |m| m.size < octets),
        12 => key(format!("{a}:{b}"), move |m| (a.min(b)..=a.max(b)).contains(&m.uid)),
        13 => key(format!("UID {a},{b}:*"), move |m| m.uid == a || m.uid >= b),
        14 => {
            let text = format!("SUBJECT {{{}+}}\r\n{word}", word.len());
            key(text, move |m| contains(&m.subject, word))
        }
        15 => key("FROM ONE.example", |m| contains(m.from, "@one.example")),
        16 => match random.random_range(0..3) {
            0 => key("HEADER X-Label \"blue s\"", |m| m.label.is_some()),
            1 => key("HEADER to \"\"", |m| m.to.is_some()),
            _ => key("TO two", |m| m.to.is_some()),
        },
        17 => {
            let inner = random_key(random, depth - 1, count);
            key(format!("NOT {}", inner.text), move |m| !(inner.fits)(m))
        }
        18 => {
            let (a, b) =
                (random_key(random, depth - 1, count), random_key(random, depth - 1, count));
            key(format!("OR {} {}", a.text, b.text), move |m| (a.fits)(m) || (b.fits)(m))
        }
        _ => {
            let (a, b) =
                (random_key(random, depth - 1, count), random_key(random, depth - 1, count));
            key(format!("({} {})", a.text, b.text), move |m| (a.fits)(m) && (b.fits)(m))
        }
    }
}

#[tokio::test]
async fn searches_find_what_fits() {
    const COUNT: u32 = 14;
    let world = World::new().await;
    let mut random = StdRng::seed_from_u64(11);
    let mut client = world.client().await;
    let mut messages = Vec::new();
    for uid in 1..=COUNT {
        let (plain, text) = Plain::random(&mut random, uid);
        let head = format!(
            "a APPEND INBOX ({}) \"{:>2}-Mar-2020 12:00:00 +0000\" {{{}+}}\r\n",
            plain.flags.join(" "),
            plain.received,
            text.len()
        );
        client.send(head).await;
        client.send(text).await;
        client.send("\r\n").await;
        client.until("a").await;
        messages.push(plain);
    }
    client.ok("SELECT INBOX").await;
    let mut some = 0;
    for _ in 0..300 {
        let asked = random_key(&mut random, 3, COUNT);
        let expected: Vec<String> =
            messages.iter().filter(|m| (asked.fits)(m)).map(|m| m.uid.to_string()).collect();
        let responses = client.ok(&format!("SEARCH CHARSET UTF-8 {}", asked.text)).await;
        let found: Vec<&str> = responses
            .iter()
            .find_map(|response| response.strip_prefix("* SEARCH"))
            .expect("a SEARCH response")
            .split_ascii_whitespace()
            .collect();
        assert_eq!(found, expected, "{}", asked.text);
        some += usize::from(!found.is_empty() && found.len() < messages.len());
    }
    assert!(some > 100, "only {some} searches told anything apart");
}
