//! The queue: leases, settlements, operators.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use waxwing_message::journey::Step;
use waxwing_message::{DsnReturn, Notify, Recipient, ReversePath};
use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    what_is_queued_comes_back_whole,
    a_lease_takes_one_message_for_one_domain,
    settling_ends_or_retries,
    a_lost_lease_changes_nothing,
    what_a_node_still_holds_is_not_leased_to_it_again,
    what_is_new_can_be_asked_for_alone,
    a_lease_given_back_is_due_at_once,
    a_row_that_cannot_be_read_stops_only_itself,
    unnamed_entries_become_due_again,
    reports_are_part_of_the_settlement,
    nodes_share_the_work_without_doubles,
    operators_hold_release_retry_and_cancel,
    queueing_wakes_the_queue,
    old_journeys_are_forgotten,
);

const MINUTE: Duration = Duration::from_secs(60);

async fn queued(world: &World, recipients: &[&str], due: Timestamp) -> Acceptance {
    let queue = recipients.iter().map(|recipient| {
        let recipient = Recipient::plain(address(recipient));
        NewQueueEntry {
            domain: recipient.address.domain().to_owned(),
            recipient,
            next_attempt_at: due,
            expires_at: due + Duration::from_secs(5 * 86_400),
        }
    });
    Acceptance {
        queue: queue.collect(),
        queue_blob: Some(world.store.stage_bytes(mail("queued", "x")).await.unwrap()),
        ..acceptance()
    }
}

async fn lease_one(store: &Store, now: Timestamp) -> Lease {
    let mut leases = store.lease(now, MINUTE, 1, &[]).await.unwrap();
    assert_eq!(leases.len(), 1);
    leases.remove(0)
}

fn settled(lease: &Lease, settlement: Settlement) -> Settled {
    let entries = lease.entries.iter().map(|entry| (entry.id, settlement.clone()));
    Settled { entries: entries.collect(), events: vec![accepted_event()], reports: Vec::new() }
}

async fn what_is_queued_comes_back_whole(world: World) {
    let due = now();
    let mut acceptance = queued(&world, &["x@far.test"], due).await;
    acceptance.envelope.smtputf8 = true;
    acceptance.envelope.require_tls = true;
    acceptance.envelope.dsn_return = Some(DsnReturn::Headers);
    acceptance.envelope.envelope_id = Some("a\u{0}b".into());
    acceptance.queue[0].recipient.notify = Some(Notify::Never);
    let journey = acceptance.journey;
    let (created_at, expires_at) = (acceptance.now, acceptance.queue[0].expires_at);
    let envelope = acceptance.envelope.clone();
    let recipient = acceptance.queue[0].recipient.clone();
    world.store.accept(acceptance).await.unwrap();
    let entry = world.store.queue(None, 10).await.unwrap().remove(0);
    assert_eq!((entry.journey, entry.state, entry.attempts), (journey, QueueState::Waiting, 0));
    assert_eq!((entry.recipient, entry.domain.as_str()), (recipient, "far.test"));
    assert_eq!(entry.reverse_path, envelope.reverse_path);
    assert_eq!(entry.body, envelope.body);
    assert_eq!((entry.smtputf8, entry.require_tls), (true, true));
    assert_eq!((entry.dsn_return, entry.envelope_id), (envelope.dsn_return, envelope.envelope_id));
    assert_eq!((entry.created_at, entry.next_attempt_at), (created_at, due));
    assert_eq!((entry.expires_at, entry.delay_warned), (expires_at, false));
    let content = world.store.queue_content(entry.id).await.unwrap().unwrap();
    assert_eq!(content.read_all().await.unwrap(), mail("queued", "x"));
    assert_eq!(entry.size_octets, content.size_octets);
    assert_eq!(world.store.next_due().await.unwrap(), Some(due));
    assert_eq!(world.store.journey(journey).await.unwrap().unwrap().pending, 1);
    world.check_invariants().await;
}

async fn a_lease_takes_one_message_for_one_domain(world: World) {
    let start = now();
    let recipients = ["a@far.test", "b@near.test", "c@far.test"];
    world.store.accept(queued(&world, &recipients, start).await).await.unwrap();
    world.store.accept(queued(&world, &["d@far.test"], start + MINUTE).await).await.unwrap();
    let before = start - Duration::from_secs(1);
    assert!(world.store.lease(before, MINUTE, 9, &[]).await.unwrap().is_empty());
    let near = world.store.lease(start, MINUTE, 9, &["far.test".into()]).await.unwrap();
    assert_eq!(near.len(), 1);
    assert_eq!(near[0].entries[0].recipient.address, address("b@near.test"));
    let far = lease_one(&world.store, start).await;
    let both: Vec<_> = far.entries.iter().map(|e| e.recipient.address.to_string()).collect();
    assert_eq!(both, ["a@far.test", "c@far.test"]);
    assert!(far.entries.iter().all(|e| e.state == QueueState::Leased));
    assert_eq!(far.until, start + MINUTE);
    assert!(world.store.lease(start, MINUTE, 9, &[]).await.unwrap().is_empty());
    assert_eq!(world.store.next_due().await.unwrap(), Some(start + MINUTE));
    // Both run out; with the later message, three groups.
    let all = world.store.lease(start + MINUTE, MINUTE, 9, &[]).await.unwrap();
    assert_eq!(all.len(), 3);
}

async fn what_a_node_still_holds_is_not_leased_to_it_again(world: World) {
    let start = now();
    world.store.accept(queued(&world, &["a@far.test"], start).await).await.unwrap();
    world.store.accept(queued(&world, &["b@far.test"], start).await).await.unwrap();
    let held = lease_one(&world.store, start).await;
    let ids: Vec<QueueId> = held.entries.iter().map(|entry| entry.id).collect();
    let after = start + 2 * MINUTE;
    let beside = LeaseBeside { held: &ids, ..LeaseBeside::default() };
    let others = world.store.lease_beside(after, MINUTE, 9, beside).await.unwrap();
    assert_eq!(others.len(), 1);
    assert_ne!(others[0].entries[0].id, ids[0]);
    // The outcome is not too late.
    world
        .store
        .settle(held, Settled { entries: vec![(ids[0], Settlement::Ended)], ..none() })
        .await
        .unwrap();
}

async fn what_is_new_can_be_asked_for_alone(world: World) {
    let start = now();
    world.store.accept(queued(&world, &["a@far.test"], start).await).await.unwrap();
    let failed = lease_one(&world.store, start).await;
    let again = Settlement::Retry { at: start, reason: "busy".into(), delay_warned: false };
    let settled = settled(&failed, again);
    world.store.settle(failed, settled).await.unwrap();
    world.store.accept(queued(&world, &["b@far.test"], start).await).await.unwrap();
    let fresh = LeaseBeside { fresh_only: true, ..LeaseBeside::default() };
    let leases = world.store.lease_beside(start, MINUTE, 9, fresh).await.unwrap();
    let leased: Vec<_> = leases.iter().flat_map(|lease| &lease.entries).collect();
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].recipient.address, address("b@far.test"));
    assert_eq!(lease_one(&world.store, start).await.entries[0].attempts, 1);
}

async fn a_lease_given_back_is_due_at_once(world: World) {
    let start = now();
    world.store.accept(queued(&world, &["a@far.test"], start).await).await.unwrap();
    let first = lease_one(&world.store, start).await;
    let later = start + 2 * MINUTE;
    let second = lease_one(&world.store, later).await;
    // The first ran out: it is nobody's to give back.
    world.store.give_back(vec![first.token]).await.unwrap();
    assert!(world.store.lease(later, MINUTE, 9, &[]).await.unwrap().is_empty());
    world.store.give_back(vec![first.token, second.token]).await.unwrap();
    let third = lease_one(&world.store, later).await;
    assert_eq!(third.entries[0].attempts, 0);
    let late = settled(&second, Settlement::Ended);
    assert!(matches!(world.store.settle(second, late).await, Err(SettleError::LeaseLost)));
}

async fn a_row_that_cannot_be_read_stops_only_itself(world: World) {
    let start = now();
    world.store.accept(queued(&world, &["a@far.test", "b@far.test"], start).await).await.unwrap();
    world.store.accept(queued(&world, &["c@near.test"], start).await).await.unwrap();
    let broken = world.store.queue(None, 9).await.unwrap()[0].id;
    let sql = format!("UPDATE queue SET envelope = 'not JSON' WHERE id = {}", broken.0);
    world.execute(&sql).await;
    let leases = world.store.lease(start, MINUTE, 9, &[]).await.unwrap();
    let entries = leases.iter().flat_map(|lease| &lease.entries);
    let mut leased: Vec<_> = entries.map(|e| e.recipient.address.to_string()).collect();
    leased.sort();
    assert_eq!(leased, ["b@far.test", "c@near.test"]);
    // Held: it is not looked at again and again.
    assert_eq!(world.store.next_due().await.unwrap(), Some(start + MINUTE));
    assert_eq!(world.store.queue(None, 9).await.unwrap().len(), 2);
    for lease in leases {
        let settled = settled(&lease, Settlement::Ended);
        world.store.settle(lease, settled).await.unwrap();
    }
    assert_eq!(world.store.next_due().await.unwrap(), None);
}

fn none() -> Settled {
    Settled { entries: Vec::new(), events: Vec::new(), reports: Vec::new() }
}

async fn settling_ends_or_retries(world: World) {
    let start = now();
    let acceptance = queued(&world, &["a@far.test", "b@far.test"], start).await;
    let journey = acceptance.journey;
    world.store.accept(acceptance).await.unwrap();
    let lease = lease_one(&world.store, start).await;
    let retry =
        Settlement::Retry { at: start + MINUTE, reason: "busy\u{0}".into(), delay_warned: true };
    let entries = vec![(lease.entries[0].id, Settlement::Ended), (lease.entries[1].id, retry)];
    let events = vec![accepted_event(), accepted_event()];
    let first = lease.entries[0].id;
    let settled = Settled { entries, events, reports: Vec::new() };
    world.store.settle(lease, settled).await.unwrap();
    assert!(world.store.queue_entry(first).await.unwrap().is_none());
    let left = world.store.queue(Some("far.test"), 10).await.unwrap().remove(0);
    assert_eq!((left.state, left.attempts), (QueueState::Waiting, 1));
    assert_eq!((left.next_attempt_at, left.delay_warned), (start + MINUTE, true));
    assert_eq!(left.last_reason, "busy\u{0}");
    let kept = world.store.journey(journey).await.unwrap().unwrap();
    assert_eq!((kept.pending, kept.events.len()), (1, 3));
    world.check_invariants().await;

    let lease = lease_one(&world.store, start + MINUTE).await;
    let end = self::settled(&lease, Settlement::Ended);
    world.store.settle(lease, end).await.unwrap();
    assert_eq!(world.store.journey(journey).await.unwrap().unwrap().pending, 0);
    assert!(world.store.queue(None, 10).await.unwrap().is_empty());
    assert_eq!(world.store.next_due().await.unwrap(), None);
    world.check_invariants().await;
}

async fn a_lost_lease_changes_nothing(world: World) {
    let start = now();
    let acceptance = queued(&world, &["a@far.test"], start).await;
    let journey = acceptance.journey;
    world.store.accept(acceptance).await.unwrap();
    let second = world.second().await;
    let mut lost = lease_one(&world.store, start).await;
    let mut mine = lease_one(&second, start + MINUTE).await;
    assert!(!world.store.renew(&mut lost, start + 9 * MINUTE).await.unwrap());
    assert!(second.renew(&mut mine, start + 3 * MINUTE).await.unwrap());
    let end = settled(&lost, Settlement::Ended);
    assert!(matches!(world.store.settle(lost, end).await, Err(SettleError::LeaseLost)));
    assert_eq!(world.store.journey(journey).await.unwrap().unwrap().events.len(), 1);
    assert!(second.lease(start + 2 * MINUTE, MINUTE, 1, &[]).await.unwrap().is_empty());
    let end = settled(&mine, Settlement::Ended);
    second.settle(mine, end).await.unwrap();
    world.check_invariants().await;
}

async fn unnamed_entries_become_due_again(world: World) {
    let start = now();
    world.store.accept(queued(&world, &["a@far.test", "b@far.test"], start).await).await.unwrap();
    let lease = lease_one(&world.store, start).await;
    let entries = vec![(lease.entries[0].id, Settlement::Ended)];
    let settled = Settled { entries, events: Vec::new(), reports: Vec::new() };
    world.store.settle(lease, settled).await.unwrap();
    let left = lease_one(&world.store, start).await;
    assert_eq!(left.entries[0].recipient.address, address("b@far.test"));
    assert_eq!(left.entries[0].attempts, 0);
}

async fn reports_are_part_of_the_settlement(world: World) {
    let alice = world.account("alice@wax.test").await;
    let start = now();
    world.store.accept(queued(&world, &["a@far.test"], start).await).await.unwrap();
    let report = async || {
        let bounce = mail("Undelivered", "sorry");
        Acceptance {
            deposits: vec![deposit(&world.store, &alice, &bounce).await],
            envelope: waxwing_message::Envelope::plain(ReversePath::Null, Vec::new()),
            ..acceptance()
        }
    };
    // A report that cannot be delivered: nothing is settled.
    world.store.set_quota(&alice.address, Some(1)).await.unwrap();
    let lease = lease_one(&world.store, start).await;
    let refused = Settled { reports: vec![report().await], ..settled(&lease, Settlement::Ended) };
    let refused = world.store.settle(lease, refused).await;
    assert!(matches!(refused, Err(SettleError::Accept(AcceptError::OverQuota(_)))));
    assert_eq!(world.store.queue(None, 10).await.unwrap().len(), 1);

    world.store.set_quota(&alice.address, None).await.unwrap();
    let mut watch = world.store.watch(alice.id);
    let lease = lease_one(&world.store, start + MINUTE).await;
    let bounced = Settled { reports: vec![report().await], ..settled(&lease, Settlement::Ended) };
    world.store.settle(lease, bounced).await.unwrap();
    watch.changed().await;
    assert_eq!(world.inbox(&alice).await.total, 1);
    assert!(world.store.queue(None, 10).await.unwrap().is_empty());
    world.check_invariants().await;
}

async fn nodes_share_the_work_without_doubles(world: World) {
    let start = now();
    for number in 0..40 {
        let recipients = [format!("a@far{}.test", number % 7), "b@near.test".to_owned()];
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        world.store.accept(queued(&world, &recipients, start).await).await.unwrap();
    }
    let nodes = [world.store.clone(), world.second().await, world.second().await];
    let tasks = nodes.map(|store| {
        tokio::spawn(async move {
            let mut delivered = Vec::new();
            loop {
                let leases = store.lease(start, MINUTE, 3, &[]).await.unwrap();
                if leases.is_empty() {
                    return delivered;
                }
                for lease in leases {
                    delivered.extend(lease.entries.iter().map(|entry| entry.id));
                    let end = settled(&lease, Settlement::Ended);
                    store.settle(lease, end).await.unwrap();
                }
            }
        })
    });
    let mut delivered = Vec::new();
    for task in tasks {
        delivered.extend(task.await.unwrap());
    }
    // One that found nothing because others had all in hand may have stopped early; nothing is left.
    assert_eq!(world.count("SELECT COUNT(*) FROM queue").await, 0);
    assert_eq!(delivered.len(), 80);
    assert_eq!(delivered.into_iter().collect::<HashSet<_>>().len(), 80);
    world.check_invariants().await;
}

async fn operators_hold_release_retry_and_cancel(world: World) {
    let start = now();
    let later = start + 10 * MINUTE;
    let acceptance = queued(&world, &["a@far.test"], later).await;
    let journey = acceptance.journey;
    world.store.accept(acceptance).await.unwrap();
    let (store, id) = (&world.store, world.store.queue(None, 1).await.unwrap()[0].id);
    let state = async || store.queue_entry(id).await.unwrap().unwrap().state;

    store.hold(id, start).await.unwrap();
    assert_eq!(state().await, QueueState::Held);
    assert_eq!(store.next_due().await.unwrap(), None);
    assert!(store.lease(later, MINUTE, 1, &[]).await.unwrap().is_empty());
    store.release(id, start).await.unwrap();
    assert_eq!(
        (state().await, store.next_due().await.unwrap()),
        (QueueState::Waiting, Some(later))
    );
    store.retry_now(id, start).await.unwrap();
    let lease = lease_one(store, start).await;
    for refused in [
        store.hold(id, start).await,
        store.release(id, start).await,
        store.retry_now(id, start).await,
        store.cancel(id, start).await,
    ] {
        assert!(matches!(refused, Err(QueueActionError::Busy)));
    }
    // Once the lease has run out, an operator may; then the lease is lost.
    store.cancel(id, start + MINUTE).await.unwrap();
    let end = settled(&lease, Settlement::Ended);
    assert!(matches!(store.settle(lease, end).await, Err(SettleError::LeaseLost)));
    assert!(matches!(store.hold(id, start).await, Err(QueueActionError::NotFound)));
    let kept = store.journey(journey).await.unwrap().unwrap();
    let actions = kept.events.iter().filter_map(|event| match &event.step {
        Step::Operator { action, recipient } => Some((action.as_str(), recipient.to_string())),
        _ => None,
    });
    let words: Vec<_> = actions
        .map(|(action, to)| {
            assert_eq!(to, "a@far.test");
            action
        })
        .collect();
    assert_eq!(words, ["held", "released", "retried", "cancelled"]);
    assert_eq!(kept.pending, 0);
    world.check_invariants().await;
}

async fn queueing_wakes_the_queue(world: World) {
    let mut watch = world.store.watch_queue();
    world.store.accept(queued(&world, &["a@far.test"], now()).await).await.unwrap();
    watch.changed().await;
    let second = world.second().await;
    let mut elsewhere = second.watch_queue();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(async move { second.run_background(stopped).await });
    if !world.is_sqlite() {
        elsewhere.changed().await;
    }
    world.store.accept(queued(&world, &["b@far.test"], now()).await).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), elsewhere.changed()).await.unwrap();
}

async fn old_journeys_are_forgotten(world: World) {
    let start = now();
    let mut waiting = queued(&world, &["a@far.test"], start).await;
    waiting.now = start - 90 * MINUTE;
    let waiting_id = waiting.journey;
    world.store.accept(waiting).await.unwrap();
    for minutes in [80, 70, 5] {
        let at = start - minutes * MINUTE;
        world.store.accept(Acceptance { now: at, ..acceptance() }).await.unwrap();
    }
    assert_eq!(world.store.forget_journeys(start - 60 * MINUTE).await.unwrap(), 2);
    let left = world.store.recent_journeys(10).await.unwrap();
    assert_eq!(left.len(), 2);
    assert_eq!(left[1].id, waiting_id);
    assert!(left.iter().all(|journey| journey.events.is_empty()));
    assert_eq!(world.store.recent_journeys(1).await.unwrap()[0].id, left[0].id);
    world.store.record(waiting_id, vec![accepted_event()]).await.unwrap();
    assert_eq!(world.store.journey(waiting_id).await.unwrap().unwrap().events.len(), 2);
    // Adding to one that is gone is no error.
    world.store.record(journey_id(), vec![accepted_event()]).await.unwrap();
}
