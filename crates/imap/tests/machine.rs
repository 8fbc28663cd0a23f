//! Three sessions of two people, who share two mailboxes, do whatever comes; beside them goes a model
//! of the mailboxes that is as simple as can be. After each command the session must know what the
//! model says, as far as the server has told it, and nothing that the server has not told it.
//!
//! | | |
//! |---|---|
//! | the model | for each mailbox its messages: UID and flags |
//! | a player | for each sequence number what it was told: UID, flags, or nothing yet |
//!
//! A failure is made smaller before it is shown, with all that was said.

mod support;

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::{Client, LOGIN, World, message};

const BOB: &str = "bob@example.test";
/// The flags by bit.
const FLAGS: [&str; 4] = ["\\Seen", "\\Flagged", "\\Deleted", "$k"];
const DELETED: u8 = 4;

#[derive(Debug, Clone)]
struct Step {
    who: usize,
    act: Act,
    by_uid: bool,
    /// Ends of a range: of the numbers that the session knows, or of the UIDs that were given out.
    ends: (u32, u32),
    flags: u8,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Append { mailbox: usize },
    Store { how: &'static str, silent: bool },
    Copy { to: usize },
    Move,
    Expunge,
    Fetch,
    Search,
    Noop,
    Idle,
    Select { mailbox: usize, examine: bool },
    Close,
    Unselect,
}

fn act() -> impl Strategy<Value = Act> {
    let mailbox = || 0usize..2;
    let how = prop_oneof![Just("+FLAGS"), Just("-FLAGS"), Just("FLAGS")];
    prop_oneof![
        4 => mailbox().prop_map(|mailbox| Act::Append { mailbox }),
        6 => (how, any::<bool>()).prop_map(|(how, silent)| Act::Store { how, silent }),
        3 => mailbox().prop_map(|to| Act::Copy { to }),
        2 => Just(Act::Move),
        3 => Just(Act::Expunge),
        4 => Just(Act::Fetch),
        2 => Just(Act::Search),
        3 => Just(Act::Noop),
        2 => Just(Act::Idle),
        2 => (mailbox(), prop::bool::weighted(0.2))
            .prop_map(|(mailbox, examine)| Act::Select { mailbox, examine }),
        1 => Just(Act::Close),
        1 => Just(Act::Unselect),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    (0usize..3, act(), any::<bool>(), any::<(u32, u32)>(), 0u8..16)
        .prop_map(|(who, act, by_uid, ends, flags)| Step { who, act, by_uid, ends, flags })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Message {
    uid: u32,
    flags: u8,
}

#[derive(Debug, Default)]
struct Mailbox {
    messages: Vec<Message>,
    given: u32,
}

impl Mailbox {
    fn add(&mut self, flags: u8) -> u32 {
        self.given += 1;
        self.messages.push(Message { uid: self.given, flags });
        self.given
    }

    fn get(&self, uid: u32) -> Option<Message> {
        self.messages.iter().find(|message| message.uid == uid).copied()
    }

    fn remove(&mut self, gone: impl Fn(&Message) -> bool) {
        self.messages.retain(|message| !gone(message));
    }
}

/// What a player was told of a message.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    uid: Option<u32>,
    flags: Option<u8>,
}

struct Selected {
    mailbox: usize,
    examined: bool,
    numbers: Vec<Told>,
    /// It was told of the messages up to this UID: what came later is not there for it yet.
    horizon: u32,
}

struct Player {
    client: Client,
    /// What it calls the two mailboxes.
    names: [String; 2],
    selected: Option<Selected>,
    log: Vec<String>,
}

fn words(flags: u8) -> String {
    let set = FLAGS.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

fn bits(words: &str) -> u8 {
    let bit = |word: &str| FLAGS.iter().position(|name| *name == word).expect("a flag of the game");
    words.split_ascii_whitespace().fold(0, |bits, word| bits | 1 << bit(word))
}

impl Player {
    fn story(&self, what: &str) -> String {
        let tail: Vec<&str> = self.log.iter().rev().take(40).rev().map(String::as_str).collect();
        format!("{what}\n{}", tail.join("\n"))
    }

    /// Runs a command; gives its untagged responses and the tagged one.
    async fn run(&mut self, command: &str, renumbers: bool) -> (Vec<String>, String) {
        self.log.push(format!("C: {command}"));
        let mut responses = self.client.command(command).await;
        for response in &responses {
            self.log.push(format!("S: {response}"));
            self.hear(response, renumbers);
        }
        let tagged = responses.pop().expect("a tagged response");
        (responses, tagged)
    }

    fn hear(&mut self, response: &str, renumbers: bool) {
        assert!(!response.starts_with("* BYE"), "{}", self.story("the session ended"));
        let Some(rest) = response.strip_prefix("* ") else { return };
        let Some((number, rest)) = rest.split_once(' ') else { return };
        let Ok(number) = number.parse::<usize>() else { return };
        let Some(selected) = &mut self.selected else { return };
        let (numbers, problem) = (&mut selected.numbers, Cell::new(""));
        let sound = |sound: bool, what: &'static str| {
            if !sound {
                problem.set(what)
            }
        };
        match rest.split(' ').next() {
            Some("EXISTS") => {
                sound(number >= numbers.len(), "the mailbox shrank");
                numbers.resize(number, Told::default());
            }
            Some("EXPUNGE") if number > numbers.len() => problem.set("EXPUNGE of nothing"),
            Some("EXPUNGE") => {
                sound(renumbers, "EXPUNGE where numbers are in use");
                numbers.remove(number - 1);
            }
            Some("FETCH") if number > numbers.len() => problem.set("FETCH of nothing"),
            Some("FETCH") => {
                let told = &mut numbers[number - 1];
                if let Some((_, uid)) = rest.split_once("UID ") {
                    let digits = uid.split(|c: char| !c.is_ascii_digit()).next();
                    let uid = digits.and_then(|digits| digits.parse().ok());
                    sound(told.uid.is_none_or(|known| Some(known) == uid), "a number has moved");
                    told.uid = uid;
                }
                if let Some((_, flags)) = rest.split_once("FLAGS (") {
                    told.flags = Some(bits(flags.split(')').next().unwrap_or_default()));
                }
            }
            _ => {}
        }
        let problem = problem.get();
        assert!(problem.is_empty(), "{}", self.story(problem));
    }

    /// What the player knows agrees with the model. `settled`: it has heard of everything.
    fn check(&mut self, model: &[Mailbox; 2], settled: bool) {
        if let Some(selected) = &mut self.selected {
            selected.horizon = model[selected.mailbox].given;
        }
        let Some(Selected { mailbox, numbers, .. }) = &self.selected else { return };
        let messages = &model[*mailbox].messages;
        let problem = |what: &str| self.story(&format!("{what}: {messages:?} {numbers:?}"));
        let known: Vec<u32> = numbers.iter().filter_map(|told| told.uid).collect();
        assert!(known.is_sorted(), "{}", problem("UIDs do not ascend"));
        let gone = known.iter().filter(|uid| model[*mailbox].get(**uid).is_none()).count();
        assert!(numbers.len() >= messages.len() + gone, "{}", problem("messages are missing"));
        for told in numbers {
            let message = told.uid.and_then(|uid| model[*mailbox].get(uid));
            if let (Some(message), Some(flags)) = (message, told.flags) {
                assert_eq!(flags, message.flags, "{}", problem("other flags"));
            }
        }
        if settled {
            assert_eq!(numbers.len(), messages.len(), "{}", problem("other messages"));
            let fits =
                |(told, message): (&Told, &Message)| told.uid.is_none_or(|u| u == message.uid);
            assert!(numbers.iter().zip(messages).all(fits), "{}", problem("other UIDs"));
        }
    }

    async fn select(&mut self, mailbox: usize, examine: bool) {
        self.selected =
            Some(Selected { mailbox, examined: examine, numbers: Vec::new(), horizon: 0 });
        let verb = if examine { "EXAMINE" } else { "SELECT" };
        let (_, tagged) = self.run(&format!("{verb} \"{}\"", self.names[mailbox]), true).await;
        assert!(tagged.contains(" OK "), "{}", self.story("cannot select"));
    }

    /// A range of messages: its words, and the UIDs that it means, if the player knows them.
    fn range(&self, step: &Step, model: &[Mailbox; 2]) -> Option<(String, Vec<u32>)> {
        let Selected { mailbox, numbers, horizon, .. } = self.selected.as_ref()?;
        // COPY and MOVE look first.
        let looks = matches!(step.act, Act::Copy { .. } | Act::Move);
        let there = |uid: u32| looks || uid <= *horizon;
        let largest = if step.by_uid { model[*mailbox].given } else { numbers.len() as u32 };
        if largest == 0 {
            return None;
        }
        let (a, b) = (step.ends.0 % largest + 1, step.ends.1 % largest + 1);
        let (first, last) = (a.min(b), a.max(b));
        let uids = match step.by_uid {
            true => {
                let alive = |uid: &u32| there(*uid) && model[*mailbox].get(*uid).is_some();
                (first..=last).filter(alive).collect()
            }
            false => {
                let told = &numbers[first as usize - 1..last as usize];
                told.iter().map(|told| told.uid).collect::<Option<Vec<u32>>>()?
            }
        };
        Some((format!("{first}:{last}"), uids))
    }

    async fn act(&mut self, step: &Step, model: &mut [Mailbox; 2]) {
        let verb = |name: &str| if step.by_uid { format!("UID {name}") } else { name.to_owned() };
        match step.act {
            Act::Append { mailbox } => {
                let octets = String::from_utf8(message("x")).expect("ASCII");
                let name = &self.names[mailbox];
                let command = format!(
                    "APPEND \"{name}\" ({}) {{{}+}}\r\n{octets}",
                    words(step.flags),
                    octets.len()
                );
                let (_, tagged) = self.run(&command, true).await;
                let uid = model[mailbox].add(step.flags);
                let expected = format!(" {uid}] ");
                assert!(tagged.contains(&expected), "{}", self.story("another UID"));
                return self.check(model, true);
            }
            Act::Select { mailbox, examine } => {
                self.select(mailbox, examine).await;
                return self.check(model, true);
            }
            Act::Noop => {
                self.run("NOOP", true).await;
                return self.check(model, true);
            }
            _ => {}
        }
        let Some(selected) = &self.selected else {
            self.select(step.who % 2, false).await;
            return self.check(model, true);
        };
        let (mailbox, examined, horizon) = (selected.mailbox, selected.examined, selected.horizon);
        match step.act {
            Act::Idle => {
                self.run("IDLE\r\nDONE", true).await;
                self.check(model, true);
            }
            Act::Close | Act::Unselect => {
                let closes = matches!(step.act, Act::Close);
                if closes && !examined {
                    model[mailbox].remove(|m| m.flags & DELETED > 0 && m.uid <= horizon);
                }
                self.run(if closes { "CLOSE" } else { "UNSELECT" }, true).await;
                self.selected = None;
            }
            Act::Search => {
                let flag = step.flags.trailing_zeros().min(2) as usize;
                let key = ["SEEN", "FLAGGED", "DELETED"][flag];
                let (found, _) = self.run(&format!("UID SEARCH {key}"), true).await;
                let fitting = model[mailbox].messages.iter().filter(|m| m.flags >> flag & 1 == 1);
                let uids: Vec<String> = fitting.map(|m| format!(" {}", m.uid)).collect();
                let expected = format!("* SEARCH{}", uids.concat());
                assert!(found.contains(&expected), "{}", self.story(&expected));
                self.check(model, true);
            }
            _ => match self.range(step, model) {
                Some((set, uids)) => self.on_messages(step, model, verb, &set, uids).await,
                None => {
                    // Nothing is known of those messages: a client would look first.
                    self.run("UID FETCH 1:* FLAGS", true).await;
                    self.check(model, true);
                }
            },
        }
    }

    async fn on_messages(
        &mut self,
        step: &Step,
        model: &mut [Mailbox; 2],
        verb: impl Fn(&str) -> String,
        set: &str,
        uids: Vec<u32>,
    ) {
        let selected = self.selected.as_ref().expect("a mailbox is selected");
        let (from, examined, horizon) = (selected.mailbox, selected.examined, selected.horizon);
        let alive: Vec<Message> = uids.iter().filter_map(|uid| model[from].get(*uid)).collect();
        let missing = alive.len() < uids.len();
        let (tagged, settled) = match step.act {
            Act::Fetch => {
                let command = format!("{} {set} (UID FLAGS)", verb("FETCH"));
                let (_, tagged) = self.run(&command, step.by_uid).await;
                (tagged, step.by_uid)
            }
            Act::Store { how, silent } => {
                let dot = if silent { ".SILENT" } else { "" };
                let flags = words(step.flags);
                if !examined {
                    let given = step.flags;
                    let change = |old: u8| match how {
                        "+FLAGS" => old | given,
                        "-FLAGS" => old & !given,
                        _ => given,
                    };
                    let stored = model[from].messages.iter_mut().filter(|m| uids.contains(&m.uid));
                    stored.for_each(|message| message.flags = change(message.flags));
                    // RFC 9051 §6.4.6: the client assumes what it is not told.
                    if silent {
                        self.assume(&uids, how == "FLAGS", change);
                    }
                }
                let command = format!("{} {set} {how}{dot} ({flags})", verb("STORE"));
                let (_, tagged) = self.run(&command, step.by_uid).await;
                let refused = examined || (missing && !step.by_uid);
                assert_eq!(tagged.contains(" NO "), refused, "{}", self.story("STORE"));
                return self.check(model, step.by_uid);
            }
            Act::Copy { .. } | Act::Move => {
                let moves = matches!(step.act, Act::Move);
                let to = if let Act::Copy { to } = step.act { to } else { 1 - from };
                let name = if moves { "MOVE" } else { "COPY" };
                let command = format!("{} {set} \"{}\"", verb(name), self.names[to]);
                // RFC 2180 §4.4: one that is gone keeps the others, where numbers name them.
                let refused = (moves && examined) || (missing && !step.by_uid);
                let first = model[to].given + 1;
                if !refused {
                    for message in &alive {
                        model[to].add(message.flags);
                    }
                    if moves {
                        model[from].remove(|message| uids.contains(&message.uid));
                    }
                }
                let (untagged, tagged) = self.run(&command, true).await;
                assert_eq!(tagged.contains(" NO "), refused, "{}", self.story(name));
                if !refused && !alive.is_empty() {
                    let last = model[to].given;
                    let new =
                        if first == last { first.to_string() } else { format!("{first}:{last}") };
                    let all = [untagged, vec![tagged.clone()]].concat();
                    let told = |line: &String| line.contains(&format!(" {new}] "));
                    assert!(all.iter().any(told), "{}", self.story("other UIDs"));
                }
                (tagged, true)
            }
            Act::Expunge => {
                let command = match step.by_uid {
                    true => format!("UID EXPUNGE {set}"),
                    false => "EXPUNGE".to_owned(),
                };
                if !examined {
                    let named = |message: &Message| match step.by_uid {
                        true => uids.contains(&message.uid),
                        false => message.uid <= horizon,
                    };
                    model[from].remove(|message| message.flags & DELETED > 0 && named(message));
                }
                let (_, tagged) = self.run(&command, true).await;
                assert_eq!(tagged.contains(" NO "), examined, "{}", self.story("EXPUNGE"));
                (tagged, true)
            }
            _ => unreachable!("it is not about messages"),
        };
        assert!(!tagged.contains(" BAD "), "{}", self.story("not understood"));
        self.check(model, settled);
    }

    fn assume(&mut self, uids: &[u32], whole: bool, change: impl Fn(u8) -> u8) {
        let Some(selected) = &mut self.selected else { return };
        for told in &mut selected.numbers {
            if told.uid.is_some_and(|uid| uids.contains(&uid)) {
                let known = told.flags.or(whole.then_some(0));
                told.flags = known.map(&change);
            }
        }
    }
}

/// What the store has.
async fn stored(world: &World, id: waxwing_store::MailboxId) -> Vec<Message> {
    let (entries, _) = world.store.entries(id).await.expect("the store answers");
    let one = |entry: &waxwing_store::Entry| {
        let system = entry.flags.system.0;
        let keyword = u8::from(entry.flags.keywords.is_some()) << 3;
        // \Seen, \Flagged, \Deleted, as the store has their bits.
        let flags = (system & 1) | (system >> 2 & 1) << 1 | (system >> 3 & 1) << 2 | keyword;
        Message { uid: entry.uid.0, flags }
    };
    entries.iter().map(one).collect()
}

async fn play(world: &World, game: u32, steps: &[Step]) {
    let names = [format!("Hers{game}"), format!("His{game}")];
    let (mut alice, mut bob) = (world.client().await, world.client_of(BOB).await);
    for (owner, name, other) in [(&mut alice, &names[0], BOB), (&mut bob, &names[1], LOGIN)] {
        owner.ok(&format!("CREATE {name}")).await;
        owner.ok(&format!("SETACL {name} {other} lrswite")).await;
    }
    let second = world.client().await;
    let mut players: Vec<Player> = [(alice, 0), (second, 0), (bob, 1)]
        .into_iter()
        .map(|(client, own)| {
            let owner = [LOGIN, BOB][1 - own];
            let mut names = names.clone();
            names[1 - own] = format!("Other Users/{owner}/{}", names[1 - own]);
            Player { client, names, selected: None, log: Vec::new() }
        })
        .collect();
    let mut model = [Mailbox::default(), Mailbox::default()];
    for step in steps {
        players[step.who].act(step, &mut model).await;
    }
    for player in players.iter_mut().filter(|player| player.selected.is_some()) {
        player.run("NOOP", true).await;
        player.run("UID FETCH 1:* FLAGS", true).await;
        player.check(&model, true);
        let numbers = &player.selected.as_ref().expect("it is").numbers;
        assert!(numbers.iter().all(|told| told.uid.is_some() && told.flags.is_some()));
    }
    let bob = waxwing_message::Address::parse(BOB).expect("an address");
    let bob = world.store.account_by_address(&bob).await.expect("a store").expect("Bob").id;
    for (account, name, mailbox) in
        [(world.account, &names[0], &model[0]), (bob, &names[1], &model[1])]
    {
        let found = world.store.mailbox_by_name(account, name).await.expect("a store");
        let id = found.expect("a mailbox").id;
        assert_eq!(stored(world, id).await, mailbox.messages);
    }
}

#[test]
fn whatever_they_do_they_know_what_is() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(async {
        let world = World::new().await;
        world.account(BOB).await;
        world
    });
    let config = Config { cases: 32, failure_persistence: None, ..Config::default() };
    let games = Cell::new(0);
    let outcome =
        TestRunner::new(config).run(&proptest::collection::vec(step(), 1..120), |steps| {
            games.set(games.get() + 1);
            runtime.block_on(play(&world, games.get(), &steps));
            Ok(())
        });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
