//! Clients that come back (RFC 7162): after whatever others did meanwhile, what SELECT with QRESYNC
//! tells is exactly what makes the old picture of the mailbox the new one, whether the store still
//! knows of every expunge or not.

mod support;

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use support::{Client, World, message};

/// What a client remembers: UIDs with their flags, and how far that is true.
#[derive(Debug, Clone, Default, PartialEq)]
struct Picture {
    uid_validity: u64,
    modseq: u64,
    flags: BTreeMap<u32, String>,
}

/// The number behind `word`.
fn number_after(text: &str, word: &str) -> Option<u64> {
    let rest = &text[text.find(word)? + word.len()..];
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn set(text: &str) -> Vec<u32> {
    let number = |text: &str| text.parse::<u32>().expect("a number");
    let range = |text: &str| match text.split_once(':') {
        Some((first, last)) => number(first)..=number(last),
        None => number(text)..=number(text),
    };
    text.split(',').flat_map(range).collect()
}

impl Picture {
    /// Believes what it hears. Gives the UIDs that were said to have vanished.
    fn hear(&mut self, responses: &[String]) -> Vec<u32> {
        let mut vanished = Vec::new();
        for response in responses {
            if let Some(validity) = number_after(response, "[UIDVALIDITY ") {
                self.uid_validity = validity;
            }
            if let Some(modseq) = number_after(response, "[HIGHESTMODSEQ ") {
                self.modseq = modseq;
            }
            if let Some(uids) = response.strip_prefix("* VANISHED (EARLIER) ") {
                vanished.extend(set(uids));
                self.flags.retain(|uid, _| !vanished.contains(uid));
            }
            if response.contains(" FETCH (") {
                let uid = number_after(response, "UID ").expect("FETCH has a UID") as u32;
                let (_, rest) = response.split_once("FLAGS (").expect("FETCH has flags");
                let (flags, _) = rest.split_once(')').expect("closed");
                self.flags.insert(uid, flags.to_owned());
            }
        }
        vanished
    }

    /// As a client without any memory sees it.
    async fn fresh(client: &mut Client) -> Picture {
        let mut picture = Picture::default();
        picture.hear(&client.ok("SELECT INBOX").await);
        picture.hear(&client.ok("UID FETCH 1:* (FLAGS)").await);
        picture
    }

    fn select(&self, rest: &str) -> String {
        format!("SELECT INBOX (QRESYNC ({} {}{rest}))", self.uid_validity, self.modseq)
    }
}

async fn returning(world: &World) -> Client {
    let mut client = world.client().await;
    client.ok("ENABLE QRESYNC").await;
    client
}

/// Something that another client does.
async fn disturb(client: &mut Client, random: &mut StdRng, uids: &[u32]) {
    let one = uids.get(random.random_range(0..uids.len().max(1))).copied().unwrap_or(1);
    match random.random_range(0..4) {
        0 => drop(client.append("INBOX", &message("another")).await),
        1 => drop(client.ok(&format!("UID STORE {one} +FLAGS.SILENT (\\Flagged)")).await),
        2 => drop(client.ok(&format!("UID STORE {one} FLAGS.SILENT (k{one})")).await),
        _ => {
            client.ok(&format!("UID STORE {one} +FLAGS.SILENT (\\Deleted)")).await;
            client.ok(&format!("UID EXPUNGE {one}")).await;
        }
    }
}

async fn duel(forget: bool, seed: u64) {
    let world = World::new().await;
    let mut random = StdRng::seed_from_u64(seed);
    let mut other = world.client().await;
    for n in 0..12 {
        other.append("INBOX", &message(&format!("m{n}"))).await;
    }
    other.ok("SELECT INBOX").await;
    let mut picture = Picture::fresh(&mut returning(&world).await).await;
    for _ in 0..12 {
        for _ in 0..random.random_range(0..4) {
            let uids: Vec<u32> = picture.flags.keys().copied().collect();
            disturb(&mut other, &mut random, &uids).await;
        }
        if forget {
            world.store.forget_tombstones(0).await.expect("the store forgets");
        }
        let uids: Vec<u32> = picture.flags.keys().copied().collect();
        let known = uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let numbers = (1..=uids.len()).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let rest = match random.random_range(0..4) {
            0 => String::new(),
            1 if !uids.is_empty() => format!(" {known}"),
            2 if !uids.is_empty() => format!(" ({numbers} {known})"),
            _ if !uids.is_empty() => format!(" {known} ({numbers} {known})"),
            _ => String::new(),
        };
        let now = Picture::fresh(&mut returning(&world).await).await;
        let mut client = returning(&world).await;
        let (old, command) = (picture.clone(), picture.select(&rest));
        let vanished = picture.hear(&client.ok(&command).await);
        assert!(vanished.iter().all(|uid| !now.flags.contains_key(uid)), "{command}: {vanished:?}");
        if rest.starts_with(" (") || rest.is_empty() {
            assert_eq!(picture, now, "{command} from {old:?}");
        } else {
            // Only what was asked for; the rest is fetched as new.
            assert!(vanished.iter().all(|uid| uids.contains(uid)), "{command}: {vanished:?}");
            picture.hear(&client.ok("UID FETCH 1:* (FLAGS)").await);
            assert_eq!(picture, now, "{command} from {old:?}");
        }
    }
}

#[tokio::test]
async fn the_old_picture_becomes_the_new_one() {
    for seed in 0..4 {
        duel(false, seed).await;
    }
}

#[tokio::test]
async fn even_when_the_store_has_forgotten() {
    for seed in 10..14 {
        duel(true, seed).await;
    }
}

#[tokio::test]
async fn match_data_spares_what_is_known() {
    let world = World::new().await;
    let mut other = world.client().await;
    for n in 0..6 {
        other.append("INBOX", &message(&format!("m{n}"))).await;
    }
    other.ok("SELECT INBOX").await;
    other.ok("UID STORE 2,5 +FLAGS.SILENT (\\Deleted)").await;
    other.ok("UID EXPUNGE 2,5").await;
    world.store.forget_tombstones(0).await.expect("the store forgets");
    let picture = Picture::fresh(&mut returning(&world).await).await;
    // It is known of long ago that 2 is gone: number 3 is 4 already. Of 5 it is not.
    let old = Picture { modseq: 1, ..picture };
    let heard = returning(&world).await.ok(&old.select(" 1:6 (3 4)")).await;
    assert!(heard.contains(&"* VANISHED (EARLIER) 5".to_owned()), "{heard:?}");
    let heard = returning(&world).await.ok(&old.select(" 1:6 (3 3)")).await;
    assert!(heard.contains(&"* VANISHED (EARLIER) 2,5".to_owned()), "{heard:?}");
    let heard = returning(&world).await.ok(&old.select("")).await;
    assert!(heard.contains(&"* VANISHED (EARLIER) 2,5".to_owned()), "{heard:?}");
}
