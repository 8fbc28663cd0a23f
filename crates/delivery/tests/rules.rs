//! Readers' own rules at delivery: what a script wants is done with the message or not at all, and its
//! journey says which rule did it.

mod world;

use std::time::Duration;

use jiff::SignedDuration;
use waxwing_delivery::Entrance;
use waxwing_message::journey::{CausedMessage, Step};
use waxwing_message::parse::PartId;
use waxwing_message::{Envelope, JourneyId, Message, Notify, ReversePath};
use waxwing_store::{Absence, AbsenceAnswer, AccountId, ModSeq};
use world::peers::Mx;
use world::*;

async fn rules(world: &World, account: AccountId, script: &str) {
    let at = world.now();
    let put = world.store.put_sieve_script(account, "rules", script.into(), at);
    put.await.unwrap();
    world.store.activate_sieve_script(account, Some("rules")).await.unwrap();
}

fn letter(subject: &str) -> String {
    format!(
        "From: Bob <bob@wing.example>\r\nTo: alice@wax.test\r\nSubject: {subject}\r\n\
         Message-ID: <{subject}@wing.example>\r\n\r\nHello, Alice.\r\n"
    )
}

async fn arrives(world: &World, subject: &str) -> JourneyId {
    let envelope = from("bob@wing.example", &["alice@wax.test"]);
    world.receive(envelope, &letter(subject)).await.unwrap().journey
}

/// What the other server took.
fn taken(mx: &Mx) -> Vec<(Envelope, String)> {
    mx.taken.lock().unwrap().clone()
}

struct Sorted {
    trace: Vec<String>,
    error: Option<String>,
    caused: Vec<CausedMessage>,
}

async fn sorted(world: &World, journey: JourneyId) -> Sorted {
    let steps = world.events(journey).await;
    let found = steps.into_iter().find_map(|step| match step {
        Step::Sorted { trace, error, caused, .. } => Some(Sorted { trace, error, caused }),
        _ => None,
    });
    found.expect("rules ran")
}

/// The header field of that name.
fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let header = message.split("\r\n\r\n").next().unwrap();
    header.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn without_an_active_script_nothing_is_different() {
    let world = World::new().await;
    world
        .store
        .put_sieve_script(world.alice, "off", b"discard;".to_vec(), world.now())
        .await
        .unwrap();
    let journey = arrives(&world, "hello").await;
    assert_eq!(kinds(&world.events(journey).await), ["accepted", "deposited"]);
}

#[tokio::test]
async fn mail_is_filed_and_the_journey_says_by_which_rule() {
    let world = World::new().await;
    let script = "require [\"fileinto\", \"mailbox\", \"imap4flags\", \"copy\"];\n\
                  if header :contains \"subject\" \"rust\" {\n\
                    fileinto :create :copy :flags [\"\\\\Seen\", \"work\"] \"Lists/Rust\";\n\
                  }\n";
    rules(&world, world.alice, script).await;
    let journey = arrives(&world, "rust").await;
    let steps = world.events(journey).await;
    assert_eq!(kinds(&steps), ["accepted", "sorted", "deposited", "deposited"]);
    let story = sorted(&world, journey).await;
    assert!(
        story.trace.iter().any(|line| line.contains("rule 1 (line 3): fileinto")),
        "{:?}",
        story.trace
    );
    assert_eq!(story.error, None);
    // One message, two places: RFC 3894's copy leaves the implicit keep alone.
    assert_eq!(world.mailbox(world.alice, "Lists/Rust").await, world.inbox(world.alice).await);
    let filed = world.store.mailbox_by_name(world.alice, "Lists/Rust").await.unwrap().unwrap();
    assert_eq!(filed.unseen, 0);
    assert_eq!(world.store.mailbox_keywords(filed.id).await.unwrap(), ["work"]);
    let other = arrives(&world, "cats").await;
    assert_eq!(kinds(&world.events(other).await), ["accepted", "sorted", "deposited"]);
    assert_eq!(world.inbox(world.alice).await.len(), 2);
}

#[tokio::test]
async fn a_missing_mailbox_loses_nothing() {
    let world = World::new().await;
    rules(&world, world.alice, "require \"fileinto\"; fileinto \"Nowhere\";").await;
    let journey = arrives(&world, "hello").await;
    assert_eq!(world.inbox(world.alice).await.len(), 1);
    let trace = sorted(&world, journey).await.trace;
    assert!(trace.iter().any(|line| line.contains("no mailbox \"Nowhere\"")), "{trace:?}");
}

#[tokio::test]
async fn what_is_asked_of_the_store_is_answered() {
    let world = World::new().await;
    let script = "require [\"fileinto\", \"mailbox\", \"include\", \"special-use\", \"duplicate\"];\n\
                  if duplicate { discard; stop; }\n\
                  if not mailboxexists \"Archive\" { discard; }\n\
                  if mailboxexists \"Nowhere\" { discard; }\n\
                  if specialuse_exists \"\\\\Trash\" { include :personal \"more\"; }\n";
    let more = b"require \"fileinto\"; fileinto \"Archive\";".to_vec();
    world.store.put_sieve_script(world.alice, "more", more, world.now()).await.unwrap();
    rules(&world, world.alice, script).await;
    let journey = arrives(&world, "one").await;
    let story = sorted(&world, journey).await;
    assert_eq!(story.error, None, "{:?}", story.trace);
    assert_eq!(world.mailbox(world.alice, "Archive").await.len(), 1, "{:?}", story.trace);
    // RFC 7352: the second is known again.
    let second = arrives(&world, "one").await;
    assert_eq!(kinds(&world.events(second).await), ["accepted", "sorted"]);
    let trace = sorted(&world, second).await.trace;
    assert!(trace.iter().any(|line| line.contains("rule 1 (line 2): discard")), "{trace:?}");
    assert_eq!(world.mailbox(world.alice, "Archive").await.len(), 1);
}

#[tokio::test]
async fn a_script_that_fails_keeps_the_message() {
    let world = World::new().await;
    rules(&world, world.alice, "require \"include\"; include \"nowhere\"; discard;").await;
    let journey = arrives(&world, "hello").await;
    assert_eq!(world.inbox(world.alice).await.len(), 1);
    let story = sorted(&world, journey).await;
    assert!(story.error.unwrap().contains("nowhere"), "{:?}", story.trace);
    // Neither is a script lost that was valid once.
    rules(&world, world.alice, "this is no script").await;
    let journey = arrives(&world, "again").await;
    assert!(sorted(&world, journey).await.error.is_some());
    assert_eq!(world.inbox(world.alice).await.len(), 2);
}

#[tokio::test]
async fn mail_is_redirected_as_an_alias_would_and_never_in_circles() {
    let world = World::new().await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve("192.0.2.1", mx.peer());
    rules(&world, world.alice, "redirect \"carol@wing.example\";").await;
    let journey = arrives(&world, "hello").await;
    let story = sorted(&world, journey).await;
    assert_eq!(story.caused[0].what, "redirect");
    assert!(world.inbox(world.alice).await.is_empty());
    world.run_to_the_end().await;
    let steps = world.events(story.caused[0].journey).await;
    assert_eq!(kinds(&steps), ["accepted", "queued", "routed", "attempted"]);
    let all = taken(&mx);
    let [(envelope, text)] = &all[..] else { panic!("one message") };
    assert_eq!(field(text, "X-Sieve-Redirected-From"), Some("alice@wax.test"));
    assert_eq!(field(text, "Return-Path"), None);
    let path = envelope.reverse_path.to_string();
    assert!(path.to_lowercase().contains("srs0="), "{path}");
    // It comes back: it stays.
    let envelope = from("bob@wing.example", &["alice@wax.test"]);
    let back = world.receive(envelope, text).await.unwrap().journey;
    assert!(sorted(&world, back).await.caused.is_empty());
    assert_eq!(world.inbox(world.alice).await.len(), 1);
    // To oneself is to keep.
    rules(&world, world.alice, "redirect \"alice@wax.test\";").await;
    arrives(&world, "self").await;
    assert_eq!(world.inbox(world.alice).await.len(), 2);
}

#[tokio::test]
async fn rules_run_for_those_here_to_whom_mail_is_redirected() {
    let world = World::new().await;
    let carol = world.account("carol@wax.test").await;
    rules(&world, world.alice, "redirect \"carol@wax.test\";").await;
    rules(&world, carol, "require \"fileinto\"; fileinto \"Archive\";").await;
    arrives(&world, "hello").await;
    world.run_to_the_end().await;
    assert_eq!(world.mailbox(carol, "Archive").await.len(), 1);
    assert!(world.inbox(world.alice).await.is_empty() && world.inbox(carol).await.is_empty());
}

#[tokio::test]
async fn rejected_mail_is_refused_when_nobody_else_gets_it() {
    let world = World::new().await;
    rules(&world, world.alice, "require \"ereject\"; ereject \"not today\";").await;
    let envelope = from("bob@wing.example", &["alice@wax.test"]);
    let refused = world.receive(envelope, &letter("hello")).await.unwrap_err();
    assert_eq!(refused.reply.code, 550);
    assert_eq!(refused.reply.enhanced.unwrap().to_string(), "5.7.1");
    assert!(refused.reply.text.starts_with("not today ("), "{}", refused.reply.text);
    let (_, id) = refused.reply.text.trim_end_matches(')').rsplit_once('(').unwrap();
    let steps = world.events(id.parse().unwrap()).await;
    assert_eq!(kinds(&steps), ["sorted", "refused"]);
    assert!(world.inbox(world.alice).await.is_empty());
}

#[tokio::test]
async fn rejected_mail_of_several_is_reported() {
    let world = World::new().await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve("192.0.2.1", mx.peer());
    let carol = world.account("carol@wax.test").await;
    rules(&world, world.alice, "require \"reject\"; reject \"not today\";").await;
    let envelope = || from("bob@wing.example", &["alice@wax.test", "carol@wax.test"]);
    let accepted = world.receive(envelope(), &letter("hello")).await.unwrap();
    assert_eq!(world.inbox(carol).await.len(), 1);
    assert!(world.inbox(world.alice).await.is_empty());
    assert_eq!(sorted(&world, accepted.journey).await.caused[0].what, "reject");
    world.run_to_the_end().await;
    let all = taken(&mx);
    let [(_, text)] = &all[..] else { panic!("one report") };
    assert!(text.contains("not today") && text.contains("Status: 5.7.1"), "{text}");
    // RFC 3461 §4.1: who wants no report gets none; the journey says so.
    let mut quiet = envelope();
    quiet.recipients[0].notify = Some(Notify::Never);
    let accepted = world.receive(quiet, &letter("quiet")).await.unwrap();
    let story = sorted(&world, accepted.journey).await;
    assert!(story.caused.is_empty());
    assert!(story.trace.iter().any(|line| line.contains("is not told")), "{:?}", story.trace);
}

#[tokio::test]
async fn who_is_away_answers_once_in_a_while() {
    let world = World::new().await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve("192.0.2.1", mx.peer());
    let script = "require [\"vacation\", \"fcc\"]; vacation :days 7 :fcc \"Sent\" \"I am away.\";";
    rules(&world, world.alice, script).await;
    let first = arrives(&world, "one").await;
    assert_eq!(sorted(&world, first).await.caused[0].what, "vacation");
    let second = arrives(&world, "two").await;
    assert!(sorted(&world, second).await.caused.is_empty());
    world.run_to_the_end().await;
    let all = taken(&mx);
    let [(answer, text)] = &all[..] else { panic!("one answer") };
    assert_eq!(answer.reverse_path, ReversePath::Null, "RFC 5230 §5.1");
    assert_eq!(field(text, "To"), Some("bob@wing.example"));
    assert!(field(text, "Auto-Submitted").unwrap().starts_with("auto-replied"));
    assert!(text.contains("I am away."), "{text}");
    assert_eq!(world.mailbox(world.alice, "Sent").await.len(), 1, "RFC 8580");
    assert_eq!(world.inbox(world.alice).await.len(), 2);
    world.clock.advance(Duration::from_secs(7 * 24 * 3600));
    let third = arrives(&world, "three").await;
    assert_eq!(sorted(&world, third).await.caused.len(), 1, "a week later");
}

/// RFC 8621 §8: without a script of the reader's, and beside one, which runs as if nothing had been said.
#[tokio::test]
async fn who_says_to_be_away_is_answered_for_beside_their_script() {
    let world = World::new().await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve("192.0.2.1", mx.peer());
    let hour = SignedDuration::from_hours(1);
    let away = Absence {
        account: world.alice,
        is_enabled: true,
        from_at: Some(world.now() + hour),
        to_at: Some(world.now() + hour * 48),
        answer: AbsenceAnswer {
            subject: Some("Away \"until\" Monday".to_owned()),
            text: Some("I am away. \\o/".to_owned()),
            html: Some("<p>I am <b>away</b>".to_owned()),
        },
        changed_modseq: ModSeq(0),
    };
    world.store.set_absence(away.clone()).await.unwrap();
    let early = arrives(&world, "early").await;
    assert_eq!(kinds(&world.events(early).await), ["accepted", "deposited"]);
    world.clock.advance(Duration::from_secs(2 * 3600));
    let first = arrives(&world, "one").await;
    assert_eq!(sorted(&world, first).await.caused[0].what, "vacation");
    let second = arrives(&world, "two").await;
    assert!(sorted(&world, second).await.caused.is_empty(), "once in a while");
    assert_eq!(world.inbox(world.alice).await.len(), 3);
    world.run_to_the_end().await;
    let all = taken(&mx);
    let [(answer, text)] = &all[..] else { panic!("one answer") };
    assert_eq!(answer.reverse_path, ReversePath::Null, "RFC 5230 §5.1");
    assert_eq!(field(text, "Subject"), Some("Away \"until\" Monday"));
    let message = Message::parse(text.as_bytes());
    let said = |parts: Vec<PartId>| message.text(parts[0]);
    assert_eq!(said(message.text_body()), "I am away. \\o/");
    assert_eq!(said(message.html_body()), "<p>I am <b>away</b>");

    // Somebody else writes; the reader's own script files it.
    rules(&world, world.alice, "require \"fileinto\"; fileinto \"Archive\";").await;
    let envelope = from("carol@wing.example", &["alice@wax.test"]);
    let third = world.receive(envelope.clone(), &letter("three")).await.unwrap().journey;
    assert_eq!(sorted(&world, third).await.caused[0].what, "vacation");
    assert_eq!(world.mailbox(world.alice, "Archive").await.len(), 1);
    // What it throws away is not answered.
    rules(&world, world.alice, "discard;").await;
    let envelope = from("dave@wing.example", &["alice@wax.test"]);
    let fourth = world.receive(envelope, &letter("four")).await.unwrap().journey;
    assert!(sorted(&world, fourth).await.caused.is_empty());
    // Back again.
    world.store.set_absence(Absence { is_enabled: false, ..away }).await.unwrap();
    world.store.activate_sieve_script(world.alice, None).await.unwrap();
    let last = arrives(&world, "last").await;
    assert_eq!(kinds(&world.events(last).await), ["accepted", "deposited"]);
}

#[tokio::test]
async fn word_is_sent_by_notify() {
    let world = World::new().await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve("192.0.2.1", mx.peer());
    let script =
        "require \"enotify\"; notify :message \"mail came\" \"mailto:phone@wing.example\";";
    rules(&world, world.alice, script).await;
    let journey = arrives(&world, "hello").await;
    assert_eq!(sorted(&world, journey).await.caused[0].what, "notify");
    assert_eq!(world.inbox(world.alice).await.len(), 1);
    world.run_to_the_end().await;
    let all = taken(&mx);
    let [(_, text)] = &all[..] else { panic!("one word") };
    assert_eq!(field(text, "Subject"), Some("mail came"));
}

#[tokio::test]
async fn a_changed_message_is_stored_as_it_was_changed() {
    let world = World::new().await;
    let script = "require [\"editheader\", \"fileinto\", \"copy\"];\n\
                  fileinto :copy \"Archive\";\n\
                  addheader \"X-Sorted\" \"yes\";\n";
    rules(&world, world.alice, script).await;
    arrives(&world, "hello").await;
    let (plain, changed) =
        (world.mailbox(world.alice, "Archive").await, world.inbox(world.alice).await);
    assert_eq!(field(&plain[0], "X-Sorted"), None);
    assert_eq!(field(&changed[0], "X-Sorted"), Some("yes"));
    assert!(changed[0].ends_with("\r\n\r\nHello, Alice.\r\n"));
}

#[tokio::test]
async fn one_readers_rules_concern_nobody_else() {
    let world = World::new().await;
    let carol = world.account("carol@wax.test").await;
    rules(&world, world.alice, "discard;").await;
    let envelope = from("bob@wing.example", &["alice@wax.test", "carol@wax.test"]);
    let accepted = world.receive(envelope, &letter("hello")).await.unwrap();
    assert_eq!(kinds(&world.events(accepted.journey).await), ["accepted", "sorted", "deposited"]);
    assert_eq!(world.inbox(carol).await.len(), 1);
    assert!(world.inbox(world.alice).await.is_empty());
}

#[tokio::test]
async fn mail_that_waits_for_room_is_sorted_when_there_is_some() {
    let world = World::new().await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve("192.0.2.1", mx.peer());
    let carol = world.account("carol@wax.test").await;
    let script = "require [\"duplicate\", \"fileinto\", \"copy\"];\n\
                  if duplicate { discard; stop; }\n\
                  redirect :copy \"x@wing.example\"; fileinto \"Archive\";";
    rules(&world, world.alice, script).await;
    let alice = address("alice@wax.test");
    world.store.set_quota(&alice, Some(10)).await.unwrap();
    let envelope = from("bob@wing.example", &["alice@wax.test", "carol@wax.test"]);
    world.receive(envelope, &letter("hello")).await.unwrap();
    assert_eq!((world.inbox(carol).await.len(), world.queue_len().await), (1, 1));
    world.store.set_quota(&alice, None).await.unwrap();
    world.run_to_the_end().await;
    assert_eq!(world.mailbox(world.alice, "Archive").await.len(), 1);
    assert_eq!(taken(&mx).len(), 1, "redirected once");
}

#[tokio::test]
async fn a_detail_is_seen_and_keep_leads_where_it_would() {
    let world = World::new().await;
    world.store.create_mailbox(world.alice, "Lists", None).await.unwrap();
    let script = "require [\"envelope\", \"subaddress\", \"fileinto\"];\n\
                  if envelope :detail \"to\" \"cats\" { fileinto \"Archive\"; }";
    rules(&world, world.alice, script).await;
    for to in ["alice+lists@wax.test", "alice+cats@wax.test"] {
        let envelope = from("bob@wing.example", &[to]);
        world.take(Entrance::Mx, envelope, letter("hello").as_bytes()).await.unwrap();
    }
    assert_eq!(world.mailbox(world.alice, "Lists").await.len(), 1);
    assert_eq!(world.mailbox(world.alice, "Archive").await.len(), 1);
}

#[tokio::test]
async fn what_was_judged_to_be_spam_stays_so_unless_the_reader_says_otherwise() {
    let world = World::with(|policy| policy.judging.examine = true).await;
    let zone = |apex: &str, text: &str| {
        world.zone.insert(waxwing_dns::Zone::parse(apex, text).unwrap());
    };
    zone(
        "shop.test",
        "@ TXT \"v=spf1 ip4:203.0.113.9 ~all\"\n_dmarc TXT \"v=DMARC1; p=quarantine\"\n",
    );
    let spam = letter("offer").replace("bob@wing.example", "news@shop.test");
    let arrives = async || {
        let envelope = from("news@shop.test", &["alice@wax.test"]);
        world.receive(envelope, &spam).await.unwrap().journey
    };
    let junk = async || world.mailbox(world.alice, "Junk").await.len();
    // The implicit keep is where the verdict led; the script is told of it (RFC 5235).
    let script = "require [\"spamtestplus\", \"relational\", \"comparator-i;ascii-numeric\", \"imap4flags\"];\n\
                  if spamtest :percent :value \"ge\" :comparator \"i;ascii-numeric\" \"1\" { addflag \"told\"; }";
    rules(&world, world.alice, script).await;
    let story = sorted(&world, arrives().await).await;
    assert_eq!((junk().await, world.inbox(world.alice).await.len()), (1, 0));
    assert!(
        story.trace.iter().any(|line| line.contains("flags are now (told)")),
        "{:?}",
        story.trace
    );
    rules(&world, world.alice, "keep;").await;
    arrives().await;
    assert_eq!((junk().await, world.inbox(world.alice).await.len()), (1, 1));
}

/// RFC 5490 §3.3, §4.2: notes that a mail client keeps (IMAP METADATA) decide.
#[tokio::test]
async fn notes_of_mailboxes_and_of_the_server_can_be_asked_for() {
    let world = World::new().await;
    let script = "require [\"fileinto\", \"mboxmetadata\", \"servermetadata\"];\n\
                  if allof (metadata \"INBOX\" \"/private/Holiday\" \"on\",\n\
                    servermetadata :contains \"/private/vendor/x\" \"yes\",\n\
                    not metadataexists \"INBOX\" \"/shared/comment\",\n\
                    not metadataexists \"nowhere\" \"/private/holiday\") {\n\
                    fileinto \"Archive\";\n\
                  }\n";
    rules(&world, world.alice, script).await;
    let total = async |name: &str| {
        let mailbox = world.store.mailbox_by_name(world.alice, name).await.unwrap();
        mailbox.unwrap().total
    };
    arrives(&world, "before").await;
    assert_eq!((total("INBOX").await, total("Archive").await), (1, 0));
    let inbox = world.store.mailbox_by_name(world.alice, "INBOX").await.unwrap().unwrap().id;
    let note = |name: &str, value: &[u8]| vec![(name.to_owned(), Some(value.to_vec()))];
    let holiday = note("/private/holiday", b"on");
    world.store.set_metadata(Some(inbox), world.alice, holiday).await.unwrap();
    let vendor = note("/private/vendor/x", b"oh yes");
    world.store.set_metadata(None, world.alice, vendor).await.unwrap();
    arrives(&world, "after").await;
    assert_eq!((total("INBOX").await, total("Archive").await), (1, 1));
}
