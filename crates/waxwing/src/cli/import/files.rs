//! mbox files as a source.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use waxwing_migrate::{mbox, names};
use waxwing_store::{Spool, StoreError};

use super::intake::{Arrived, Arriving, MESSAGE_OCTETS_MAX, Outlet};
use super::places::Place;

/// Folders within folders that are looked into.
pub const DEPTH_MAX: usize = 16;

/// A file and the mailbox that it is.
pub struct Found {
    path: PathBuf,
    name: String,
}

/// The mbox files that are meant: files as they are named, and in folders those that begin with a `From `
/// line. Thunderbird keeps the folders below `Work` in `Work.sbd`.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in paths {
        let kind =
            std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if kind.is_dir() {
            look_into(path, "", 0, &mut found)?;
        } else {
            found.push(Found { path: path.clone(), name: name_of(path, "") });
        }
    }
    if found.is_empty() {
        bail!("there is no mbox file there: such a file begins with a line `From …`");
    }
    Ok(found)
}

fn look_into(folder: &Path, above: &str, depth: usize, found: &mut Vec<Found>) -> Result<()> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    for path in sorted(folder)? {
        let kind = std::fs::symlink_metadata(&path).with_context(unreadable)?;
        if kind.is_dir() && depth < DEPTH_MAX {
            look_into(&path, &format!("{}/", name_of(&path, above)), depth + 1, found)?;
        } else if kind.is_file() && begins_like_mbox(&path) {
            let name = name_of(&path, above);
            found.push(Found { path, name });
        }
    }
    Ok(())
}

/// What is in a folder, in order of name.
pub fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || {
        let entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
        entries.collect::<std::io::Result<Vec<_>>>()
    };
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let mut paths = read().with_context(unreadable)?;
    paths.sort();
    Ok(paths)
}

fn begins_like_mbox(path: &Path) -> bool {
    let mut begin = [0; 5];
    File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && &begin == b"From "
}

fn name_of(path: &Path, above: &str) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name =
        [".mbox", ".mbx", ".sbd"].iter().find_map(|end| file.strip_suffix(end)).unwrap_or(&file);
    let own = names::ours(name, None, "").unwrap_or_else(|| "mbox".to_owned());
    format!("{above}{own}")
}

/// Reads all files, one after another.
pub fn read(files: &[Found], into: Option<&str>, outlet: &Outlet) -> Result<()> {
    let into = match into {
        Some(name) => Some(names::ours(name, Some('/'), "").context("the name of the mailbox")?),
        None => None,
    };
    for file in files {
        outlet.meter.expect(std::fs::metadata(&file.path).map_or(0, |meta| meta.len()));
    }
    for file in files {
        let place = into.clone().map(Place::named);
        if let Err(error) = read_one(file, place, outlet) {
            let why = format!("it could not be read to its end: {error:#}");
            // A store that cannot keep what comes is the end; a file that cannot be read is not.
            if error.is::<StoreError>() || error.is::<super::intake::Over>() {
                return Err(error);
            }
            outlet.send_blocking(Arriving::Failed(file.path.display().to_string(), why))?;
        }
    }
    Ok(())
}

fn read_one(file: &Found, into: Option<Place>, outlet: &Outlet) -> Result<()> {
    let mut reader = mbox::Reader::new(File::open(&file.path)?)?;
    let mut before = 0;
    for number in 1u64.. {
        let (mut writer, mut failed) = (outlet.store.spool(), None);
        let head = reader.next(&mut |piece| {
            if failed.is_none() && writer.len() <= MESSAGE_OCTETS_MAX {
                failed = writer.write(piece).err();
            }
        })?;
        let Some(head) = head else { break };
        if let Some(error) = failed {
            return Err(error.into());
        }
        outlet.meter.advance(reader.offset() - before);
        before = reader.offset();
        if head.is_internal() {
            continue;
        }
        if head.is_expunged() {
            outlet.send_blocking(Arriving::LeftOut)?;
            continue;
        }
        let what =
            format!("message {number} of {} (at octet {})", file.path.display(), head.offset);
        let too_large = writer.len() > MESSAGE_OCTETS_MAX;
        let spool = writer.finish()?;
        if let Some(why) = unfit(&spool, too_large) {
            outlet.send_blocking(Arriving::Failed(what, why.to_owned()))?;
            continue;
        }
        let (mut places, mut flags) = (vec![Place::named(file.name.clone())], head.flags());
        if let Some(labels) = head.labels() {
            places = labels.roles.iter().map(|role| Place::of_role(*role)).collect();
            places.extend(labels.mailboxes.into_iter().map(Place::Name));
            flags = labels.flags.finish();
        }
        if let Some(into) = &into {
            places = vec![into.clone()];
        }
        let received_at = head.received_at;
        let arrived = Arrived { places, spool, received_at, flags, what, mark: None };
        outlet.send_blocking(Arriving::Message(Box::new(arrived)))?;
    }
    Ok(())
}

/// Why octets are no message that could be kept.
pub fn unfit(spool: &Spool, too_large: bool) -> Option<&'static str> {
    if too_large {
        Some("it is larger than 512 MB")
    } else if spool.as_bytes().trim_ascii().is_empty() {
        Some("it is empty")
    } else {
        None
    }
}
