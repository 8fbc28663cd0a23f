//! Programs that keep a copy of the mail and change it at both ends: whatever happens here and there, in
//! the end both are equal. `WAXWING_SEED` repeats the changes of an earlier run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use waxwing_journeys::imap::Imap;
use waxwing_journeys::mail;
use waxwing_journeys::process::{run, tool};
use waxwing_journeys::server::{Server, password};
use waxwing_journeys::world::Ground;

const ALICE: &str = "alice@wax.test";
const PATIENCE: Duration = Duration::from_secs(120);
const MAILBOXES: [&str; 4] = ["INBOX", "Sent", "Work", "Archive"];
const ROUNDS: usize = 6;
const CHANGES: usize = 15;

/// Letters of Maildir and flags of IMAP.
const FLAGS: [(char, &str); 4] =
    [('D', "\\Draft"), ('F', "\\Flagged"), ('R', "\\Answered"), ('S', "\\Seen")];

fn random() -> SmallRng {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = std::env::var("WAXWING_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(now);
    println!("WAXWING_SEED={seed}");
    SmallRng::seed_from_u64(seed)
}

/// wax.test with alice, and a home for the program.
struct Stage {
    server: Server,
    home: PathBuf,
    ground: Ground,
}

impl Stage {
    fn new() -> Stage {
        let ground = Ground::new();
        let server = Server::prepare(ground.setup("wax.test", 1));
        server.add_user("alice");
        let mut server = server;
        server.run();
        let mut imap = server.inbox("alice");
        imap.ok("CREATE Work").unwrap();
        imap.ok("SUBSCRIBE Work").unwrap();
        let home = ground.folder.path().join("home");
        fs::create_dir_all(home.join("Mail")).unwrap();
        Stage { server, home, ground }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&path, private).unwrap();
        path
    }

    fn command(&self, program: &str, package: &str) -> Command {
        let mut command = Command::new(tool(program, package));
        command.env("HOME", &self.home).env("LC_ALL", "C.UTF-8").current_dir(&self.home);
        command
    }

    /// The folder of a mailbox at this end.
    fn folder(&self, mailbox: &str) -> PathBuf {
        self.home.join("Mail").join(mailbox)
    }

    /// Message-ID and flags of every message at this end.
    fn here(&self, mailbox: &str) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for path in files(&self.folder(mailbox)) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let letters = name.split_once(":2,").map_or("", |(_, letters)| letters);
            let letters: String =
                letters.chars().filter(|l| FLAGS.iter().any(|(known, _)| known == l)).collect();
            let before = all.insert(message_id(&fs::read(&path).unwrap()), letters);
            assert_eq!(before, None, "twice in {mailbox} here: {name}");
        }
        all
    }

    /// And at the server's.
    fn there(&self, mailbox: &str) -> BTreeMap<String, String> {
        let mut imap = self.open(mailbox);
        let mut all = BTreeMap::new();
        for message in imap.fetch_all().unwrap() {
            let has = |flag: &str| message.flags.iter().any(|other| other == flag);
            let letters = FLAGS.iter().filter(|(_, flag)| has(flag)).map(|(letter, _)| *letter);
            let before = all.insert(message_id(&message.octets), letters.collect());
            assert_eq!(before, None, "twice in {mailbox} there");
        }
        all
    }

    fn open(&self, mailbox: &str) -> Imap {
        let mut imap = Imap::connect(self.server.at("imap")).unwrap();
        imap.ok(&format!("LOGIN {ALICE} \"{}\"", password("alice"))).unwrap();
        imap.ok(&format!("SELECT {mailbox}")).unwrap();
        imap
    }

    /// Something that a person does at this end.
    fn change_here(&self, random: &mut SmallRng) {
        let mailbox = MAILBOXES[random.random_range(0..MAILBOXES.len())];
        let folder = self.folder(mailbox);
        let files = files(&folder);
        let chosen =
            (!files.is_empty()).then(|| files[random.random_range(0..files.len())].clone());
        match (random.random_range(0..10), chosen) {
            (0..4, _) | (_, None) => {
                let message = mail::plain(ALICE, ALICE, "written here");
                let text = String::from_utf8(message).unwrap().replace("\r\n", "\n");
                fs::write(folder.join("cur").join(format!("{}.here:2,", mail::unique())), text)
                    .unwrap();
            }
            (4..8, Some(path)) => {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let base = name.split(":2,").next().unwrap();
                let letters: String =
                    FLAGS.iter().map(|(l, _)| *l).filter(|_| random.random_bool(0.5)).collect();
                fs::rename(&path, folder.join("cur").join(format!("{base}:2,{letters}"))).unwrap();
            }
            (_, Some(path)) => fs::remove_file(path).unwrap(),
        }
    }

    /// Something that another program does at the server.
    fn change_there(&self, random: &mut SmallRng) {
        let mailbox = MAILBOXES[random.random_range(0..MAILBOXES.len())];
        let mut imap = self.open(mailbox);
        let uids: Vec<u32> = imap.fetch_all().unwrap().iter().map(|message| message.uid).collect();
        let chosen = (!uids.is_empty()).then(|| uids[random.random_range(0..uids.len())]);
        match (random.random_range(0..10), chosen) {
            (0..4, _) | (_, None) => {
                let message =
                    String::from_utf8(mail::plain(ALICE, ALICE, "written there")).unwrap();
                let size = message.len();
                imap.ok(&format!("APPEND {mailbox} {{{size}+}}\r\n{message}")).unwrap();
            }
            (4..7, Some(uid)) => {
                let flags = FLAGS.iter().map(|(_, flag)| *flag).filter(|_| random.random_bool(0.5));
                let flags: Vec<&str> = flags.collect();
                imap.ok(&format!("UID STORE {uid} FLAGS ({})", flags.join(" "))).unwrap();
            }
            (7, Some(uid)) => {
                let other = MAILBOXES.iter().find(|other| **other != mailbox).unwrap();
                imap.ok(&format!("UID MOVE {uid} {other}")).unwrap();
            }
            (_, Some(uid)) => {
                imap.ok(&format!("UID STORE {uid} +FLAGS (\\Deleted)")).unwrap();
                imap.ok("EXPUNGE").unwrap();
            }
        }
    }

    /// Random changes at both ends, and the program in between, until both are equal.
    fn play(&self, sync: impl Fn()) {
        let mut random = random();
        sync();
        for round in 0..ROUNDS {
            for _ in 0..CHANGES {
                self.change_here(&mut random);
                self.change_there(&mut random);
            }
            sync();
            // What one end did to what the other had changed comes back with the next run.
            sync();
            for mailbox in MAILBOXES {
                let (here, there) = (self.here(mailbox), self.there(mailbox));
                assert_eq!(here, there, "{mailbox} after round {round}");
            }
        }
        let total: usize = MAILBOXES.iter().map(|mailbox| self.there(mailbox).len()).sum();
        assert!(total > ROUNDS * 3, "messages came at both ends: {total}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for part in ["cur", "new"] {
        let Ok(entries) = fs::read_dir(folder.join(part)) else { continue };
        all.extend(entries.map(|entry| entry.unwrap().path()));
    }
    all.sort();
    all
}

fn message_id(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n").replace('\n', "\r\n");
    mail::field(text.as_bytes(), "Message-ID").expect("a Message-ID").trim().to_owned()
}

/// SHA-1 of a certificate.
fn fingerprint(certificate: &Path) -> String {
    let mut command = Command::new(tool("openssl", "openssl"));
    command.args(["x509", "-noout", "-fingerprint", "-sha1", "-in"]).arg(certificate);
    let out = run(command, b"", PATIENCE).ok().out();
    out.trim().rsplit_once('=').expect("NAME=FINGERPRINT").1.replace(':', "").to_lowercase()
}

#[test]
fn mbsync_makes_both_ends_equal_whatever_happened() {
    let stage = Stage::new();
    let (at, folder) = (stage.server.at("imap"), stage.home.join("Mail"));
    let folder = folder.display();
    let config = format!(
        "IMAPAccount wax\nHost {}\nPort {}\nUser {ALICE}\nPass \"{}\"\nSSLType STARTTLS\nCertificateFile {}\n\n\
         IMAPStore far\nAccount wax\n\nMaildirStore near\nPath {folder}/\nInbox {folder}/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSync All\nSyncState *\n",
        at.ip(),
        at.port(),
        password("alice"),
        stage.ground.folder.path().join("mx.wax.test.pem").display(),
    );
    let config = stage.file("mbsyncrc", &config);
    stage.play(|| {
        let mut command = stage.command("mbsync", "isync");
        command.arg("-c").arg(&config).arg("--all");
        run(command, b"", PATIENCE).ok();
    });
}

#[test]
fn offlineimap_makes_both_ends_equal_whatever_happened() {
    let stage = Stage::new();
    let at = stage.server.at("imaps");
    let config = format!(
        "[general]\naccounts = wax\nmetadata = {home}/state\nui = quiet\n\n\
         [Account wax]\nlocalrepository = here\nremoterepository = there\n\n\
         [Repository here]\ntype = Maildir\nlocalfolders = {home}/Mail\n\n\
         [Repository there]\ntype = IMAP\nremotehost = {host}\nremoteport = {port}\nremoteuser = {ALICE}\n\
         remotepass = {secret}\nssl = yes\nstarttls = no\ncert_fingerprint = {fingerprint}\nauth_mechanisms = PLAIN\n\
         folderfilter = lambda name: name in {MAILBOXES:?}\nexpunge = yes\n",
        home = stage.home.display(),
        host = at.ip(),
        port = at.port(),
        secret = password("alice"),
        // It knows names of hosts only: the server's own certificate is trusted as it is.
        fingerprint = fingerprint(&stage.ground.folder.path().join("mx.wax.test.pem")),
    );
    let config = stage.file("offlineimaprc", &config);
    stage.play(|| {
        let mut command = stage.command("offlineimap", "offlineimap3");
        command.arg("-o").arg("-c").arg(&config);
        run(command, b"", PATIENCE).ok();
    });
}

#[test]
fn aerc_shows_a_message_and_files_it() {
    let stage = Stage::new();
    let mut imap = stage.open("INBOX");
    let message =
        String::from_utf8(mail::plain("bob@wing.test", ALICE, "Read me in aerc")).unwrap();
    imap.ok(&format!("APPEND INBOX {{{}+}}\r\n{message}", message.len())).unwrap();
    let at = stage.server.at("imaps");
    let secret = password("alice").replace(' ', "%20");
    let accounts = format!(
        "[wax]\nsource = imaps://alice%40wax.test:{secret}@{at}\noutgoing = /bin/true\ndefault = INBOX\n\
         from = Alice <{ALICE}>\narchive = Archive\n"
    );
    stage.file("config/aerc/accounts.conf", &accounts);
    stage.file("config/aerc/aerc.conf", "[filters]\ntext/plain=cat\n[viewer]\npager=cat\n");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/aerc.py");
    let mut command = stage.command("python3", "python3");
    command.env("XDG_CONFIG_HOME", stage.home.join("config"));
    command.env("SSL_CERT_FILE", &stage.ground.authority.root);
    command.arg(script).arg(tool("aerc", "aerc")).args(["Read me in aerc", "Hello."]);
    run(command, b"", PATIENCE).ok();
    assert!(stage.there("INBOX").is_empty());
    let filed = stage.there("Archive");
    assert_eq!(filed.values().collect::<Vec<_>>(), ["S"], "read there, and so it is here");
}
