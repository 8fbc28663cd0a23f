//! Taking responsibility: who may send what to whom, where it goes, and what the journey says.

mod world;

use waxwing_delivery::Entrance;
use waxwing_message::journey::Step;
use waxwing_message::{Message, Notify, ReversePath};
use world::*;

#[tokio::test]
async fn mail_for_a_mailbox_is_in_it_with_its_trace() {
    let world = World::new().await;
    let accepted =
        world.receive(from("bob@wing.example", &["alice@wax.test"]), LETTER).await.unwrap();
    assert_eq!((accepted.deposited, accepted.queued), (1, 0));
    assert!(accepted.reply().text.contains(&accepted.journey.to_string()));
    let inbox = world.inbox(world.alice).await;
    let [message] = inbox.as_slice() else { panic!("{inbox:?}") };
    // RFC 5321 §4.4: Return-Path first, then our Received.
    assert!(
        message.starts_with("Return-Path: <bob@wing.example>\r\nReceived: from client.example")
    );
    assert!(message.contains(&accepted.journey.to_string()), "{message}");
    assert!(message.contains("for <alice@wax.test>"), "one recipient may be named: {message}");
    assert!(message.ends_with(LETTER), "the rest stays as it came");
    let steps = world.events(accepted.journey).await;
    assert_eq!(kinds(&steps), ["accepted", "deposited"]);
}

#[tokio::test]
async fn several_recipients_are_not_told_of_each_other() {
    let world = World::new().await;
    let carol = world.account("carol@wax.test").await;
    let to = ["alice@wax.test", "carol@wax.test"];
    world.receive(from("bob@wing.example", &to), LETTER).await.unwrap();
    for account in [world.alice, carol] {
        let inbox = world.inbox(account).await;
        assert_eq!(inbox.len(), 1);
        assert!(!inbox[0].contains("for <"), "{}", inbox[0]);
    }
}

#[tokio::test]
async fn recipients_are_checked_by_who_asks() {
    let world = World::new().await;
    let login = Entrance::Submission { account: world.alice };
    let check = async |entrance, to| {
        let verdict = world.acceptor.check_recipient(entrance, &recipient(to), None).await;
        verdict.map_err(|refusal| {
            let reply = refusal.reply;
            format!("{} {}", reply.code, reply.enhanced.unwrap())
        })
    };
    assert_eq!(check(Entrance::Mx, "alice@wax.test").await, Ok(()));
    assert_eq!(check(Entrance::Mx, "ALICE+lists@wax.test").await, Ok(()));
    assert_eq!(check(Entrance::Mx, "nobody@wax.test").await, Err("550 5.1.1".into()));
    assert_eq!(check(Entrance::Mx, "bob@wing.example").await, Err("550 5.7.1".into()));
    assert_eq!(check(Entrance::Lmtp, "bob@wing.example").await, Err("550 5.7.1".into()));
    assert_eq!(check(login, "bob@wing.example").await, Ok(()));
    assert_eq!(check(login, "nobody@wax.test").await, Err("550 5.1.1".into()));
    world.store.set_disabled(&address("alice@wax.test"), true).await.unwrap();
    assert_eq!(check(Entrance::Mx, "alice@wax.test").await, Err("550 5.2.1".into()));
}

#[tokio::test]
async fn postmaster_always_has_somebody() {
    let world = World::with(|policy| policy.postmaster = Some(address("alice@wax.test"))).await;
    let to = recipient("PostMaster@wax.test");
    world.acceptor.check_recipient(Entrance::Mx, &to, None).await.unwrap();
    world.receive(from("", &["postmaster@wax.test"]), LETTER).await.unwrap();
    assert_eq!(world.inbox(world.alice).await.len(), 1);
}

#[tokio::test]
async fn a_full_mailbox_refuses_for_now() {
    let world = World::new().await;
    world.store.set_quota(&address("alice@wax.test"), Some(400)).await.unwrap();
    let envelope = || from("bob@wing.example", &["alice@wax.test"]);
    world.receive(envelope(), LETTER).await.unwrap();
    let refusal = world.receive(envelope(), LETTER).await.unwrap_err();
    assert_eq!((refusal.reply.code, refusal.is_temporary()), (452, true));
    assert_eq!(refusal.reply.enhanced.unwrap().to_string(), "4.2.2");
    assert_eq!(world.inbox(world.alice).await.len(), 1);
}

#[tokio::test]
async fn a_message_that_is_said_to_be_too_large_is_refused_before_it_comes() {
    let world = World::new().await;
    world.account("carol@wax.test").await;
    world.alias("both@wax.test", "alice@wax.test").await;
    world.alias("both@wax.test", "carol@wax.test").await;
    world.store.set_quota(&address("alice@wax.test"), Some(1000)).await.unwrap();
    world.receive(from("bob@wing.example", &["alice@wax.test"]), LETTER).await.unwrap();
    let alice = world.store.account(world.alice).await.unwrap().unwrap();
    let room = 1000 - alice.used_octets;
    let check = async |to: &str, size| {
        let to = recipient(to);
        let verdict = world.acceptor.check_recipient(Entrance::Mx, &to, size).await;
        verdict.map_err(|refusal| {
            let reply = refusal.reply;
            format!("{} {}", reply.code, reply.enhanced.unwrap())
        })
    };
    let alice = "alice@wax.test";
    assert_eq!(check(alice, None).await, Ok(()));
    assert_eq!(check(alice, Some(room)).await, Ok(()));
    assert_eq!(check(alice, Some(room + 1)).await, Err("452 4.2.2".into()));
    assert_eq!(check(alice, Some(1000)).await, Err("452 4.2.2".into()), "there may be room later");
    assert_eq!(check(alice, Some(1001)).await, Err("552 5.2.2".into()), "there never is");
    assert_eq!(check(alice, Some(u64::MAX)).await, Err("552 5.2.2".into()));
    // One of two mailboxes can take it.
    assert_eq!(check("both@wax.test", Some(1001)).await, Ok(()));
    world.store.set_quota(&address("carol@wax.test"), Some(500)).await.unwrap();
    assert_eq!(check("both@wax.test", Some(1000)).await, Err("452 4.2.2".into()));
    assert_eq!(check("both@wax.test", Some(1001)).await, Err("552 5.2.2".into()));
}

#[tokio::test]
async fn a_login_sends_as_itself_and_its_aliases_only() {
    let world = World::new().await;
    world.account("carol@wax.test").await;
    world.alias("sales@wax.test", "alice@wax.test").await;
    let entrance = Entrance::Submission { account: world.alice };
    let check = async |sender: &str| {
        let path = ReversePath::Address(address(sender));
        world.acceptor.check_sender(entrance, &path).await.map_err(|refusal| refusal.reply.code)
    };
    assert_eq!(check("alice@wax.test").await, Ok(()));
    assert_eq!(check("sales@wax.test").await, Ok(()));
    assert_eq!(check("carol@wax.test").await, Err(553));
    assert_eq!(check("somebody@wing.example").await, Err(553));
    assert!(world.acceptor.check_sender(entrance, &ReversePath::Null).await.is_ok());

    // The same for what people see.
    let forged = LETTER.replace("From: alice", "From: Carol <carol@wax.test>, alice");
    let refusal = world.submit(from_alice(&["bob@wing.example"]), &forged).await.unwrap_err();
    assert_eq!(refusal.reply.enhanced.unwrap().to_string(), "5.7.1");
    for field in ["Sender", "Resent-From", "Resent-Sender"] {
        let forged = format!("{field}: carol@wax.test\r\n{LETTER}");
        let refusal = world.submit(from_alice(&["bob@wing.example"]), &forged).await.unwrap_err();
        assert_eq!(refusal.reply.enhanced.unwrap().to_string(), "5.7.1", "{field}");
        let own = format!("{field}: alice@wax.test, carol@wing.example\r\n{LETTER}");
        world.submit(from_alice(&["bob@wing.example"]), &own).await.unwrap();
    }
    let twice = format!("From: carol@wax.test\r\n{LETTER}");
    let refusal = world.submit(from_alice(&["bob@wing.example"]), &twice).await.unwrap_err();
    assert!(!refusal.is_temporary());
    let alias = LETTER.replace("From: alice", "From: sales");
    world.submit(from_alice(&["bob@wing.example"]), &alias).await.unwrap();
}

#[tokio::test]
async fn submission_repairs_what_it_may_and_hides_bcc() {
    let world = World::new().await;
    let text = "From: alice@wax.test\r\nBcc: secret@wing.example\r\n\r\nhi\r\n";
    let to = ["alice@wax.test", "secret@wing.example"];
    let accepted = world.submit(from_alice(&to), text).await.unwrap();
    assert_eq!((accepted.deposited, accepted.queued), (1, 1));
    assert_eq!(accepted.repairs, ["added Date", "added Message-ID", "removed Bcc"]);
    let inbox = world.inbox(world.alice).await;
    let message = Message::parse(inbox[0].as_bytes());
    assert!(message.header("Bcc").is_none() && !inbox[0].contains("secret"));
    assert!(message.date().is_some());
    let id = message.message_id().unwrap();
    assert!(id.ends_with("@wax.test"));
    let found = world.store.journeys_by_message_id(&id).await.unwrap();
    assert_eq!(found[0].id, accepted.journey);
    // What travels has the same repairs, and no Return-Path.
    let queued = &world.store.queue(None, 10).await.unwrap()[0];
    let content = world.store.queue_content(queued.id).await.unwrap().unwrap();
    let travelling = String::from_utf8(content.read_all().await.unwrap()).unwrap();
    assert!(travelling.starts_with("Received: "), "{travelling}");
    assert!(travelling.contains(&id) && !travelling.contains("secret"));
}

#[tokio::test]
async fn relayed_mail_is_not_repaired() {
    let world = World::new().await;
    world
        .receive(from("bob@wing.example", &["alice@wax.test"]), "Bcc: x@y.example\r\n\r\n")
        .await
        .unwrap();
    let inbox = world.inbox(world.alice).await;
    assert!(inbox[0].contains("Bcc: x@y.example") && !inbox[0].contains("Message-ID"));
}

#[tokio::test]
async fn aliases_and_repetitions_deliver_once_to_each_place() {
    let world = World::new().await;
    let carol = world.account("carol@wax.test").await;
    for target in ["alice@wax.test", "carol@wax.test", "bob@wing.example"] {
        world.alias("team@wax.test", target).await;
    }
    let to = ["team@wax.test", "alice@wax.test", "alice+x@wax.test"];
    let accepted = world.receive(from("dan@two.example", &to), LETTER).await.unwrap();
    assert_eq!((accepted.deposited, accepted.queued), (2, 1));
    assert_eq!(world.inbox(world.alice).await.len(), 1);
    assert_eq!(world.inbox(carol).await.len(), 1);
    let steps = world.events(accepted.journey).await;
    let expanded = steps.iter().find_map(|step| match step {
        Step::Expanded { recipient, to } => Some((recipient.to_string(), to.len())),
        _ => None,
    });
    assert_eq!(expanded, Some(("team@wax.test".to_owned(), 3)));
    // Reports from there name the address that the sender wrote: RFC 3461 §5.2.7.1.
    let queued = &world.store.queue(None, 10).await.unwrap()[0];
    assert_eq!(queued.recipient.address, address("bob@wing.example"));
    assert_eq!(queued.recipient.original.as_ref().unwrap().address, "team@wax.test");
}

#[tokio::test]
async fn plus_addressing_finds_the_mailbox_of_that_name() {
    let world = World::new().await;
    world.store.create_mailbox(world.alice, "lists", None).await.unwrap();
    let to = |to| from("bob@wing.example", &[to]);
    world.receive(to("alice+Lists@wax.test"), LETTER).await.unwrap();
    world.receive(to("alice+other@wax.test"), LETTER).await.unwrap();
    assert_eq!(world.mailbox(world.alice, "lists").await.len(), 1);
    assert_eq!(world.inbox(world.alice).await.len(), 1);
}

#[tokio::test]
async fn messages_that_go_round_are_refused() {
    let world = World::with(|policy| policy.max_received_by_us = 3).await;
    let envelope = || from("bob@wing.example", &["alice@wax.test"]);
    let with = |field: &str, n| format!("{}{LETTER}", field.repeat(n));
    let others = "Received: from a by b.example; Thu, 1 Jan 2026 00:00:00 +0000\r\n";
    world.receive(envelope(), &with(others, 50)).await.unwrap();
    let refusal = world.receive(envelope(), &with(others, 51)).await.unwrap_err();
    assert_eq!((refusal.reply.code, refusal.is_temporary()), (554, false));
    assert_eq!(refusal.reply.enhanced.unwrap().to_string(), "5.4.6");
    let ours =
        "Received: from a\r\n\tby MX.wax.test with ESMTP; Thu, 1 Jan 2026 00:00:00 +0000\r\n";
    world.receive(envelope(), &with(ours, 3)).await.unwrap();
    assert_eq!(world.receive(envelope(), &with(ours, 4)).await.unwrap_err().reply.code, 554);
}

#[tokio::test]
async fn a_relay_is_never_open() {
    // Even when RCPT was answered by a mistake elsewhere.
    let world = World::new().await;
    let envelope = from("mallory@evil.example", &["bob@wing.example"]);
    assert!(world.receive(envelope, LETTER).await.is_err());
    assert_eq!(world.queue_len().await, 0);
}

#[tokio::test]
async fn lmtp_answers_each_recipient() {
    let world = World::new().await;
    let carol = world.account("carol@wax.test").await;
    world.store.set_quota(&address("carol@wax.test"), Some(10)).await.unwrap();
    let envelope = from("bob@wing.example", &["alice@wax.test", "carol@wax.test"]);
    let all =
        world.acceptor.accept_each(incoming(Entrance::Lmtp, envelope, LETTER.as_bytes())).await;
    assert!(all[0].is_ok());
    assert_eq!(all[1].as_ref().unwrap_err().reply.code, 452);
    assert_eq!(world.inbox(world.alice).await.len(), 1);
    assert!(world.inbox(carol).await.is_empty());
}

#[tokio::test]
async fn a_delivery_is_reported_when_the_sender_asked() {
    let world = World::new().await;
    let mut envelope = from_alice(&["alice@wax.test"]);
    envelope.recipients[0].notify = Some(Notify::On { success: true, failure: true, delay: false });
    envelope.envelope_id = Some("QQ314159".to_owned());
    let accepted = world.submit(envelope, LETTER).await.unwrap();
    let inbox = world.inbox(world.alice).await;
    assert_eq!(inbox.len(), 2);
    let report = &inbox[1];
    assert!(report.starts_with("Return-Path: <>\r\n"));
    for field in
        ["Action: delivered", "Status: 2.0.0", "Original-Envelope-Id: QQ314159", "Auto-Submitted:"]
    {
        assert!(report.contains(field), "{field}: {report}");
    }
    assert!(!report.contains("Hello, Bob"), "RFC 3461 §4.3: the header only");
    let steps = world.events(accepted.journey).await;
    assert_eq!(kinds(&steps), ["accepted", "deposited", "success reported"]);
}
