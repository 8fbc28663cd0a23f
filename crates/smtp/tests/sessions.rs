//! What transcripts cannot show, because it depends on how octets are cut, on who waits for whom,
//! or on memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use waxwing_message::{Address, Envelope, ReversePath};
use waxwing_smtp::client::{Stage, TlsPolicy};
use waxwing_smtp::{
    Action, ClientAction, ClientSession, ClientSettings, Disposition, Reply, ServerSession,
    ServerSettings, Tls, Transaction,
};

fn server(now: Instant) -> ServerSession {
    ServerSession::new(Arc::new(ServerSettings::mx("mx.example")), None, now)
}

fn said(session: &mut ServerSession) -> String {
    String::from_utf8(session.take_output()).unwrap()
}

/// Says something and accepts everything that is asked about.
fn say(session: &mut ServerSession, now: Instant, text: &str) -> String {
    session.receive(now, text.as_bytes());
    loop {
        let Some(action) = session.next_action(now) else { return said(session) };
        match action {
            Action::CheckSender { .. } => session.answer_sender(now, Ok(())),
            Action::CheckRecipient { .. } => session.answer_recipient(now, Ok(())),
            Action::BeginData { .. } => session.answer_data(now, Ok(())),
            Action::DataComplete { .. } => {
                session.answer_message(now, Reply::new(250, (2, 0, 0), "taken"));
            }
            _ => {}
        }
    }
}

fn client(now: Instant, settings: ClientSettings) -> ClientSession {
    ClientSession::new(Arc::new(settings), None, [1; 18], now)
}

fn heard(session: &mut ClientSession, now: Instant, text: &str) -> String {
    session.receive(now, text.as_bytes());
    let output = String::from_utf8(session.output().to_vec()).unwrap();
    session.output_written(now, output.len());
    output
}

fn letter(size_octets: u64) -> Transaction {
    let to = Address::parse("b@y.example").unwrap();
    Transaction::new(Envelope::plain(ReversePath::Null, vec![to]), size_octets)
}

#[test]
fn server_refuses_what_follows_starttls() {
    let now = Instant::now();
    let mut session = server(now);
    let text = say(&mut session, now, "EHLO c\r\nSTARTTLS\r\nMAIL FROM:<evil@x.example>\r\n");
    assert!(text.contains("\r\n503 5.5.1 nothing may follow STARTTLS"), "{text}");
    assert!(session.next_action(now).is_none(), "it has closed");
}

#[test]
fn server_forgets_what_comes_during_the_handshake() {
    let now = Instant::now();
    let mut session = server(now);
    assert!(say(&mut session, now, "EHLO c\r\nSTARTTLS\r\n").ends_with("220 2.0.0 begin TLS\r\n"));
    assert!(!session.wants_input());
    session.receive(now, b"NOOP\r\n");
    session.tls_established(now, Tls::default());
    assert!(session.next_action(now).is_none());
    assert_eq!(said(&mut session), "");
    assert!(session.is_tls() && session.hello().is_none());
}

#[test]
fn client_refuses_what_follows_the_reply_to_starttls() {
    let now = Instant::now();
    let mut session = client(now, ClientSettings::mx("c"));
    heard(&mut session, now, "220 y\r\n");
    heard(&mut session, now, "250-y\r\n250 STARTTLS\r\n");
    heard(&mut session, now, "220 go\r\n250 CHUNKING\r\n");
    match session.next_action(now) {
        Some(ClientAction::Closed(Some(error))) => assert_eq!(error.stage, Stage::Tls),
        other => panic!("{other:?}"),
    }
    assert!(session.output().is_empty());
}

#[test]
fn client_failing_the_handshake_blames_tls() {
    let now = Instant::now();
    let settings = ClientSettings { tls: TlsPolicy::Required, ..ClientSettings::mx("c") };
    let mut session = client(now, settings);
    heard(&mut session, now, "220 y\r\n");
    heard(&mut session, now, "250-y\r\n250 STARTTLS\r\n");
    heard(&mut session, now, "220 go\r\n");
    assert!(matches!(session.next_action(now), Some(ClientAction::StartTls)));
    session.connection_lost(now, "certificate has expired");
    match session.next_action(now) {
        Some(ClientAction::Closed(Some(error))) => {
            assert_eq!(error.stage, Stage::Tls);
            assert_eq!(error.to_string(), "no TLS: certificate has expired");
            assert_eq!(error.outcome.status.to_string(), "4.7.0");
        }
        other => panic!("{other:?}"),
    }
}

/// A client within DATA, having sent the first octets of a message.
fn client_in_data(now: Instant) -> ClientSession {
    let mut session = client(now, ClientSettings::mx("c"));
    heard(&mut session, now, "220 y\r\n");
    heard(&mut session, now, "250 y\r\n");
    assert!(matches!(session.next_action(now), Some(ClientAction::Ready)));
    session.send(now, letter(1_000_000));
    heard(&mut session, now, "");
    assert_eq!(heard(&mut session, now, "250 ok\r\n"), "RCPT TO:<b@y.example>\r\n");
    assert_eq!(heard(&mut session, now, "250 ok\r\n"), "DATA\r\n");
    heard(&mut session, now, "354 go\r\n");
    assert!(matches!(session.next_action(now), Some(ClientAction::NeedData)));
    session.supply(now, b"one\r\n", false);
    session
}

fn disposition(session: &mut ClientSession, now: Instant) -> Disposition {
    match session.next_action(now) {
        Some(ClientAction::Done(report)) => report.outcomes[0].disposition,
        other => panic!("{other:?}"),
    }
}

#[test]
fn client_is_refused_in_the_midst_of_data() {
    let now = Instant::now();
    let mut session = client_in_data(now);
    let output = heard(&mut session, now, "552 5.3.4 too much\r\n");
    assert_eq!(output, "", "nothing that the server could take for message or command");
    assert_eq!(disposition(&mut session, now), Disposition::Failed);
    assert!(matches!(session.next_action(now), Some(ClientAction::Closed(Some(_)))));
}

#[test]
fn client_that_cannot_read_its_message_never_ends_it() {
    let now = Instant::now();
    let mut session = client_in_data(now);
    session.fail_supply(now, "the disk is gone");
    assert_eq!(session.output(), b"");
    assert_eq!(disposition(&mut session, now), Disposition::Deferred);
    assert!(matches!(session.next_action(now), Some(ClientAction::Closed(Some(_)))));
}

#[test]
fn client_waits_three_minutes_for_the_network_to_take_a_block() {
    let start = Instant::now();
    let mut session = client_in_data(start);
    assert_eq!(session.deadline(), Some(start + Duration::from_secs(180)));
    let later = start + Duration::from_secs(100);
    session.output_written(later, 2);
    assert_eq!(session.deadline(), Some(later + Duration::from_secs(180)));
    session.on_timeout(later + Duration::from_secs(180));
    assert_eq!(disposition(&mut session, later), Disposition::Deferred);
}

#[test]
fn client_asks_for_no_more_while_output_waits() {
    let now = Instant::now();
    let mut session = client_in_data(now);
    let mut supplied = 0;
    while let Some(ClientAction::NeedData) = session.next_action(now) {
        session.supply(now, &[b'x'; 16 * 1024], false);
        supplied += 1;
    }
    assert!((4..8).contains(&supplied), "{supplied}");
    session.output_written(now, session.output().len());
    assert!(matches!(session.next_action(now), Some(ClientAction::NeedData)));
}

#[test]
fn client_hears_421_while_idle() {
    let now = Instant::now();
    let mut session = client(now, ClientSettings::mx("c"));
    heard(&mut session, now, "220 y\r\n");
    heard(&mut session, now, "250 y\r\n");
    assert!(matches!(session.next_action(now), Some(ClientAction::Ready)));
    assert_eq!(session.deadline(), None);
    heard(&mut session, now, "421 4.4.2 idle for too long\r\n");
    match session.next_action(now) {
        Some(ClientAction::Closed(Some(error))) => assert_eq!(error.stage, Stage::Idle),
        other => panic!("{other:?}"),
    }
    // A message that comes too late still gets its report.
    session.send(now, letter(1));
    assert_eq!(disposition(&mut session, now), Disposition::Deferred);
}

#[test]
fn replies_that_drip_do_not_buy_time() {
    let start = Instant::now();
    let mut session = client(start, ClientSettings::mx("c"));
    for minute in 1..5 {
        session.receive(start + Duration::from_secs(minute * 60), b"220-x\r\n");
    }
    session.on_timeout(start + Duration::from_secs(300));
    assert!(matches!(session.next_action(start), Some(ClientAction::Closed(Some(_)))));
}

#[test]
fn server_waits_for_answers_with_input_kept() {
    let now = Instant::now();
    let mut session = server(now);
    session.receive(now, b"HELO c\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nQUIT\r\n");
    assert!(matches!(session.next_action(now), Some(Action::CheckSender { .. })));
    assert!(session.next_action(now).is_none());
    assert!(!session.wants_input());
    assert_eq!(session.deadline(), None, "the client cannot help it");
    assert!(said(&mut session).ends_with("250 mx.example\r\n"));
    // An answer to another question is none.
    session.answer_recipient(now, Ok(()));
    assert!(session.next_action(now).is_none());
    session.answer_sender(now, Ok(()));
    assert!(matches!(session.next_action(now), Some(Action::CheckRecipient { .. })));
    session.answer_recipient(now, Err(Reply::no_such_mailbox()));
    assert!(matches!(session.next_action(now), Some(Action::Close)));
    assert!(
        said(&mut session).ends_with("550 5.1.1 no such mailbox here\r\n221 2.0.0 goodbye\r\n")
    );
}

#[test]
fn the_size_that_mail_says_is_known_with_every_recipient() {
    let now = Instant::now();
    let mut session = server(now);
    session.receive(now, b"EHLO c\r\nMAIL FROM:<a@x.example> SIZE=1234\r\n");
    assert!(matches!(
        session.next_action(now),
        Some(Action::CheckSender { size_octets: Some(1234), .. })
    ));
    session.answer_sender(now, Ok(()));
    for to in ["b", "c"] {
        session.receive(now, format!("RCPT TO:<{to}@x.example>\r\n").as_bytes());
        let action = session.next_action(now);
        assert!(matches!(action, Some(Action::CheckRecipient { size_octets: Some(1234), .. })));
        session.answer_recipient(now, Ok(()));
    }
    session.receive(now, b"RSET\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\n");
    assert!(matches!(
        session.next_action(now),
        Some(Action::CheckSender { size_octets: None, .. })
    ));
    session.answer_sender(now, Ok(()));
    assert!(matches!(
        session.next_action(now),
        Some(Action::CheckRecipient { size_octets: None, .. })
    ));
}

#[test]
fn server_pauses_while_output_waits() {
    let now = Instant::now();
    let settings =
        ServerSettings { max_idle_commands: u32::MAX, ..ServerSettings::mx("mx.example") };
    let mut session = ServerSession::new(Arc::new(settings), None, now);
    session.receive(now, &b"VRFY x\r\n".repeat(9000));
    assert!(session.next_action(now).is_none());
    assert!(session.output().len() < 20_000, "{}", session.output().len());
}

#[test]
fn server_shuts_down_after_the_answer() {
    let now = Instant::now();
    let mut session = server(now);
    say(&mut session, now, "HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n");
    session.receive(now, b"one\r\n.\r\n");
    assert!(matches!(session.next_action(now), Some(Action::Data(b"one\r\n"))));
    assert!(matches!(session.next_action(now), Some(Action::DataComplete { .. })));
    session.shut_down(Reply::shutting_down());
    assert!(session.next_action(now).is_none());
    session.answer_message(now, Reply::new(250, (2, 0, 0), "taken"));
    assert!(matches!(session.next_action(now), Some(Action::Close)));
    assert!(said(&mut session).starts_with("250 2.0.0 taken\r\n421 4.3.2 "));
}

#[test]
fn data_comes_in_slices_of_what_was_read() {
    let now = Instant::now();
    let mut session = server(now);
    say(&mut session, now, "HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n");
    let megabytes = b"A line of some seventy octets, as it is usual in mail that people write.\r\n"
        .repeat(50_000);
    session.receive(now, &megabytes);
    match session.next_action(now) {
        Some(Action::Data(octets)) => assert_eq!(octets, megabytes),
        other => panic!("{other:?}"),
    }
    assert!(session.next_action(now).is_none());
}

#[test]
fn an_idle_session_is_small() {
    let now = Instant::now();
    let mut session = server(now);
    say(&mut session, now, "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n");
    say(&mut session, now, &"text\r\n".repeat(100_000));
    say(&mut session, now, ".\r\n");
    assert!(size_of::<ServerSession>() < 1024, "{}", size_of::<ServerSession>());
    assert!(size_of::<ClientSession>() < 1024, "{}", size_of::<ClientSession>());
    // Buffers included: nothing of what was read and said is kept.
    assert!(session.buffered_capacity() < 1024, "{}", session.buffered_capacity());
}
