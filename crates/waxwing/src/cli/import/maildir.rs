//! A Maildir as a source.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use waxwing_migrate::maildir::{self, Keywords};
use waxwing_migrate::names;
use waxwing_store::{Spool, StoreError};

use super::files::{DEPTH_MAX, sorted, unfit};
use super::intake::{Arrived, Arriving, MESSAGE_OCTETS_MAX, Outlet};
use super::places::Place;

/// Lines are read in pieces of this size.
const PIECE_OCTETS: u64 = 64 * 1024;
/// Larger than any file of 26 names.
const KEYWORDS_OCTETS_MAX: u64 = 64 * 1024;

/// A folder with `cur` and `new`, and the mailbox that it is.
pub struct Found {
    path: PathBuf,
    name: String,
}

/// The folders that are mailboxes: this one is INBOX; `.Work.2024` in it is `Work/2024` (Maildir++), and
/// `Work/2024` too (one folder within another).
pub fn find(path: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    look_into(path, "", 0, &mut found)?;
    if found.is_empty() {
        bail!(
            "{} is no Maildir: neither it nor a folder below has cur and new in it",
            path.display()
        );
    }
    Ok(found)
}

fn look_into(folder: &Path, name: &str, depth: usize, found: &mut Vec<Found>) -> Result<()> {
    let paths = sorted(folder)?;
    if folder.join("cur").is_dir() {
        let name = if name.is_empty() { "INBOX" } else { name };
        found.push(Found { path: folder.to_owned(), name: name.to_owned() });
    }
    for path in paths {
        let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_folder = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
        if !is_folder || depth >= DEPTH_MAX || matches!(own.as_str(), "cur" | "new" | "tmp") {
            continue;
        }
        let below = match maildir::mailbox_name(&own) {
            Some(dotted) => Some(dotted),
            None => names::ours(&own, None, ""),
        };
        if let Some(below) = below {
            let name = if name.is_empty() { below } else { format!("{name}/{below}") };
            look_into(&path, &name, depth + 1, found)?;
        }
    }
    Ok(())
}

/// Reads all folders, one after another, each in the order in which its messages came.
pub fn read(folders: &[Found], outlet: &Outlet) -> Result<()> {
    for folder in folders {
        for part in ["cur", "new"] {
            let count = std::fs::read_dir(folder.path.join(part)).map_or(0, Iterator::count);
            outlet.meter.expect(count as u64);
        }
    }
    for folder in folders {
        let keywords = keywords(&folder.path);
        // Names only, in one folder at a time. They begin with the time at which a message came.
        let mut files = Vec::new();
        for part in ["cur", "new"] {
            let path = folder.path.join(part);
            let Ok(entries) = std::fs::read_dir(&path) else { continue };
            for entry in entries {
                let entry = entry.with_context(|| format!("cannot read {}", path.display()))?;
                let name = entry.file_name();
                if !name.to_string_lossy().starts_with('.') {
                    files.push((name, part));
                }
            }
        }
        files.sort();
        for (name, part) in files {
            let path = folder.path.join(part).join(&name);
            let arriving = match read_one(&path, folder, &keywords, outlet) {
                Ok(arrived) => Arriving::Message(Box::new(arrived)),
                Err(error) if error.is::<StoreError>() => return Err(error),
                Err(error) => Arriving::Failed(path.display().to_string(), format!("{error:#}")),
            };
            outlet.send_blocking(arriving)?;
            outlet.meter.advance(1);
        }
    }
    Ok(())
}

fn keywords(folder: &Path) -> Keywords {
    let mut text = String::new();
    let file = File::open(folder.join("dovecot-keywords"));
    let read = file.and_then(|file| {
        use std::io::Read as _;
        file.take(KEYWORDS_OCTETS_MAX).read_to_string(&mut text)
    });
    read.map_or_else(|_| Keywords::default(), |_| Keywords::parse(&text))
}

fn read_one(path: &Path, folder: &Found, keywords: &Keywords, outlet: &Outlet) -> Result<Arrived> {
    let file = File::open(path).context("it cannot be opened")?;
    let meta = file.metadata().context("it cannot be opened")?;
    if !meta.is_file() {
        bail!("it is no file");
    }
    if meta.len() > MESSAGE_OCTETS_MAX {
        bail!("it is larger than 512 MB");
    }
    let spool = with_crlf(file, outlet)?;
    if let Some(why) = unfit(&spool, false) {
        bail!(why);
    }
    let file_name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Arrived {
        places: vec![Place::named(folder.name.clone())],
        spool,
        // As Dovecot and Python's mailbox keep it.
        received_at: meta.modified().ok().and_then(|at| Timestamp::try_from(at).ok()),
        flags: maildir::flags(&file_name, keywords),
        what: path.display().to_string(),
        mark: None,
    })
}

/// The message with CRLF line ends, whatever the file has.
fn with_crlf(file: File, outlet: &Outlet) -> Result<Spool> {
    let mut writer = outlet.store.spool();
    let mut reader = BufReader::with_capacity(PIECE_OCTETS as usize, file);
    let (mut piece, mut last) = (Vec::new(), 0);
    loop {
        use std::io::Read as _;
        piece.clear();
        let read = reader.by_ref().take(PIECE_OCTETS).read_until(b'\n', &mut piece);
        if read.context("it cannot be read")? == 0 {
            return Ok(writer.finish()?);
        }
        let text = piece.strip_suffix(b"\n");
        let before = text.map_or(0, |text| text.last().copied().unwrap_or(last));
        match text {
            Some(text) if before != b'\r' => {
                writer.write(text)?;
                writer.write(b"\r\n")?;
            }
            _ => writer.write(&piece)?,
        }
        last = piece.last().copied().unwrap_or(0);
    }
}
