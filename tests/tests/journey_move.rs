//! Mail moves in and out: from files that other programs wrote, from other servers, and into files that
//! other programs read. Each message once, whatever is repeated or killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use waxwing_journeys::dovecot::{self, Dovecot};
use waxwing_journeys::imap::Imap;
use waxwing_journeys::mail;
use waxwing_journeys::process::{Daemon, Ran, run, tool};
use waxwing_journeys::server::{Server, binary, password};
use waxwing_journeys::world::{Ground, World};

const PATIENCE: Duration = Duration::from_secs(240);
const ALICE: &str = "alice@wax.test";

/// wax.test with alice and amy, running, and the ground it stands on.
fn wax() -> (Server, Ground) {
    let ground = Ground::new();
    let server = Server::prepare(ground.setup("wax.test", 1));
    server.add_user("alice");
    server.add_user("amy");
    let mut server = server;
    server.run();
    (server, ground)
}

fn python(arguments: &[&str]) -> Ran {
    let mut command = Command::new(tool("python3", "python3"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/mailboxes.py"));
    run(command_with(command, arguments), b"", PATIENCE).ok()
}

fn command_with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

/// What Python's mailbox module finds, by Message-ID.
fn read_by_python(kind: &str, path: &Path) -> Vec<Value> {
    let out = python(&["read", kind, path.to_str().unwrap()]).out();
    let mut all: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    all.sort_by_key(|one| one["id"].as_str().unwrap_or_default().to_owned());
    all
}

/// A message as IMAP shows it: subject, flags, INTERNALDATE, and every octet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    date: String,
    flags: Vec<String>,
    octets: Vec<u8>,
}

impl Shown {
    fn subject(&self) -> String {
        mail::field(&self.octets, "Subject").unwrap_or_default().trim().to_owned()
    }
}

fn shown(at: SocketAddr, user: &str, secret: &str, mailbox: &str) -> Vec<Shown> {
    let mut imap = Imap::connect(at).unwrap();
    imap.ok(&format!("LOGIN \"{user}\" \"{secret}\"")).unwrap();
    imap.ok(&format!("EXAMINE \"{mailbox}\"")).unwrap();
    let fetched = imap.ok("UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])").unwrap();
    let mut all: Vec<Shown> = fetched
        .iter()
        .filter(|response| !response.literals.is_empty())
        .map(|response| {
            let flags = response.line.split_once("FLAGS (").unwrap().1.split(')').next().unwrap();
            let mut flags: Vec<String> = flags
                .split_whitespace()
                .filter(|flag| *flag != "\\Recent")
                .map(str::to_owned)
                .collect();
            flags.sort();
            let date =
                response.line.split_once("INTERNALDATE \"").unwrap().1.split('"').next().unwrap();
            Shown { date: date.to_owned(), flags, octets: response.literals[0].clone() }
        })
        .collect();
    all.sort();
    all
}

fn mail_of(server: &Server, local: &str, mailbox: &str) -> Vec<Shown> {
    let user = format!("{local}@{}", server.setup.domain);
    shown(server.at("imap"), &user, &password(local), mailbox)
}

#[track_caller]
fn import(server: &Server, arguments: &[&str]) -> Value {
    let mut all = vec!["import"];
    all.extend(arguments);
    server.cli_json(&all)
}

#[track_caller]
fn counts(outcome: &Value, imported: u64, already_here: u64) {
    let found = (outcome["imported"].as_u64(), outcome["already_here"].as_u64());
    assert_eq!(found, (Some(imported), Some(already_here)), "{outcome:#}");
}

#[test]
fn an_mbox_that_python_wrote_comes_once_and_goes_back() {
    let (server, ground) = wax();
    let file = ground.folder.path().join("old.mbox");
    let path = file.to_str().unwrap();
    python(&["write", "mbox", path, "40"]);
    let dry = import(&server, &["--dry-run", ALICE, "mbox", path]);
    counts(&dry, 40, 0);
    assert!(!server.cli(&["message", "list", ALICE, "--mailbox", "old"]).out().contains("number"));
    counts(&import(&server, &[ALICE, "mbox", path]), 40, 0);
    counts(&import(&server, &[ALICE, "mbox", path]), 0, 40);
    let all = mail_of(&server, "alice", "old");
    assert_eq!(all.len(), 40);
    let fifth = all.iter().find(|one| one.subject() == "number 10").unwrap();
    assert_eq!(fifth.flags, ["\\Flagged", "\\Seen"]);
    assert_eq!(fifth.date, "14-Nov-2023 22:13:30 +0000");
    let text = String::from_utf8(fifth.octets.clone()).unwrap();
    assert!(text.contains("\r\n\r\nFrom here to there\r\n"), "{text}");
    assert!(!text.contains("Status:"), "{text}");

    // Out again, and Python reads the same as it wrote.
    let folder = ground.folder.path().join("out");
    let out =
        server.cli_json(&["export", ALICE, "mbox", folder.to_str().unwrap(), "--mailbox", "old"]);
    assert_eq!(out["exported"], 40);
    let mode = std::fs::metadata(folder.join("old.mbox")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
    assert_eq!(mode & 0o077, 0, "mail is its owner's only");
    let (written, exported) =
        (read_by_python("mbox", &file), read_by_python("mbox", &folder.join("old.mbox")));
    assert_eq!(written, exported);
    let again =
        server.cli(&["export", ALICE, "mbox", folder.to_str().unwrap(), "--mailbox", "old"]);
    assert!(again.fails().text().contains("--replace"));
}

#[test]
fn a_maildir_that_python_wrote_comes_once_and_goes_back() {
    let (server, ground) = wax();
    let folder = ground.folder.path().join("Maildir");
    let path = folder.to_str().unwrap();
    python(&["write", "maildir", path, "30"]);
    counts(&import(&server, &[ALICE, "maildir", path]), 30, 0);
    counts(&import(&server, &[ALICE, "maildir", path]), 0, 30);
    let inbox = mail_of(&server, "alice", "INBOX");
    let work = mail_of(&server, "alice", "Work/Entw&APw-rfe");
    assert_eq!((inbox.len(), work.len()), (15, 15));
    let tenth = inbox.iter().find(|one| one.subject() == "number 10").unwrap();
    assert_eq!(tenth.flags, ["\\Flagged", "\\Seen"]);
    assert_eq!(tenth.date, "14-Nov-2023 22:13:30 +0000");
    let fifth = work.iter().find(|one| one.subject() == "number 5").unwrap();
    assert_eq!(fifth.flags, ["\\Flagged"]);

    let out = ground.folder.path().join("out");
    let export = || server.cli_json(&["export", ALICE, "maildir", out.to_str().unwrap()]);
    assert_eq!(export()["exported"], 30);
    assert_eq!(export()["already_there"], 30);
    assert_eq!(read_by_python("maildir", &out), read_by_python("maildir", &folder));
    // A flag that changed here changes there, in the same file.
    let mut imap = server.inbox("alice");
    imap.ok("UID STORE 1 +FLAGS (\\Answered work)").unwrap();
    assert_eq!(export()["already_there"], 30);
    let answered = read_by_python("maildir", &out);
    let answered = answered.iter().filter(|one| one["flags"].as_str().unwrap().contains('R'));
    assert_eq!(answered.count(), 1);
    assert_eq!(std::fs::read_to_string(out.join("dovecot-keywords")).unwrap(), "0 work\n");
}

#[test]
fn an_account_comes_back_from_its_export() {
    let (server, ground) = wax();
    let mut imap = server.inbox("alice");
    for name in ["Work", "Work/2024", "Gr&APwA3w-e"] {
        imap.ok(&format!("CREATE \"{name}\"")).unwrap();
    }
    let flags =
        ["", "\\Seen", "\\Seen \\Answered $Forwarded", "\\Flagged \\Draft work $Junk", "\\Deleted"];
    for (number, (_, message)) in mail::gallery("bob@wing.test", ALICE).into_iter().enumerate() {
        let mailbox = ["INBOX", "Work", "Work/2024", "Gr&APwA3w-e", "Sent"][number % 5];
        let (flags, octets) = (flags[number % flags.len()], message.len());
        let command = format!(
            "APPEND \"{mailbox}\" ({flags}) \"{:02}-Jul-1996 02:44:25 -0700\" {{{octets}+}}\r\n",
            number % 28 + 1
        );
        let command = [command.as_bytes(), &message].concat();
        imap.tag += 1;
        let tag = format!("a{}", imap.tag);
        imap.wire.send([tag.as_bytes(), b" ", &command, b"\r\n"].concat()).unwrap();
        while !imap.response().unwrap().line.starts_with(&format!("{tag} OK")) {}
    }
    for kind in ["mbox", "maildir"] {
        let folder = ground.folder.path().join(kind);
        let path = folder.to_str().unwrap();
        let out = server.cli_json(&["export", ALICE, kind, path]);
        assert!(out["exported"].as_u64().unwrap() > 5, "{out:#}");
        let address = server.add_user(kind);
        let outcome = import(&server, &[&address, kind, path]);
        assert_eq!(outcome["imported"], out["exported"], "{outcome:#}");
        for mailbox in ["INBOX", "Work", "Work/2024", "Gr&APwA3w-e", "Sent", "Drafts"] {
            let (was, is) = (mail_of(&server, "alice", mailbox), mail_of(&server, kind, mailbox));
            assert_eq!(was.len(), is.len(), "{kind} {mailbox}");
            for (was, is) in was.iter().zip(&is) {
                assert_eq!(
                    (&was.date, &was.flags),
                    (&is.date, &is.flags),
                    "{kind} {}",
                    was.subject()
                );
                assert!(was.octets == is.octets, "{kind}: {} changed", was.subject());
            }
        }
    }
}

fn ours(ground: &Ground, at: &str) -> Vec<String> {
    let root = ground.authority.root.to_str().unwrap().to_owned();
    vec!["--roots".to_owned(), root, at.to_owned()]
}

/// `import ADDRESS imap …` with a password in a file.
fn import_imap(
    server: &Server,
    ground: &Ground,
    address: &str,
    login: &str,
    secret: &str,
    more: &[&str],
) -> Ran {
    let file = ground.folder.path().join("import-password");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let mut all = vec!["import", address, "imap", "--json", "--login", login, "--password-file"];
    all.push(file.to_str().unwrap());
    all.extend(more);
    server.cli(&all)
}

#[test]
fn a_whole_dovecot_moves_in() {
    let (server, ground) = wax();
    let pair = ground.authority.issue("imap.old.test", &[ground.net.host(9)]);
    let folder = ground.folder.path().join("dovecot");
    let old = Dovecot::start(&folder, ground.net.at(9, 2143), ground.net.at(9, 2993), &pair, "");
    for number in 0..70 {
        let mailbox = ["INBOX", "Sent", "Deleted Items", "Projekte/Größe"][number % 4];
        if mailbox.contains('/') && number == 3 {
            old.doveadm(&["mailbox", "create", "-u", "carl", "Projekte.Größe"], b"");
        }
        let message = mail::plain("x@old.test", "carl@old.test", &format!("number {number}"));
        old.save("carl", &mailbox.replace('/', "."), &message);
    }
    let mut imap = Imap::inbox(old.imap, "carl", dovecot::PASSWORD).unwrap();
    imap.ok("STORE 2 +FLAGS (\\Seen \\Flagged $Forwarded urgent)").unwrap();

    let (tls, clear) = (old.imaps.to_string(), old.imap.to_string());
    let run = |more: &[&str]| {
        let root = ours(&ground, more[0]);
        let mut all: Vec<&str> = root.iter().map(String::as_str).collect();
        all.extend(&more[1..]);
        import_imap(&server, &ground, ALICE, "carl", dovecot::PASSWORD, &all)
    };
    counts(&run(&[&tls, "--dry-run"]).ok().json(), 70, 0);
    counts(&run(&[&clear, "--tls", "starttls"]).ok().json(), 70, 0);
    // From the mark on: nothing is fetched again.
    counts(&run(&[&clear, "--tls", "starttls"]).ok().json(), 0, 0);
    for (theirs, ours) in [
        ("INBOX", "INBOX"),
        ("Sent", "Sent"),
        ("Deleted Items", "Trash"),
        ("Projekte.Gr&APYA3w-e", "Projekte/Gr&APYA3w-e"),
    ] {
        let (was, is) =
            (shown(old.imap, "carl", dovecot::PASSWORD, theirs), mail_of(&server, "alice", ours));
        assert!(!was.is_empty() && was == is, "{ours}: {} and {}", was.len(), is.len());
    }

    // What came since, and nothing else.
    old.save("carl", "INBOX", &mail::plain("x@old.test", "carl@old.test", "later"));
    counts(&run(&[&tls]).ok().json(), 1, 0);
    // The same mail by another way: its Maildir.
    counts(&import(&server, &[ALICE, "maildir", old.maildir("carl").to_str().unwrap()]), 0, 71);
    // One mailbox, for somebody else, below another.
    let path = old.maildir("carl");
    counts(
        &import(&server, &["amy@wax.test", "maildir", path.to_str().unwrap(), "--into", "Old"]),
        71,
        0,
    );
    assert_eq!(mail_of(&server, "amy", "Old/Sent").len(), 18);

    // Its certificate is not trusted by those who do not know the authority; a wrong password is told.
    let refused = import_imap(&server, &ground, ALICE, "carl", dovecot::PASSWORD, &[&tls]);
    assert!(refused.fails().text().contains("certificate does not pass"));
    let root = ours(&ground, &tls);
    let root: Vec<&str> = root.iter().map(String::as_str).collect();
    let refused = import_imap(&server, &ground, ALICE, "carl", "a guess", &root);
    assert!(refused.fails().text().contains("refuses the login"));
}

#[test]
fn from_one_waxwing_to_another_and_into_a_full_account() {
    let world = World::start();
    for number in 0..12 {
        let message = mail::plain("amy@wax.test", ALICE, &format!("number {number}"));
        world
            .wax
            .submission("amy")
            .send("amy@wax.test", &[ALICE], &message)
            .unwrap()
            .expect(250, "2.0.0");
    }
    let at = world.wax.at("imaps").to_string();
    let root = ours(&world.ground, &at);
    let root: Vec<&str> = root.iter().map(String::as_str).collect();
    let bob = "bob@wing.test";
    let size = mail_of(&world.wax, "alice", "INBOX")[0].octets.len();
    world.wing.cli(&["user", "quota", bob, &format!("{}", size * 5 + 20)]).ok();
    let full =
        import_imap(&world.wing, &world.ground, bob, ALICE, &password("alice"), &root).fails();
    let outcome = full.json();
    assert_eq!(
        (outcome["imported"].as_u64(), outcome["over_quota"].as_bool()),
        (Some(5), Some(true))
    );
    world.wing.cli(&["user", "quota", bob, "none"]).ok();
    let rest = import_imap(&world.wing, &world.ground, bob, ALICE, &password("alice"), &root).ok();
    counts(&rest.json(), 7, 5);
    assert_eq!(mail_of(&world.wing, "bob", "INBOX"), mail_of(&world.wax, "alice", "INBOX"));
}

#[test]
fn what_came_by_other_ways_is_not_imported_again() {
    let (server, ground) = wax();
    let sent = mail::plain("amy@wax.test", ALICE, "delivered");
    server.submission("amy").send("amy@wax.test", &[ALICE], &sent).unwrap().expect(250, "2.0.0");
    let delivered = server.wait_for_mail("alice", 1, Duration::from_secs(30)).remove(0).octets;
    let other = mail::plain("amy@wax.test", ALICE, "another");
    let folder = ground.folder.path().join("Maildir");
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    std::fs::write(folder.join("cur/1.a.b:2,S"), &delivered).unwrap();
    std::fs::write(
        folder.join("new/2.a.b"),
        String::from_utf8(other).unwrap().replace("\r\n", "\n"),
    )
    .unwrap();
    std::fs::write(folder.join("new/3.empty"), "").unwrap();
    let path = folder.to_str().unwrap();
    let ran = server.cli(&["import", ALICE, "maildir", path, "--json"]).fails();
    counts(&ran.json(), 1, 1);
    assert_eq!(ran.json()["failed"], 1, "{ran}");
    assert!(ran.json()["failures"][0]["message"].as_str().unwrap().ends_with("3.empty"), "{ran}");
    assert_eq!(mail_of(&server, "alice", "INBOX").len(), 2);
}

#[test]
fn an_import_that_is_killed_again_and_again_brings_each_message_once() {
    const MESSAGES: usize = 3_000;
    let (server, ground) = wax();
    let file = ground.folder.path().join("many.mbox");
    python(&["write", "mbox", file.to_str().unwrap(), &MESSAGES.to_string()]);
    let begin = |number: usize| {
        let log = ground.folder.path().join(format!("import-{number}.log"));
        let configure = |command: &mut Command| {
            command.arg("import").arg("--config").arg(server.config());
            command.args([ALICE, "mbox"]).arg(&file).args(["--mailbox", "Many"]);
        };
        Daemon::start("waxwing import", &binary(), configure, &log, None, Some(Stdio::null()))
    };
    let total = || {
        let shown = server.cli_json(&["user", "show", ALICE]);
        let all = shown["mailboxes"].as_array().unwrap().clone();
        let many = all.iter().find(|mailbox| mailbox["name"] == "Many");
        many.map_or(0, |many| many["messages"].as_u64().unwrap())
    };
    let mut kills = 0;
    for number in 0..4 {
        let before = total();
        let mut running = begin(number);
        // Killed as soon as it has got further.
        while running.is_running() && total() <= before + 100 {}
        kills += u32::from(running.is_running());
        running.kill();
    }
    assert!(kills > 1, "it was too quick to be killed");
    let cut = total();
    assert!(cut > 0 && cut < MESSAGES as u64, "{cut} after {kills} kills");
    let rest = import(&server, &[ALICE, "mbox", file.to_str().unwrap(), "--mailbox", "Many"]);
    assert_eq!(
        rest["imported"].as_u64().unwrap() + rest["already_here"].as_u64().unwrap(),
        MESSAGES as u64
    );
    let mut imap = server.inbox("alice");
    imap.ok("EXAMINE Many").unwrap();
    let ids = imap.fetch_field("Message-ID").unwrap();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (MESSAGES, MESSAGES));
    println!("{MESSAGES} messages, {kills} kills; the last run took {} s", rest["seconds"]);
}

/// A server that gives five messages for each connection, none with the number `deadly`, and every
/// seventh only to those who ask for it alone.
fn moody_server(at: SocketAddr, messages: u32, deadly: u32) {
    let listener = TcpListener::bind(at).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = moody(stream, messages, deadly);
        }
    });
}

fn moody(mut out: TcpStream, messages: u32, deadly: u32) -> std::io::Result<()> {
    let input = BufReader::new(out.try_clone()?);
    let mut given = 0;
    out.write_all(b"* OK moody\r\n")?;
    for line in input.lines() {
        let line = line?;
        let (tag, command) = line.split_once(' ').unwrap_or(("", ""));
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        let mut answer = Vec::new();
        match verb {
            "CAPABILITY" => answer.extend(b"* CAPABILITY IMAP4rev1\r\n"),
            "LIST" => {
                answer.extend(b"* LIST () \".\" {5}\r\nINBOX\r\n* LIST (\\Noselect) \".\" x\r\n")
            }
            "EXAMINE" => {
                answer.extend(format!("* {messages} EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n").bytes())
            }
            "FETCH" => {
                let (set, items) = rest.split_once(' ').unwrap();
                let (first, last) = set.split_once(':').unwrap_or((set, set));
                for number in first.parse::<u32>().unwrap()..=last.parse().unwrap() {
                    let uid = number * 1000;
                    if items == "(UID)" {
                        answer.extend(format!("* {number} FETCH (UID {uid})\r\n").bytes());
                        continue;
                    }
                    if number % 7 == 0 && first != last {
                        continue;
                    }
                    if given == 5 || number == deadly {
                        answer.extend(b"* BYE enough\r\n");
                        return out.write_all(&answer);
                    }
                    given += 1;
                    let text = format!("Subject: number {number}\r\n\r\nx\r\n");
                    answer.extend(format!("* {number} FETCH (FLAGS () UID {uid} INTERNALDATE \"01-Jan-2020 00:00:00 +0000\" BODY[] {{{}}}\r\n{text})\r\n", text.len()).bytes());
                }
            }
            _ => {}
        }
        answer.extend(format!("{tag} OK done\r\n").bytes());
        out.write_all(&answer)?;
    }
    Ok(())
}

#[test]
fn a_server_that_disconnects_is_asked_again_from_there() {
    let (server, ground) = wax();
    let at = ground.net.at(9, 2143);
    moody_server(at, 23, 12);
    let at = at.to_string();
    let ran = import_imap(&server, &ground, ALICE, "x", "secret", &[&at, "--tls", "none"]).fails();
    let outcome = ran.json();
    counts(&outcome, 22, 0);
    assert_eq!(outcome["failures"][0]["message"], "INBOX, UID 12000", "{outcome:#}");
    let subjects: Vec<String> =
        mail_of(&server, "alice", "INBOX").iter().map(Shown::subject).collect();
    let distinct: std::collections::BTreeSet<_> = subjects.iter().collect();
    assert_eq!((subjects.len(), distinct.len()), (22, 22));
    // What failed is tried again, and nothing comes twice.
    let ran = import_imap(&server, &ground, ALICE, "x", "secret", &[&at, "--tls", "none"]).fails();
    assert_eq!((&ran.json()["imported"], &ran.json()["failed"]), (&0.into(), &1.into()), "{ran}");
    assert_eq!(mail_of(&server, "alice", "INBOX").len(), 22);
    // In clear text only to this machine.
    let far = import_imap(&server, &ground, ALICE, "x", "secret", &["192.0.2.1", "--tls", "none"]);
    assert!(far.fails().text().contains("seen on the way"));
}

/// Types the password once it is asked for, on a terminal, and shows what was seen there.
const AT_A_TERMINAL: &str = "
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen, asked = b'', False
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    seen += piece
    if b'Password of' in seen and b': ' in seen and not asked:
        asked = True
        os.write(terminal, sys.argv[1].encode() + b'\\n')
print(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let (server, ground) = wax();
    let mut command = Command::new(tool("python3", "python3"));
    command.args(["-c", AT_A_TERMINAL, &password("alice")]).arg(binary());
    command.arg("import").arg("--config").arg(server.config());
    command.args(["amy@wax.test", "imap", &server.at("imaps").to_string(), "--login", ALICE]);
    command.arg("--roots").arg(&ground.authority.root);
    let seen = run(command, b"", PATIENCE).ok().out();
    assert!(seen.contains("Password of alice@wax.test at"), "{seen}");
    assert!(seen.contains("Imported 0 messages"), "{seen}");
    assert!(!seen.contains(&password("alice")), "{seen}");
}

#[test]
fn labels_of_gmail_are_mailboxes_and_flags() {
    let (server, ground) = wax();
    let file: PathBuf = ground.folder.path().join("All mail.mbox");
    let mut text = String::new();
    for (number, labels) in
        ["Inbox,Unread", "Archived,Opened", "Inbox,Work,Starred", "Sent", "Trash,Work"]
            .iter()
            .enumerate()
    {
        text.push_str(&format!(
            "From 17{number}@xxx Thu Nov 26 20:30:4{number} +0000 2026\nX-GM-THRID: 1\nX-Gmail-Labels: {labels}\nSubject: number {number}\n\nx{number}\n\n"
        ));
    }
    std::fs::write(&file, text).unwrap();
    let outcome = import(&server, &[ALICE, "mbox", file.to_str().unwrap()]);
    counts(&outcome, 6, 0);
    let of = |mailbox: &str| {
        let all = mail_of(&server, "alice", mailbox);
        all.iter().map(|one| (one.subject(), one.flags.join(" "))).collect::<Vec<_>>()
    };
    let pair = |subject: &str, flags: &str| (subject.to_owned(), flags.to_owned());
    assert_eq!(of("INBOX"), [pair("number 0", ""), pair("number 2", "\\Flagged \\Seen")]);
    assert_eq!(of("Work"), [pair("number 2", "\\Flagged \\Seen")]);
    assert_eq!(of("Archive"), [pair("number 1", "\\Seen")]);
    assert_eq!(of("Sent"), [pair("number 3", "\\Seen")]);
    assert_eq!(of("Trash"), [pair("number 4", "\\Seen")]);
}
