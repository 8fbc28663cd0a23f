//! Blobs: where they lie, when they go, and that none goes too early.

use std::time::Duration;

use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    what_nobody_names_is_swept_after_a_while,
    equal_content_is_kept_once,
    staging_alone_is_not_lost_at_once,
    objects_lie_in_a_folder,
    orphaned_objects_are_swept,
    what_is_not_ours_is_never_swept,
    an_object_completes_what_was_begun_in_the_database,
);

const DAY: Duration = Duration::from_secs(86_400);

/// Larger than a chunk, and not to be compressed away.
fn large(seed: u8) -> Vec<u8> {
    let mut octets = vec![0; 700_000];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut octets);
    octets
}

/// Too large to be written with the row that names it.
fn huge(seed: u8) -> Vec<u8> {
    (seed..seed + 4).flat_map(large).collect()
}

async fn put(store: &Store, mailbox: MailboxId, octets: Vec<u8>) -> Uid {
    let blob = store.stage_bytes(octets).await.unwrap();
    store.append(mailbox, vec![of_blob(blob)]).await.unwrap()[0].uid
}

async fn read(store: &Store, mailbox: MailboxId, uid: Uid) -> Vec<u8> {
    store.content(mailbox, uid).await.unwrap().unwrap().read_all().await.unwrap()
}

async fn what_nobody_names_is_swept_after_a_while(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let small = mail("small", "x");
    for octets in [small.clone(), large(1), large(2)] {
        put(store, inbox, octets).await;
    }
    store.expunge(inbox, &[Uid(1), Uid(2)]).await.unwrap();
    assert_eq!(store.sweep_blobs(now()).await.unwrap(), 0);
    // Found by its hash within that time, it is alive again.
    let again = put(store, inbox, small.clone()).await;
    assert_eq!(store.sweep_blobs(now() + DAY).await.unwrap(), 1);
    assert_eq!(store.sweep_blobs(now() + DAY).await.unwrap(), 0);
    assert_eq!(read(store, inbox, again).await, small);
    assert_eq!(read(store, inbox, Uid(3)).await, large(2));
    assert_eq!(world.count("SELECT COUNT(*) FROM blob_chunks").await, 4);
    world.check_invariants().await;
}

async fn equal_content_is_kept_once(world: World) {
    let bob = world.account("bob@wing.test").await;
    let carol = world.account("carol@wing.test").await;
    let store = &world.store;
    let (his, hers) = (world.inbox(&bob).await.id, world.inbox(&carol).await.id);
    for octets in [mail("same", "x"), large(3)] {
        put(store, his, octets.clone()).await;
        put(store, hers, octets).await;
    }
    assert_eq!(world.count("SELECT COUNT(*) FROM blobs").await, 2);
    store.expunge(his, &[Uid(1), Uid(2)]).await.unwrap();
    store.sweep_blobs(now() + DAY).await.unwrap();
    assert_eq!(read(store, hers, Uid(2)).await, large(3));
    world.check_invariants().await;
}

async fn staging_alone_is_not_lost_at_once(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let staged = store.stage_bytes(huge(4)).await.unwrap();
    assert_eq!(store.sweep_blobs(now()).await.unwrap(), 0);
    // Far later it is, and naming it says so instead of leaving a hole.
    assert_eq!(store.sweep_blobs(now() + DAY).await.unwrap(), 1);
    let refused = store.append(inbox, vec![of_blob(staged)]).await;
    assert!(matches!(refused, Err(AppendError::Store(StoreError::Unavailable(_)))));
    assert_eq!(world.inbox(&bob).await.total, 0);
    world.check_invariants().await;
}

async fn with_objects(world: &World) -> Store {
    let folder = world.folder.path().join("objects");
    let blobs = Some((format!("file://{}", folder.display()), Vec::new()));
    let settings =
        OpenSettings { blobs, ..settings(&world.url, world.folder.path().into(), "objects") };
    Store::open_with(settings, CHEAP).await.unwrap()
}

fn objects(world: &World) -> usize {
    fn files(path: &std::path::Path) -> usize {
        let Ok(found) = std::fs::read_dir(path) else { return 1 };
        found.map(|found| files(&found.unwrap().path())).sum()
    }
    files(&world.folder.path().join("objects"))
}

async fn objects_lie_in_a_folder(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    // Something that is in the database already is found there.
    let before = put(&world.store, inbox, mail("before", "x")).await;
    let store = with_objects(&world).await;
    let huge: Vec<u8> = (0..12u8).flat_map(large).collect();
    let all = [mail("small", "x"), large(5), huge, Vec::new()];
    let mut uids = Vec::new();
    for octets in &all {
        uids.push(put(&store, inbox, octets.clone()).await);
    }
    put(&store, inbox, large(5)).await;
    put(&store, inbox, mail("before", "x")).await;
    assert_eq!(objects(&world), 4);
    assert_eq!(world.count("SELECT COUNT(*) FROM blob_chunks").await, 1);
    for (uid, octets) in uids.iter().zip(&all) {
        assert!(read(&store, inbox, *uid).await == *octets);
    }
    let content = store.content(inbox, uids[2]).await.unwrap().unwrap();
    for (offset, len) in [(0, 5), (262_143, 2), (3_000_000, 4_000_000), (8_399_999, 9)] {
        let to = ((offset + len) as usize).min(all[2].len());
        assert_eq!(content.read(offset, len).await.unwrap(), all[2][offset as usize..to]);
    }
    assert_eq!(read(&store, inbox, before).await, mail("before", "x"));
    world.check_invariants().await;
    // Without an object store, what lies there cannot be read; nothing panics.
    let blind = world.store.content(inbox, uids[1]).await.unwrap().unwrap();
    assert!(matches!(blind.read_all().await, Err(StoreError::Damaged(_))));

    store.expunge(inbox, &uids).await.unwrap();
    store.sweep_blobs(now() + DAY).await.unwrap();
    // large(5) has another entry.
    assert_eq!(objects(&world), 1);
    world.check_invariants().await;
}

async fn orphaned_objects_are_swept(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    let store = with_objects(&world).await;
    let kept = put(&store, inbox, large(6)).await;
    // As a crash between object and row leaves it.
    store.stage_bytes(large(7)).await.unwrap();
    assert_eq!(objects(&world), 2);
    assert_eq!(store.sweep_objects(now()).await.unwrap(), 0);
    assert_eq!(store.sweep_objects(now() + 2 * DAY).await.unwrap(), 1);
    assert_eq!(objects(&world), 1);
    assert_eq!(read(&store, inbox, kept).await, large(6));
}

async fn what_is_not_ours_is_never_swept(world: World) {
    let store = with_objects(&world).await;
    store.stage_bytes(large(8)).await.unwrap();
    let folder = world.folder.path().join("objects");
    std::fs::create_dir_all(folder.join("tls")).unwrap();
    std::fs::write(folder.join("tls/key.pem"), "key").unwrap();
    std::fs::write(folder.join("waxwing.db"), "database").unwrap();
    // Another store in the same place.
    let other = world.folder.path().join("other.db");
    let settings = OpenSettings {
        blobs: Some((format!("file://{}", folder.display()), Vec::new())),
        ..settings(&format!("sqlite:{}", other.display()), world.folder.path().into(), "other")
    };
    let other = Store::open_with(settings, CHEAP).await.unwrap();
    other.stage_bytes(large(8)).await.unwrap();
    assert_eq!(objects(&world), 4);
    assert_eq!(store.sweep_objects(now() + 2 * DAY).await.unwrap(), 1);
    assert_eq!(store.sweep_objects(now() + 2 * DAY).await.unwrap(), 0);
    assert_eq!(objects(&world), 3);
    assert_eq!(other.sweep_objects(now() + 2 * DAY).await.unwrap(), 1);
    assert_eq!(objects(&world), 2);
    other.close().await;
}

async fn an_object_completes_what_was_begun_in_the_database(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    // As a crash halfway through leaves it.
    world.store.stage_bytes(large(9)).await.unwrap();
    world.execute("UPDATE blobs SET complete = 0").await;
    world.execute("DELETE FROM blob_chunks WHERE place % 65536 > 0").await;
    let store = with_objects(&world).await;
    let uid = put(&store, inbox, large(9)).await;
    assert_eq!(objects(&world), 1);
    assert!(read(&store, inbox, uid).await == large(9));
    world.check_invariants().await;
    store.expunge(inbox, &[uid]).await.unwrap();
    store.sweep_blobs(now() + DAY).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM blob_chunks").await, 0);
    assert_eq!(objects(&world), 0);
}
