//! Mailboxes as a Maildir with folders (Maildir++).
//!
//! A file's name is made of the message's time, UIDVALIDITY and UID, so that a second export finds what
//! the first has written. Its time of change is the time at which the message was received, as Dovecot
//! and Python's mailbox keep it; its lines end in LF, as all Maildirs have them.

use std::collections::HashMap;
use std::fs::{self, File, FileTimes};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use waxwing_migrate::maildir::{self, Keywords};
use waxwing_store::{Entry, Mailbox};

use super::mbox::{make_file, make_folder};

/// The Maildir.
pub struct Maildir {
    root: PathBuf,
    open: Option<Open>,
}

/// The folder of one mailbox.
struct Open {
    folder: PathBuf,
    keywords: Keywords,
    /// Keywords that found no letter: messages.
    without_letter: u64,
    /// What is in `cur`: the part of the name before the size, and the name.
    there: HashMap<String, String>,
    message: Option<Message>,
}

struct Message {
    out: BufWriter<File>,
    draft: PathBuf,
    unique: String,
    info: String,
    received_at: SystemTime,
    octets: u64,
    /// A CR at the end of a piece may belong to a line end.
    held: bool,
}

impl Maildir {
    pub fn new(root: PathBuf) -> Maildir {
        Maildir { root, open: None }
    }

    pub fn begin(&mut self, mailbox: &Mailbox) -> Result<()> {
        let folder = match maildir::folder_name(&mailbox.name) {
            name if name.is_empty() => self.root.clone(),
            name => self.root.join(name),
        };
        for part in ["cur", "new", "tmp"] {
            make_folder(&folder.join(part))?;
        }
        if folder != self.root {
            // Says that it is a folder of a Maildir (Maildir++).
            File::create(folder.join("maildirfolder"))?;
        }
        let text = fs::read_to_string(folder.join("dovecot-keywords")).unwrap_or_default();
        let mut there = HashMap::new();
        for entry in fs::read_dir(folder.join("cur"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let unique = name.split([',', ':']).next().unwrap_or_default().to_owned();
            there.insert(unique, name);
        }
        let keywords = Keywords::parse(&text);
        self.open = Some(Open { folder, keywords, without_letter: 0, there, message: None });
        Ok(())
    }

    fn open(&mut self) -> Result<&mut Open> {
        self.open.as_mut().context("a mailbox was begun")
    }

    /// True: it is there, with these flags now.
    pub fn begin_message(&mut self, mailbox: &Mailbox, entry: &Entry) -> Result<bool> {
        let open = self.open()?;
        let info = open.info(entry)?;
        let secs = entry.received_at.as_second().max(0);
        let unique = format!("{secs}.V{}U{}.waxwing", mailbox.uid_validity, entry.uid.0);
        if let Some(name) = open.there.get(&unique) {
            let base = name.split(':').next().unwrap_or_default();
            let current = format!("{base}{info}");
            if *name != current {
                let cur = open.folder.join("cur");
                fs::rename(cur.join(name), cur.join(current))?;
            }
            return Ok(true);
        }
        let draft = open.folder.join("tmp").join(&unique);
        let file = make_file(&draft)?;
        let out = BufWriter::with_capacity(64 * 1024, file);
        let received_at = SystemTime::from(entry.received_at);
        open.message =
            Some(Message { out, draft, unique, info, received_at, octets: 0, held: false });
        Ok(false)
    }

    pub fn write(&mut self, octets: &[u8]) -> Result<()> {
        self.open()?.message.as_mut().context("a message was begun")?.write(octets)
    }

    pub fn end_message(&mut self, whole: bool) -> Result<()> {
        let open = self.open()?;
        let mut message = open.message.take().context("a message was begun")?;
        if !whole {
            drop(message.out);
            return Ok(fs::remove_file(&message.draft)?);
        }
        if message.held {
            message.put(b"\r")?;
        }
        let Message { out, draft, unique, info, received_at, octets, .. } = message;
        let file = out.into_inner().map_err(|error| error.into_error())?;
        file.set_times(FileTimes::new().set_modified(received_at))?;
        file.sync_all()?;
        let path = open.folder.join("cur").join(format!("{unique},S={octets}{info}"));
        fs::rename(&draft, &path).with_context(|| format!("cannot make {}", path.display()))
    }

    pub fn end(&mut self, notes: &mut Vec<String>) -> Result<()> {
        let open = self.open.take().context("a mailbox was begun")?;
        File::open(open.folder.join("cur"))?.sync_all()?;
        if open.without_letter > 0 {
            notes.push(format!(
                "{}: {} have keywords that the Maildir has no letter for (it has {} in each folder), and lack those.",
                open.folder.display(),
                super::print::count(open.without_letter, "message"),
                maildir::KEYWORDS_MAX,
            ));
        }
        Ok(())
    }
}

impl Open {
    /// The flags as they stand in a file's name. A new keyword is written down before a name uses it.
    fn info(&mut self, entry: &Entry) -> Result<String> {
        let before = self.keywords.clone();
        let info = maildir::info(&entry.flags, &mut self.keywords);
        if before != self.keywords {
            write_whole(&self.folder, "dovecot-keywords", self.keywords.text().as_bytes())?;
        }
        let read = maildir::flags(&info, &self.keywords);
        self.without_letter += u64::from(read.keywords != entry.flags.keywords);
        Ok(info)
    }
}

impl Message {
    /// With LF for CRLF.
    fn write(&mut self, octets: &[u8]) -> Result<()> {
        let mut rest = octets;
        if std::mem::take(&mut self.held) && rest.first() != Some(&b'\n') {
            self.put(b"\r")?;
        }
        while let Some(at) = memchr::memchr(b'\r', rest) {
            self.put(&rest[..at])?;
            rest = &rest[at + 1..];
            match rest.first() {
                Some(b'\n') => {}
                Some(_) => self.put(b"\r")?,
                None => self.held = true,
            }
        }
        self.put(rest)
    }

    fn put(&mut self, octets: &[u8]) -> Result<()> {
        self.octets += octets.len() as u64;
        let written = self.out.write_all(octets);
        written.with_context(|| format!("cannot write {}", self.draft.display()))
    }
}

fn write_whole(folder: &Path, name: &str, text: &[u8]) -> Result<()> {
    let draft = folder.join("tmp").join(name);
    fs::write(&draft, text)?;
    Ok(fs::rename(draft, folder.join(name))?)
}
