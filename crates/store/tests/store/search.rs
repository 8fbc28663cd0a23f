//! Search: the same answers before and after indexing, on both engines.

use waxwing_store::*;

use crate::world::*;

crate::on_both!(
    answers_are_the_same_before_and_after_indexing,
    large_attachments_are_not_text_and_long_texts_are_found,
    texts_with_too_many_terms_are_read_directly,
    a_bad_message_holds_up_nobody,
    expunged_messages_are_forgotten,
    accounts_do_not_see_each_other,
    hundreds_are_found_quickly,
    the_background_indexes_what_comes,
);

const MULTIPART: &str = "From: Zoë Ångström <zoe@wax.test>\r\nTo: bob@wing.test\r\n\
Subject: =?utf-8?q?R=C3=A9sum=C3=A9?= of the year\r\nX-Secret: hiddenword\r\nMIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
RMOpasOgIHZ1OiBsZSBjaGF0IG5vaXIgZG9ydC4K\r\n--b\r\n\
Content-Type: text/html\r\n\r\n<p>Invoice <b>num</b>ber</p><script>evil()</script>\r\n--b\r\n\
Content-Type: application/pdf; name=\"Rechnung-Mai.pdf\"\r\n\
Content-Disposition: attachment; filename=\"Rechnung-Mai.pdf\"\r\n\r\nsecretpdf\r\n--b\r\n\
Content-Type: message/rfc822\r\n\r\nSubject: forwarded thing\r\n\r\ninner words\r\n--b--\r\n";

async fn answers_are_the_same_before_and_after_indexing(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    append(store, inbox, MULTIPART.as_bytes()).await;
    append(store, inbox, &mail("plain", "Hello big wide world,\r\nit's 3.14 o'clock")).await;
    append(store, inbox, "Subject: 件名\r\n\r\n日本語のメール。東京都\r\n".as_bytes()).await;
    store.copy(inbox, &[Uid(2)], inbox).await.unwrap();

    let questions: &[(&str, bool, &[u32])] = &[
        ("hello", false, &[2, 4]),
        ("HÉLLO", false, &[2, 4]),
        ("hel", false, &[2, 4]),
        ("ello", false, &[]),
        ("big wide", false, &[2, 4]),
        ("wide big", false, &[]),
        ("world, it's", false, &[2, 4]),
        ("3.14", false, &[2, 4]),
        ("3.15", false, &[]),
        ("deja vu", false, &[1]),
        ("chat noir", true, &[1]),
        ("number", false, &[1]),
        ("evil", false, &[]),
        ("rechnung-mai", false, &[1]),
        ("secretpdf", true, &[]),
        ("inner", false, &[1]),
        ("forwarded thing", false, &[1]),
        ("resume", false, &[]),
        ("resume", true, &[1]),
        ("angstrom", true, &[1]),
        ("zoe@wax.test", true, &[1]),
        ("hiddenword", true, &[]),
        ("本語", false, &[3]),
        ("語", false, &[3]),
        ("京都", false, &[3]),
        ("メール", false, &[3]),
        ("日語", false, &[]),
        ("件", false, &[]),
        ("件名", true, &[3]),
        ("。", false, &[3]),
        ("'", false, &[2, 4]),
        ("nothing like it", true, &[]),
    ];
    for indexed in [false, true] {
        if indexed {
            assert_eq!(store.index_some(2).await.unwrap(), 2);
            assert_eq!(store.index_some(100).await.unwrap(), 1);
            assert_eq!(store.index_some(100).await.unwrap(), 0);
        }
        for (text, headers_too, expected) in questions {
            let found = store.search_text(inbox, text, *headers_too).await.unwrap();
            let found: Vec<u32> = found.into_iter().map(|uid| uid.0).collect();
            assert_eq!(found, *expected, "{text:?}, indexed: {indexed}");
        }
    }
    let all = store.search_text(inbox, "", false).await.unwrap();
    assert_eq!(all.len(), 4);
    assert!(store.search_text(MailboxId(777), "hello", true).await.unwrap().is_empty());
}

async fn large_attachments_are_not_text_and_long_texts_are_found(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let long = format!("{} needle at the very end", "word after word\r\n".repeat(100_000));
    append(store, inbox, &mail("long", &long)).await;
    append(store, inbox, &mail("short", "needle")).await;
    store.index_some(10).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM messages WHERE indexed = 2").await, 1);
    assert_eq!(store.search_text(inbox, "needle", false).await.unwrap(), [Uid(1), Uid(2)]);
    assert_eq!(store.search_text(inbox, "needless", false).await.unwrap(), []);
}

async fn texts_with_too_many_terms_are_read_directly(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    // Pairs of three-octet characters: more octets of terms than of text.
    let number = |i: u64| 0x4e00 + (i * i % 20_011 + i / 997) as u32;
    let han = (0..200_000u64).map(|i| char::from_u32(number(i)).unwrap());
    let han: String = han.collect();
    assert!(han.len() < 1 << 20);
    append(store, inbox, &mail("han", &format!("{han} needle"))).await;
    store.index_some(10).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM messages WHERE indexed = 2").await, 1);
    assert_eq!(store.search_text(inbox, "needle", false).await.unwrap(), [Uid(1)]);
}

async fn a_bad_message_holds_up_nobody(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    for subject in ["no-summary", "no-octets", "good"] {
        append(store, inbox, &mail(subject, &format!("needle {subject}"))).await;
    }
    let first = "(SELECT message FROM entries WHERE uid = 1)";
    world
        .execute(&format!(
            "UPDATE messages SET summary = keywords FROM mailboxes \
        WHERE messages.id = {first}"
        ))
        .await;
    world
        .execute(
            "DELETE FROM blob_chunks WHERE place / 65536 = (SELECT m.blob FROM entries e \
        JOIN messages m ON m.id = e.message WHERE e.uid = 2)",
        )
        .await;
    assert_eq!(store.index_some(10).await.unwrap(), 3);
    assert_eq!(store.index_some(10).await.unwrap(), 0);
    assert_eq!(world.count("SELECT COUNT(*) FROM messages WHERE indexed = 2").await, 2);
    assert_eq!(world.count("SELECT COUNT(*) FROM messages WHERE indexed = 1").await, 1);
}

async fn expunged_messages_are_forgotten(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    for body in ["first needle", "second needle"] {
        append(store, inbox, &mail("x", body)).await;
    }
    store.index_some(10).await.unwrap();
    let terms = if world.is_sqlite() {
        "SELECT COUNT(*) FROM search WHERE search MATCH '\"bneedle\"'"
    } else {
        "SELECT COUNT(*) FROM search WHERE words @@ '''bneedle'''::tsquery"
    };
    assert_eq!(world.count(terms).await, 2);
    store.expunge(inbox, &[Uid(1)]).await.unwrap();
    assert_eq!(world.count(terms).await, 1);
    assert_eq!(store.search_text(inbox, "needle", false).await.unwrap(), [Uid(2)]);
    // Expunged before its turn came: nothing is left behind.
    append(store, inbox, &mail("x", "third needle")).await;
    store.expunge(inbox, &[Uid(3)]).await.unwrap();
    assert_eq!(store.index_some(10).await.unwrap(), 0);
    assert_eq!(world.count(terms).await, 1);
}

async fn accounts_do_not_see_each_other(world: World) {
    let bob = world.account("bob@wing.test").await;
    let carol = world.account("carol@wing.test").await;
    let (his, hers) = (world.inbox(&bob).await.id, world.inbox(&carol).await.id);
    append(&world.store, his, &mail("x", "shared words")).await;
    append(&world.store, hers, &mail("x", "shared secrets")).await;
    world.store.index_some(10).await.unwrap();
    assert_eq!(world.store.search_text(his, "shared", false).await.unwrap(), [Uid(1)]);
    assert!(world.store.search_text(his, "secrets", false).await.unwrap().is_empty());
    assert_eq!(world.store.search_text(hers, "shared secrets", false).await.unwrap(), [Uid(1)]);
}

async fn hundreds_are_found_quickly(world: World) {
    let bob = world.account("bob@wing.test").await;
    let (inbox, store) = (world.inbox(&bob).await.id, &world.store);
    let mut messages = Vec::new();
    for number in 0..400 {
        let octets = mail(&format!("s{number}"), &format!("common number{number} words"));
        messages.push(new_message(store, &octets, Flags::default()).await);
    }
    store.append(inbox, messages).await.unwrap();
    while store.index_some(64).await.unwrap() > 0 {}
    assert_eq!(store.search_text(inbox, "common", false).await.unwrap().len(), 400);
    assert_eq!(store.search_text(inbox, "number7", false).await.unwrap().len(), 11);
    assert_eq!(store.search_text(inbox, "common number77", false).await.unwrap(), [Uid(78)]);
}

async fn the_background_indexes_what_comes(world: World) {
    let bob = world.account("bob@wing.test").await;
    let inbox = world.inbox(&bob).await.id;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let store = world.store.clone();
    let background = tokio::spawn(async move { store.run_background(stopped).await });
    for round in 1..=2 {
        append(&world.store, inbox, &mail("x", "needle")).await;
        let indexed = async {
            while world.count("SELECT COUNT(*) FROM messages WHERE indexed = 1").await < round {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), indexed).await.unwrap();
    }
    stop.send(true).unwrap();
    background.await.unwrap();
}
