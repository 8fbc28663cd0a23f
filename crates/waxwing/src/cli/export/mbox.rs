//! Mailboxes as mbox files.

use std::fs::{self, File};
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use waxwing_migrate::mbox;
use waxwing_store::{Entry, Mailbox};

use super::file_level;

/// A folder that files come into.
pub struct Folder {
    folder: PathBuf,
    replace: bool,
    file: Option<Draft>,
}

/// The file of a mailbox, under another name until it is whole.
struct Draft {
    out: BufWriter<File>,
    draft: PathBuf,
    path: PathBuf,
    /// Where the message that is being written begins.
    message_at: u64,
    writer: Option<mbox::Writer>,
    text: Vec<u8>,
}

impl Folder {
    pub fn new(folder: PathBuf, replace: bool) -> Folder {
        Folder { folder, replace, file: None }
    }

    pub fn begin(&mut self, mailbox: &Mailbox) -> Result<()> {
        let levels: Vec<String> = mailbox.name.split('/').map(file_level).collect();
        let (last, above) = levels.split_last().context("a mailbox has a name")?;
        let folder = above.iter().fold(self.folder.clone(), |folder, level| folder.join(level));
        let path = folder.join(format!("{last}.mbox"));
        if path.exists() && !self.replace {
            bail!("{} is there already: say --replace, or name another folder", path.display());
        }
        make_folder(&folder)?;
        let draft = folder.join(format!(".{last}.mbox.part"));
        let file = make_file(&draft)?;
        let out = BufWriter::with_capacity(256 * 1024, file);
        self.file = Some(Draft { out, draft, path, message_at: 0, writer: None, text: Vec::new() });
        Ok(())
    }

    fn draft(&mut self) -> Result<&mut Draft> {
        self.file.as_mut().context("a mailbox was begun")
    }

    pub fn begin_message(&mut self, entry: &Entry) -> Result<()> {
        let draft = self.draft()?;
        draft.text.clear();
        draft.writer = Some(mbox::Writer::new(entry.received_at, &entry.flags, &mut draft.text));
        draft.flush()
    }

    pub fn write(&mut self, octets: &[u8]) -> Result<()> {
        let draft = self.draft()?;
        if let Some(writer) = &mut draft.writer {
            writer.push(octets, &mut draft.text);
        }
        draft.flush()
    }

    pub fn end_message(&mut self, whole: bool) -> Result<()> {
        let draft = self.draft()?;
        let at = draft.message_at;
        if let Some(writer) = draft.writer.take().filter(|_| whole) {
            writer.finish(&mut draft.text);
            draft.flush()?;
            draft.message_at = draft.out.stream_position()?;
        } else {
            draft.out.seek(SeekFrom::Start(at))?;
            draft.out.get_ref().set_len(at)?;
        }
        Ok(())
    }

    /// From now on the file is there.
    pub fn end(&mut self) -> Result<()> {
        let Draft { out, draft, path, .. } = self.file.take().context("a mailbox was begun")?;
        let file = out.into_inner().map_err(|error| error.into_error())?;
        file.sync_all()?;
        fs::rename(&draft, &path).with_context(|| format!("cannot make {}", path.display()))
    }
}

impl Draft {
    fn flush(&mut self) -> Result<()> {
        let written = self.out.write_all(&self.text);
        self.text.clear();
        written.with_context(|| format!("cannot write {}", self.draft.display()))
    }
}

/// A folder that only its owner may look into: it is for mail.
pub fn make_folder(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make {}", folder.display()))
}

/// A file that only its owner may read.
pub fn make_file(path: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    made.with_context(|| format!("cannot write {}", path.display()))
}
