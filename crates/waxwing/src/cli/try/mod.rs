//! `waxwing try`: two whole domains exchange mail on this computer.
//!
//! A DNS server of ours in this process, and two servers, `wax.test` and `wing.test`, each a process
//! of its own with its own configuration, data folder and certificate. A message goes from
//! alice@wax.test to bob@wing.test by real submission, real MX lookup and real SMTP with STARTTLS;
//! its steps are printed as they happen, and it is read back by real IMAP and compared. `--once`
//! does the same in both directions and ends.

mod look;
mod scenes;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use jiff::Timestamp;
use rand::RngExt as _;
use serde_json::{Value, json};
use waxwing_message::compose::{Draft, Mailbox};
use waxwing_message::{Address, Envelope, JourneyId, ReversePath};
use waxwing_store::Journey;

use super::{Context, journey, print};
use scenes::Scene;
use world::{Server, World};

/// How long a message may take before we call it lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the journey is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Starts the demonstration world.
#[derive(Args)]
pub struct Try {
    /// Send one message in each direction, then stop; the exit code tells whether both arrived intact.
    #[arg(long)]
    once: bool,
    /// Keep the world's data in this folder instead of a temporary one.
    #[arg(long, value_name = "FOLDER")]
    data: Option<std::path::PathBuf>,
}

/// One message's way from one server to the other.
struct Crossing {
    from: Address,
    to: Address,
    message_id: String,
    intact: bool,
    /// As its recipient read it.
    as_read: Vec<u8>,
    sent: Journey,
    received: Journey,
}

impl Try {
    pub async fn run(self, context: &Context) -> Result<ExitCode> {
        let say = |text: &str| {
            if !context.json {
                println!("{text}");
            }
        };
        say(
            "Starting a small world: two mail servers, a third that forwards, and a DNS that knows them.\n",
        );
        let mut world = World::start(self.data.as_deref()).await?;
        if !context.json {
            world.describe();
        }
        let outcome = tokio::select! {
            outcome = self.exchange(context, &world) => outcome,
            _ = tokio::signal::ctrl_c() => { world.stop().await; return Ok(ExitCode::SUCCESS); }
        };
        let (crossings, scenes) = match outcome {
            Ok(all) => all,
            Err(error) => {
                world.stop().await;
                return Err(error);
            }
        };
        let intact = crossings.iter().all(|crossing| crossing.intact)
            && scenes.iter().all(Scene::is_as_expected);
        if context.json {
            print::json(&as_json(&world, &crossings, &scenes, intact));
        }
        if !self.once {
            if !context.json {
                world.invite();
            }
            let gone = tokio::select! {
                _ = tokio::signal::ctrl_c() => None,
                name = world.wait_for_a_death() => Some(name),
            };
            if let Some(name) = gone {
                world.stop().await;
                bail!("the server {name} ended by itself: its log is above");
            }
            say("\nStopping. The world and its mail are gone.");
        }
        world.stop().await;
        Ok(if intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn exchange(
        &self,
        context: &Context,
        world: &World,
    ) -> Result<(Vec<Crossing>, Vec<Scene>)> {
        let mut crossings = vec![cross(context, &world.wax, &world.wing).await?];
        if self.once {
            crossings.push(cross(context, &world.wing, &world.wax).await?);
        }
        let scenes = scenes::play(context, world, &crossings[0]).await?;
        scenes::conclude(context, &scenes);
        Ok((crossings, scenes))
    }
}

/// Sends a message from one server's person to the other's and follows it.
async fn cross(context: &Context, from: &Server, to: &Server) -> Result<Crossing> {
    let (message_id, octets) = compose(from, to);
    if !context.json {
        println!(
            "{} writes to {}, and hands the message to {}:\n",
            from.person, to.person, from.hostname
        );
    }
    let envelope =
        Envelope::plain(ReversePath::Address(from.person.clone()), vec![to.person.clone()]);
    let submitted = from.submit(envelope, octets.clone()).await?;
    let sent = follow(context, from, submitted)
        .await
        .with_context(|| format!("following it at {}", from.hostname))?;
    let arrival = arrival_of(to, &message_id).await?;
    if !context.json {
        println!("\nMeanwhile at {}:\n", to.hostname);
    }
    let received = follow(context, to, arrival)
        .await
        .with_context(|| format!("following it at {}", to.hostname))?;
    let found = look::fetch_by_message_id(to, &message_id).await.context("reading it by IMAP")?;
    // What was sent must stand at the end, octet by octet; only trace fields may come before it.
    let intact = found.ends_with(&octets);
    if !context.json {
        match intact {
            true => println!("\n{} reads it over IMAP: it arrived as it was sent.\n", to.person),
            false => println!("\n{} reads it over IMAP: IT WAS CHANGED ON THE WAY.\n", to.person),
        }
    }
    Ok(Crossing {
        from: from.person.clone(),
        to: to.person.clone(),
        message_id,
        intact,
        as_read: found,
        sent,
        received,
    })
}

fn compose(from: &Server, to: &Server) -> (String, Vec<u8>) {
    let mut rng = rand::rng();
    let unique: u128 = rng.random();
    let message_id = format!("{unique:032x}@{}", from.person.domain());
    let text = format!(
        "Hello {},\r\n\r\nthis travelled the whole road: submission, queue, MX lookup, SMTP under TLS,\r\n\
         and into your mailbox. Ask how:\r\n\r\n  waxwing journey {message_id}\r\n\r\n\
         . a line that begins with a dot, and naïve UTF-8: žluťoučký kůň, 邮件\r\n",
        to.name,
    );
    let octets = Draft::new()
        .from(Mailbox::named(&from.name, from.person.clone()))
        .to(Mailbox::named(&to.name, to.person.clone()))
        .subject("A first message – ahoj!")
        .date(Timestamp::now())
        .message_id(&message_id)
        .text(text)
        .to_bytes(rng.random());
    (message_id, octets)
}

/// Waits until every recipient is done, printing each step as it appears.
async fn follow(context: &Context, server: &Server, id: JourneyId) -> Result<Journey> {
    let mut printed = 0;
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = server.store.journey(id).await? {
            if !context.json {
                for event in &found.events[printed..] {
                    journey::draw_event(event, found.started_at);
                }
            }
            printed = found.events.len();
            if found.pending == 0 {
                return Ok(found);
            }
        }
        if tokio::time::Instant::now() > until {
            bail!("the message is still on its way after {} seconds", PATIENCE.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The journey at the receiving end.
async fn arrival_of(server: &Server, message_id: &str) -> Result<JourneyId> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) =
            server.store.journeys_by_message_id(message_id).await?.into_iter().next()
        {
            return Ok(found.id);
        }
        if tokio::time::Instant::now() > until {
            bail!("the message did not arrive at {}", server.hostname);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn as_json(world: &World, crossings: &[Crossing], scenes: &[Scene], ok: bool) -> Value {
    let messages: Vec<Value> = crossings
        .iter()
        .map(|c| {
            json!({
                "from": c.from,
                "to": c.to,
                "message_id": c.message_id,
                "intact": c.intact,
                "journey_at_sender": journey::as_json(&c.sent),
                "journey_at_recipient": journey::as_json(&c.received),
            })
        })
        .collect();
    let scenes: Vec<Value> = scenes.iter().map(Scene::as_json).collect();
    json!({
        "ok": ok,
        "dns": world.dns,
        "servers": world.as_json(),
        "messages": messages,
        "scenes": scenes,
    })
}
