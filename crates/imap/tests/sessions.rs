//! Several sessions change one mailbox at random, each watched by a client that believes every
//! word it hears: EXISTS, EXPUNGE and FETCH, literally. If a sequence number ever meant another
//! message than the client thinks, two UIDs would claim one number here.

mod support;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use support::{Client, World, message};

/// The mailbox as one client has been told of it: place `n - 1` is the UID of number `n`, once told.
struct Follower {
    client: Client,
    numbers: Vec<Option<u32>>,
    log: Vec<String>,
}

impl Follower {
    async fn new(world: &World) -> Follower {
        let mut follower =
            Follower { client: world.client().await, numbers: Vec::new(), log: Vec::new() };
        follower.run("SELECT INBOX").await;
        follower
    }

    async fn run(&mut self, command: &str) -> String {
        let expunge_allowed = !["FETCH", "STORE", "SEARCH"].iter().any(|c| command.starts_with(c));
        let responses = self.client.command(command).await;
        self.log.push(format!("C: {command}"));
        for response in &responses {
            self.log.push(response.clone());
            self.hear(response, expunge_allowed);
        }
        responses.last().cloned().unwrap_or_default()
    }

    fn hear(&mut self, response: &str, expunge_allowed: bool) {
        let mut words = response.split_ascii_whitespace();
        if words.next() != Some("*") {
            return;
        }
        let Some(Ok(number)) = words.next().map(str::parse::<usize>) else { return };
        match words.next() {
            Some("EXISTS") => {
                assert!(number >= self.numbers.len(), "{}", self.story("the mailbox shrank"));
                self.numbers.resize(number, None);
            }
            Some("EXPUNGE") => {
                assert!(expunge_allowed, "{}", self.story("EXPUNGE where numbers are in use"));
                assert!(number <= self.numbers.len(), "{}", self.story("EXPUNGE of nothing"));
                self.numbers.remove(number - 1);
            }
            Some("FETCH") => {
                let Some((_, rest)) = response.split_once("UID ") else { return };
                let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
                let uid: u32 = digits.and_then(|d| d.parse().ok()).expect("a UID");
                assert!(number <= self.numbers.len(), "{}", self.story("FETCH of nothing"));
                let known = self.numbers[number - 1].replace(uid);
                assert!(
                    known.is_none_or(|known| known == uid),
                    "{}",
                    self.story("a number has changed its message")
                );
            }
            _ => {}
        }
    }

    fn story(&self, what: &str) -> String {
        let tail: Vec<&str> = self.log.iter().rev().take(30).rev().map(String::as_str).collect();
        format!("{what}\n{}", tail.join("\n"))
    }

    /// Something that a client might do.
    async fn act(&mut self, random: &mut StdRng, step: u32) {
        let exists = self.numbers.len();
        let one = random.random_range(1..=exists.max(1));
        let two = random.random_range(1..=exists.max(1));
        let uid = self.numbers.iter().flatten().nth(one % exists.max(1)).copied().unwrap_or(1);
        let last = match random.random_range(0..14) {
            0..=2 => {
                let responses = self.client.append("INBOX", &message(&format!("m{step}"))).await;
                for response in &responses {
                    self.hear(response, true);
                }
                responses.last().cloned().unwrap_or_default()
            }
            3 => self.run("NOOP").await,
            4 if exists > 0 => self.run(&format!("STORE {one}:{two} +FLAGS (\\Deleted)")).await,
            5 if exists > 0 => {
                self.run(&format!("STORE {one} FLAGS.SILENT (\\Seen k{step})")).await
            }
            6 => self.run(&format!("UID STORE {uid}:* -FLAGS (\\Deleted)")).await,
            7 => self.run("EXPUNGE").await,
            8 => self.run(&format!("UID EXPUNGE {uid}")).await,
            9 if exists > 0 => self.run(&format!("FETCH {one}:{two} (UID FLAGS)")).await,
            10 if exists > 0 => self.run(&format!("FETCH {one} (UID BODY[TEXT])")).await,
            11 if exists > 0 => self.run(&format!("COPY {one} INBOX")).await,
            12 if exists > 0 => self.run(&format!("MOVE {one} Archive")).await,
            13 => self.run("SEARCH RETURN (ALL) UNDELETED SUBJECT m").await,
            _ => self.run("UID FETCH 1:* (FLAGS)").await,
        };
        let sane = last.contains(" OK ") || last.contains("[EXPUNGEISSUED]");
        assert!(sane, "{}", self.story(&last));
    }

    /// What the client takes the mailbox to be, once it has heard everything.
    async fn settled(&mut self) -> Vec<u32> {
        self.run("NOOP").await;
        if !self.numbers.is_empty() {
            let last = self.run("FETCH 1:* (UID FLAGS)").await;
            assert!(last.contains(" OK "), "{}", self.story(&last));
        }
        self.numbers.iter().map(|uid| uid.expect("all have been fetched")).collect()
    }
}

async fn the_store_agrees(world: &World, followers: &mut [Follower]) {
    let inbox = world.store.mailbox_by_name(world.account, "INBOX").await.unwrap().unwrap();
    let (entries, _) = world.store.entries(inbox.id).await.unwrap();
    let uids: Vec<u32> = entries.iter().map(|entry| entry.uid.0).collect();
    for follower in followers {
        let settled = follower.settled().await;
        assert_eq!(settled, uids, "{}", follower.story("another mailbox than the store's"));
    }
}

/// One command at a time, in any order of sessions: a failure can be had again by its seed.
#[tokio::test]
async fn in_turn() {
    for seed in 0..6 {
        let world = World::new().await;
        let mut random = StdRng::seed_from_u64(seed);
        let mut followers = Vec::new();
        for _ in 0..3 {
            followers.push(Follower::new(&world).await);
        }
        for step in 0..90 {
            let who = random.random_range(0..followers.len());
            followers[who].act(&mut random, step).await;
        }
        the_store_agrees(&world, &mut followers).await;
    }
}

/// Sessions with these seeds do so many steps each, all at once; none is ever told a number that means
/// another message to it.
async fn at_once_with(seeds: std::ops::Range<u64>, steps: u32) {
    let world = World::new().await;
    let mut running = Vec::new();
    for seed in seeds {
        let mut follower = Follower::new(&world).await;
        running.push(tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed);
            for step in 0..steps {
                follower.act(&mut random, step).await;
            }
            follower
        }));
    }
    let mut followers = Vec::new();
    for task in running {
        followers.push(task.await.expect("no session fails"));
    }
    the_store_agrees(&world, &mut followers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_once() {
    at_once_with(0..4, 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_at_once() {
    at_once_with(100..120, 20).await;
}

/// What one of twenty sets, the others hear within a tenth of a second. A machine that is busy with
/// other things may take longer now and then: one of some rounds is to show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_appear_elsewhere_at_once() {
    const SOON: Duration = Duration::from_millis(100);
    let world = World::new().await;
    let mut setter = world.in_inbox().await;
    setter.append("INBOX", &message("watched")).await;
    let mut listeners = Vec::new();
    for _ in 0..19 {
        let mut listener = world.in_inbox().await;
        listener.send("i IDLE\r\n").await;
        assert!(listener.line().await.starts_with('+'));
        listeners.push(listener);
    }
    let mut slowest = Vec::new();
    for round in 0..50 {
        let sign = if round % 2 == 0 { '+' } else { '-' };
        let began = Instant::now();
        setter.send(format!("s{round} STORE 1 {sign}FLAGS.SILENT (\\Flagged)\r\n")).await;
        for listener in &mut listeners {
            let heard = listener.line().await;
            assert!(heard.starts_with("* 1 FETCH (UID 1 FLAGS ("), "{heard}");
            assert_eq!(heard.contains("\\Flagged"), round % 2 == 0);
        }
        slowest.push(began.elapsed());
        setter.until(&format!("s{round}")).await;
        if slowest.last().is_some_and(|took| *took <= SOON) {
            return;
        }
    }
    panic!("never within {SOON:?}: {slowest:?}");
}

/// A client that means harm: commands with octets changed, among sound ones. Whatever it sends, the
/// session answers or ends; it does not fail.
#[tokio::test]
async fn hostile_commands() {
    const COMMANDS: &[&str] = &[
        "FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY[1.2.HEADER.FIELDS (A B)]<3.9>)",
        "UID FETCH 1:* (BINARY[1] BINARY.SIZE[1] PREVIEW) (CHANGEDSINCE 3)",
        "STORE 1:* (UNCHANGEDSINCE 99999) +FLAGS.SILENT (\\Seen a b c)",
        "SEARCH RETURN (SAVE ALL) OR NOT TEXT x (SINCE 1-Jan-1999 LARGER 4) 1:*,$",
        "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (%/% *) RETURN (STATUS (SIZE UNSEEN))",
        "CREATE a/b&AOk-/c",
        "RENAME a b/c",
        "DELETE b/c",
        "SUBSCRIBE x/y",
        "COPY 1:* Archive",
        "MOVE 2 Archive",
        "UID EXPUNGE 1:*",
        "SELECT INBOX (CONDSTORE)",
        "EXAMINE Archive",
        "ENABLE QRESYNC",
        "SELECT INBOX (QRESYNC (1 1 1:9 (1,2 1,2)))",
        "UID FETCH 1:* (FLAGS EMAILID SAVEDATE) (CHANGEDSINCE 1 VANISHED)",
        "UID FETCH 1:* UID (PARTIAL -1:-2)",
        "UID SEARCH RETURN (PARTIAL 1:2 SAVE) EMAILID M1",
        "SORT (REVERSE SUBJECT DISPLAYFROM) UTF-8 ALL",
        "UID THREAD REFERENCES UTF-8 ALL",
        "THREAD ORDEREDSUBJECT UTF-8 1:*",
        "UID REPLACE 1 INBOX (\\Seen) {3+}\r\nA:b",
        "APPEND INBOX {3+}\r\nA:b (k) {3+}\r\nA:c",
        "APPEND INBOX CATENATE (URL /INBOX/;UID=1/;SECTION=1 TEXT {3+}\r\nA:b) (k) {3+}\r\nA:c",
        "UID REPLACE 1 INBOX CATENATE (URL ;UID=1/;PARTIAL=1.3)",
        "NOTIFY SET STATUS (selected (MessageNew (UID BODY[1]) MessageExpunge FlagChange)) \
         (personal (MessageNew MessageExpunge MailboxName SubscriptionChange))",
        "NOTIFY NONE",
        "SETACL INBOX anyone +lrs",
        "GETACL INBOX",
        "LISTRIGHTS INBOX anyone",
        "SETMETADATA INBOX (/private/comment ~{3+}\r\na\0b /shared/x NIL)",
        "GETMETADATA (DEPTH infinity MAXSIZE 2) INBOX (/private /shared)",
        "GETQUOTAROOT INBOX",
        "STATUS INBOX (MAILBOXID DELETED-STORAGE)",
        "APPEND INBOX (\\Seen k) \" 1-Jan-2000 00:00:00 +0000\" {3+}\r\nA:b",
        "STATUS INBOX (MESSAGES HIGHESTMODSEQ)",
        "ENABLE IMAP4rev2",
        "ID (\"a\" NIL)",
        "CLOSE",
    ];
    let world = World::new().await;
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..12 {
        let mut client = world.in_inbox().await;
        client.append("INBOX", &message("a target")).await;
        let mut flood = Vec::new();
        for _ in 0..60 {
            let which = random.random_range(0..COMMANDS.len());
            let mut text = format!("x {}\r\n", COMMANDS[which]).into_bytes();
            if random.random_bool(0.5) {
                let at = random.random_range(0..text.len());
                text[at] = random.random();
            }
            flood.extend(text);
        }
        flood.extend(b"\r\nend LOGOUT\r\n");
        let (mut read, mut write) = tokio::io::split(client.stream);
        let reading = tokio::spawn(async move {
            let mut sink = tokio::io::sink();
            let _ = tokio::io::copy(&mut read, &mut sink).await;
        });
        let writing = async {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut write, &flood).await;
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut write).await;
        };
        writing.await;
        client.server.await.expect("the session does not fail");
        reading.await.expect("the client reads to the end");
    }
}
