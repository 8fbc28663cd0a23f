//! How sessions begin and end: TLS, SCRAM, silence, the server's end, and what they weigh.

mod support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::{LOGIN, PASSWORD, World, message};
use tokio::io::AsyncWriteExt as _;
use waxwing_imap::{Ended, Session, Settings, TlsFacts, serve};
use waxwing_sasl::{ChannelBinding, ClientExchange, ClientStep, Mechanism};

const ENDED: &str = "* BYE What you logged in with is no longer valid: log in again";

fn tls() -> TlsFacts {
    TlsFacts { channel_binding: Some(ChannelBinding([7; 32])) }
}

#[tokio::test]
async fn without_tls_logins_are_disabled() {
    let mut settings = Settings::new("imap.example.test");
    settings.wrong_login_delay = Duration::ZERO;
    let world = World::with(settings).await;
    let mut client = world.connect();
    let greeting = client.line().await;
    assert!(greeting.contains(" STARTTLS LOGINDISABLED"), "{greeting}");
    assert!(!greeting.contains("AUTH=PLAIN"), "{greeting}");
    let refused = client.command(&format!("LOGIN {LOGIN} \"{PASSWORD}\"")).await;
    assert!(refused[0].contains("NO [PRIVACYREQUIRED]"), "{refused:?}");
    let refused = client.command("AUTHENTICATE PLAIN AGFsaWNlAHg=").await;
    assert!(refused[0].contains("NO [PRIVACYREQUIRED]"), "{refused:?}");
    client.ok("STARTTLS").await;
    assert_eq!(client.server.await.unwrap(), Ended::StartTls);
}

#[tokio::test]
async fn one_session_before_and_after_the_handshake() {
    let world = World::new().await;
    let (near, mut far) = tokio::io::duplex(4096);
    let mut session = Session::new(world.store.clone(), world.settings.clone());
    let stop = world.stop.subscribe();
    let (mut read, mut write) = tokio::io::split(near);
    write.write_all(b"a STARTTLS\r\n").await.unwrap();
    assert_eq!(serve(&mut far, &mut session, None, stop.clone()).await, Ended::StartTls);
    let (near, mut far) = tokio::io::duplex(4096);
    let (mut tls_read, mut tls_write) = tokio::io::split(near);
    tls_write.write_all(b"b CAPABILITY\r\nc STARTTLS\r\nd LOGOUT\r\n").await.unwrap();
    assert_eq!(serve(&mut far, &mut session, Some(tls()), stop).await, Ended::Closed);
    drop(far);
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut tls_read, &mut said).await.unwrap();
    // No second greeting, other mechanisms, no TLS in TLS.
    assert!(said.starts_with("* CAPABILITY "), "{said}");
    assert!(said.contains("AUTH=SCRAM-SHA-256-PLUS") && said.contains("AUTH=PLAIN"), "{said}");
    assert!(!said.contains(" STARTTLS ") && said.contains("c BAD"), "{said}");
    drop(write);
    let _ = tokio::io::AsyncReadExt::read(&mut read, &mut [0; 64]).await;
}

/// Commands slipped in before the handshake would be taken for the client's own after it.
#[tokio::test]
async fn nothing_crosses_into_tls() {
    let world = World::new().await;
    let mut client = world.connect();
    client.line().await;
    client.send("a STARTTLS\r\nb LOGIN eve x\r\n").await;
    assert!(client.line().await.starts_with("a OK"));
    assert_eq!(client.try_line().await, None);
    assert_eq!(client.server.await.unwrap(), Ended::Closed);
}

async fn scram(world: &World, mechanism: Mechanism, password: &str) -> String {
    let mut client = world.connect_with(Some(tls()));
    client.line().await;
    let binding = (mechanism == Mechanism::ScramSha256Plus).then(|| ChannelBinding([7; 32]));
    let mut exchange = ClientExchange::new(mechanism, LOGIN, password, binding, [9; 18]);
    let initial = STANDARD.encode(exchange.initial().expect("SCRAM begins"));
    client.send(format!("a AUTHENTICATE {} {initial}\r\n", mechanism.name())).await;
    loop {
        let line = client.line().await;
        let Some(challenge) = line.strip_prefix("+ ") else { return line };
        match exchange.challenge(&STANDARD.decode(challenge).expect("base64")) {
            ClientStep::Respond(response) => {
                client.send(format!("{}\r\n", STANDARD.encode(response))).await;
            }
            ClientStep::Done => client.send("\r\n").await,
            ClientStep::Failed(why) => return format!("failed: {why}"),
        }
    }
}

#[tokio::test]
async fn scram_with_and_without_channel_binding() {
    let world = World::new().await;
    // Without binding data, a client that knows of -PLUS would be told of a downgrade: the plain
    // mechanism is tried by one that does not.
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
        let outcome = scram(&world, mechanism, PASSWORD).await;
        assert!(outcome.starts_with("a OK [CAPABILITY"), "{mechanism:?}: {outcome}");
        let outcome = scram(&world, mechanism, "wrong").await;
        assert!(outcome.starts_with("a NO [AUTHENTICATIONFAILED]"), "{mechanism:?}: {outcome}");
    }
}

#[tokio::test]
async fn silence_before_the_login() {
    let world = World::new().await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let mut client = world.connect();
    client.line().await;
    client.ok("NOOP").await;
    assert!(client.try_line().await.unwrap().starts_with("* BYE Silent"));
    assert_eq!(client.try_line().await, None);
    assert_eq!(began.elapsed().as_secs(), world.settings.login_timeout.as_secs());
}

/// Neither commands that are understood, nor challenges, nor a flood gain time.
#[tokio::test]
async fn the_time_to_log_in_is_counted_once() {
    let world = World::new().await;
    tokio::time::pause();
    let timeout = world.settings.login_timeout;
    let mut busy = world.connect();
    busy.line().await;
    tokio::time::advance(timeout / 2).await;
    busy.ok("NOOP").await;
    busy.send("a AUTHENTICATE PLAIN\r\n").await;
    assert!(busy.line().await.starts_with("+ "));
    let began = tokio::time::Instant::now();
    assert!(busy.try_line().await.unwrap().starts_with("* BYE Silent"));
    assert!(began.elapsed() <= timeout / 2 + Duration::from_secs(1), "{:?}", began.elapsed());

    let mut flood = world.connect();
    flood.line().await;
    flood.send("a NOOP\r\n".repeat(FLOOD)).await;
    tokio::time::advance(timeout).await;
    assert!(answers_before(&mut flood, "* BYE Silent").await < FLOOD);
}

/// Commands that are waiting to be read, in more than one piece.
const FLOOD: usize = 7000;

async fn answers_before(client: &mut support::Client, bye: &str) -> usize {
    let mut answers = 0;
    loop {
        let line = client.try_line().await.expect("a last word");
        if line.starts_with(bye) {
            return answers;
        }
        assert!(line.starts_with("a OK"), "{line}");
        answers += 1;
    }
}

#[tokio::test]
async fn the_servers_end_is_heard_in_a_flood() {
    let world = World::new().await;
    let mut client = world.connect();
    client.line().await;
    client.send("a NOOP\r\n".repeat(FLOOD)).await;
    world.stop.send(true).unwrap();
    assert!(answers_before(&mut client, "* BYE [UNAVAILABLE]").await < FLOOD);
}

#[tokio::test]
async fn silence_after_the_login_is_borne_for_half_an_hour() {
    let world = World::new().await;
    let mut client = world.in_inbox().await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    assert!(client.try_line().await.unwrap().starts_with("* BYE Silent"));
    assert!(began.elapsed() >= Duration::from_secs(30 * 60)); // RFC 9051 §5.4
}

#[tokio::test]
async fn the_server_ends() {
    let world = World::new().await;
    let mut idle = world.in_inbox().await;
    idle.send("i IDLE\r\n").await;
    assert!(idle.line().await.starts_with("+ "));
    let mut fresh = world.connect();
    fresh.line().await;
    world.stop.send(true).unwrap();
    assert!(idle.line().await.starts_with("* BYE [UNAVAILABLE]"));
    assert!(fresh.line().await.starts_with("* BYE [UNAVAILABLE]"));
    assert_eq!(idle.server.await.unwrap(), Ended::Closed);
    assert_eq!(fresh.server.await.unwrap(), Ended::Closed);
}

#[tokio::test]
async fn idle_hears_of_a_delivery() {
    let world = World::new().await;
    let mut idle = world.in_inbox().await;
    idle.send("i IDLE\r\n").await;
    assert!(idle.line().await.starts_with("+ "));
    let mut other = world.client().await;
    for n in 1..=3 {
        other.append("INBOX", &message("news")).await;
        assert_eq!(idle.line().await, format!("* {n} EXISTS"));
        assert_eq!(idle.line().await, "* 0 RECENT");
    }
    // Another mailbox of the account is no news.
    other.append("Archive", &message("news")).await;
    idle.send("DONE\r\n").await;
    assert!(idle.line().await.starts_with("i OK"));
}

#[tokio::test]
async fn a_disabled_account_is_shown_the_door() {
    let world = World::new().await;
    let mut idle = world.in_inbox().await;
    idle.send("i IDLE\r\n").await;
    assert!(idle.line().await.starts_with("+ "));
    let mut busy = world.client().await;
    let mut other = world.client().await;
    let address = waxwing_message::Address::parse(LOGIN).unwrap();
    world.store.set_disabled(&address, true).await.unwrap();
    // Idle or between two commands: all are woken.
    assert_eq!(busy.try_line().await.as_deref(), Some(ENDED));
    assert_eq!(busy.try_line().await, None);
    assert_eq!(other.try_line().await.as_deref(), Some(ENDED));
    assert_eq!(idle.try_line().await.as_deref(), Some(ENDED));
    assert_eq!(idle.server.await.unwrap(), Ended::Closed);
}

/// RFC 2180 §3.3: another session has deleted the mailbox.
#[tokio::test]
async fn a_deleted_mailbox_ends_the_session() {
    let world = World::new().await;
    let mut other = world.client().await;
    other.ok("CREATE Gone").await;
    let (mut idle, mut busy) = (world.client().await, world.client().await);
    idle.ok("SELECT Gone").await;
    busy.ok("SELECT Gone").await;
    idle.send("i IDLE\r\n").await;
    assert!(idle.line().await.starts_with("+ "));
    other.ok("DELETE Gone").await;
    assert!(idle.line().await.starts_with("* BYE "));
    busy.send("a NOOP\r\n").await;
    assert!(busy.line().await.starts_with("* BYE "));
    assert_eq!(busy.server.await.unwrap(), Ended::Closed);
}

/// Each wrong login is answered later than the one before.
#[tokio::test]
async fn guessing_is_slow() {
    let mut settings = Settings::new("imap.example.test");
    settings.plaintext_login = true;
    let world = World::with(settings).await;
    let mut client = world.connect();
    client.line().await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    for (tag, secs) in [("a", 1), ("b", 1 + 2)] {
        client.send(format!("{tag} LOGIN {LOGIN} wrong\r\n")).await;
        let answer = client.try_line().await.unwrap();
        assert!(answer.contains("NO [AUTHENTICATIONFAILED]"), "{answer}");
        assert_eq!(began.elapsed().as_secs(), secs);
    }
}

/// Answers to pipelined commands come in order, and a literal without waiting is taken.
#[tokio::test]
async fn pipelining() {
    let world = World::new().await;
    let mut client = world.connect();
    client
        .send(format!(
            "a LOGIN {LOGIN} {{13+}}\r\n{PASSWORD}\r\nb SELECT INBOX\r\nc APPEND INBOX {{6+}}\r\nA: b\r\n\r\nd FETCH 1 UID\r\ne LOGOUT\r\n"
        ))
        .await;
    for tag in ["a", "b", "c", "d", "e"] {
        let responses = client.until(tag).await;
        assert!(responses.last().unwrap().starts_with(&format!("{tag} OK")), "{responses:?}");
    }
    assert_eq!(client.try_line().await, None);
}

/// RFC 9051 §4.3: a literal announced by a client that does not wait, and that is too large,
/// cannot be told from commands.
#[tokio::test]
async fn what_is_too_long_ends_the_session() {
    let world = World::new().await;
    for flood in ["a LOGIN {9999999+}\r\n".to_owned(), "a".repeat(20_000)] {
        let mut client = world.connect();
        client.line().await;
        client.send(flood).await;
        assert!(client.line().await.starts_with("* BYE [TOOBIG]"));
        assert_eq!(client.try_line().await, None);
    }
}

#[tokio::test]
async fn a_session_weighs_little() {
    let world = World::new().await;
    let (_near, mut far) = tokio::io::duplex(64);
    let mut session = Session::new(world.store.clone(), world.settings.clone());
    let weight =
        std::mem::size_of_val(&serve(&mut far, &mut session, None, world.stop.subscribe()));
    assert!(weight <= 2048, "{weight} octets of future");
    assert!(std::mem::size_of::<Session>() <= 256, "{}", std::mem::size_of::<Session>());
}
