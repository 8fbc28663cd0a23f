//! Client against server in memory, under a virtual clock: random extensions, latencies, packet
//! sizes, slow answers, refusals, lost connections and messages.
//!
//! What must hold whatever happens:
//! - each message gets exactly one report, and both sessions end;
//! - what the client calls delivered the server's driver has, exactly once, octet for octet (line
//!   ends mended), with the envelope it was sent with;
//! - what the client calls failed or deferred the driver has not, unless the connection was lost
//!   when the message was out already.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use waxwing_message::{Address, BodyKind, Envelope, Notify, Recipient, ReversePath};
use waxwing_sasl::{ChannelBinding, ScramKeys};
use waxwing_smtp::client::{Credentials, Report, SessionError, TlsPolicy};
use waxwing_smtp::server::{Extensions, StartTls};
use waxwing_smtp::{
    Action, ClientAction, ClientSession, ClientSettings, Disposition, Reply, ServerSession,
    ServerSettings, Tls, Transaction,
};

/// Everything that one duel depends on.
#[derive(Debug, Clone)]
struct Plan {
    extensions: Extensions,
    lmtp: bool,
    starttls: bool,
    auth: bool,
    max_recipients: u32,
    max_message_octets: u64,
    messages: Vec<Letter>,
    /// Both directions, in milliseconds.
    latency: u64,
    /// How long the server's driver thinks, in milliseconds.
    thinking: u64,
    /// The largest packet.
    packet: usize,
    /// The connection is lost after this many octets in all.
    lost_after: Option<usize>,
    seed: u64,
}

#[derive(Debug, Clone)]
struct Letter {
    text: Vec<u8>,
    body: BodyKind,
    smtputf8: bool,
    notify: bool,
    /// Local parts; see [`verdict`].
    recipients: Vec<String>,
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[ -~]{0,80}".prop_map(String::into_bytes),
        2 => "\\.{1,3}[a-z]{0,3}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..80),
        1 => Just(vec![b'x'; 3000]),
    ]
}

fn letter() -> impl Strategy<Value = Letter> {
    let end =
        prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "", "\r\n.\r\n"]);
    let text = prop::collection::vec((line(), end), 0..30);
    let text = (text, prop_oneof![6 => Just(1usize), 1 => Just(60)]);
    let names = prop::sample::select(vec!["anna", "bert", "carl", "no", "busy", "dora", "emil"]);
    let body = prop::sample::select(vec![
        BodyKind::SevenBit,
        BodyKind::EightBitMime,
        BodyKind::BinaryMime,
    ]);
    (text, body, any::<bool>(), any::<bool>(), prop::collection::btree_set(names, 1..6)).prop_map(
        |((lines, times), body, smtputf8, notify, recipients)| Letter {
            text: lines
                .iter()
                .flat_map(|(line, end)| [line.as_slice(), end.as_bytes()])
                .collect::<Vec<_>>()
                .concat()
                .repeat(times),
            body,
            smtputf8,
            notify,
            recipients: recipients.into_iter().map(str::to_owned).collect(),
        },
    )
}

fn extensions() -> impl Strategy<Value = Extensions> {
    any::<[bool; 9]>().prop_map(|on| Extensions {
        pipelining: on[0],
        size: on[1],
        eight_bit_mime: on[2],
        smtputf8: on[3],
        dsn: on[4],
        chunking: on[5],
        binary_mime: on[6] && on[5] && on[2],
        require_tls: on[7],
        limits: on[8],
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let world = (
        extensions(),
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop_oneof![1 => 1u32..4, 3 => Just(100)],
        prop_oneof![1 => 10u64..3000, 4 => Just(10_000_000)],
    );
    let wire = (
        0u64..2000,
        prop_oneof![6 => 0u64..2000, 2 => Just(100_000), 1 => Just(700_000)],
        prop_oneof![Just(1usize), 2usize..100, Just(1500), Just(100_000)],
        prop::option::weighted(0.3, 0usize..4000),
        any::<u64>(),
    );
    (world, wire, prop::collection::vec(letter(), 1..4)).prop_map(|(world, wire, messages)| Plan {
        extensions: world.0,
        lmtp: world.1,
        starttls: world.2,
        auth: world.3,
        max_recipients: world.4,
        max_message_octets: world.5,
        messages,
        latency: wire.0,
        thinking: wire.1,
        packet: wire.2,
        lost_after: wire.3,
        seed: wire.4,
    })
}

fn verdict(recipient: &Recipient) -> Result<(), Reply> {
    match recipient.address.local_part() {
        "no" => Err(Reply::no_such_mailbox()),
        "busy" => Err(Reply::mailbox_full()),
        _ => Ok(()),
    }
}

fn keys() -> ScramKeys {
    static KEYS: OnceLock<ScramKeys> = OnceLock::new();
    KEYS.get_or_init(|| ScramKeys::derive("secret", &[9; 16], 4096)).clone()
}

/// Octets on their way, with the time of their arrival.
#[derive(Default)]
struct Wire(VecDeque<(Instant, Vec<u8>)>);

impl Wire {
    fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        match self.0.front() {
            Some((when, _)) if *when <= now => self.0.pop_front().map(|(_, octets)| octets),
            _ => None,
        }
    }
}

/// What the server's driver will say, and when.
type Answer = Box<dyn FnOnce(&mut ServerSession, Instant)>;

struct Pair {
    plan: Plan,
    now: Instant,
    random: u64,
    client: ClientSession,
    server: ServerSession,
    to_server: Wire,
    to_client: Wire,
    carried: usize,
    lost: bool,
    answer: Option<(Instant, Answer)>,
    spool: Vec<u8>,
    /// What the driver was given.
    delivered: Vec<(Envelope, Vec<u8>)>,
    /// Messages to be sent, and the one under way with what was supplied of it.
    waiting: VecDeque<Letter>,
    current: Option<(Letter, usize)>,
    reports: Vec<(Letter, Report)>,
    closed: Option<Option<SessionError>>,
    server_closed: bool,
}

impl Pair {
    fn new(plan: Plan) -> Pair {
        let now = Instant::now();
        let mut server = match plan.lmtp {
            true => ServerSettings::lmtp("mx.example"),
            false => ServerSettings::mx("mx.example"),
        };
        server.extensions = plan.extensions;
        server.starttls = if plan.starttls { StartTls::Offered } else { StartTls::Off };
        server.auth = plan.auth;
        server.max_recipients = plan.max_recipients;
        server.max_message_octets = plan.max_message_octets;
        let mut client = ClientSettings::mx("client.example");
        client.lmtp = plan.lmtp;
        client.tls = TlsPolicy::Opportunistic;
        client.credentials = plan.auth.then(|| Credentials {
            login: "alice".into(),
            password: "secret".to_owned().into(),
            plaintext_allowed: false,
        });
        Pair {
            now,
            random: plan.seed,
            client: ClientSession::new(Arc::new(client), None, [3; 18], now),
            server: ServerSession::new(Arc::new(server), None, now),
            to_server: Wire::default(),
            to_client: Wire::default(),
            carried: 0,
            lost: false,
            answer: None,
            spool: Vec::new(),
            delivered: Vec::new(),
            waiting: plan.messages.clone().into(),
            current: None,
            reports: Vec::new(),
            closed: None,
            server_closed: false,
            plan,
        }
    }

    fn random(&mut self, below: usize) -> usize {
        self.random =
            self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 33) as usize % below.max(1)
    }

    fn run(&mut self) {
        for _ in 0..200_000 {
            if self.closed.is_some() {
                return;
            }
            let acted = self.serve() | self.ask() | self.carry();
            if !acted && !self.advance() {
                panic!("both sides wait for ever");
            }
        }
        panic!("it never ends");
    }

    /// The clock goes on to the next event.
    fn advance(&mut self) -> bool {
        let arrivals = [&self.to_server, &self.to_client];
        let mut times: Vec<Instant> =
            arrivals.iter().filter_map(|wire| wire.0.front().map(|(when, _)| *when)).collect();
        times.extend(self.answer.as_ref().map(|(when, _)| *when));
        times.extend(self.client.deadline());
        if !self.server_closed {
            times.extend(self.server.deadline());
        }
        let Some(next) = times.into_iter().min() else { return false };
        self.now = self.now.max(next);
        self.client.on_timeout(self.now);
        self.server.on_timeout(self.now);
        true
    }

    fn carry(&mut self) -> bool {
        if self.lost {
            return false;
        }
        // Octet by octet is for small messages.
        let largest = self.plan.messages.iter().map(|letter| letter.text.len()).max();
        let packet = self.plan.packet.max(largest.unwrap_or(0) / 1000);
        let latency = Duration::from_millis(self.plan.latency);
        let when = self.now + latency;
        let mut carried = 0;
        let octets = self.client.output();
        if !octets.is_empty() {
            let size = 1 + self.random(packet.min(self.client.output().len()));
            let octets = self.client.output()[..size].to_vec();
            self.client.output_written(self.now, size);
            self.to_server.0.push_back((when, octets));
            carried += size;
        }
        if !self.server.output().is_empty() {
            let size = 1 + self.random(packet.min(self.server.output().len()));
            let octets = self.server.output()[..size].to_vec();
            self.server.output_written(size);
            self.to_client.0.push_back((when, octets));
            carried += size;
        }
        self.carried += carried;
        if self.plan.lost_after.is_some_and(|limit| self.carried > limit) {
            self.lost = true;
            self.server_closed = true;
            self.to_server.0.clear();
            self.client.connection_lost(self.now, "connection lost");
        }
        let mut arrived = false;
        if self.server_closed && !self.lost && self.to_client.0.is_empty() {
            // The server has closed, and everything that it said has come.
            self.client.connection_lost(self.now, "end of stream");
            arrived = true;
        }
        if let Some(octets) = self.to_server.arrived(self.now) {
            self.server.receive(self.now, &octets);
            arrived = true;
        }
        if let Some(octets) = self.to_client.arrived(self.now) {
            self.client.receive(self.now, &octets);
            arrived = true;
        }
        carried > 0 || arrived
    }

    /// The server's driver.
    fn serve(&mut self) -> bool {
        if self.server_closed {
            return false;
        }
        if self.answer.as_ref().is_some_and(|(when, _)| *when <= self.now) {
            let (_, answer) = self.answer.take().unwrap();
            answer(&mut self.server, self.now);
            return true;
        }
        let now = self.now;
        let later = now + Duration::from_millis(self.plan.thinking);
        let Some(action) = self.server.next_action(now) else { return false };
        let mut answer: Option<Answer> = None;
        match action {
            Action::StartTls => {
                // Its reply is on its way before anything else.
                let octets = self.server.take_output();
                self.carried += octets.len();
                let when = now + Duration::from_millis(self.plan.latency);
                self.to_client.0.push_back((when, octets));
                self.server.tls_established(now, tls());
            }
            Action::Close => {
                let octets = self.server.take_output();
                let when = now + Duration::from_millis(self.plan.latency);
                self.to_client.0.push_back((when, octets));
                self.server_closed = true;
            }
            Action::Authenticate { .. } => {
                answer = Some(Box::new(|s, now| s.answer_authenticate(now, Ok([5; 18]))));
            }
            Action::CheckPassword { login, password } => {
                let right = login == "alice" && *password == "secret";
                answer = Some(Box::new(move |s, now| s.answer_password(now, Ok(right))));
            }
            Action::CheckToken { .. } => unreachable!("no tokens are offered"),
            Action::NeedKeys { .. } => {
                answer = Some(Box::new(|s, now| s.answer_keys(now, Ok(keys()))));
            }
            Action::CheckProof { .. } => {
                answer = Some(Box::new(|s, now| s.answer_proof(now, Ok(true))));
            }
            Action::LoginEnded { outcome, .. } => outcome.unwrap(),
            Action::CheckSender { .. } => {
                answer = Some(Box::new(|s, now| s.answer_sender(now, Ok(()))));
            }
            Action::CheckRecipient { recipient, .. } => {
                let verdict = verdict(recipient);
                answer = Some(Box::new(move |s, now| s.answer_recipient(now, verdict)));
            }
            Action::BeginData { .. } => {
                assert!(self.spool.is_empty());
                answer = Some(Box::new(|s, now| s.answer_data(now, Ok(()))));
            }
            Action::Data(octets) => {
                assert!(!octets.is_empty());
                self.spool.extend_from_slice(octets);
            }
            Action::DiscardData => self.spool.clear(),
            Action::DataComplete { envelope, octets } => {
                assert_eq!(octets, self.spool.len() as u64);
                self.delivered.push((*envelope, std::mem::take(&mut self.spool)));
                let reply = Reply::new(250, (2, 0, 0), "delivered");
                answer = Some(Box::new(move |s, now| s.answer_message(now, reply)));
            }
        }
        self.answer = answer.map(|answer| (later, answer)).or(self.answer.take());
        true
    }

    /// The client's driver.
    fn ask(&mut self) -> bool {
        let Some(action) = self.client.next_action(self.now) else { return false };
        match action {
            ClientAction::StartTls => {
                assert!(self.client.output().is_empty());
                self.client.tls_established(self.now, tls());
            }
            ClientAction::Ready => match self.waiting.pop_front() {
                Some(letter) => {
                    let envelope = envelope(self.reports.len(), &letter);
                    let transaction = Transaction {
                        utf8_header: false,
                        ..Transaction::new(envelope, letter.text.len() as u64)
                    };
                    self.current = Some((letter, 0));
                    self.client.send(self.now, transaction);
                }
                None => self.client.quit(self.now),
            },
            ClientAction::NeedData => {
                let size = 1 + self.random(100_000);
                let (letter, supplied) = self.current.as_mut().expect("a message under way");
                let end = letter.text.len().min(*supplied + size);
                let last = end == letter.text.len();
                self.client.supply(self.now, &letter.text[*supplied..end], last);
                *supplied = end;
            }
            ClientAction::Done(report) => {
                let (letter, _) = self.current.take().expect("a message under way");
                self.reports.push((letter, report));
            }
            ClientAction::Closed(error) => self.closed = Some(error),
        }
        true
    }

    fn check(&self) {
        assert_eq!(
            self.reports.len() + self.waiting.len(),
            self.plan.messages.len(),
            "each message that was given has its report"
        );
        let mut delivered = self.delivered.iter().peekable();
        for (number, (letter, report)) in self.reports.iter().enumerate() {
            assert_eq!(report.outcomes.len(), letter.recipients.len());
            let pairs = letter.recipients.iter().zip(&report.outcomes);
            let taken = pairs.filter(|(_, o)| o.disposition == Disposition::Delivered);
            let taken: Vec<&str> = taken.map(|(name, _)| name.as_str()).collect();
            let sender = ReversePath::Address(sender(number));
            match delivered.next_if(|(envelope, _)| envelope.reverse_path == sender) {
                Some((envelope, text)) => {
                    self.check_message(letter, envelope, text);
                    let to = envelope.recipients.iter().map(|r| r.address.local_part());
                    let to: Vec<&str> = to.collect();
                    if self.disturbed() {
                        // The client may not have heard all of the replies.
                        assert!(taken.iter().all(|name| to.contains(name)));
                    } else {
                        assert_eq!(to, taken);
                    }
                }
                None => assert!(taken.is_empty(), "what is called delivered is there"),
            }
            for (name, outcome) in letter.recipients.iter().zip(&report.outcomes) {
                let refused = matches!(name.as_str(), "no" | "busy");
                assert!(!(refused && outcome.disposition == Disposition::Delivered));
            }
        }
        assert!(delivered.next().is_none(), "nothing more was delivered");
        if !self.disturbed() {
            self.check_undisturbed();
        }
    }

    /// The connection was lost, or the server's driver thinks for longer than the client waits.
    fn disturbed(&self) -> bool {
        self.lost || self.plan.thinking >= 120_000
    }

    fn check_message(&self, letter: &Letter, envelope: &Envelope, text: &[u8]) {
        let on = &self.plan.extensions;
        let expected = match letter.body {
            BodyKind::BinaryMime => letter.text.clone(),
            _ => mended(&letter.text),
        };
        let ended = [expected.as_slice(), b"\r\n"].concat();
        let same = text == expected
            || (letter.body != BodyKind::BinaryMime
                && !expected.ends_with(b"\r\n")
                && text == ended);
        assert!(
            same,
            "{:?} became {:?}",
            expected.escape_ascii().to_string(),
            text.escape_ascii().to_string()
        );
        assert_eq!(envelope.smtputf8, letter.smtputf8 && on.smtputf8);
        if on.eight_bit_mime {
            assert_eq!(envelope.body, letter.body);
        }
        for recipient in &envelope.recipients {
            let notify = (letter.notify && on.dsn).then_some(Notify::Never);
            assert_eq!(recipient.notify, notify);
        }
    }

    /// When nothing went wrong, everybody who could get the message did.
    fn check_undisturbed(&self) {
        // A server ends the session of a client that sends far too much.
        let limit = self.plan.max_message_octets;
        if self.plan.messages.iter().all(|letter| letter.text.len() as u64 <= limit) {
            assert_eq!(self.closed, Some(None));
            assert!(self.waiting.is_empty());
        }
        for (letter, report) in &self.reports {
            let on = &self.plan.extensions;
            // Mending line ends can make a message twice as large.
            let surely_fits = letter.text.len() as u64 * 2 + 2 <= limit;
            let goes = letter.body != BodyKind::BinaryMime || on.binary_mime;
            for (name, outcome) in letter.recipients.iter().zip(&report.outcomes) {
                let expected = match name.as_str() {
                    "no" => Disposition::Failed,
                    "busy" => Disposition::Deferred,
                    _ => Disposition::Delivered,
                };
                if goes && surely_fits && outcome.disposition != Disposition::NotTried {
                    assert_eq!(outcome.disposition, expected, "{name}: {outcome:?}");
                }
                if !goes {
                    assert_eq!(outcome.status.to_string(), "5.6.3");
                }
            }
        }
    }
}

fn tls() -> Tls {
    Tls { binding: Some(ChannelBinding([4; 32])) }
}

fn sender(number: usize) -> Address {
    Address::new(&format!("sender{number}"), "x.example").unwrap()
}

fn envelope(number: usize, letter: &Letter) -> Envelope {
    let recipients = letter.recipients.iter();
    let recipients = recipients.map(|name| Address::new(name, "y.example").unwrap()).collect();
    let mut envelope = Envelope::plain(ReversePath::Address(sender(number)), recipients);
    envelope.body = letter.body;
    envelope.smtputf8 = letter.smtputf8;
    for recipient in &mut envelope.recipients {
        recipient.notify = letter.notify.then_some(Notify::Never);
    }
    envelope
}

/// Every line end as CRLF.
fn mended(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut octets = text.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\r' => {
                octets.next_if_eq(&b'\n');
                out.extend(b"\r\n");
            }
            b'\n' => out.extend(b"\r\n"),
            other => out.push(other),
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_arrive_whole_or_are_reported(plan in plan()) {
        let mut pair = Pair::new(plan);
        pair.run();
        pair.check();
    }
}
