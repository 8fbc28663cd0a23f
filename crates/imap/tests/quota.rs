//! An account with a quota (RFC 9208).

mod support;

use support::{LOGIN, World, message};
use waxwing_message::Address;

#[tokio::test]
async fn what_is_used_and_what_is_too_much() {
    let world = World::new().await;
    let alice = Address::parse(LOGIN).expect("an address");
    world.store.set_quota(&alice, Some(10 * 1024 + 100)).await.expect("a quota");
    let mut client = world.in_inbox().await;
    let answer = client.ok("GETQUOTA \"\"").await;
    assert_eq!(answer[0], "* QUOTA \"\" (STORAGE 0 10)");
    let kept = [message("kept"), vec![b'x'; 6 * 1024]].concat();
    client.append("INBOX", &kept).await;
    let answer = client.ok("GETQUOTAROOT Trash").await;
    assert_eq!(answer[..2], ["* QUOTAROOT \"Trash\" \"\"", "* QUOTA \"\" (STORAGE 7 10)"]);
    let over = client.append("INBOX", &kept).await;
    assert!(over.last().is_some_and(|last| last.contains("NO [OVERQUOTA]")), "{over:?}");
    let over = client.command("COPY 1 Trash").await;
    assert!(over.last().is_some_and(|last| last.contains("NO [OVERQUOTA]")), "{over:?}");
    // RFC 8508 §3.4: only the difference counts.
    client.send(format!("r UID REPLACE 1 INBOX {{{}+}}\r\n", kept.len())).await;
    client.send(&kept).await;
    client.send("\r\n").await;
    let replaced = client.until("r").await;
    assert!(replaced.last().is_some_and(|last| last.starts_with("r OK")), "{replaced:?}");
    // Too large for that: the old one stays.
    let larger = [kept.clone(), vec![b'x'; 6 * 1024]].concat();
    client.send(format!("s UID REPLACE 2 INBOX {{{}+}}\r\n", larger.len())).await;
    client.send(&larger).await;
    client.send("\r\n").await;
    let refused = client.until("s").await;
    assert!(refused.last().is_some_and(|last| last.contains("[OVERQUOTA]")), "{refused:?}");
    assert_eq!(client.ok("UID SEARCH ALL").await[0], "* SEARCH 2");
}
