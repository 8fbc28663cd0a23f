//! What a fuzzer calls: any octets at all, against each reader of this crate. Plain functions that
//! panic when something that must hold does not; `tests/fuzz.rs` runs them on random input, and a
//! fuzzer's crate can run them for longer.
//!
//! The first octets of the input choose settings and the sizes of pieces, the rest is what the peer
//! says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use waxwing_message::{Address, BodyKind, Envelope, ReversePath};
use waxwing_sasl::{ScramKeys, ScramPair};

use crate::client::{Credentials, TlsPolicy};
use crate::command::Command;
use crate::reply::{Reply, ReplyError, ReplyReader};
use crate::server::StartTls;
use crate::{
    Action, ClientAction, ClientSession, ClientSettings, ServerSession, ServerSettings, Tls,
    Transaction,
};

/// More than any session may hold beside the input that it was just given.
const MEMORY_LIMIT_OCTETS: usize = 256 * 1024;

/// A client says anything. Whole and in pieces it must have the same effect.
pub fn fuzz_server(data: &[u8]) {
    let Some((&[choice, sizes], said)) = data.split_first_chunk::<2>() else { return };
    let whole = serve(choice, said, usize::MAX);
    let pieces = serve(choice, said, usize::from(sizes % 32) + 1);
    assert_eq!(whole.output.escape_ascii().to_string(), pieces.output.escape_ascii().to_string());
    assert_eq!(whole.messages, pieces.messages);
    if let Some(line) = said.split(|&octet| octet == b'\n').next() {
        let _ = Command::parse(line);
    }
}

#[derive(Default)]
struct Served {
    output: Vec<u8>,
    messages: Vec<(Envelope, Vec<u8>)>,
}

fn serve(choice: u8, said: &[u8], piece: usize) -> Served {
    let mut settings = match choice & 3 {
        0 => ServerSettings::lmtp("mx.example"),
        1 => ServerSettings::submission("mx.example"),
        _ => ServerSettings::mx("mx.example"),
    };
    // What follows STARTTLS is dropped or refused depending on when it comes, so it is left out.
    settings.starttls = StartTls::Off;
    settings.auth |= choice & 4 != 0;
    settings.plaintext_auth = true;
    settings.max_message_octets = if choice & 8 != 0 { 100 } else { 1 << 20 };
    settings.max_recipients = 10;
    settings.max_errors = u32::from(choice >> 4) * 100;
    let tls = (choice & 16 != 0).then(Tls::default);
    let mut now = Instant::now();
    let mut session = ServerSession::new(Arc::new(settings), tls, now);
    let mut served = Served::default();
    let mut spool = Vec::new();
    for piece in said.chunks(piece) {
        now += Duration::from_millis(1);
        session.receive(now, piece);
        assert!(session.buffered_capacity() < MEMORY_LIMIT_OCTETS + piece.len() * 4);
        loop {
            while answer_action(&mut session, now, &mut spool, &mut served) {}
            if session.output().is_empty() {
                break;
            }
            served.output.extend(session.take_output());
        }
        assert!(session.buffered_capacity() < MEMORY_LIMIT_OCTETS);
    }
    served
}

/// Answers by the letters that are asked about; false when there is nothing to do.
fn answer_action(
    session: &mut ServerSession,
    now: Instant,
    spool: &mut Vec<u8>,
    served: &mut Served,
) -> bool {
    let refused = |address: &Address| match address.local_part().len() % 4 {
        3 => Err(Reply::no_such_mailbox()),
        _ => Ok(()),
    };
    let Some(action) = session.next_action(now) else { return false };
    match action {
        Action::StartTls => unreachable!("it is off"),
        Action::Close | Action::LoginEnded { .. } => {}
        Action::DiscardData => spool.clear(),
        Action::Authenticate { .. } => session.answer_authenticate(now, Ok([1; 18])),
        Action::CheckPassword { login, .. } => {
            session.answer_password(now, Ok(login.len() % 2 == 0));
        }
        Action::CheckToken { login, .. } => session.answer_token(now, Ok(login)),
        Action::CheckProof { .. } => session.answer_proof(now, Ok(true)),
        Action::NeedKeys { .. } => {
            let keys = ScramKeys {
                salt: vec![1; 16],
                iterations: 4096,
                pairs: vec![ScramPair { stored_key: [2; 32], server_key: [3; 32] }],
            };
            session.answer_keys(now, Ok(keys));
        }
        Action::CheckSender { envelope, .. } => {
            let verdict = envelope.reverse_path.address().map_or(Ok(()), refused);
            session.answer_sender(now, verdict);
        }
        Action::CheckRecipient { recipient, .. } => {
            let verdict = refused(&recipient.address);
            session.answer_recipient(now, verdict);
        }
        Action::BeginData { .. } => {
            spool.clear();
            session.answer_data(now, Ok(()));
        }
        Action::Data(octets) => {
            assert!(!octets.is_empty());
            spool.extend_from_slice(octets);
        }
        Action::DataComplete { envelope, octets } => {
            assert_eq!(octets, spool.len() as u64);
            if envelope.body != BodyKind::BinaryMime {
                let text = String::from_utf8_lossy(spool).replace("\r\n", "");
                assert!(!text.contains(['\r', '\n']), "a lone line end came through");
            }
            served.messages.push((*envelope, std::mem::take(spool)));
            session.answer_message(now, Reply::new(250, (2, 0, 0), "taken"));
        }
    }
    true
}

/// A server says anything. Every message must have its one report, and the session must end.
pub fn fuzz_client(data: &[u8]) {
    let Some((&[choice, sizes], said)) = data.split_first_chunk::<2>() else { return };
    let mut settings = ClientSettings::mx("client.example");
    settings.lmtp = choice & 1 != 0;
    settings.tls = if choice & 2 != 0 { TlsPolicy::Off } else { TlsPolicy::Opportunistic };
    settings.credentials = (choice & 4 != 0).then(|| Credentials {
        login: "alice".into(),
        password: String::from("secret").into(),
        plaintext_allowed: choice & 8 != 0,
    });
    let mut now = Instant::now();
    let mut session = ClientSession::new(Arc::new(settings), None, [1; 18], now);
    let (mut given, mut reported, mut closed) = (0, 0, 0);
    for piece in said.chunks(usize::from(sizes) + 1).chain([&b""[..]]) {
        now += Duration::from_millis(1);
        session.receive(now, piece);
        if piece.is_empty() {
            session.connection_lost(now, "the end");
        }
        while let Some(action) = session.next_action(now) {
            match action {
                ClientAction::StartTls => session.tls_established(now, Tls::default()),
                ClientAction::Ready if given < 5 => {
                    given += 1;
                    session.send(now, letter(choice));
                }
                ClientAction::Ready => session.quit(now),
                ClientAction::NeedData => session.supply(now, b".one\ntwo\r", true),
                ClientAction::Done(report) => {
                    assert_eq!(report.outcomes.len(), 3);
                    reported += 1;
                }
                ClientAction::Closed(_) => closed += 1,
            }
        }
        assert!(session.output().len() < MEMORY_LIMIT_OCTETS);
        session.output_written(now, session.output().len());
    }
    assert_eq!((given, closed), (reported, 1));
}

fn letter(choice: u8) -> Transaction {
    let address = |name: &str| Address::new(name, "y.example").expect("it is well-formed");
    let recipients = vec![address("a"), address("b"), address("c")];
    let mut envelope = Envelope::plain(ReversePath::Null, recipients);
    envelope.smtputf8 = choice & 16 != 0;
    envelope.require_tls = choice & 32 != 0;
    envelope.body = if choice & 64 != 0 { BodyKind::BinaryMime } else { BodyKind::EightBitMime };
    Transaction::new(envelope, 9)
}

/// Replies, whole and in pieces.
pub fn fuzz_reply(data: &[u8]) {
    let Some((&size, said)) = data.split_first() else { return };
    assert_eq!(read_all(said, usize::MAX), read_all(said, usize::from(size) + 1));
}

fn read_all(said: &[u8], piece: usize) -> Vec<Result<Reply, ReplyError>> {
    let mut reader = ReplyReader::default();
    let mut replies = Vec::new();
    for mut rest in said.chunks(piece) {
        while !rest.is_empty() {
            let (used, reply) = reader.read(rest);
            rest = &rest[used..];
            let failed = matches!(reply, Some(Err(_)));
            replies.extend(reply);
            if failed {
                return replies;
            }
        }
    }
    replies
}
