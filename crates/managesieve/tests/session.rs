//! Sessions against a store in memory: transcripts, and SCRAM with both sides at work.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use waxwing_managesieve::{
    Action, Answer, Listed, Refusal, Scripts, Session, Settings, fuzzing, perform,
};
use waxwing_sasl::{ClientExchange, ClientStep, Mechanism, ScramKeys};

/// Scripts of one person; what holds the word `bad` does not compile.
#[derive(Default)]
struct Memory {
    scripts: Mutex<BTreeMap<String, Vec<u8>>>,
    active: Mutex<Option<String>>,
}

impl Scripts for Memory {
    fn check(&self, content: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(content);
        match (text.contains("bad"), text.contains("odd")) {
            (true, _) => Answer::Faulty("line 1, column 1: bad\r\nline 2, column 1: worse".into()),
            (_, true) => Answer::Warned("line 1: odd".into()),
            _ => Answer::Done,
        }
    }
    async fn have_space(&self, _name: &str, octets: u64) -> Answer {
        if octets > 1000 { Answer::NoSpace } else { Answer::Done }
    }
    async fn list(&self) -> Answer {
        let active = self.active.lock().unwrap();
        let scripts = self.scripts.lock().unwrap();
        let listed =
            |name: &String| Listed { name: name.clone(), active: active.as_ref() == Some(name) };
        Answer::List(scripts.keys().map(listed).collect())
    }
    async fn get(&self, name: &str) -> Answer {
        match self.scripts.lock().unwrap().get(name) {
            Some(content) => Answer::Script(content.clone()),
            None => Answer::NonExistent,
        }
    }
    async fn put(&self, name: &str, content: &[u8]) -> Answer {
        self.scripts.lock().unwrap().insert(name.to_owned(), content.to_vec());
        Answer::Done
    }
    async fn activate(&self, name: Option<&str>) -> Answer {
        if name.is_some_and(|name| !self.scripts.lock().unwrap().contains_key(name)) {
            return Answer::NonExistent;
        }
        *self.active.lock().unwrap() = name.map(str::to_owned);
        Answer::Done
    }
    async fn rename(&self, old: &str, new: &str) -> Answer {
        let mut scripts = self.scripts.lock().unwrap();
        if scripts.contains_key(new) {
            return Answer::AlreadyExists;
        }
        match scripts.remove(old) {
            Some(content) => {
                scripts.insert(new.to_owned(), content);
                Answer::Done
            }
            None => Answer::NonExistent,
        }
    }
    async fn delete(&self, name: &str) -> Answer {
        if self.active.lock().unwrap().as_deref() == Some(name) {
            return Answer::Active;
        }
        match self.scripts.lock().unwrap().remove(name) {
            Some(_) => Answer::Done,
            None => Answer::NonExistent,
        }
    }
}

/// The future of a store in memory is ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the store in memory waits for nothing"),
    }
}

fn keys() -> ScramKeys {
    ScramKeys::derive("secret", &[5; 16], 4096)
}

/// Does what the session asks, until it waits for the client. False when it is over.
fn drive(session: &mut Session, store: &Memory) -> bool {
    while let Some(action) = session.next_action() {
        match action {
            Action::StartTls => session.tls_established(None),
            Action::Nonce => session.answer_nonce([7; 18]),
            Action::CheckPassword { login, .. } if login == "slow" => {
                session.answer_password(Err(Refusal::Later));
            }
            Action::CheckPassword { login, password } => {
                session.answer_password(Ok(login == "user" && *password == "secret"));
            }
            Action::CheckToken { .. } => session.answer_token(Ok(None)),
            Action::NeedKeys { .. } => session.answer_keys(Ok(keys())),
            Action::CheckProof { login, .. } => session.answer_proof(Ok(login == "user")),
            Action::Request(request) => session.answer(now(perform(store, request))),
            Action::Close => return false,
        }
    }
    true
}

/// A transcript: `C:` lines go to the session, `S:` lines must come from it; `…` at the end of one
/// stands for anything.
fn play(name: &str, transcript: &str) {
    let store = Memory::default();
    let mut session = Session::new(Settings::default(), name.starts_with("tls_"), None);
    let mut said: Vec<u8> = Vec::new();
    for (number, line) in transcript.lines().enumerate() {
        let at = || format!("{name}, line {}", number + 1);
        if let Some(client) = line.strip_prefix("C: ").or(line.strip_prefix("C:")) {
            let rest = session.take_output();
            said.extend(rest);
            assert!(said.is_empty(), "{}: unexpected {:?}", at(), String::from_utf8_lossy(&said));
            session.receive(format!("{client}\r\n").as_bytes());
        } else if let Some(wanted) = line.strip_prefix("S: ").or(line.strip_prefix("S:")) {
            if said.is_empty() {
                drive(&mut session, &store);
                said = session.take_output();
            }
            let end = said
                .iter()
                .position(|&b| b == b'\n')
                .unwrap_or_else(|| panic!("{}: nothing comes where {wanted:?} should", at()));
            let got: Vec<u8> = said.drain(..=end).collect();
            let got = String::from_utf8_lossy(&got).trim_end().to_owned();
            match wanted.strip_suffix('…') {
                Some(start) => assert!(got.starts_with(start), "{}: {got}", at()),
                None => assert_eq!(got, wanted, "{}", at()),
            }
        }
    }
    said.extend(session.take_output());
    assert!(said.is_empty(), "{name}: more comes: {:?}", String::from_utf8_lossy(&said));
}

#[test]
fn transcripts() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 6);
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        play(&name, &std::fs::read_to_string(&path).unwrap());
    }
}

#[test]
fn scram_logs_in_and_proves_the_server() {
    let store = Memory::default();
    let mut session = Session::new(Settings::default(), false, None);
    session.take_output();
    let mut client = ClientExchange::new(Mechanism::ScramSha256, "user", "secret", None, [9; 18]);
    let initial = client.initial().unwrap();
    session.receive(
        format!("AUTHENTICATE \"SCRAM-SHA-256\" \"{}\"\r\n", STANDARD.encode(initial)).as_bytes(),
    );
    assert!(drive(&mut session, &store));
    let challenge = String::from_utf8(session.take_output()).unwrap();
    let challenge = STANDARD.decode(challenge.trim().trim_matches('"')).unwrap();
    let ClientStep::Respond(response) = client.challenge(&challenge) else { panic!("no response") };
    // As a literal, which RFC 5804 §2.1 allows too.
    let response = STANDARD.encode(response);
    session.receive(format!("{{{}+}}\r\n{response}\r\n", response.len()).as_bytes());
    assert!(drive(&mut session, &store));
    assert_eq!(session.login(), Some("user"));
    let last = String::from_utf8(session.take_output()).unwrap();
    let last = last.strip_prefix("OK (SASL \"").unwrap().split('"').next().unwrap();
    let last = STANDARD.decode(last).unwrap();
    assert!(matches!(client.success(Some(&last)), ClientStep::Done));
}

#[test]
fn nothing_is_carried_over_starttls() {
    let store = Memory::default();
    let mut session = Session::new(Settings::default(), false, None);
    session.take_output();
    session.receive(b"STARTTLS\r\nLOGOUT\r\n");
    assert!(!drive(&mut session, &store));
    assert!(session.take_output().starts_with(b"BYE"));
}

proptest! {
    #[test]
    fn any_octets_are_answered(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzzing::fuzz_session(&octets);
    }

    #[test]
    fn any_words_are_answered(words in prop::collection::vec(prop::sample::select(vec![
        "AUTHENTICATE", "PUTSCRIPT", "GETSCRIPT", "NOOP", " ", "\"PLAIN\"", "\"a\"", "{3+}\r\nabc",
        "{3+}\r\n", "\r\n", "\"AHVzZXIAc2VjcmV0\"", "\"*\"", "STARTTLS", "LOGOUT", "1", "{99999+}\r\n",
    ]), 0..30)) {
        fuzzing::fuzz_session(words.concat().as_bytes());
    }

    #[test]
    fn names_are_written_and_read(name in "[^\\p{Cc}\u{2028}\u{2029}]{1,40}") {
        use waxwing_managesieve::wire::{command, response};
        let mut line = b"GETSCRIPT ".to_vec();
        response::string(&mut line, name.as_bytes());
        line.extend_from_slice(b"\r\n");
        prop_assert_eq!(command::parse(&line), Ok(command::Command::GetScript(name)));
    }
}
