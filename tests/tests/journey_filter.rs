//! The spam filter is taught by what people do in their mail program, and by the operator; what it
//! learned shows in the next verdict.

use std::time::Duration;

use waxwing_journeys::mail;
use waxwing_journeys::server::{Server, steps};
use waxwing_journeys::waiting::until;
use waxwing_journeys::world::Ground;

const ALICE: &str = "alice@wax.test";
/// Lessons are taken up within a second or two of the change; a busy machine takes longer.
const LEARNING: Duration = Duration::from_secs(60);

fn send(server: &Server, from: &str, subject: &str) -> String {
    let message = mail::plain(from, ALICE, subject);
    server.smtp().send(from, &[ALICE], &message).unwrap().expect(250, "2.0.0").journey()
}

fn learned(server: &Server) -> (u64, u64) {
    let shown = server.cli_json(&["filter", "show", ALICE]);
    (shown["own"]["ham"].as_u64().unwrap(), shown["own"]["spam"].as_u64().unwrap())
}

/// Where a message went: the mailbox of its journey.
fn mailbox(server: &Server, journey: &str) -> String {
    let shown = server.cli_json(&["journey", journey]);
    let deposited = steps(&shown).iter().find(|event| event["step"] == "deposited").cloned();
    deposited.expect("it was deposited")["mailbox"].as_str().unwrap().to_owned()
}

#[test]
fn moving_mail_over_imap_teaches_and_moving_it_back_unteaches() {
    let ground = Ground::new();
    let server = Server::start(ground.setup("wax.test", 1));
    server.add_user("alice");
    // Only the history of a proven sender counts.
    ground.names.zone("shop.test", "@ TXT \"v=spf1 ip4:127.0.0.0/8 -all\"\n");
    let from = "news@shop.test";
    assert_eq!(mailbox(&server, &send(&server, from, "first offer")), "INBOX");
    let mut imap = server.inbox("alice");
    imap.ok("MOVE 1 Junk").unwrap();
    until(LEARNING, "the move is learned from", || learned(&server) == (0, 1));
    assert_eq!(mailbox(&server, &send(&server, from, "second offer")), "Junk");

    imap.ok("SELECT Junk").unwrap();
    imap.ok("MOVE 1 INBOX").unwrap();
    until(LEARNING, "the move back is learned from", || learned(&server) == (1, 0));
    assert_eq!(mailbox(&server, &send(&server, from, "third offer")), "INBOX");
}

#[test]
fn a_mailbox_is_learned_by_the_command_line() {
    let ground = Ground::new();
    let server = Server::start(ground.setup("wax.test", 1));
    server.add_user("alice");
    for n in 0..3 {
        send(&server, &format!("n{n}@shop.test"), "an offer");
    }
    server.cli(&["filter", "learn", ALICE, "INBOX", "--spam"]).ok();
    until(LEARNING, "the mailbox is learned", || learned(&server) == (0, 3));
    // Judged again, they are first unlearned.
    server.cli(&["filter", "learn", ALICE, "INBOX", "--ham"]).ok();
    until(LEARNING, "the mailbox is learned anew", || learned(&server) == (3, 0));
    let unknown = server.cli(&["filter", "learn", ALICE, "Nowhere", "--spam"]).fails();
    assert!(unknown.text().contains("has no mailbox Nowhere"), "{unknown}");
}
