//! Runs the dialogues in `transcripts/*.txt`: one behaviour each, as octets on the wire.
//!
//! | line | server transcript | client transcript |
//! |---|---|---|
//! | `# …` | says what is shown | same |
//! | `! …` | a setting, before the dialogue (see [`Script::setting`]) | same |
//! | `C: …` | the client says this, with CRLF | the session must say this |
//! | `C> …` | the client says this, without CRLF | – |
//! | `S: …` | the session must say this | the server says this, with CRLF |
//! | `S> …` | – | the server says this, without CRLF |
//! | `A: …` | the session must have asked for this | same |
//! | `D: …` | the driver must have been given this message | – |
//! | `R: …` | – | this must have become of a recipient |
//! | `T: n` | n seconds pass | same |
//! | `X:` | – | the connection is lost |
//!
//! `\r`, `\n`, `\0`, `\\` and `\xNN` stand for octets; `{N*text}` repeats the text; an expected line
//! that ends in `...` may go on. Every transcript is run twice: as it stands, and octet by octet.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use waxwing_message::{
    Address, BodyKind, DsnReturn, Envelope, Notify, OriginalRecipient, Recipient, ReversePath,
};
use waxwing_sasl::{ChannelBinding, ScramKeys};
use waxwing_smtp::client::{Credentials, TlsPolicy};
use waxwing_smtp::server::StartTls;
use waxwing_smtp::{
    Action, ClientAction, ClientSession, ClientSettings, Disposition, Reply, ServerSession,
    ServerSettings, Tls, Transaction,
};

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 50, "the transcripts are missing");
    let wanted = std::env::var("TRANSCRIPT").ok();
    let mut failures = Vec::new();
    for path in paths {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if wanted.as_ref().is_some_and(|wanted| !name.contains(wanted.as_str())) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for piece in [usize::MAX, 1] {
            if let Err(error) = Script::read(&text).run(piece) {
                failures.push(format!("{name} (pieces of {piece}): {error}"));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

type Failure = String;

/// One transcript.
struct Script<'a> {
    settings: Vec<&'a str>,
    lines: Vec<(usize, &'a str, &'a str)>,
}

impl<'a> Script<'a> {
    fn read(text: &'a str) -> Script<'a> {
        let mut script = Script { settings: Vec::new(), lines: Vec::new() };
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
            } else if let Some(setting) = line.strip_prefix("! ") {
                script.settings.push(setting);
            } else {
                let (mark, rest) = line.split_at(2);
                script.lines.push((number + 1, mark, rest.strip_prefix(' ').unwrap_or(rest)));
            }
        }
        script
    }

    fn run(&self, piece: usize) -> Result<(), Failure> {
        match self.settings[0].split_once(' ').unwrap_or((self.settings[0], "")) {
            ("server", role) => self.run_server(role, piece),
            ("client", role) => self.run_client(role, piece),
            (other, _) => Err(format!("neither server nor client: {other}")),
        }
    }

    /// The value of `! name value`; the empty text for `! name`.
    fn setting(&self, name: &str) -> Option<&'a str> {
        self.settings.iter().find_map(|setting| {
            let (word, value) = setting.split_once(' ').unwrap_or((setting, ""));
            (word == name).then_some(value)
        })
    }

    fn number<T: TryFrom<u64>>(&self, name: &str, target: &mut T) {
        if let Some(value) = self.setting(name) {
            let value = value.parse::<u64>().expect("a number");
            *target = T::try_from(value).ok().expect("it fits");
        }
    }

    fn tls() -> Tls {
        Tls { binding: Some(ChannelBinding([7; 32])) }
    }

    fn run_server(&self, role: &str, piece: usize) -> Result<(), Failure> {
        let host = "mx.example";
        let mut settings = match role {
            "mx" => ServerSettings::mx(host),
            "submission" => ServerSettings::submission(host),
            "lmtp" => ServerSettings::lmtp(host),
            _ => return Err(format!("no such role: {role}")),
        };
        self.number("size", &mut settings.max_message_octets);
        self.number("recipients", &mut settings.max_recipients);
        self.number("refused", &mut settings.max_refused_recipients);
        self.number("messages", &mut settings.max_messages);
        self.number("errors", &mut settings.max_errors);
        self.number("idle", &mut settings.max_idle_commands);
        for word in self.setting("off").unwrap_or("").split_ascii_whitespace() {
            let on = &mut settings.extensions;
            match word {
                "chunking" => on.chunking = false,
                "smtputf8" => on.smtputf8 = false,
                "dsn" => on.dsn = false,
                "size" => on.size = false,
                "8bitmime" => on.eight_bit_mime = false,
                "starttls" => settings.starttls = StartTls::Off,
                _ => return Err(format!("cannot switch off {word}")),
            }
        }
        settings.auth |= self.setting("auth").is_some();
        settings.plaintext_auth |= self.setting("plaintext").is_some();
        let now = Instant::now();
        let tls = self.setting("tls").map(|_| Script::tls());
        let session = match self.setting("refuse") {
            Some(_) => ServerSession::refused(settings.into(), Reply::too_many_connections(), now),
            None => ServerSession::new(settings.into(), tls, now),
        };
        let mut desk = ServerDesk { session, now, said: Said::default(), spool: Vec::new() };
        desk.act();
        for &(number, mark, text) in &self.lines {
            let at = |failure| format!("line {number}: {failure}");
            match mark {
                "C:" => desk.hear(&[unescape(text), b"\r\n".to_vec()].concat(), piece),
                "C>" => desk.hear(&unescape(text), piece),
                "S:" => desk.said.line(text).map_err(at)?,
                "A:" | "D:" => {
                    desk.said.event(text).map_err(at)?;
                    if text == "StartTls" {
                        desk.session.tls_established(desk.now, Script::tls());
                    }
                }
                "T:" => desk.wait(text.parse().expect("seconds")),
                _ => return Err(at(format!("unknown mark {mark}"))),
            }
        }
        desk.said.nothing_left()
    }

    fn run_client(&self, role: &str, piece: usize) -> Result<(), Failure> {
        let credentials = Credentials {
            login: "alice".into(),
            password: "secret".to_owned().into(),
            plaintext_allowed: self.setting("plaintext").is_some(),
        };
        let host = "client.example";
        let mut settings = match role {
            "mx" => ClientSettings::mx(host),
            "smarthost" => ClientSettings::smarthost(host, Some(credentials)),
            "lmtp" => ClientSettings::lmtp(host),
            _ => return Err(format!("no such role: {role}")),
        };
        match self.setting("starttls") {
            Some("required") => settings.tls = TlsPolicy::Required,
            Some("off") => settings.tls = TlsPolicy::Off,
            _ => {}
        }
        let now = Instant::now();
        let tls = self.setting("tls").map(|_| Script::tls());
        let session = ClientSession::new(Arc::new(settings), tls, [1; 18], now);
        let text = unescape(self.setting("text").unwrap_or("Hello\\r\\n"));
        let messages: VecDeque<Transaction> =
            self.settings.iter().filter_map(|s| s.strip_prefix("message ")).map(message).collect();
        let said = Said::default();
        let mut desk = ClientDesk { session, now, said, messages, text };
        desk.act();
        for &(number, mark, text) in &self.lines {
            let at = |failure| format!("line {number}: {failure}");
            match mark {
                "S:" => desk.hear(&[unescape(text), b"\r\n".to_vec()].concat(), piece),
                "S>" => desk.hear(&unescape(text), piece),
                "C:" => desk.said.line(text).map_err(at)?,
                "A:" | "R:" => {
                    desk.said.event(text).map_err(at)?;
                    if text == "StartTls" {
                        desk.session.tls_established(desk.now, Script::tls());
                        desk.act();
                    }
                }
                "T:" => {
                    desk.now += Duration::from_secs(text.parse().expect("seconds"));
                    desk.session.on_timeout(desk.now);
                    desk.act();
                }
                "X:" => {
                    desk.session.connection_lost(desk.now, "connection lost");
                    desk.act();
                }
                _ => return Err(at(format!("unknown mark {mark}"))),
            }
        }
        desk.said.nothing_left()
    }
}

/// `from to,to key=value …`
fn message(text: &str) -> Transaction {
    let mut words = text.split_ascii_whitespace();
    let reverse_path = match words.next().expect("a sender") {
        "<>" => ReversePath::Null,
        address => ReversePath::Address(address.parse().expect("an address")),
    };
    let recipients = words.next().expect("recipients").split(',');
    let recipients: Vec<Address> = recipients.map(|to| to.parse().expect("an address")).collect();
    let mut envelope = Envelope::plain(reverse_path, recipients);
    let mut size = 7;
    let mut utf8_header = false;
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("body", "8bit") => envelope.body = BodyKind::EightBitMime,
            ("body", "binary") => envelope.body = BodyKind::BinaryMime,
            ("smtputf8", _) => envelope.smtputf8 = true,
            ("utf8header", _) => utf8_header = true,
            ("requiretls", _) => envelope.require_tls = true,
            ("ret", "hdrs") => envelope.dsn_return = Some(DsnReturn::Headers),
            ("envid", id) => envelope.envelope_id = Some(id.to_owned()),
            ("size", octets) => size = octets.parse().expect("a number"),
            ("dsn", _) => {
                for recipient in &mut envelope.recipients {
                    *recipient = with_dsn(recipient.clone());
                }
            }
            other => panic!("unknown {other:?}"),
        }
    }
    Transaction { utf8_header, ..Transaction::new(envelope, size) }
}

fn with_dsn(recipient: Recipient) -> Recipient {
    let address = format!("was+{}", recipient.address);
    Recipient {
        notify: Some(Notify::On { success: true, failure: true, delay: false }),
        original: Some(OriginalRecipient { address_type: "rfc822".into(), address }),
        ..recipient
    }
}

/// What a session has said and asked for.
#[derive(Default)]
struct Said {
    octets: Vec<u8>,
    events: VecDeque<String>,
}

impl Said {
    fn line(&mut self, expected: &str) -> Result<(), Failure> {
        let end = self.octets.windows(2).position(|w| w == b"\r\n");
        let Some(end) = end else {
            return Err(format!("expected {expected:?}, but nothing was said{}", self.hint()));
        };
        let line: Vec<u8> = self.octets.drain(..end + 2).take(end).collect();
        let (line, wanted) = (String::from_utf8_lossy(&line).into_owned(), unescape(expected));
        let wanted = String::from_utf8_lossy(&wanted);
        let fits = match wanted.strip_suffix("...") {
            Some(start) => line.starts_with(start),
            None => line == wanted,
        };
        if fits { Ok(()) } else { Err(format!("expected {wanted:?}, but {line:?} was said")) }
    }

    fn event(&mut self, expected: &str) -> Result<(), Failure> {
        match self.events.pop_front() {
            Some(event) if event == expected => Ok(()),
            other => Err(format!("expected {expected:?}, but {other:?} came{}", self.hint())),
        }
    }

    fn nothing_left(&self) -> Result<(), Failure> {
        match self.octets.is_empty() && self.events.is_empty() {
            true => Ok(()),
            false => Err(format!("at the end something is left{}", self.hint())),
        }
    }

    fn hint(&self) -> String {
        format!(" (said: {:?}; events: {:?})", String::from_utf8_lossy(&self.octets), self.events)
    }
}

/// Drives a server session with a small world: `alice` has the password `secret`.
struct ServerDesk {
    session: ServerSession,
    now: Instant,
    said: Said,
    spool: Vec<u8>,
}

impl ServerDesk {
    fn hear(&mut self, octets: &[u8], piece: usize) {
        for piece in octets.chunks(piece) {
            self.session.receive(self.now, piece);
            self.act();
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.session.on_timeout(self.now);
        self.act();
    }

    fn act(&mut self) {
        let now = self.now;
        loop {
            let mut acted = false;
            while let Some(action) = self.session.next_action(now) {
                acted = true;
                match action {
                    Action::StartTls => self.said.events.push_back("StartTls".into()),
                    Action::Close => self.said.events.push_back("Close".into()),
                    Action::DiscardData => {
                        self.spool.clear();
                        self.said.events.push_back("DiscardData".into());
                    }
                    Action::LoginEnded { login, outcome } => {
                        let login = login.unwrap_or("-".into());
                        let word = if outcome.is_ok() { "in" } else { "refused" };
                        self.said.events.push_back(format!("Login {login} {word}"));
                    }
                    Action::Authenticate { .. } => {
                        self.session.answer_authenticate(now, Ok([2; 18]));
                    }
                    Action::CheckPassword { login, password } => {
                        let answer = match &*login {
                            "busy" => Err(Reply::new(454, (4, 7, 0), "try again later")),
                            login => Ok(login == "alice" && *password == "secret"),
                        };
                        self.session.answer_password(now, answer);
                    }
                    Action::CheckToken { login, token } => {
                        let login = login.filter(|_| *token == *"c29tZSB0b2tlbg");
                        self.session.answer_token(now, Ok(login));
                    }
                    Action::NeedKeys { .. } => {
                        let keys = ScramKeys::derive("secret", b"0123456789abcdef", 4096);
                        self.session.answer_keys(now, Ok(keys));
                    }
                    Action::CheckProof { login, .. } => {
                        self.session.answer_proof(now, Ok(login == "alice"));
                    }
                    Action::CheckSender { envelope, .. } => {
                        let verdict = match envelope.reverse_path.address() {
                            Some(a) if a.local_part() == "forged" => Err(Reply::sender_not_yours()),
                            _ => Ok(()),
                        };
                        self.session.answer_sender(now, verdict);
                    }
                    Action::CheckRecipient { recipient, .. } => {
                        let verdict = match recipient.address.local_part() {
                            "nobody" => Err(Reply::no_such_mailbox()),
                            "full" => Err(Reply::mailbox_full()),
                            "elsewhere" => Err(Reply::relaying_denied()),
                            "down" => Err(Reply::shutting_down()),
                            _ => Ok(()),
                        };
                        self.session.answer_recipient(now, verdict);
                    }
                    Action::BeginData { envelope } => {
                        let nospace = has(envelope, "nospace");
                        let verdict = if nospace { Err(Reply::out_of_space()) } else { Ok(()) };
                        self.session.answer_data(now, verdict);
                    }
                    Action::Data(octets) => {
                        self.spool.extend_from_slice(octets);
                        if self.spool.ends_with(b"disk-full\r\n") {
                            self.session.fail_data(Reply::out_of_space());
                        }
                    }
                    Action::DataComplete { envelope, octets } => {
                        let text = std::mem::take(&mut self.spool);
                        assert_eq!(octets, text.len() as u64);
                        let with = self.session.protocol();
                        self.said.events.push_back(delivered(&envelope, with, &text));
                        let reply = |recipient: &Recipient| match recipient.address.local_part() {
                            "late" => Reply::mailbox_full(),
                            _ => Reply::new(250, (2, 0, 0), "delivered"),
                        };
                        let replies = envelope.recipients.iter().map(reply).collect();
                        self.session.answer_message_each(now, replies);
                    }
                }
            }
            let output = self.session.take_output();
            self.said.octets.extend_from_slice(&output);
            if !acted && output.is_empty() {
                return;
            }
        }
    }
}

fn has(envelope: &Envelope, local_part: &str) -> bool {
    envelope.recipients.iter().any(|recipient| recipient.address.local_part() == local_part)
}

/// What a `D:` line says.
fn delivered(envelope: &Envelope, with: &str, text: &[u8]) -> String {
    let mut line = format!("{with} {} ->", envelope.reverse_path);
    for recipient in &envelope.recipients {
        line += &format!(" {}", recipient.address);
        if let Some(notify) = recipient.notify {
            let flags = [notify.on_success(), notify.on_failure(), notify.on_delay()];
            let letters = flags.into_iter().zip("SFD".chars());
            let set: String = letters.filter_map(|(on, letter)| on.then_some(letter)).collect();
            line += &format!(" notify={set}");
        }
        if let Some(original) = &recipient.original {
            line += &format!(" orcpt={};{}", original.address_type, original.address);
        }
    }
    match envelope.body {
        BodyKind::SevenBit => {}
        BodyKind::EightBitMime => line += " 8BITMIME",
        BodyKind::BinaryMime => line += " BINARYMIME",
    }
    for (on, word) in [(envelope.smtputf8, " SMTPUTF8"), (envelope.require_tls, " REQUIRETLS")] {
        line += if on { word } else { "" };
    }
    match envelope.dsn_return {
        None => {}
        Some(DsnReturn::Full) => line += " RET=FULL",
        Some(DsnReturn::Headers) => line += " RET=HDRS",
    }
    if let Some(id) = &envelope.envelope_id {
        line += &format!(" ENVID={id}");
    }
    if text.len() > 100 {
        return format!("{line} {} octets", text.len());
    }
    format!("{line} \"{}\"", text.escape_ascii())
}

/// Drives a client session that has messages to send and then quits.
struct ClientDesk {
    session: ClientSession,
    now: Instant,
    said: Said,
    messages: VecDeque<Transaction>,
    text: Vec<u8>,
}

impl ClientDesk {
    fn hear(&mut self, octets: &[u8], piece: usize) {
        for piece in octets.chunks(piece) {
            self.session.receive(self.now, piece);
            self.act();
        }
    }

    fn act(&mut self) {
        let now = self.now;
        while let Some(action) = self.session.next_action(now) {
            match action {
                ClientAction::StartTls => self.said.events.push_back("StartTls".into()),
                ClientAction::Ready => match self.messages.pop_front() {
                    Some(message) => self.session.send(now, message),
                    None => self.session.quit(now),
                },
                ClientAction::NeedData => self.session.supply(now, &self.text, true),
                ClientAction::Done(report) => {
                    for outcome in &report.outcomes {
                        let word = match outcome.disposition {
                            Disposition::Delivered => "delivered",
                            Disposition::Deferred => "deferred",
                            Disposition::Failed => "failed",
                            Disposition::NotTried => "not tried",
                        };
                        self.said.events.push_back(format!("{word} {}", outcome.status));
                    }
                }
                ClientAction::Closed(None) => self.said.events.push_back("Closed".into()),
                ClientAction::Closed(Some(error)) => {
                    let outcome = &error.outcome;
                    let (stage, how) = (error.stage, outcome.disposition);
                    let line = format!("Closed at {stage:?}: {how:?} {}", outcome.status);
                    self.said.events.push_back(line);
                }
            }
        }
        let output = self.session.output().to_vec();
        self.session.output_written(now, output.len());
        self.said.octets.extend_from_slice(&output);
    }
}

/// `\r`, `\n`, `\0`, `\\`, `\xNN` and `{N*text}`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'\\' => {
                let (&kind, after) = rest.split_first().expect("an escape");
                rest = after;
                out.push(match kind {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b'0' => 0,
                    b'x' => {
                        let digits = std::str::from_utf8(&rest[..2]).expect("two digits");
                        rest = &rest[2..];
                        u8::from_str_radix(digits, 16).expect("two digits")
                    }
                    other => other,
                });
            }
            b'{' => {
                let close = rest.iter().position(|&b| b == b'}').expect("a closing brace");
                let inner = std::str::from_utf8(&rest[..close]).expect("text");
                let (times, piece) = inner.split_once('*').expect("{N*text}");
                let piece = unescape(piece);
                out.extend(piece.repeat(times.parse().expect("a number")));
                rest = &rest[close + 1..];
            }
            other => out.push(other),
        }
    }
    out
}
