//! One file per command. Each acts on the store through the session, writes its untagged responses,
//! and gives its tagged one; small ones that share a subject share a file.

mod acl;
pub mod append;
mod authenticate;
pub mod capability;
mod catenate;
mod close;
mod compress;
mod copy;
mod enable;
mod expunge;
mod fetch;
mod id;
pub mod idle;
mod jmap_access;
mod list;
mod login;
mod mailbox;
mod metadata;
pub mod notify;
mod quota;
mod resync;
mod search;
mod select;
mod sort;
mod starttls;
mod status;
mod store;
mod thread;

use crate::access;
use crate::connection::Connection;
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::selected::Picked;
use crate::session::{Session, State};
use crate::wire::command::{Command, SearchKey, Sort, Thread};
use crate::wire::sequence::SequenceSet;

/// Runs a command, then tells the client what changed in its mailbox meanwhile, as far as the
/// command allows it.
pub async fn run(
    connection: &mut Connection<'_>,
    session: &mut Session,
    tag: &str,
    command: Command,
) -> Done {
    let expunge = may_renumber(&command);
    news::rights(connection, session).await?;
    if matches!(session.state, State::Logout) {
        return Err(Fail::no("NOPERM", "The selected mailbox is not shared with you any more"));
    }
    if session.enabled.uid_only && uses_numbers(&command) {
        return Err(uid_required());
    }
    let done = act(connection, session, tag, command).await;
    if matches!(done, Err(Fail::Lost(_))) {
        return done;
    }
    // A store that fails now has been logged; the command's own outcome stands.
    match news::tell(connection, session, expunge).await {
        Err(Fail::Lost(lost)) => Err(Fail::Lost(lost)),
        _ => done,
    }
}

/// Whether EXPUNGE may be told in answer to it. RFC 3501 §7.4.1: all but three commands; RFC 9051
/// §7.5.1: "UID FETCH" is another command than "FETCH". RFC 5256 §3: nor in answer to SORT and THREAD.
fn may_renumber(command: &Command) -> bool {
    match command {
        Command::Fetch { uid, .. } | Command::Store { uid, .. } => *uid,
        // RFC 7162 §3.2.10.2: not where the keys have numbers.
        Command::Search { uid, search }
        | Command::Sort { uid, sort: Sort { search, .. } }
        | Command::Thread { uid, thread: Thread { search, .. } } => {
            *uid && !search.keys.iter().any(SearchKey::mentions_numbers)
        }
        _ => true,
    }
}

/// RFC 9586 §3.1.
fn uid_required() -> Fail {
    Fail::Refused(Tagged::bad("You have enabled UIDONLY: use UIDs").with("UIDREQUIRED"))
}

/// Whether sequence numbers stand in it, or would in its answer.
fn uses_numbers(command: &Command) -> bool {
    match command {
        Command::Fetch { uid, .. }
        | Command::Store { uid, .. }
        | Command::Copy { uid, .. }
        | Command::Move { uid, .. } => !uid,
        Command::Search { uid, search }
        | Command::Sort { uid, sort: Sort { search, .. } }
        | Command::Thread { uid, thread: Thread { search, .. } } => {
            !uid || search.keys.iter().any(SearchKey::mentions_numbers)
        }
        // RFC 7162 §3.2.5.2: sequence match data.
        Command::Select(select) => select.qresync.as_ref().is_some_and(|q| q.matched.is_some()),
        _ => false,
    }
}

async fn act(
    connection: &mut Connection<'_>,
    session: &mut Session,
    tag: &str,
    command: Command,
) -> Done {
    match command {
        Command::Capability => capability::run(connection, session),
        Command::Noop => Ok(Tagged::ok("Nothing done")),
        Command::Logout => logout(connection, session),
        Command::Id(fields) => id::run(connection, &fields),
        Command::StartTls => starttls::run(session),
        Command::Authenticate { mechanism, initial } => {
            authenticate::run(connection, session, &mechanism, initial).await
        }
        Command::Login { user, password } => {
            login::run(connection, session, &user, &password).await
        }
        Command::Enable(names) => enable::run(connection, session, &names),
        Command::Select(select) => select::run(connection, session, &select).await,
        Command::Create { mailbox, special_use } => {
            mailbox::create(session, &mailbox, special_use).await
        }
        Command::Delete(name) => mailbox::delete(connection, session, &name).await,
        Command::Rename { from, to } => mailbox::rename(session, &from, &to).await,
        Command::Subscribe(name) => mailbox::subscribe(session, &name, true).await,
        Command::Unsubscribe(name) => mailbox::subscribe(session, &name, false).await,
        Command::List(list) => list::run(connection, session, &list).await,
        Command::Namespace => namespace(connection, session),
        Command::GetJmapAccess => jmap_access::run(connection, session),
        Command::Status { mailbox, items } => {
            status::run(connection, session, &mailbox, &items).await
        }
        Command::GetQuota(root) => quota::of_root(connection, session, &root).await,
        Command::GetQuotaRoot(name) => quota::of_mailbox(connection, session, &name).await,
        Command::SetAcl { mailbox, identifier, change } => {
            acl::set(session, &mailbox, &identifier, change).await
        }
        Command::DeleteAcl(mailbox, identifier) => {
            acl::delete(session, &mailbox, &identifier).await
        }
        Command::GetAcl(mailbox) => acl::get(connection, session, &mailbox).await,
        Command::ListRights(mailbox, identifier) => {
            acl::list(connection, session, &mailbox, &identifier).await
        }
        Command::MyRights(mailbox) => acl::mine(connection, session, &mailbox).await,
        Command::GetMetadata(get) => metadata::get(connection, session, &get).await,
        Command::SetMetadata(set) => metadata::set(session, set).await,
        Command::Notify(notify) => notify::run(connection, session, notify).await,
        Command::Compress { deflate } => compress::run(connection, session, deflate),
        Command::Idle => Err(Fail::bad("IDLE is not for here")), // `idle` runs on its own
        Command::Close => close::close(session).await,
        Command::Unselect => close::unselect(session),
        Command::Expunge(set) => expunge::run(connection, session, set).await,
        Command::Search { uid, search } => {
            search::run(connection, session, tag, uid, &search).await
        }
        Command::Sort { uid, sort } => sort::run(connection, session, tag, uid, &sort).await,
        Command::Thread { uid, thread } => {
            thread::run(connection, session, tag, uid, &thread).await
        }
        Command::Fetch { uid, fetch } => fetch::run(connection, session, uid, &fetch).await,
        Command::Store { uid, store } => store::run(connection, session, uid, &store).await,
        Command::Copy { uid, set, mailbox } => {
            copy::copy(connection, session, uid, &set, &mailbox).await
        }
        Command::Move { uid, set, mailbox } => {
            copy::move_messages(connection, session, uid, &set, &mailbox).await
        }
    }
}

/// LOGOUT (RFC 9051 §6.1.3).
fn logout(connection: &mut Connection<'_>, session: &mut Session) -> Done {
    connection.out.raw("* BYE Until next time\r\n");
    session.state = State::Logout;
    Ok(Tagged::ok("Logged out"))
}

/// NAMESPACE (RFC 9051 §6.3.10): the account's own mailboxes, and those of other users.
fn namespace(connection: &mut Connection<'_>, session: &Session) -> Done {
    session.account()?;
    let out = &mut connection.out;
    out.raw("* NAMESPACE ((\"\" \"/\")) ((\"").raw(access::OTHER_USERS).raw("\" \"/\")) NIL\r\n");
    Ok(Tagged::ok("Those are the namespaces"))
}

/// The messages of a set in the selected mailbox.
fn pick(session: &mut Session, set: &SequenceSet, uid: bool) -> Result<Picked, Fail> {
    let selected = session.selected()?;
    selected
        .view
        .pick(set, uid, &selected.saved)
        .map_err(|_| Fail::bad("There is no message of that number"))
}
