//! What the demonstration shows about trust: a forged message, one altered in transit, and one
//! forwarded through a third domain; where each ended, and why.

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use rand::RngExt as _;
use serde_json::{Value, json};
use waxwing_message::compose::{Draft, Mailbox};
use waxwing_message::journey::{Check, Finding, Step, Verdict};
use waxwing_message::{Address, Envelope, JourneyId, ReversePath};
use waxwing_store::Journey;

use super::world::{Server, World};
use super::{Crossing, arrival_of, follow};
use crate::cli::{Context, journey, submit};

/// Where forgers connect from: an address that no domain of this world knows.
const NOWHERE: [u8; 4] = [127, 0, 0, 66];

/// One message and where it ended.
pub struct Scene {
    name: &'static str,
    /// What should become of it, in words.
    expected: &'static str,
    as_expected: bool,
    journey: Journey,
}

impl Scene {
    pub fn is_as_expected(&self) -> bool {
        self.as_expected
    }

    pub fn as_json(&self) -> Value {
        json!({
            "scene": self.name,
            "expected": self.expected,
            "as_expected": self.as_expected,
            "journey": journey::as_json(&self.journey),
        })
    }
}

/// All of them, one after another, printed as they happen.
pub async fn play(context: &Context, world: &World, first: &Crossing) -> Result<Vec<Scene>> {
    let forged = forged(context, world).await.context("the forged message")?;
    let altered = altered(context, world, first).await.context("the altered message")?;
    let forwarded = forwarded(context, world).await.context("the forwarded message")?;
    Ok(vec![forged, altered, forwarded])
}

/// From alice@wax.test, says its header; from nowhere, says everything else.
async fn forged(context: &Context, world: &World) -> Result<Scene> {
    say(
        context,
        "A forger, connecting from 127.0.0.66, sends wing.test a message that claims to be from\n\
         alice@wax.test:\n",
    );
    let octets = letter(&world.wax, &world.wing.person, "Urgent", "Bob, send money at once.\r\n");
    refused(context, world, "forged", octets, |findings| {
        result(findings, Check::Dmarc) == Some("fail")
    })
    .await
}

/// A genuine, signed message that somebody changed on its way.
async fn altered(context: &Context, world: &World, first: &Crossing) -> Result<Scene> {
    say(
        context,
        "Somebody on the way keeps Alice's signed message, changes its text, and sends it on:\n",
    );
    let wanted = b"DKIM-Signature:";
    let signature = first.as_read.windows(wanted.len()).position(|octets| octets == wanted);
    let signed = &first.as_read[signature.context("Alice's message is not signed")?..];
    let text = String::from_utf8_lossy(signed).replace("travelled the whole road", "took a detour");
    refused(context, world, "altered in transit", text.into_bytes(), |findings| {
        findings.iter().any(|one| {
            one.check == Check::Dkim && one.result == "fail" && one.reason.contains("body")
        })
    })
    .await
}

/// Sends from nowhere what is to be refused for the reason that `holds` looks for.
async fn refused(
    context: &Context,
    world: &World,
    name: &'static str,
    octets: Vec<u8>,
    holds: impl Fn(&[Finding]) -> bool,
) -> Result<Scene> {
    let sender = ReversePath::Address(Address::new("forger", "nowhere.test")?);
    let envelope = Envelope::plain(sender, vec![world.wing.person.clone()]);
    let server = submit::Server {
        host: world.wing.hostname.clone(),
        address: (world.wing.ip, world.wing.port("smtp")).into(),
        source: Some(NOWHERE.into()),
        implicit_tls: false,
        roots: Some(world.wing.certificate()),
        login: None,
    };
    let (taken, reply) = match submit::submit(&server, envelope, octets).await {
        Ok(reply) => (true, reply.text.into_owned()),
        Err(error) => (false, format!("{error:#}")),
    };
    let id = named(&reply).with_context(|| format!("no journey is named in: {reply}"))?;
    let journey = follow(context, &world.wing, id).await?;
    let findings = findings(&journey);
    let scene = Scene {
        name,
        expected: "refused by wing.test, since wax.test asks to refuse what is not proven to be its own",
        as_expected: !taken && is_refused_for_good(&journey) && holds(&findings),
        journey,
    };
    say(context, "");
    Ok(scene)
}

/// From Alice through friends@mill.test, which forwards to Bob.
async fn forwarded(context: &Context, world: &World) -> Result<Scene> {
    let (wax, mill, wing) = (&world.wax, &world.mill, &world.wing);
    let friends = Address::new("friends", mill.person.domain())?;
    say(
        context,
        "Alice writes to friends@mill.test, an address that leads on to Bob. wing.test gets it from\n\
         mill.test, which may not send for wax.test; but the signature holds, mill.test has sealed\n\
         what it saw (ARC), and bounces would come back (SRS):\n",
    );
    let octets = letter(wax, &friends, "By way of a friend", "Hello, by a detour.\r\n");
    let message_id = waxwing_message::Message::parse(&octets).message_id().unwrap_or_default();
    let envelope = Envelope::plain(ReversePath::Address(wax.person.clone()), vec![friends]);
    wax.submit(envelope, octets).await?;
    let at_mill = arrival_of(mill, &message_id).await?;
    say(context, "At mx.mill.test:\n");
    follow(context, mill, at_mill).await?;
    let at_wing = arrival_of(wing, &message_id).await?;
    say(context, "\nAt mx.wing.test:\n");
    let journey = follow(context, wing, at_wing).await?;
    let found = findings(&journey);
    let accepted = journey
        .events
        .iter()
        .any(|event| matches!(&event.step, Step::Judged { verdict: Verdict::Accept, .. }));
    let rewritten = journey.reverse_path.address().is_some_and(|path| {
        path.domain() == mill.person.domain() && path.local_part().starts_with("SRS0=")
    });
    let holds = [Check::Spf, Check::Dkim, Check::Dmarc, Check::Arc]
        .into_iter()
        .all(|check| result(&found, check) == Some("pass"));
    say(context, "");
    Ok(Scene {
        name: "forwarded",
        expected: "accepted by wing.test: DKIM holds, ARC holds, SPF passes for mill.test's own reverse-path",
        as_expected: accepted && rewritten && holds,
        journey,
    })
}

fn letter(from: &Server, to: &Address, subject: &str, text: &str) -> Vec<u8> {
    let mut rng = rand::rng();
    let unique: u128 = rng.random();
    Draft::new()
        .from(Mailbox::named(&from.name, from.person.clone()))
        .to(to.clone())
        .subject(subject)
        .date(Timestamp::now())
        .message_id(format!("{unique:032x}@{}", from.person.domain()))
        .text(text)
        .to_bytes(rng.random())
}

fn is_refused_for_good(journey: &Journey) -> bool {
    journey.events.iter().any(|event| matches!(event.step, Step::Refused { code: 550, .. }))
}

fn findings(journey: &Journey) -> Vec<Finding> {
    let examined = journey.events.iter().find_map(|event| match &event.step {
        Step::Examined { findings, .. } => Some(findings.clone()),
        _ => None,
    });
    examined.unwrap_or_default()
}

fn result(findings: &[Finding], check: Check) -> Option<&str> {
    findings.iter().find(|one| one.check == check).map(|one| one.result.as_str())
}

/// The journey that a reply names, wherever it stands in it.
fn named(reply: &str) -> Option<JourneyId> {
    let words = reply.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.len() == 32).find_map(|word| word.parse().ok())
}

fn say(context: &Context, text: &str) {
    if !context.json {
        println!("{text}");
    }
}

/// What each scene came to, at the end.
pub fn conclude(context: &Context, scenes: &[Scene]) {
    if context.json {
        return;
    }
    println!("What became of them:\n");
    for scene in scenes {
        let mark = if scene.as_expected { "as it should" } else { "NOT AS IT SHOULD" };
        println!("  {:<20} {mark}: {}", scene.name, scene.expected);
    }
    println!();
}
