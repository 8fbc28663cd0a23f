//! Notes kept with mailboxes and with the server: who sees them, how many there can be.

use waxwing_store::*;

use crate::world::*;

crate::on_both!(private_and_shared, all_or_nothing, they_go_with_their_mailbox);

async fn set(world: &World, mailbox: Option<MailboxId>, who: &Account, name: &str, value: &[u8]) {
    let entries = vec![(name.to_owned(), Some(value.to_vec()))];
    world.store.set_metadata(mailbox, who.id, entries).await.unwrap();
}

async fn seen(world: &World, mailbox: Option<MailboxId>, who: &Account) -> Vec<String> {
    let entries = world.store.metadata(mailbox, who.id).await.unwrap();
    entries.into_iter().map(|(name, v)| format!("{name}={}", String::from_utf8_lossy(&v))).collect()
}

async fn private_and_shared(world: World) {
    let (bob, ann) = (world.account("bob@wing.test").await, world.account("ann@wing.test").await);
    let inbox = Some(world.inbox(&bob).await.id);
    set(&world, inbox, &bob, "/private/comment", b"his").await;
    set(&world, inbox, &ann, "/private/comment", b"hers").await;
    set(&world, inbox, &ann, "/shared/comment", b"first").await;
    set(&world, inbox, &bob, "/shared/comment", b"a\0b").await;
    set(&world, None, &bob, "/private/x", b"").await;
    assert_eq!(seen(&world, inbox, &bob).await, ["/private/comment=his", "/shared/comment=a\0b"]);
    assert_eq!(seen(&world, inbox, &ann).await, ["/private/comment=hers", "/shared/comment=a\0b"]);
    assert_eq!(seen(&world, None, &bob).await, ["/private/x="]);
    assert!(seen(&world, None, &ann).await.is_empty());
    let digests = world.store.metadata_digests(ann.id).await.unwrap();
    assert_eq!(digests.len(), 1, "what is not shared with her is not hers to notice");
    let digests = world.store.metadata_digests(bob.id).await.unwrap();
    assert_eq!(digests.iter().filter(|(mailbox, ..)| *mailbox == inbox).count(), 2);
    set(&world, inbox, &bob, "/shared/comment", b"other").await;
    assert_ne!(world.store.metadata_digests(bob.id).await.unwrap(), digests);
    let remove = vec![("/shared/comment".to_owned(), None), ("/private/none".to_owned(), None)];
    world.store.set_metadata(inbox, ann.id, remove).await.unwrap();
    assert_eq!(seen(&world, inbox, &ann).await, ["/private/comment=hers"]);
}

async fn all_or_nothing(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = Some(world.inbox(&bob).await.id);
    let set = |names: Vec<String>, octets: usize| {
        let entries = names.into_iter().map(|name| (name, Some(vec![b'x'; octets]))).collect();
        world.store.set_metadata(inbox, bob.id, entries)
    };
    let shared = |n: std::ops::Range<u32>| n.map(|n| format!("/shared/{n}")).collect::<Vec<_>>();
    set(shared(0..200), 1).await.unwrap();
    assert!(matches!(set(shared(199..201), 1).await, Err(MetadataError::TooMany)));
    set(shared(0..2), 2).await.unwrap();
    assert!(matches!(set(shared(0..40), 30_000).await, Err(MetadataError::TooMany)));
    set(shared(0..30), 30_000).await.unwrap();
    let long = set(vec!["/private/a".into()], METADATA_VALUE_OCTETS_MAX + 1).await;
    assert!(matches!(long, Err(MetadataError::TooLong)));
    assert_eq!(seen(&world, inbox, &bob).await.len(), 200);
    let nowhere = vec![("/private/a".to_owned(), Some(Vec::new()))];
    let nowhere = world.store.set_metadata(Some(MailboxId(4711)), bob.id, nowhere).await;
    assert!(matches!(nowhere, Err(MetadataError::NotFound)));
}

async fn they_go_with_their_mailbox(world: World) {
    let (bob, ann) = (world.account("bob@wing.test").await, world.account("ann@wing.test").await);
    let made = world.store.create_mailbox(bob.id, "work", None).await.unwrap();
    set(&world, Some(made.id), &ann, "/private/comment", b"hers").await;
    set(&world, Some(made.id), &bob, "/shared/comment", b"his").await;
    world.store.rename_mailbox(bob.id, "work", "play").await.unwrap();
    assert_eq!(seen(&world, Some(made.id), &bob).await, ["/shared/comment=his"]);
    world.store.delete_mailbox(bob.id, "play").await.unwrap();
    set(&world, None, &ann, "/private/x", b"y").await;
    world.store.remove_account(&ann.address).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM metadata").await, 0);
}
