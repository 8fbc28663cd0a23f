//! The ground that the other tests stand on, proved without Waxwing: Postfix takes and keeps mail,
//! PostgreSQL answers, the flood keeps honest account, names resolve.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use waxwing_journeys::flood::Flood;
use waxwing_journeys::mail;
use waxwing_journeys::postfix::{self, Postfix};
use waxwing_journeys::postgres::Postgres;
use waxwing_journeys::smtp::Smtp;
use waxwing_journeys::waiting::SOON;
use waxwing_journeys::world::Ground;

fn postfix(ground: &Ground) -> Postfix {
    let address = ground.net.at(3, 2525);
    let pair = ground.authority.issue("mail.foreign.test", &[address.ip()]);
    Postfix::start(postfix::Setup {
        address,
        pair: &pair,
        roots: &ground.authority.root,
        users: &["carol", "dave"],
        transports: &[],
        extra: "",
    })
}

#[test]
fn postfix_takes_mail_over_starttls_and_keeps_it() {
    let ground = Ground::new();
    let postfix = postfix(&ground);
    let mut smtp = Smtp::greeted(postfix.address).unwrap();
    smtp.command("STARTTLS").unwrap().expect(220, "2.0.0");
    smtp.wire.start_tls(&ground.authority.client(), "mail.foreign.test").unwrap();
    smtp.command("EHLO client.test").unwrap().expect(250, "");
    let sent = mail::plain("a@client.test", "carol@foreign.test", "hello");
    smtp.send("a@client.test", &["carol@foreign.test"], &sent).unwrap().expect(250, "2.0.0");
    let arrived = postfix.wait_for_mail("carol", 1, SOON);
    assert!(mail::arrived_intact(&sent, &arrived[0]));
    assert!(mail::field(&arrived[0], "Received").unwrap().contains("TLSv1.3"));
}

#[test]
fn a_flood_of_postfix_arrives_as_accounted() {
    let ground = Ground::new();
    let postfix = postfix(&ground);
    let flood = Flood {
        servers: vec![postfix.address],
        login: None,
        from: "a@client.test".to_owned(),
        recipients: &|n| match n % 3 {
            0 => vec!["carol@foreign.test".to_owned()],
            1 => vec!["dave@foreign.test".to_owned()],
            _ => vec!["carol@foreign.test".to_owned(), "dave@foreign.test".to_owned()],
        },
        count: 60,
        connections: 4,
        body_octets: 2_000,
        within: Duration::from_secs(60),
    };
    let accepted = AtomicUsize::new(0);
    let ledger = flood.run(&accepted);
    assert_eq!(accepted.load(Ordering::Relaxed), 60);
    for user in ["carol", "dave"] {
        let messages = postfix.wait_for_mail(user, 40, SOON);
        let ids: Vec<String> =
            messages.iter().filter_map(|message| mail::field(message, "X-Flood-Id")).collect();
        ledger.check(&format!("{user}@foreign.test"), &ids, 0);
    }
}

#[test]
fn postgresql_answers() {
    let postgres = Postgres::start();
    let url = postgres.database("one");
    assert!(url.starts_with("postgres:///one?host=/"), "{url}");
    assert_eq!(postgres.psql("one", "select 6 * 7").ok().out().trim(), "42");
}
