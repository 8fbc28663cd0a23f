//! Conversations, one file each in `transcripts/`, played against a new store.
//!
//! ```text
//! # a comment
//! C: a1 NOOP                 sent with a line end
//! S: a1 OK …                 expected; `…` stands for any text
//! C2: / S2:                  another session, which connects when it first speaks
//! C: a APPEND INBOX {@short.eml}     the size of that message as a non-synchronizing literal, and
//!                                    after the line the message and a line end
//! ```

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use support::{Client, World};
use tokio::io::AsyncWriteExt as _;

/// Whether a line is as expected: `…` stands for any text.
fn fits(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}

/// `Err`: what was heard instead.
async fn play(path: &Path) -> Result<(), String> {
    let world = World::new().await;
    let mut clients: BTreeMap<String, Client> = BTreeMap::new();
    let text = std::fs::read_to_string(path).expect("a transcript");
    for (number, line) in text.lines().enumerate() {
        let place = format!("{}:{}", path.display(), number + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (who, said) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        let (direction, name) = who.split_at(1);
        let client = match clients.entry(name.to_owned()) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(world.connect()),
        };
        match direction {
            "C" => say(client, said).await,
            "S" => {
                let heard = client.line().await;
                if !fits(said, &heard) {
                    return Err(format!("{place}\n expected {said}\n heard    {heard}"));
                }
            }
            _ => panic!("{place}: neither C: nor S:"),
        }
    }
    // Nothing is left unsaid: whatever a session still has to say was not expected.
    for (name, mut client) in clients {
        let _ = client.stream.write_all(b"end LOGOUT\r\n").await; // it may have ended
        if let Some(heard) = client.try_line().await {
            let place = path.display();
            if !heard.starts_with("* BYE") {
                return Err(format!("{place}: session {name} also said {heard}"));
            }
        }
    }
    Ok(())
}

async fn say(client: &mut Client, said: &str) {
    let Some((before, file)) = said.split_once("{@") else {
        return client.send(format!("{said}\r\n")).await;
    };
    let (file, after) = file.split_once('}').expect("a closing brace");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages");
    let message = std::fs::read(folder.join(file)).expect("a message");
    client.send(format!("{before}{{{}+}}\r\n", message.len())).await;
    client.send(&message).await;
    client.send(format!("{after}\r\n")).await;
}

#[tokio::test]
async fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("transcripts")
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 10);
    let mut failures = Vec::new();
    for file in files {
        failures.extend(play(&file).await.err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn patterns_fit() {
    assert!(fits("a … c", "a b c") && fits("a…", "a") && fits("a", "a") && fits("…", ""));
    assert!(!fits("a … c", "a b d") && !fits("a", "ab") && !fits("b…", "ab"));
}
