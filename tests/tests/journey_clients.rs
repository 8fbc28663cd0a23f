//! Programs that people use, sending from one domain and reading in the other. Each checks the
//! certificate against the test's authority.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use waxwing_journeys::is_root;
use waxwing_journeys::mail::{self, arrived_intact};
use waxwing_journeys::process::{Ran, run, tool};
use waxwing_journeys::server::{Server, password};
use waxwing_journeys::waiting::eventually;
use waxwing_journeys::world::{ON_THE_ROAD, World};

const PATIENCE: Duration = Duration::from_secs(90);
const ALICE: &str = "alice@wax.test";
const BOB: &str = "bob@wing.test";

/// A client program with a home of its own.
struct Client<'a> {
    world: &'a World,
    home: PathBuf,
}

impl<'a> Client<'a> {
    fn new(world: &'a World) -> Client<'a> {
        let home = world.ground.folder.path().join("home");
        std::fs::create_dir_all(&home).unwrap();
        Client { world, home }
    }

    fn command(&self, program: &str, package: &str) -> Command {
        let mut command = Command::new(tool(program, package));
        command.env("HOME", &self.home).env("LC_ALL", "C.UTF-8").current_dir(&self.home);
        command
    }

    fn root(&self) -> &Path {
        &self.world.ground.authority.root
    }

    /// Writes a file that only its owner reads (most clients insist, as it holds a password).
    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.join(name);
        std::fs::write(&path, text).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, private).unwrap();
        path
    }

    fn python(&self, script: &str, server: &Server, service: &str, user: &str) -> Command {
        let mut command = self.command("python3", "python3");
        let at = server.at(service);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script));
        command.arg(at.ip().to_string()).arg(at.port().to_string()).arg(self.root());
        command.arg(format!("{user}@{}", server.setup.domain)).arg(password(user));
        command
    }
}

#[track_caller]
fn run_client(command: Command, input: &[u8]) -> Ran {
    run(command, input, PATIENCE).ok()
}

/// Sends from bob to alice without a client program, for tests about reading.
fn mail_for_alice(world: &World, subject: &str) -> Vec<u8> {
    let sent = mail::plain(BOB, ALICE, subject);
    world.wing.submission("bob").send(BOB, &[ALICE], &sent).unwrap().expect(250, "2.0.0");
    sent
}

#[track_caller]
fn body_of(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    text.split_once("\n\n").expect("a header and a body").1.to_owned()
}

fn swaks(client: &Client<'_>, mechanism: &str) -> Ran {
    let submission = client.world.wax.at("submission");
    let mut command = client.command("swaks", "swaks");
    command.args(["--from", ALICE, "--to", BOB, "--tls", "--tls-verify", "--auth", mechanism]);
    command.args(["--ehlo", "client.test", "--auth-user", ALICE]);
    command.args(["--auth-password", &password("alice"), "--tls-ca-path"]).arg(client.root());
    command.args(["--server", &submission.ip().to_string()]);
    command.args(["--port", &submission.port().to_string()]);
    command.args(["--header", &format!("Subject: swaks {mechanism}"), "--body", "From swaks.\n"]);
    run_client(command, b"")
}

#[test]
fn swaks_submits_with_plain_and_with_login() {
    let world = World::start();
    let client = Client::new(&world);
    for mechanism in ["PLAIN", "LOGIN"] {
        let transcript = swaks(&client, mechanism).out();
        assert!(transcript.contains("250 2.0.0 accepted"), "{transcript}");
    }
    let arrived = world.wing.wait_for_mail("bob", 2, ON_THE_ROAD);
    for message in &arrived {
        assert_eq!(body_of(&message.octets).trim_end(), "From swaks.");
        let received = mail::fields(&message.octets, "Received");
        assert!(received.len() >= 2, "one of each server: {received:?}");
        assert!(received[0].contains("ESMTPS"), "between servers over TLS: {received:?}");
        assert!(received.last().unwrap().contains("ESMTPSA"), "TLS and login: {received:?}");
    }
}

#[test]
fn swaks_is_told_that_a_wrong_password_is_wrong() {
    let world = World::start();
    let client = Client::new(&world);
    let submission = world.wax.at("submission");
    let mut command = client.command("swaks", "swaks");
    command.args(["--from", ALICE, "--to", BOB, "--tls", "--auth", "PLAIN", "--auth-user", ALICE]);
    command.args(["--auth-password", "a guess", "--server", &submission.ip().to_string()]);
    command.args(["--port", &submission.port().to_string()]);
    let transcript = run(command, b"", PATIENCE).fails().out();
    assert!(transcript.contains("535 5.7.8"), "{transcript}");
}

#[test]
fn msmtp_submits_with_scram() {
    let world = World::start();
    let client = Client::new(&world);
    let submission = world.wax.at("submission");
    let config = format!(
        "account default\nhost {}\nport {}\ndomain client.test\ntls on\ntls_starttls on\n\
         tls_trust_file {}\ntls_host_override mx.wax.test\nauth scram-sha-256\nuser {ALICE}\n\
         password \"{}\"\nfrom {ALICE}\n",
        submission.ip(),
        submission.port(),
        client.root().display(),
        password("alice"),
    );
    let config = client.file("msmtprc", config);
    let sent = mail::plain(ALICE, BOB, "msmtp");
    let mut command = client.command("msmtp", "msmtp");
    command.arg("-C").arg(config).args(["-d", "--", BOB]);
    let ran = run_client(command, &sent);
    assert!(ran.text().contains("SCRAM-SHA-256"), "{ran}");
    let arrived = world.wing.wait_for_mail("bob", 1, ON_THE_ROAD);
    assert!(arrived_intact(&sent, &arrived[0].octets), "{:?}", arrived[0]);
}

#[test]
fn msmtp_submits_with_tls_from_the_first_byte() {
    let world = World::start();
    let client = Client::new(&world);
    let submissions = world.wax.at("submissions");
    let config = format!(
        "account default\nhost {}\nport {}\ndomain client.test\ntls on\ntls_starttls off\n\
         tls_trust_file {}\nauth plain\nuser {ALICE}\npassword \"{}\"\nfrom {ALICE}\n",
        submissions.ip(),
        submissions.port(),
        client.root().display(),
        password("alice"),
    );
    let config = client.file("msmtprc", config);
    let sent = mail::plain(ALICE, BOB, "msmtp");
    let mut command = client.command("msmtp", "msmtp");
    command.arg("-C").arg(config).args(["--", BOB]);
    run_client(command, &sent);
    let arrived = world.wing.wait_for_mail("bob", 1, ON_THE_ROAD);
    assert!(arrived_intact(&sent, &arrived[0].octets));
}

fn curl(client: &Client<'_>, user: &str, domain: &str) -> Command {
    let mut command = client.command("curl", "curl");
    command.args(["--silent", "--show-error", "--ssl-reqd", "--max-time", "60", "--cacert"]);
    command.arg(client.root());
    command.args(["--user", &format!("{user}@{domain}:{}", password(user))]);
    command
}

#[test]
fn curl_sends_and_reads_by_imap_and_pop3() {
    let world = World::start();
    let client = Client::new(&world);
    let sent = mail::gallery(ALICE, BOB).into_iter().find(|(name, _)| *name == "attachment");
    let sent = sent.unwrap().1;
    let file = client.file("message.eml", &sent);
    let mut command = curl(&client, "alice", "wax.test");
    command.args(["--url", &format!("smtp://{}/client.test", world.wax.at("submission"))]);
    command.args(["--mail-from", ALICE, "--mail-rcpt", BOB, "--upload-file"]).arg(file);
    run_client(command, b"");
    world.wing.wait_for_mail("bob", 1, ON_THE_ROAD);

    for url in [
        format!("imap://{}/INBOX;UID=1", world.wing.at("imap")),
        format!("imaps://{}/INBOX;UID=1", world.wing.at("imaps")),
        format!("pop3://{}/1", world.wing.at("pop3")),
        format!("pop3s://{}/1", world.wing.at("pop3s")),
    ] {
        let mut command = curl(&client, "bob", "wing.test");
        command.args(["--url", &url]);
        let read = run_client(command, b"").stdout;
        assert!(arrived_intact(&sent, &read), "{url}: {} octets came", read.len());
    }
    let mut command = curl(&client, "bob", "wing.test");
    command.args(["--url", &format!("imap://{}/INBOX?FROM%20alice", world.wing.at("imap"))]);
    assert_eq!(run_client(command, b"").out().trim(), "* SEARCH 1");
}

#[test]
fn python_submits_and_reads_everything_an_imap_client_does() {
    let world = World::start();
    let client = Client::new(&world);
    let sent = mail::plain(ALICE, BOB, "from Python");
    let mut command = client.python("send.py", &world.wax, "submission", "alice");
    command.arg(BOB);
    let offered = run_client(command, &sent).out();
    let line = |start: &str| offered.lines().find(|line| line.starts_with(start)).unwrap();
    for extension in ["8bitmime", "chunking", "dsn", "pipelining", "size", "smtputf8", "auth"] {
        assert!(line("tls:").split(' ').any(|word| word == extension), "{extension}: {offered}");
    }
    assert!(line("plain:").contains("starttls"), "{offered}");
    assert!(!line("tls:").contains("starttls"), "not twice (RFC 3207 §4.2): {offered}");
    world.wing.wait_for_mail("bob", 1, ON_THE_ROAD);

    let mut command = client.python("imap.py", &world.wing, "imap", "bob");
    command.arg("from Python");
    run_client(command, b"");
}

#[test]
fn python_empties_a_maildrop() {
    let world = World::start();
    let client = Client::new(&world);
    for number in 0..3 {
        mail_for_alice(&world, &format!("message {number}"));
    }
    world.wax.wait_for_mail("alice", 3, ON_THE_ROAD);
    let mut command = client.python("pop3.py", &world.wax, "pop3", "alice");
    command.arg("3");
    run_client(command, b"");
    assert!(world.wax.inbox("alice").fetch_all().unwrap().is_empty(), "IMAP agrees");
}

/// Everything below `folder` that Maildir keeps in `cur` and `new`.
fn maildir(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for part in ["cur", "new"] {
        let Ok(entries) = std::fs::read_dir(folder.join(part)) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            found.push((name, std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn mbsync_keeps_a_mailbox_the_same_on_both_sides() {
    let world = World::start();
    let client = Client::new(&world);
    let sent = [mail_for_alice(&world, "one"), mail_for_alice(&world, "two")];
    world.wax.wait_for_mail("alice", 2, ON_THE_ROAD);
    let local = client.home.join("Mail");
    std::fs::create_dir_all(&local).unwrap();
    let (at, folder) = (world.wax.at("imap"), local.display());
    let config = format!(
        "IMAPAccount wax\nHost {}\nPort {}\nUser {ALICE}\nPass \"{}\"\nSSLType STARTTLS\n\
         CertificateFile {}\n\n\
         IMAPStore far\nAccount wax\n\n\
         MaildirStore near\nPath {folder}/\nInbox {folder}/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSync All\n\
         SyncState *\n",
        at.ip(),
        at.port(),
        password("alice"),
        // mbsync compares host names only; the server's own certificate is trusted as it is.
        world.ground.folder.path().join("mx.wax.test.pem").display(),
    );
    let config = client.file("mbsyncrc", config);
    let sync = || {
        let mut command = client.command("mbsync", "isync");
        command.arg("-c").arg(&config).arg("--all");
        run_client(command, b"");
    };

    sync();
    let pulled = maildir(&local.join("INBOX"));
    assert_eq!(pulled.len(), 2);
    for (_, message) in &pulled {
        // Maildir has bare LF, and mbsync leaves a note at the end of the header.
        let message = String::from_utf8_lossy(message);
        let lines = message.lines().filter(|line| !line.starts_with("X-TUID: "));
        let message: String = lines.map(|line| format!("{line}\r\n")).collect();
        assert!(sent.iter().any(|sent| arrived_intact(sent, message.as_bytes())), "{message}");
    }
    assert!(local.join("Sent").is_dir(), "every mailbox came");

    // Seen and answered here: seen and answered there.
    let (name, _) = &pulled[0];
    let inbox = local.join("INBOX");
    let old = ["cur", "new"].map(|part| inbox.join(part).join(name));
    let old = old.into_iter().find(|path| path.exists()).unwrap();
    let base = name.split(":2,").next().unwrap();
    std::fs::rename(old, inbox.join("cur").join(format!("{base}:2,RS"))).unwrap();
    // A message written here appears there.
    let draft = mail::plain(ALICE, ALICE, "written here");
    let text = String::from_utf8(draft.clone()).unwrap().replace("\r\n", "\n");
    std::fs::write(inbox.join("cur/1.written.here:2,S"), text).unwrap();
    sync();
    let there = world.wax.inbox("alice").fetch_all().unwrap();
    assert_eq!(there.len(), 3);
    let answered = there.iter().filter(|m| m.flags.iter().any(|flag| flag == "\\Answered"));
    let answered: Vec<_> = answered.collect();
    assert_eq!(answered.len(), 1, "{there:?}");
    assert!(answered[0].flags.iter().any(|flag| flag == "\\Seen"));
    let written =
        there.iter().find(|m| String::from_utf8_lossy(&m.octets).contains("written here"));
    let written = String::from_utf8_lossy(&written.unwrap().octets).into_owned();
    let lines = written.split_inclusive("\r\n").filter(|line| !line.starts_with("X-TUID: "));
    assert_eq!(lines.collect::<String>().as_bytes(), draft);

    // Flagged and deleted there: flagged and deleted here.
    let mut imap = world.wax.inbox("alice");
    imap.ok("UID STORE 1 +FLAGS (\\Flagged)").unwrap();
    imap.ok("UID STORE 2 +FLAGS (\\Deleted)").unwrap();
    imap.ok("EXPUNGE").unwrap();
    drop(imap);
    sync();
    let here = maildir(&inbox);
    assert_eq!(here.len(), 2, "{here:?}");
    let flagged = |(name, _): &&(String, Vec<u8>)| {
        name.split(":2,").nth(1).is_some_and(|flags| flags.contains('F'))
    };
    assert_eq!(here.iter().filter(flagged).count(), 1);
}

fn fetchmail(client: &Client<'_>, protocol: &str, service: &str, kind: &str) -> String {
    let at = client.world.wax.at(service);
    let file = client.home.join(format!("fetched-by-{protocol}"));
    let config = format!(
        "set no bouncemail\npoll \"{}\" protocol {protocol} port {}\n  user \"{ALICE}\" password \
         \"{}\"\n  {kind} sslcertck sslcertfile \"{}\" sslcommonname mx.wax.test\n  no rewrite keep fetchall\n  mda \"cat >> \
         {}\"\n",
        at.ip(),
        at.port(),
        password("alice"),
        client.root().display(),
        file.display(),
    );
    let config = client.file("fetchmailrc", config);
    let mut command = client.command("fetchmail", "fetchmail");
    command.env("FETCHMAILHOME", &client.home);
    command.args(["--nosyslog", "--nodetach", "-v", "-f"]).arg(config);
    run_client(command, b"");
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn fetchmail_collects_by_pop3_and_imap() {
    let world = World::start();
    let client = Client::new(&world);
    mail_for_alice(&world, "to be collected");
    world.wax.wait_for_mail("alice", 1, ON_THE_ROAD);
    let starttls = "sslproto \"tls1.2+\"";
    for (protocol, service, kind) in [
        ("POP3", "pop3", starttls),
        ("POP3", "pop3s", "ssl"),
        ("IMAP", "imap", starttls),
        ("IMAP", "imaps", "ssl"),
    ] {
        let text = fetchmail(&client, protocol, service, kind);
        assert!(text.contains("Subject: to be collected"), "{service}: {text}");
        assert!(text.contains("\nHello.\n"), "{service}: {text}");
    }
}

fn getmail(client: &Client<'_>, retriever: &str, service: &str, options: &str) -> Vec<Vec<u8>> {
    let at = client.world.wax.at(service);
    let folder = client.home.join(format!("getmail-{service}"));
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    // getmail delivers nothing as root, but will become somebody else.
    let user = if is_root() { "user = nobody\n" } else { "" };
    if is_root() {
        let mut chown = Command::new("chown");
        chown.args(["-R", "nobody:"]).arg(&folder);
        run_client(chown, b"");
    }
    let config = format!(
        "[retriever]\ntype = {retriever}\nserver = {}\nport = {}\nusername = {ALICE}\n\
         password = {}\nca_certs = {}\n{options}\n[destination]\ntype = Maildir\npath = {}/\n{user}\
         [options]\nread_all = true\ndelete = false\ndelivered_to = false\nreceived = false\n",
        at.ip(),
        at.port(),
        password("alice"),
        client.root().display(),
        folder.display(),
    );
    let config = client.file("getmailrc", config);
    let mut command = client.command("getmail", "getmail6");
    command.arg("--getmaildir").arg(&client.home).arg("--rcfile").arg(config);
    run_client(command, b"");
    maildir(&folder).into_iter().map(|(_, message)| message).collect()
}

#[test]
fn getmail_collects_by_pop3_and_imap() {
    let world = World::start();
    let client = Client::new(&world);
    let sent = mail_for_alice(&world, "to be collected");
    world.wax.wait_for_mail("alice", 1, ON_THE_ROAD);
    for (retriever, service, options) in
        [("SimplePOP3SSLRetriever", "pop3s", ""), ("SimpleIMAPSSLRetriever", "imaps", "")]
    {
        let collected = getmail(&client, retriever, service, options);
        assert_eq!(collected.len(), 1, "{service}");
        let text = String::from_utf8_lossy(&collected[0]).replace('\n', "\r\n");
        // Its own note, at the end of the header.
        let text = text.replace("X-getmail-retrieved-from-mailbox: INBOX\r\n", "");
        assert!(arrived_intact(&sent, text.as_bytes()), "{service}: {text}");
    }
}

#[test]
fn mutt_sends_with_an_attachment_and_reads_the_answer() {
    let world = World::start();
    let client = Client::new(&world);
    let (submission, imap) = (world.wax.at("submission"), world.wax.at("imap"));
    let config = format!(
        "set from=\"{ALICE}\"\nset realname=\"Alice\"\nset use_envelope_from=yes\n\
         set envelope_from_address=\"{ALICE}\"\n\
         set smtp_url=\"smtp://alice%40wax.test@{submission}/\"\nset smtp_pass=\"{secret}\"\n\
         set smtp_authenticators=\"plain\"\n\
         set imap_user=\"{ALICE}\"\nset imap_pass=\"{secret}\"\nset ssl_starttls=yes\n\
         set ssl_force_tls=yes\nset ssl_ca_certificates_file=\"{root}\"\n\
         set copy=no\nset folder=\"imap://{imap}/\"\nset record=\"\"\nset confirmappend=no\nset confirmcreate=no\n\
         set header_cache=\"\"\nset wait_key=no\nset quit=yes\nset delete=no\nset beep=no\n\
         set sleep_time=0\nset ssl_verify_dates=yes\nset ssl_verify_host=no\n",
        secret = password("alice"),
        root = client.root().display(),
    );
    let config = client.file("muttrc", config);
    let attachment = client.file("noise.bin", mail::noise(10_000));
    let mut command = client.command("mutt", "mutt");
    command.arg("-n").arg("-F").arg(&config).args(["-s", "Grüße von mutt", "-a"]).arg(&attachment);
    command.args(["--", BOB]);
    run_client(command, "Schöne Grüße.\n".as_bytes());
    let arrived = world.wing.wait_for_mail("bob", 1, ON_THE_ROAD);
    let text = String::from_utf8_lossy(&arrived[0].octets).into_owned();
    assert!(text.contains("noise.bin"), "{text}");
    let encoded: String = text.lines().collect();
    let noise = waxwing_journeys::base64(&mail::noise(10_000));
    assert!(encoded.contains(&noise), "the attachment is the same");

    mail_for_alice(&world, "an answer");
    world.wax.wait_for_mail("alice", 1, ON_THE_ROAD);
    mail_for_alice(&world, "not wanted");
    world.wax.wait_for_mail("alice", 2, ON_THE_ROAD);
    let saved = client.home.join("saved");
    let keys = format!(
        "<first-entry><copy-message>{}<enter><first-entry><flag-message><last-entry>\
         <delete-message><sync-mailbox><exit>",
        saved.display()
    );
    let imap_folder = format!("imap://{imap}/INBOX");
    let mut command = client.command("python3", "python3");
    // mutt reads only in a terminal.
    command.env("TERM", "vt100").args(["-c", IN_A_TERMINAL]).arg(tool("mutt", "mutt"));
    command.arg("-n").arg("-F").arg(&config).args(["-f", &imap_folder]);
    command.args(["-e", "set delete=yes", "-e", &format!("push {keys}")]);
    run_client(command, b"");
    let saved = eventually(ON_THE_ROAD, "what mutt saved", || std::fs::read_to_string(&saved).ok());
    assert!(saved.contains("Subject: an answer") && saved.contains("\nHello.\n"), "{saved}");
    let kept = world.wax.wait_for_mail("alice", 1, ON_THE_ROAD);
    assert_eq!(kept.len(), 1, "the other one was deleted");
    let mut command = curl(&client, "alice", "wax.test");
    let url = format!("imaps://{}/INBOX", world.wax.at("imaps"));
    command.args(["--url", &url, "-X", "FETCH 1 (FLAGS)"]);
    let flags = run_client(command, b"").out();
    assert!(flags.contains("\\Flagged"), "{flags}");
}

/// A terminal of its own for the program in the arguments, whatever this process has for one.
const IN_A_TERMINAL: &str =
    "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

#[test]
fn several_clients_read_one_mailbox_at_once() {
    let world = World::start();
    let client = Client::new(&world);
    mail_for_alice(&world, "shared");
    world.wax.wait_for_mail("alice", 1, ON_THE_ROAD);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut command = curl(&client, "alice", "wax.test");
                let url = format!("imaps://{}/INBOX;UID=1", world.wax.at("imaps"));
                command.args(["--url", &url]);
                assert!(run_client(command, b"").out().contains("Subject: shared"));
            });
        }
    });
}
