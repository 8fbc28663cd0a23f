//! What a session asks: of the store that keeps scripts, and of the one who compiles them.

use std::future::Future;

/// Something to do for the person who is logged in. Names are checked (RFC 5804 §1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `HAVESPACE`: may a script of that size be put there?
    HaveSpace {
        /// Its name.
        name: String,
        /// Its size.
        octets: u64,
    },
    /// `PUTSCRIPT`: keep it, if it compiles.
    Put {
        /// Its name.
        name: String,
        /// The script.
        content: Vec<u8>,
    },
    /// `CHECKSCRIPT`: does it compile?
    Check {
        /// The script.
        content: Vec<u8>,
    },
    /// `LISTSCRIPTS`.
    List,
    /// `SETACTIVE`; `None` makes no script active.
    SetActive {
        /// Its name.
        name: Option<String>,
    },
    /// `GETSCRIPT`.
    Get {
        /// Its name.
        name: String,
    },
    /// `DELETESCRIPT`.
    Delete {
        /// Its name.
        name: String,
    },
    /// `RENAMESCRIPT`.
    Rename {
        /// Its name.
        old: String,
        /// What it shall be.
        new: String,
    },
}

/// What came of a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// It is done, and there is something to say about the script (RFC 5804 §1.3 `WARNINGS`).
    Warned(String),
    /// The script.
    Script(Vec<u8>),
    /// All scripts.
    List(Vec<Listed>),
    /// The script has faults: their text, a line each.
    Faulty(String),
    /// There is no script of that name.
    NonExistent,
    /// There is one of that name already.
    AlreadyExists,
    /// The active script cannot be deleted.
    Active,
    /// No more scripts fit.
    TooMany,
    /// The script is too large.
    TooLarge,
    /// No space is left.
    NoSpace,
    /// The store has a problem that will pass.
    TryLater,
}

/// One script in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Whether it is the one that runs.
    pub active: bool,
}

/// The scripts of one person. Each gives the [`Answer`] that it comes to.
///
/// Activating and putting over the active script change what happens to mail from then on, all at once.
pub trait Scripts {
    /// Whether the script compiles: [`Answer::Done`], [`Answer::Warned`] or [`Answer::Faulty`].
    fn check(&self, content: &[u8]) -> Answer;
    /// Whether a script of that size could be put there.
    fn have_space(&self, name: &str, octets: u64) -> impl Future<Output = Answer> + Send;
    /// All scripts.
    fn list(&self) -> impl Future<Output = Answer> + Send;
    /// One script.
    fn get(&self, name: &str) -> impl Future<Output = Answer> + Send;
    /// Keeps a script that compiles, in the place of one of that name if there is one.
    fn put(&self, name: &str, content: &[u8]) -> impl Future<Output = Answer> + Send;
    /// Makes a script the one that runs; or none.
    fn activate(&self, name: Option<&str>) -> impl Future<Output = Answer> + Send;
    /// Gives a script another name; it stays active if it was.
    fn rename(&self, old: &str, new: &str) -> impl Future<Output = Answer> + Send;
    /// Deletes a script that is not active.
    fn delete(&self, name: &str) -> impl Future<Output = Answer> + Send;
}

/// Does what a session asks. What does not compile is not kept (RFC 5804 §2.6).
pub async fn perform(scripts: &impl Scripts, request: Request) -> Answer {
    match request {
        Request::HaveSpace { name, octets } => scripts.have_space(&name, octets).await,
        Request::Put { name, content } => match scripts.check(&content) {
            Answer::Done => scripts.put(&name, &content).await,
            Answer::Warned(warning) => match scripts.put(&name, &content).await {
                Answer::Done => Answer::Warned(warning),
                other => other,
            },
            other => other,
        },
        Request::Check { content } => scripts.check(&content),
        Request::List => scripts.list().await,
        Request::SetActive { name } => scripts.activate(name.as_deref()).await,
        Request::Get { name } => scripts.get(&name).await,
        Request::Delete { name } => scripts.delete(&name).await,
        Request::Rename { old, new } => scripts.rename(&old, &new).await,
    }
}
