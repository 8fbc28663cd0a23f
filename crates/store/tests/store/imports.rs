//! Moving in: each message once, whatever is repeated and whatever became of it since.

use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    a_repetition_adds_nothing,
    what_was_moved_or_deleted_does_not_come_back,
    marks_only_go_forward,
    over_quota_leaves_nothing_behind,
    what_is_noted_is_known,
    a_mailbox_is_read_piece_by_piece,
);

fn print(number: u8) -> ImportPrint {
    ImportPrint([number; 16])
}

async fn import(world: &World, number: u8) -> NewImport {
    let message = mail(&format!("message {number}"), "x");
    let message = new_message(&world.store, &message, Flags::default()).await;
    NewImport { print: print(number), message }
}

async fn a_repetition_adds_nothing(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    let first = vec![import(&world, 1).await, import(&world, 2).await];
    assert_eq!(world.store.import(inbox, first, None).await.unwrap(), [true, true]);
    // One of old, one of new, and that one twice at once.
    let again = vec![import(&world, 2).await, import(&world, 3).await, import(&world, 3).await];
    assert_eq!(world.store.import(inbox, again, None).await.unwrap(), [false, true, false]);
    let (entries, _) = world.store.entries(inbox).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.uid).collect::<Vec<_>>(), [Uid(1), Uid(2), Uid(3)]);
    let before = world.store.mailbox(inbox).await.unwrap().unwrap().highest_modseq;
    let again = vec![import(&world, 1).await];
    assert_eq!(world.store.import(inbox, again, None).await.unwrap(), [false]);
    let after = world.store.mailbox(inbox).await.unwrap().unwrap().highest_modseq;
    assert_eq!(before, after, "no client is told of a change that was none");
    let missing = world.store.import(MailboxId(99_999), Vec::new(), None).await;
    assert!(matches!(missing, Err(AppendError::NoMailbox)));
    world.check_invariants().await;
}

async fn what_was_moved_or_deleted_does_not_come_back(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    let amy = world.account("amy@wing.test").await;
    let hers = world.inbox(&amy).await.id;
    let both = vec![import(&world, 1).await, import(&world, 2).await];
    world.store.import(inbox, both, None).await.unwrap();
    let archive = world.store.mailbox_by_name(bob.id, "Archive").await.unwrap().unwrap().id;
    world.store.move_entries(inbox, &[Uid(1)], archive).await.unwrap();
    world.store.expunge(inbox, &[Uid(2)]).await.unwrap();
    let again = vec![import(&world, 1).await, import(&world, 2).await];
    assert_eq!(world.store.import(inbox, again, None).await.unwrap(), [false, false]);
    // Another account has not seen them.
    let other = vec![import(&world, 1).await];
    assert_eq!(world.store.import(hers, other, None).await.unwrap(), [true]);
    world.store.remove_account(&address("bob@wing.test")).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM imported").await, 1, "they go with the account");
    world.check_invariants().await;
}

async fn marks_only_go_forward(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    let source = [7; 16];
    assert_eq!(world.store.import_mark(bob.id, source).await.unwrap(), None);
    for (uid, expected) in [(40, 40), (30, 40), (41, 41)] {
        let mark = ImportMark { source, uid: Uid(uid) };
        world.store.import(inbox, Vec::new(), Some(mark)).await.unwrap();
        let found = world.store.import_mark(bob.id, source).await.unwrap();
        assert_eq!(found, Some(Uid(expected)));
    }
    assert_eq!(world.store.import_mark(bob.id, [8; 16]).await.unwrap(), None);
}

async fn over_quota_leaves_nothing_behind(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    world.store.set_quota(&address("bob@wing.test"), Some(10)).await.unwrap();
    let mark = ImportMark { source: [1; 16], uid: Uid(5) };
    let refused = world.store.import(inbox, vec![import(&world, 1).await], Some(mark)).await;
    assert!(matches!(refused, Err(AppendError::OverQuota)));
    assert_eq!(world.store.known_imports(bob.id, vec![print(1)]).await.unwrap(), [false]);
    assert_eq!(world.store.import_mark(bob.id, [1; 16]).await.unwrap(), None);
    world.store.set_quota(&address("bob@wing.test"), None).await.unwrap();
    let taken = world.store.import(inbox, vec![import(&world, 1).await], Some(mark)).await;
    assert_eq!(taken.unwrap(), [true]);
    world.check_invariants().await;
}

async fn what_is_noted_is_known(world: World) {
    let bob = world.account("bob@wing.test").await;
    let asked = vec![print(1), print(2)];
    assert_eq!(world.store.known_imports(bob.id, asked.clone()).await.unwrap(), [false, false]);
    for _ in 0..2 {
        world.store.note_imports(bob.id, vec![print(2)]).await.unwrap();
    }
    assert_eq!(world.store.known_imports(bob.id, asked).await.unwrap(), [false, true]);
}

async fn a_mailbox_is_read_piece_by_piece(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    for subject in ["1", "2", "3", "4", "5"] {
        append(&world.store, inbox, &mail(subject, "x")).await;
    }
    world.store.expunge(inbox, &[Uid(2)]).await.unwrap();
    let (mut after, mut pieces) = (Uid(0), Vec::new());
    loop {
        let piece = world.store.entries_after(inbox, after, 2).await.unwrap();
        let Some(last) = piece.last() else { break };
        after = last.uid;
        pieces.push(piece.iter().map(|entry| entry.uid.0).collect::<Vec<_>>());
    }
    assert_eq!(pieces, [vec![1, 3], vec![4, 5]]);
    let (entries, _) = world.store.entries(inbox).await.unwrap();
    let outline = |entry: &Entry| Outline {
        uid: entry.uid,
        size_octets: entry.size_octets,
        system: entry.flags.system,
    };
    let all: Vec<Outline> = entries.iter().map(outline).collect();
    assert_eq!(world.store.outlines(inbox).await.unwrap(), all);
    assert!(world.store.entries_after(MailboxId(99_999), Uid(0), 2).await.unwrap().is_empty());
}
