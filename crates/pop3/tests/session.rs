//! What a transcript cannot say: SCRAM, large messages, TLS in between, real sockets.

mod fake;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fake::{Client, Fake, LOGIN, PASSWORD, Question};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use waxwing_pop3::{Ended, Session, Settings, serve};
use waxwing_sasl::{ChannelBinding, ClientExchange, ClientStep, Mechanism};

async fn log_in(client: &mut Client) {
    assert!(client.text().await.starts_with("+OK"));
    assert!(client.say(&format!("USER {LOGIN}")).await.starts_with("+OK"));
    assert!(client.say(&format!("PASS {PASSWORD}")).await.starts_with("+OK"));
}

/// Both sides of SASL over the wire; gives the last reply.
async fn authenticate(
    client: &mut Client,
    mechanism: Mechanism,
    (login, password): (&str, &str),
    binding: Option<ChannelBinding>,
    initial_response: bool,
) -> String {
    let mut exchange = ClientExchange::new(mechanism, login, password, binding, [3; 18]);
    let mut line = format!("AUTH {}", mechanism.name());
    if initial_response && let Some(initial) = exchange.initial() {
        line = format!("{line} {}", STANDARD.encode(initial));
    }
    let mut reply = client.say(&line).await;
    while let Some(challenge) = reply.strip_prefix("+ ") {
        let challenge = STANDARD.decode(challenge).expect("challenges are base64");
        let response = match exchange.challenge(&challenge) {
            ClientStep::Respond(response) => STANDARD.encode(response),
            other => panic!("{other:?}"),
        };
        reply = client.say(&response).await;
    }
    if reply.starts_with("+OK") {
        assert!(matches!(exchange.success(None), ClientStep::Done));
    }
    reply
}

#[tokio::test(start_paused = true)]
async fn every_mechanism_logs_in() {
    for mechanism in Mechanism::ALL {
        for initial_response in [true, false] {
            let fake = Fake::with_messages(&[b"a\r\n"]);
            let settings = Settings { tokens: true, ..Settings::default() };
            let mut client = Client::start(&fake, settings, Some(fake::tls(true)));
            client.text().await;
            let binding =
                (mechanism == Mechanism::ScramSha256Plus).then_some(ChannelBinding([0xab; 32]));
            let token = Mechanism::TOKENS.contains(&mechanism);
            let credentials = (LOGIN, if token { fake::TOKEN } else { PASSWORD });
            let reply =
                authenticate(&mut client, mechanism, credentials, binding, initial_response).await;
            assert_eq!(reply, "+OK 1 message (3 octets)", "{mechanism:?}");
            assert_eq!(client.say("STAT").await, "+OK 1 3");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_tokens_are_told_of_and_none_are_taken_unasked() {
    for mechanism in Mechanism::TOKENS {
        let settings = Settings { tokens: true, ..Settings::default() };
        let mut client = Client::start(&Fake::default(), settings, Some(fake::tls(true)));
        client.text().await;
        let reply = authenticate(&mut client, mechanism, (LOGIN, "wrong"), None, true).await;
        assert_eq!(reply, "-ERR [AUTH] wrong login or password");
        // Nothing is offered without TLS, or where no tokens are given out.
        for (tokens, tls) in [(true, None), (false, Some(fake::tls(true)))] {
            let settings = Settings { tokens, plaintext_allowed: true, ..Settings::default() };
            let mut client = Client::start(&Fake::default(), settings, tls);
            client.text().await;
            let refused = client.say(&format!("AUTH {}", mechanism.name())).await;
            assert!(refused.starts_with("-ERR"), "{refused}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn scram_tells_wrong_passwords_and_unknown_logins_alike() {
    for credentials in [(LOGIN, "wrong"), ("nobody@wax.test", PASSWORD)] {
        let mut client =
            Client::start(&Fake::default(), Settings::default(), Some(fake::tls(false)));
        client.text().await;
        let reply =
            authenticate(&mut client, Mechanism::ScramSha256, credentials, None, true).await;
        assert_eq!(reply, "-ERR [AUTH] wrong login or password");
    }
}

#[tokio::test(start_paused = true)]
async fn a_binding_of_another_connection_is_refused() {
    let mut client = Client::start(&Fake::default(), Settings::default(), Some(fake::tls(true)));
    client.text().await;
    let stolen = Some(ChannelBinding([0xcd; 32]));
    let plus = Mechanism::ScramSha256Plus;
    let reply = authenticate(&mut client, plus, (LOGIN, PASSWORD), stolen, true).await;
    assert_eq!(reply, "-ERR [AUTH] wrong login or password");
}

#[tokio::test(start_paused = true)]
async fn scrams_last_word_may_be_cancelled() {
    let fake = Fake::default();
    let mut client = Client::start(&fake, Settings::default(), Some(fake::tls(false)));
    client.text().await;
    let mut exchange = ClientExchange::new(Mechanism::ScramSha256, LOGIN, PASSWORD, None, [3; 18]);
    let initial = STANDARD.encode(exchange.initial().unwrap());
    let reply = client.say(&format!("AUTH SCRAM-SHA-256 {initial}")).await;
    let challenge = STANDARD.decode(&reply[2..]).unwrap();
    let ClientStep::Respond(proof) = exchange.challenge(&challenge) else { panic!("no proof") };
    assert!(client.say(&STANDARD.encode(proof)).await.starts_with("+ "));
    assert_eq!(client.say("*").await, "-ERR cancelled");
    assert_eq!(client.say("STAT").await, "-ERR log in first");
}

fn large_message(octets: usize) -> Vec<u8> {
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    let mut line = 0_u32;
    while message.len() < octets {
        message.extend_from_slice(format!(".line {line} of many\r\n").as_bytes());
        line += 1;
    }
    message
}

#[tokio::test(start_paused = true)]
async fn a_large_message_is_read_in_pieces_and_comes_whole() {
    let message = large_message(3_000_000);
    let fake = Fake::with_messages(&[&message]);
    let mut client = Client::start(&fake, Settings::default(), Some(fake::tls(false)));
    log_in(&mut client).await;
    assert_eq!(client.say("RETR 1").await, format!("+OK {} octets", message.len()));
    let mut received = Vec::new();
    loop {
        let line = client.line().await.expect("the message comes whole");
        if line == b"." {
            break;
        }
        received.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        received.extend_from_slice(b"\r\n");
    }
    assert!(received == message);
    assert!(fake.0.lock().unwrap().longest_read <= 64 * 1024);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_to_its_end_is_not_ended() {
    let fake = Fake::with_messages(&[&large_message(300_000)]);
    let mut client = Client::start(&fake, Settings::default(), Some(fake::tls(false)));
    log_in(&mut client).await;
    fake.fail(Question::LaterRead, true);
    client.send(b"DELE 1\r\nRSET\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n").await;
    let rest = client.rest().await;
    assert!(!rest.windows(3).any(|octets| octets == b"\n.\r"), "the response looks complete");
    assert_eq!(fake.uids(), [1], "a message that was not fetched must not go");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_given_up() {
    let fake = Fake::with_messages(&[&large_message(300_000)]);
    let mut client = Client::start(&fake, Settings::default(), Some(fake::tls(false)));
    log_in(&mut client).await;
    client.send(b"RETR 1\r\n").await;
    assert_eq!((&mut client.server).await.unwrap(), Ended::Closed);
    assert!(!fake.0.lock().unwrap().locked);
}

#[tokio::test(start_paused = true)]
async fn an_endless_line_is_skipped_and_then_cut() {
    let mut client = Client::start(&Fake::default(), Settings::default(), None);
    client.text().await;
    client.send(&b"x".repeat(100_000)).await;
    assert_eq!(client.say("").await, "-ERR that line is too long");
    assert_eq!(client.say("LANG *").await, "+OK en so be it");
    client.send(&b"x".repeat(2_000_000)).await;
    assert_eq!(client.rest().await, b"");
}

/// Neither commands that are understood nor a flood of them gain time.
#[tokio::test(start_paused = true)]
async fn the_time_to_log_in_is_counted_once() {
    let timeout = Settings::default().login_timeout;
    let mut busy = Client::start(&Fake::default(), Settings::default(), Some(fake::tls(false)));
    busy.text().await;
    tokio::time::advance(timeout / 2).await;
    assert!(busy.say("LANG *").await.starts_with("+OK"));
    assert!(busy.say("AUTH PLAIN").await.starts_with("+ "));
    let began = tokio::time::Instant::now();
    assert_eq!(busy.rest().await, b"");
    assert!(began.elapsed() <= timeout / 2 + Duration::from_secs(1), "{:?}", began.elapsed());

    let mut flood = Client::start(&Fake::default(), Settings::default(), Some(fake::tls(false)));
    flood.text().await;
    tokio::time::advance(timeout).await;
    flood.send(&b"LANG *\r\n".repeat(100)).await;
    assert_eq!(flood.rest().await, b"");
}

/// And nothing that it marked is deleted.
#[tokio::test(start_paused = true)]
async fn a_disabled_account_is_shown_the_door() {
    let fake = Fake::with_messages(&[b"a\r\n"]);
    let mut client = Client::start(&fake, Settings::default(), Some(fake::tls(false)));
    log_in(&mut client).await;
    assert!(client.say("DELE 1").await.starts_with("+OK"));
    fake.0.lock().unwrap().disabled = true;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(
        client.say("QUIT").await,
        "-ERR [AUTH] what you logged in with is no longer valid: log in again"
    );
    assert_eq!(client.rest().await, b"");
    assert_eq!(fake.uids(), [1]);
    assert!(!fake.0.lock().unwrap().locked);
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_the_message_at_hand_finish() {
    let message = large_message(100_000);
    let fake = Fake::with_messages(&[&message]);
    let mut client = Client::start(&fake, Settings::default(), Some(fake::tls(false)));
    log_in(&mut client).await;
    client.send(b"RETR 1\r\nSTAT\r\n").await;
    assert!(client.text().await.starts_with("+OK"));
    client.stop.send(true).unwrap();
    let rest = client.rest().await;
    let rest = String::from_utf8(rest).unwrap();
    assert!(
        rest.ends_with("\r\n.\r\n-ERR [SYS/TEMP] the server is shutting down: try again later\r\n")
    );
}

/// STLS with a stand-in for TLS: what matters here is that the session goes on over another stream
/// and has forgotten what was said before.
#[tokio::test(start_paused = true)]
async fn stls_goes_on_over_the_new_stream() {
    let fake = Fake::with_messages(&[b"a\r\n"]);
    let (_stop, stopped) = watch::channel(false);
    let settings = Arc::new(Settings { plaintext_allowed: true, ..Settings::default() });
    let (mut near, mut far) = tokio::io::duplex(4096);
    let (mut near_tls, mut far_tls) = tokio::io::duplex(4096);
    let server = tokio::spawn(async move {
        let mut session = Session::new(fake, settings, None, stopped);
        assert_eq!(serve(&mut far, &mut session).await, Ended::StartTls);
        session.tls_established(fake::tls(true));
        assert_eq!(serve(&mut far_tls, &mut session).await, Ended::Closed);
    });

    near.write_all(format!("USER {LOGIN}\r\n").as_bytes()).await.unwrap();
    let mut greeting_and_user = [0; 512];
    let mut seen = Vec::new();
    while seen.iter().filter(|&&octet| octet == b'\n').count() < 2 {
        let count = near.read(&mut greeting_and_user).await.unwrap();
        seen.extend_from_slice(&greeting_and_user[..count]);
    }
    near.write_all(b"STLS\r\n").await.unwrap();
    let mut reply = vec![0; "+OK begin TLS now\r\n".len()];
    near.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply, b"+OK begin TLS now\r\n");

    // No second greeting, the USER of before is forgotten, and STLS has gone.
    let login = format!("PASS {PASSWORD}\r\nSTLS\r\nAUTH\r\nQUIT\r\n");
    near_tls.write_all(login.as_bytes()).await.unwrap();
    let mut rest = String::new();
    near_tls.read_to_string(&mut rest).await.unwrap();
    assert_eq!(
        rest,
        "-ERR USER comes first\r\n\
         -ERR TLS is active already\r\n\
         +OK mechanisms follow\r\n\
         SCRAM-SHA-256-PLUS\r\nSCRAM-SHA-256\r\nPLAIN\r\nLOGIN\r\n.\r\n\
         +OK goodbye\r\n"
    );
    server.await.unwrap();
}

/// Over a real socket, and with the future spawned: it is `Send`.
#[tokio::test]
async fn over_tcp() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fake = Fake::with_messages(&[b"Subject: hello\r\n\r\nhello\r\n"]);
    let (_stop, stopped) = watch::channel(false);
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let settings = Arc::new(Settings { plaintext_allowed: true, ..Settings::default() });
        serve(&mut stream, &mut Session::new(fake, settings, None, stopped)).await
    });
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let commands = format!("USER {LOGIN}\r\nPASS {PASSWORD}\r\nRETR 1\r\nQUIT\r\n");
    stream.write_all(commands.as_bytes()).await.unwrap();
    let mut answers = String::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answers))
        .await
        .expect("the server answers and closes")
        .unwrap();
    assert_eq!(
        answers,
        "+OK localhost POP3 ready\r\n\
         +OK now the password\r\n\
         +OK 1 message (25 octets)\r\n\
         +OK 25 octets\r\nSubject: hello\r\n\r\nhello\r\n.\r\n\
         +OK goodbye, 0 messages removed\r\n"
    );
    assert_eq!(server.await.unwrap(), Ended::Closed);
}

/// Dropping the future (a task aborted) is like a lost connection.
#[tokio::test(start_paused = true)]
async fn an_aborted_session_frees_the_maildrop() {
    let fake = Fake::with_messages(&[b"a\r\n"]);
    let mut client = Client::start(&fake, Settings::default(), Some(fake::tls(false)));
    log_in(&mut client).await;
    assert!(client.say("DELE 1").await.starts_with("+OK"));
    assert!(fake.0.lock().unwrap().locked);
    client.server.abort();
    assert_eq!(client.rest().await, b"");
    assert!(!fake.0.lock().unwrap().locked);
    assert_eq!(fake.uids(), [1]);
}

fn run_against(octets: &[u8], settings: Settings) -> (Vec<u8>, Vec<u32>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let fake = Fake::with_messages(&[b"one\r\n", b".two\n", b"A: b\r\n\r\nthree"]);
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (_stop, stopped) = watch::channel(false);
        let mut session =
            Session::new(fake.clone(), Arc::new(settings), Some(fake::tls(true)), stopped);
        let (mut read, mut write) = tokio::io::split(near);
        write.write_all(octets).await.unwrap();
        write.shutdown().await.unwrap();
        assert_eq!(serve(&mut far, &mut session).await, Ended::Closed);
        drop(far);
        let mut answers = Vec::new();
        read.read_to_end(&mut answers).await.unwrap();
        assert!(!fake.0.lock().unwrap().locked);
        (answers, fake.uids())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_octets_break_a_session(octets in proptest::collection::vec(any::<u8>(), 0..2000)) {
        run_against(&octets, Settings::default());
    }

    /// Commands in any order: every command is answered once, and nothing is deleted but by a QUIT
    /// after a DELE that stands.
    #[test]
    fn any_order_of_commands_keeps_the_promises(
        commands in proptest::collection::vec(
            prop_oneof![
                Just("STAT"), Just("NOOP"), Just("RSET"), Just("DELE 1"), Just("DELE 2"),
                Just("DELE 9"), Just("LIST 1"), Just("UIDL 3"), Just("BOGUS"), Just("QUIT"),
                Just("USER ann@wax.test"), Just("PASS correct horse"), Just("UTF8"),
            ],
            0..25,
        ),
    ) {
        let mut script = format!("USER {LOGIN}\r\nPASS {PASSWORD}\r\n");
        commands.iter().for_each(|command| script.extend([*command, "\r\n"]));
        let (answers, left) = run_against(script.as_bytes(), Settings::default());

        let until_quit = commands.iter().position(|command| *command == "QUIT");
        let run = &commands[..until_quit.map_or(commands.len(), |quit| quit + 1)];
        let lines = answers.split(|&octet| octet == b'\n').count() - 1;
        prop_assert_eq!(lines, 3 + run.len(), "greeting, USER, PASS and one line for each");

        let mut expected = vec![1, 2, 3];
        if until_quit.is_some() {
            let standing = run.rsplit(|command| *command == "RSET").next().unwrap();
            for (uid, command) in [(1, "DELE 1"), (2, "DELE 2")] {
                if standing.contains(&command) {
                    expected.retain(|left| *left != uid);
                }
            }
        }
        prop_assert_eq!(left, expected);
    }

    #[test]
    fn fuzzed_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..500)) {
        waxwing_pop3::fuzzing::fuzz_command(&octets);
    }
}
