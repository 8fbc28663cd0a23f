//! Keys, senders, words, reports and policies: what is kept for telling who really sent a message.

use std::time::Duration;

use jiff::Timestamp;
use waxwing_message::ReversePath;
use waxwing_message::journey::{Event, Step};
use waxwing_store::*;
use zeroize::Zeroizing;

use crate::world::*;

crate::on_both!(
    keys_move_through_their_states,
    a_selector_is_used_once,
    of_two_nodes_one_makes_the_new_keys,
    what_is_known_of_a_record_is_kept,
    keys_go_with_their_domain,
    a_secret_is_made_once,
    deliveries_and_letters_are_counted,
    moves_into_and_out_of_junk_are_lessons,
    keywords_are_lessons,
    filing_is_a_lesson_and_throwing_away_is_none,
    a_message_is_learned_once_and_can_be_unlearned,
    a_lesson_is_learned_by_one_node_alone,
    observations_are_counted_by_day,
    a_days_observations_are_reported_by_one,
    what_was_observed_meanwhile_is_not_lost,
    a_report_that_cannot_be_accepted_leaves_everything,
    mail_that_may_be_a_report_is_read_once,
    reports_are_kept_once,
    failures_alike_are_one_and_told_once,
    a_domain_has_few_failures_at_a_time,
    policies_are_replaced_and_forgotten,
    policies_in_use_are_found_when_they_age,
    the_greylist_remembers_the_first_time,
    forwarded_mail_is_sent_under_another_reverse_path,
);

fn key(domain: &str, selector: &str, state: SigningKeyState) -> NewSigningKey {
    NewSigningKey {
        domain: domain.into(),
        selector: selector.into(),
        algorithm: SigningAlgorithm::Ed25519Sha256,
        private_key: Zeroizing::new(vec![0, 1, 2, 255]),
        record: "v=DKIM1; k=ed25519; p=AAEC".into(),
        state,
    }
}

async fn add(store: &Store, key: NewSigningKey) -> Result<SigningKeyId, AccountError> {
    Ok(store.add_signing_keys(vec![key], now()).await?[0])
}

async fn keys_move_through_their_states(world: World) {
    let store = &world.store;
    store.create_domain("wax.test").await.unwrap();
    let old = add(store, key("wax.test", "a", SigningKeyState::Signing)).await.unwrap();
    let new = add(store, key("wax.test", "b", SigningKeyState::Published)).await.unwrap();
    let states = async || -> Vec<(String, SigningKeyState)> {
        let keys = store.signing_keys(Some("wax.test")).await.unwrap();
        keys.into_iter().map(|key| (key.selector, key.state)).collect()
    };
    assert_eq!(
        states().await,
        [("a".into(), SigningKeyState::Signing), ("b".into(), SigningKeyState::Published)]
    );
    let changes = vec![(old, SigningKeyState::Retired), (new, SigningKeyState::Signing)];
    let at = now();
    store.set_signing_key_states(changes, at).await.unwrap();
    assert_eq!(
        states().await,
        [("a".into(), SigningKeyState::Retired), ("b".into(), SigningKeyState::Signing)]
    );
    assert_eq!(store.signing_keys(None).await.unwrap()[1].changed_at, at);
    assert!(store.remove_signing_key(old).await.unwrap());
    assert!(!store.remove_signing_key(old).await.unwrap());
    let left = store.signing_keys(None).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(*left[0].private_key, [0, 1, 2, 255]);
    assert_eq!(left[0].algorithm, SigningAlgorithm::Ed25519Sha256);
    assert_eq!(left[0].record, "v=DKIM1; k=ed25519; p=AAEC");
}

async fn a_selector_is_used_once(world: World) {
    let store = &world.store;
    store.create_domain("wax.test").await.unwrap();
    let key = |state| key("wax.test", "a", state);
    add(store, key(SigningKeyState::Signing)).await.unwrap();
    let again = add(store, key(SigningKeyState::Published)).await;
    assert!(matches!(again, Err(AccountError::Exists(_))));
    let foreign = NewSigningKey { domain: "far.test".into(), ..key(SigningKeyState::Published) };
    assert!(matches!(add(store, foreign).await, Err(AccountError::ForeignDomain(_))));
    assert_eq!(store.signing_keys(None).await.unwrap().len(), 1);
}

async fn of_two_nodes_one_makes_the_new_keys(world: World) {
    let other = world.second().await;
    world.store.create_domain("wax.test").await.unwrap();
    let pair = |letter: &str| -> Vec<NewSigningKey> {
        ["r", "e"]
            .map(|kind| key("wax.test", &format!("{letter}{kind}"), SigningKeyState::Published))
            .into()
    };
    let (one, two) = tokio::join!(
        world.store.add_signing_keys(pair("a"), now()),
        other.add_signing_keys(pair("b"), now()),
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert!(matches!(one.err().or(two.err()), Some(AccountError::Exists(_))));
    assert_eq!(world.store.signing_keys(None).await.unwrap().len(), 2);
}

async fn what_is_known_of_a_record_is_kept(world: World) {
    let store = &world.store;
    store.create_domain("wax.test").await.unwrap();
    let id = add(store, key("wax.test", "a", SigningKeyState::Published)).await.unwrap();
    let known = async || {
        let key = store.signing_keys(None).await.unwrap().remove(0);
        (key.shown_at, key.trouble)
    };
    assert_eq!(known().await, (None, String::new()));
    store.note_signing_key(id, None, "refused").await.unwrap();
    assert_eq!(known().await, (None, "refused".to_owned()));
    let at = now();
    store.note_signing_key(id, Some(at), "").await.unwrap();
    assert_eq!(known().await, (Some(at), String::new()));
}

async fn keys_go_with_their_domain(world: World) {
    let store = &world.store;
    store.create_domain("wax.test").await.unwrap();
    add(store, key("wax.test", "a", SigningKeyState::Signing)).await.unwrap();
    store.remove_domain("wax.test").await.unwrap();
    assert!(store.signing_keys(None).await.unwrap().is_empty());
}

async fn a_secret_is_made_once(world: World) {
    let first = world.store.secret("forwarding").await.unwrap();
    assert_eq!(world.second().await.secret("forwarding").await.unwrap(), first);
    assert_ne!(world.store.secret("another").await.unwrap(), first);
}

fn author(name: &str) -> SenderIdentity {
    SenderIdentity { kind: SenderKind::Address, name: name.into() }
}

async fn record(store: &Store, account: &Account, name: &str) -> SenderRecord {
    store.acquaintance(account.id, vec![author(name)], 0).await.unwrap().records[0]
}

async fn deliveries_and_letters_are_counted(world: World) {
    let (alice, bob) = (world.account("alice@wax.test").await, world.account("bob@wax.test").await);
    let octets = mail("hello", "x");
    for _ in 0..2 {
        let seen = Deposit {
            author: Some("eve@far.test".into()),
            ..deposit(&world.store, &bob, &octets).await
        };
        world.store.accept(Acceptance { deposits: vec![seen], ..acceptance() }).await.unwrap();
    }
    let written_to = Some((alice.id, vec!["eve@far.test".into(), "zoe@far.test".into()]));
    let beside = Beside { written_to, ..Beside::default() };
    world.store.accept(Acceptance { beside, ..acceptance() }).await.unwrap();
    let of_bob = record(&world.store, &bob, "eve@far.test").await;
    assert_eq!((of_bob.seen, of_bob.written), (2, 0));
    let of_alice = record(&world.store, &alice, "eve@far.test").await;
    assert_eq!((of_alice.seen, of_alice.written), (0, 1));
    assert_eq!(record(&world.store, &alice, "nobody@far.test").await, SenderRecord::default());
    let mut written = world.store.written_to(alice.id, 10).await.unwrap();
    written.sort();
    assert_eq!(written, ["eve@far.test", "zoe@far.test"]);
    let known = world.store.acquaintance(alice.id, Vec::new(), 1).await.unwrap();
    assert_eq!((known.records.len(), known.written_to.len()), (0, 1));
    assert!(world.store.written_to(bob.id, 10).await.unwrap().is_empty());
}

async fn by_role(world: &World, account: &Account, role: Role) -> Mailbox {
    let mailboxes = world.store.mailboxes(account.id).await.unwrap();
    mailboxes.into_iter().find(|mailbox| mailbox.role == Some(role)).unwrap()
}

async fn verdicts(store: &Store) -> Vec<bool> {
    store.lessons(10).await.unwrap().iter().map(|lesson| lesson.spam).collect()
}

async fn moves_into_and_out_of_junk_are_lessons(world: World) {
    let bob = world.account("bob@wax.test").await;
    let (inbox, junk) = (world.inbox(&bob).await, by_role(&world, &bob, Role::Junk).await);
    let uid = append(&world.store, inbox.id, &mail("buy", "now")).await;
    let moved = world.store.move_entries(inbox.id, &[uid], junk.id).await.unwrap();
    assert_eq!(verdicts(&world.store).await, [true]);
    // The last judgement counts.
    world.store.move_entries(junk.id, &[moved.uids[0].1], inbox.id).await.unwrap();
    assert_eq!(verdicts(&world.store).await, [false]);
    let lesson = world.store.lessons(10).await.unwrap()[0];
    assert_eq!(lesson.account, bob.id);
    world.store.drop_lesson(lesson).await.unwrap();
    assert!(verdicts(&world.store).await.is_empty());
}

async fn keywords_are_lessons(world: World) {
    let bob = world.account("bob@wax.test").await;
    let inbox = world.inbox(&bob).await;
    let uid = append(&world.store, inbox.id, &mail("buy", "now")).await;
    let give = async |keyword: &str| {
        let flags = Flags { keywords: Some([keyword.into()].into()), ..Flags::default() };
        world.store.store_flags(inbox.id, &[uid], FlagChange::Add(flags), None).await.unwrap();
    };
    give("$Important").await;
    assert!(verdicts(&world.store).await.is_empty());
    give("$Junk").await;
    assert_eq!(verdicts(&world.store).await, [true]);
    give("NonJunk").await;
    assert_eq!(verdicts(&world.store).await, [false]);
}

async fn filing_is_a_lesson_and_throwing_away_is_none(world: World) {
    let bob = world.account("bob@wax.test").await;
    let inbox = world.inbox(&bob).await;
    let (trash, archive) =
        (by_role(&world, &bob, Role::Trash).await, by_role(&world, &bob, Role::Archive).await);
    let thrown = append(&world.store, inbox.id, &mail("old", "x")).await;
    world.store.move_entries(inbox.id, &[thrown], trash.id).await.unwrap();
    assert!(verdicts(&world.store).await.is_empty());
    let filed = append(&world.store, inbox.id, &mail("kept", "x")).await;
    world.store.move_entries(inbox.id, &[filed], archive.id).await.unwrap();
    assert_eq!(verdicts(&world.store).await, [false]);
}

/// Judges a message and learns from it.
async fn teach(world: &World, message: MessageId, spam: bool, words: &[i64]) {
    assert!(world.store.judge(message, spam).await.unwrap());
    let lesson = world.store.lessons(1).await.unwrap()[0];
    world.store.learn(lesson, words.to_vec(), vec![author("eve@far.test")], true).await.unwrap();
}

async fn one_message(world: &World, account: &Account) -> MessageId {
    let inbox = world.inbox(account).await;
    append(&world.store, inbox.id, &mail("x", "y")).await;
    world.store.entries(inbox.id).await.unwrap().0.last().unwrap().message
}

async fn a_message_is_learned_once_and_can_be_unlearned(world: World) {
    let bob = world.account("bob@wax.test").await;
    let other = world.account("alice@wax.test").await;
    let message = one_message(&world, &bob).await;
    let counts = async |account: &Account| {
        world.store.word_counts(account.id, vec![7, i64::MIN, 9]).await.unwrap()
    };
    for _ in 0..2 {
        teach(&world, message, true, &[7, i64::MIN]).await;
        let known = counts(&bob).await;
        let one = HamSpam { ham: 0, spam: 1 };
        assert_eq!(known.own_corpus, one);
        assert_eq!(known.shared_corpus, one);
        assert_eq!(known.own, [(7, one), (i64::MIN, one)].into());
        assert_eq!(known.shared, known.own);
        assert_eq!(record(&world.store, &bob, "eve@far.test").await.spam, 1);
    }
    let of_other = counts(&other).await;
    assert!(of_other.own.is_empty());
    assert_eq!(of_other.shared[&7].spam, 1);
    teach(&world, message, false, &[7, i64::MIN]).await;
    let known = counts(&bob).await;
    assert_eq!(known.own_corpus, HamSpam { ham: 1, spam: 0 });
    assert_eq!(known.own[&7], HamSpam { ham: 1, spam: 0 });
    let of_sender = record(&world.store, &bob, "eve@far.test").await;
    assert_eq!((of_sender.ham, of_sender.spam), (1, 0));
    assert!(!world.store.judge(MessageId(i64::MAX), true).await.unwrap(), "no such message");
}

async fn a_lesson_is_learned_by_one_node_alone(world: World) {
    let bob = world.account("bob@wax.test").await;
    let message = one_message(&world, &bob).await;
    let second = world.second().await;
    world.store.judge(message, true).await.unwrap();
    let lesson = world.store.lessons(1).await.unwrap()[0];
    let (one, two) = tokio::join!(
        world.store.learn(lesson, vec![7], Vec::new(), true),
        second.learn(lesson, vec![7], Vec::new(), true),
    );
    one.unwrap();
    two.unwrap();
    let known = world.store.word_counts(bob.id, vec![7]).await.unwrap();
    assert_eq!(known.own[&7], HamSpam { ham: 0, spam: 1 });
}

fn observation(domain: &str, at: Timestamp, what: &str) -> Observation {
    Observation { kind: ReportKind::Dmarc, domain: domain.into(), at, what: what.into() }
}

async fn observations_are_counted_by_day(world: World) {
    let day: Timestamp = "2026-03-01T23:59:59Z".parse().unwrap();
    let next = day + Duration::from_secs(2);
    let all = [(day, "a"), (day, "a"), (day, "b"), (next, "a")];
    let all = all.map(|(at, what)| observation("wax.test", at, what));
    let beside = Beside { observed: all[..2].to_vec(), ..Beside::default() };
    world.store.accept(Acceptance { beside, ..acceptance() }).await.unwrap();
    world.store.observe(all[2..].to_vec()).await.unwrap();
    let today = day_of(next);
    let finished =
        async |today| world.store.domains_to_report_to(ReportKind::Dmarc, today).await.unwrap();
    assert_eq!(finished(today).await, [("wax.test".to_owned(), today - 1)]);
    assert_eq!(finished(today + 1).await.len(), 2);
    assert!(finished(today - 1).await.is_empty());
    let other = world.store.domains_to_report_to(ReportKind::Tls, today + 1).await.unwrap();
    assert!(other.is_empty());
    let seen =
        world.store.observations(ReportKind::Dmarc, "wax.test", today - 1, 10).await.unwrap();
    let mut seen = seen.seen;
    seen.sort_unstable();
    assert_eq!(seen, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    // What was seen last stands last.
    for what in ["b", "a"] {
        for at in [next + Duration::from_secs(1), next + Duration::from_secs(9)] {
            let what = format!("{what}{}", if at > next + Duration::from_secs(5) { 2 } else { 1 });
            world.store.observe(vec![observation("two.test", at, &what)]).await.unwrap();
        }
    }
    let seen = world.store.observations(ReportKind::Dmarc, "two.test", today, 10).await.unwrap();
    let first: Vec<char> = seen.seen.iter().filter_map(|(what, _)| what.chars().last()).collect();
    assert_eq!(first, ['1', '1', '2', '2']);
}

/// A report that goes nowhere: what it takes to see whether it was accepted is its journey.
fn sent_report() -> Acceptance {
    Acceptance { journey: journey_id(), ..acceptance() }
}

async fn a_days_observations_are_reported_by_one(world: World) {
    let at = now();
    world.store.observe(vec![observation("wax.test", at, "a")]).await.unwrap();
    let second = world.second().await;
    let day = day_of(at);
    let seen = world.store.observations(ReportKind::Dmarc, "wax.test", day, 10).await.unwrap();
    let reports = [sent_report(), sent_report()];
    let (one, two) = tokio::join!(
        world.store.report_sent(seen.clone(), vec![reports[0].clone()]),
        second.report_sent(seen.clone(), vec![reports[1].clone()]),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one != two, "{one} {two}");
    for (report, sent) in reports.iter().zip([one, two]) {
        let journey = world.store.journey(report.journey).await.unwrap();
        assert_eq!(journey.is_some(), sent);
    }
    // A repetition after a lost answer does nothing either.
    assert!(!world.store.report_sent(seen, vec![reports[0].clone()]).await.unwrap());
    assert!(world.store.domains_to_report_to(ReportKind::Dmarc, day + 1).await.unwrap().is_empty());
}

async fn what_was_observed_meanwhile_is_not_lost(world: World) {
    let at = now();
    let day = day_of(at);
    let read = async |limit| {
        world.store.observations(ReportKind::Dmarc, "wax.test", day, limit).await.unwrap()
    };
    world.store.observe(vec![observation("wax.test", at, "a")]).await.unwrap();
    let seen = read(10).await;
    world.store.observe(vec![observation("wax.test", at, "a")]).await.unwrap();
    let report = sent_report();
    assert!(!world.store.report_sent(seen, vec![report.clone()]).await.unwrap());
    assert!(world.store.journey(report.journey).await.unwrap().is_none());
    assert_eq!(read(10).await.seen, [("a".to_owned(), 2)]);
    // More than one report holds: the rest stays for the next.
    world.store.observe(vec![observation("wax.test", at, "b")]).await.unwrap();
    let first = read(1).await;
    assert!(world.store.report_sent(first.clone(), vec![sent_report()]).await.unwrap());
    let rest = read(10).await;
    assert_eq!(rest.seen.len(), 1);
    assert_ne!(rest.seen, first.seen);
    assert_eq!(world.store.drop_observations(day).await.unwrap(), 0);
    assert_eq!(world.store.drop_observations(day + 1).await.unwrap(), 1);
}

async fn a_report_that_cannot_be_accepted_leaves_everything(world: World) {
    let at = now();
    let bob = world.account("bob@wing.test").await;
    let octets = mail("report", "x");
    let deposits = vec![deposit(&world.store, &bob, &octets).await];
    world.store.remove_account(&bob.address).await.unwrap();
    world.store.observe(vec![observation("wax.test", at, "a")]).await.unwrap();
    let day = day_of(at);
    let seen = world.store.observations(ReportKind::Dmarc, "wax.test", day, 10).await.unwrap();
    let reports = vec![sent_report(), Acceptance { deposits, ..sent_report() }];
    let first = reports[0].journey;
    let refused = world.store.report_sent(seen, reports).await;
    assert!(matches!(refused, Err(AcceptError::Gone(_))), "{refused:?}");
    assert!(world.store.journey(first).await.unwrap().is_none());
    let domains = world.store.domains_to_report_to(ReportKind::Dmarc, day + 1).await.unwrap();
    assert_eq!(domains.len(), 1);
}

async fn mail_that_may_be_a_report_is_read_once(world: World) {
    let bob = world.account("bob@wing.test").await;
    let octets = mail("report", "x");
    let deposits = vec![deposit(&world.store, &bob, &octets).await];
    let beside = Beside { may_be_report: true, ..Beside::default() };
    let acceptance = Acceptance { deposits, beside, ..acceptance() };
    let journey = acceptance.journey;
    world.store.accept(acceptance).await.unwrap();
    for attempt in 1..=3 {
        let mail = world.store.begin_report_mail().await.unwrap().unwrap();
        assert_eq!(mail.attempt, attempt);
    }
    let mail = world.store.begin_report_mail().await.unwrap().unwrap();
    let step = Step::ReportNotRead { reason: "x".into() };
    let events = vec![Event { at: now(), step: step.clone() }];
    for _ in 0..2 {
        let report = Some(received("1", "wing.test"));
        world.store.report_mail_read(mail.message, report, events.clone()).await.unwrap();
    }
    assert!(world.store.begin_report_mail().await.unwrap().is_none());
    let kept = world.store.journey(journey).await.unwrap().unwrap();
    assert_eq!(kept.events.iter().filter(|event| event.step == step).count(), 1);
    assert_eq!(world.store.reports(None, 10).await.unwrap().len(), 1);
    world.check_invariants().await;
}

fn received(name: &str, domain: &str) -> StoredReport {
    let at: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    StoredReport {
        kind: ReportKind::Tls,
        domain: domain.into(),
        organization: "Example Inc.".into(),
        name: name.into(),
        begins_at: at,
        ends_at: at + Duration::from_secs(86_400),
        received_at: at,
        passed: 3,
        failed: 1,
        what: "{}".into(),
    }
}

async fn reports_are_kept_once(world: World) {
    let report = received;
    assert!(world.store.keep_report(report("1", "wax.test")).await.unwrap());
    assert!(!world.store.keep_report(report("1", "wax.test")).await.unwrap());
    assert!(world.store.keep_report(report("2", "wing.test")).await.unwrap());
    assert_eq!(world.store.reports(None, 10).await.unwrap().len(), 2);
    let of_wing = world.store.reports(Some("wing.test"), 10).await.unwrap();
    let [(id, listed)] = &of_wing[..] else { panic!("{of_wing:?}") };
    assert_eq!(*listed, StoredReport { what: String::new(), ..report("2", "wing.test") });
    assert_eq!(world.store.report(*id).await.unwrap(), Some(report("2", "wing.test")));
    assert_eq!(world.store.forget_reports(report("", "").received_at).await.unwrap(), 0);
    assert_eq!(world.store.forget_reports(now()).await.unwrap(), 2);
    assert_eq!(world.store.report(*id).await.unwrap(), None);
}

fn failed(domain: &str, way: u8, at: Timestamp) -> Acceptance {
    let failed = Failed { domain: domain.into(), way: [way; 32], at, what: format!("{{{way}}}") };
    Acceptance {
        beside: Beside { failed: vec![failed], ..Beside::default() },
        deposits: Vec::new(),
        ..acceptance()
    }
}

async fn failures_alike_are_one_and_told_once(world: World) {
    let store = &world.store;
    let (at, minute) = (now(), Duration::from_secs(60));
    for way in [1, 1, 2, 1] {
        store.accept(failed("bank.test", way, at)).await.unwrap();
    }
    assert!(store.failures_due(at, 10).await.unwrap().is_empty());
    let due = store.failures_due(at + minute, 10).await.unwrap();
    let shown: Vec<_> = due.iter().map(|one| (one.what.as_str(), one.times)).collect();
    assert_eq!(shown, [("{1}", 3), ("{2}", 1)]);
    assert_eq!(store.failures_due(at + minute, 1).await.unwrap().len(), 1);
    let other = world.second().await;
    let told = (due[0].clone(), due[0].clone());
    let (one, two) = tokio::join!(
        store.failure_told(told.0, vec![acceptance()]),
        other.failure_told(told.1, vec![acceptance()]),
    );
    assert!(one.unwrap() != two.unwrap());
    assert_eq!(store.failures_due(at + minute, 10).await.unwrap().len(), 1);
    // The same way again is another one.
    store.accept(failed("bank.test", 1, at + minute)).await.unwrap();
    assert!(!store.failure_told(due[0].clone(), Vec::new()).await.unwrap());
}

async fn a_domain_has_few_failures_at_a_time(world: World) {
    let at = now();
    for way in 0..30 {
        world.store.accept(failed("bank.test", way, at)).await.unwrap();
    }
    world.store.accept(failed("shop.test", 1, at)).await.unwrap();
    let due = world.store.failures_due(at + Duration::from_secs(1), 100).await.unwrap();
    assert_eq!(due.iter().filter(|one| one.domain == "bank.test").count(), 20);
    assert_eq!(due.len(), 21);
}

fn sts_policy(domain: &str, id: &str, at: Timestamp) -> StoredStsPolicy {
    StoredStsPolicy {
        domain: domain.into(),
        policy_id: id.into(),
        policy: "version: STSv1\n".into(),
        fetched_at: at,
        expires_at: at + Duration::from_secs(60),
        used_at: at,
    }
}

async fn policies_are_replaced_and_forgotten(world: World) {
    let at = now();
    let policy = |id: &str| sts_policy("far.test", id, at);
    world.store.keep_sts_policy(policy("1")).await.unwrap();
    world.store.keep_sts_policy(policy("2")).await.unwrap();
    assert_eq!(world.second().await.sts_policy("far.test").await.unwrap(), Some(policy("2")));
    assert_eq!(world.store.sts_policy("other.test").await.unwrap(), None);
    let later = at + Duration::from_secs(61);
    assert_eq!(world.store.forget_sts_policies(at).await.unwrap(), 0);
    assert_eq!(world.store.forget_sts_policies(later).await.unwrap(), 1);
}

async fn policies_in_use_are_found_when_they_age(world: World) {
    let (at, hour) = (now(), Duration::from_secs(3600));
    for (domain, fetched_at) in
        [("a.test", at), ("b.test", at + hour), ("c.test", at), ("d.test", at)]
    {
        world.store.keep_sts_policy(sts_policy(domain, "1", fetched_at)).await.unwrap();
    }
    world.store.note_sts_policy_used("c.test", at - hour).await.unwrap();
    let (before, since) = (at + Duration::from_secs(1), at);
    let due = async |after, limit| {
        let due = world.store.sts_policies_to_renew(before, since, after, limit).await.unwrap();
        due.into_iter().map(|policy| policy.domain).collect::<Vec<_>>()
    };
    assert_eq!(due("", 10).await, ["a.test", "d.test"]);
    assert_eq!(due("", 1).await, ["a.test"]);
    assert_eq!(due("a.test", 10).await, ["d.test"]);
    world.store.note_sts_policy_used("c.test", at).await.unwrap();
    assert_eq!(due("a.test", 10).await, ["c.test", "d.test"]);
}

async fn the_greylist_remembers_the_first_time(world: World) {
    let (at, origin) = (now(), [7; 32]);
    let later = at + Duration::from_secs(600);
    assert_eq!(world.store.greylisted_since(origin, at).await.unwrap(), at);
    assert_eq!(world.second().await.greylisted_since(origin, later).await.unwrap(), at);
    assert_eq!(world.store.forget_greylisted(later).await.unwrap(), 1);
    assert_eq!(world.store.greylisted_since(origin, later).await.unwrap(), later);
}

async fn forwarded_mail_is_sent_under_another_reverse_path(world: World) {
    let rewritten = ReversePath::Address(address("srs0=x@wax.test"));
    let queue = vec![NewQueueEntry {
        recipient: waxwing_message::Recipient::plain(address("x@far.test")),
        domain: "far.test".into(),
        next_attempt_at: now(),
        expires_at: now() + Duration::from_secs(600),
    }];
    let queue_blob = Some(world.store.stage_bytes(mail("forwarded", "x")).await.unwrap());
    let beside = Beside { queue_reverse_path: Some(rewritten.clone()), ..Beside::default() };
    let new = Acceptance { queue, queue_blob, beside, ..acceptance() };
    let journey = new.journey;
    world.store.accept(new).await.unwrap();
    assert_eq!(world.store.queue(None, 10).await.unwrap()[0].reverse_path, rewritten);
    let kept = world.store.journey(journey).await.unwrap().unwrap();
    assert_eq!(kept.reverse_path, ReversePath::Address(address("alice@wax.test")));
}
