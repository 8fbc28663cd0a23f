//! From the octets of a whole command to [`Command`] (RFC 9051 §9 `command`, RFC 3501 §9).
//!
//! Pure and total: any octets give a command or a [`BadCommand`] with the tag to answer, if there
//! was one. The larger grammars (FETCH, SEARCH, LIST) have files of their own.

use waxwing_store::{Role, SystemFlags};

use super::command::{Command, FlagList, Secret, StoreFlags, StoreHow};
use super::cursor::{Bad, Cursor, Parse, is_tag_char};
use super::sequence::SequenceSet;
use super::{
    parse_acl, parse_fetch, parse_list, parse_metadata, parse_notify, parse_search, parse_select,
    parse_sort,
};

/// A keyword may have this many octets.
pub const MAX_KEYWORD_OCTETS: usize = 128;
/// A command may name this many keywords.
pub const MAX_KEYWORDS: usize = 128;
/// RFC 2971 §3.3: pairs in ID.
const MAX_ID_PAIRS: usize = 30;

/// A command that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCommand {
    /// `*` stands in when `None`.
    pub tag: Option<String>,
    /// For the BAD response.
    pub why: Bad,
}

/// Parses `text`: a command with its literals, without the final CRLF.
pub fn parse(text: &[u8]) -> Result<(String, Command), BadCommand> {
    let mut cursor = Cursor::new(text);
    let tag = tag(&mut cursor).map_err(|why| BadCommand { tag: None, why })?;
    match command(&mut cursor).and_then(|command| cursor.end().map(|()| command)) {
        Ok(command) => Ok((tag, command)),
        Err(why) => Err(BadCommand { tag: Some(tag), why }),
    }
}

/// The tag at the beginning of `text`, if it has a sound one.
pub fn tag_of(text: &[u8]) -> Option<String> {
    tag(&mut Cursor::new(text)).ok()
}

/// RFC 9051 §9 `tag`, and the space after it.
pub fn tag(cursor: &mut Cursor<'_>) -> Parse<String> {
    let tag = cursor.ascii(is_tag_char, "A tag is missing")?.to_owned();
    if tag.len() > 64 {
        return Err(Bad("That tag is too long"));
    }
    cursor.expect(b' ', "A command is missing")?;
    Ok(tag)
}

fn command(cursor: &mut Cursor<'_>) -> Parse<Command> {
    let name = cursor.keyword().map_err(|_| Bad("A command is missing"))?;
    match name.as_str() {
        "GETJMAPACCESS" => Ok(Command::GetJmapAccess),
        "CAPABILITY" => Ok(Command::Capability),
        "NOOP" | "CHECK" => Ok(Command::Noop),
        "LOGOUT" => Ok(Command::Logout),
        "STARTTLS" => Ok(Command::StartTls),
        "NAMESPACE" => Ok(Command::Namespace),
        "IDLE" => Ok(Command::Idle),
        "CLOSE" => Ok(Command::Close),
        "UNSELECT" => Ok(Command::Unselect),
        "EXPUNGE" => Ok(Command::Expunge(None)),
        "UID" => {
            cursor.space()?;
            uid_command(cursor)
        }
        _ => {
            cursor.expect(b' ', "No such command, or its arguments are missing")?;
            with_arguments(&name, cursor)
        }
    }
}

/// RFC 9051 §9 `uid`.
fn uid_command(cursor: &mut Cursor<'_>) -> Parse<Command> {
    let name = cursor.keyword()?;
    cursor.space()?;
    match name.as_str() {
        "REPLACE" => Err(Bad("A message is missing")),
        "EXPUNGE" => SequenceSet::parse(cursor).map(|set| Command::Expunge(Some(set))),
        name => on_messages(name, true, cursor),
    }
}

/// Commands that take a set of messages, by sequence number or UID.
fn on_messages(name: &str, uid: bool, cursor: &mut Cursor<'_>) -> Parse<Command> {
    match name {
        "FETCH" => Ok(Command::Fetch { uid, fetch: parse_fetch::fetch(cursor)? }),
        "STORE" => Ok(Command::Store { uid, store: store(cursor)? }),
        "SEARCH" => Ok(Command::Search { uid, search: parse_search::search(cursor)? }),
        "SORT" => Ok(Command::Sort { uid, sort: parse_sort::sort(cursor)? }),
        "THREAD" => Ok(Command::Thread { uid, thread: parse_sort::thread(cursor)? }),
        "COPY" | "MOVE" => {
            let set = SequenceSet::parse(cursor)?;
            cursor.space()?;
            let mailbox = mailbox(cursor)?;
            Ok(match name {
                "COPY" => Command::Copy { uid, set, mailbox },
                _ => Command::Move { uid, set, mailbox },
            })
        }
        _ => Err(Bad("No such command")),
    }
}

fn with_arguments(name: &str, cursor: &mut Cursor<'_>) -> Parse<Command> {
    match name {
        "LOGIN" => login(cursor),
        "AUTHENTICATE" => authenticate(cursor),
        "ID" => id(cursor),
        "ENABLE" => enable(cursor),
        "SELECT" | "EXAMINE" => {
            parse_select::select(name == "EXAMINE", cursor).map(Command::Select)
        }
        "CREATE" => create(cursor),
        "DELETE" => mailbox(cursor).map(Command::Delete),
        "RENAME" => {
            let from = mailbox(cursor)?;
            cursor.space()?;
            Ok(Command::Rename { from, to: mailbox(cursor)? })
        }
        "SUBSCRIBE" => mailbox(cursor).map(Command::Subscribe),
        "UNSUBSCRIBE" => mailbox(cursor).map(Command::Unsubscribe),
        "GETQUOTA" => mailbox(cursor).map(Command::GetQuota),
        "GETQUOTAROOT" => mailbox(cursor).map(Command::GetQuotaRoot),
        "SETACL" => parse_acl::set_acl(cursor),
        "DELETEACL" => parse_acl::about_someone(cursor).map(|(m, who)| Command::DeleteAcl(m, who)),
        "LISTRIGHTS" => {
            parse_acl::about_someone(cursor).map(|(m, who)| Command::ListRights(m, who))
        }
        "GETACL" => mailbox(cursor).map(Command::GetAcl),
        "MYRIGHTS" => mailbox(cursor).map(Command::MyRights),
        "GETMETADATA" => parse_metadata::get(cursor).map(Command::GetMetadata),
        "SETMETADATA" => parse_metadata::set(cursor).map(Command::SetMetadata),
        "NOTIFY" => parse_notify::notify(cursor).map(Command::Notify),
        "COMPRESS" => Ok(Command::Compress { deflate: cursor.keyword()? == "DEFLATE" }),
        "LIST" => parse_list::list(cursor).map(Command::List),
        "LSUB" => parse_list::lsub(cursor).map(Command::List),
        "STATUS" => {
            let mailbox = mailbox(cursor)?;
            cursor.space()?;
            Ok(Command::Status { mailbox, items: parse_list::status_items(cursor)? })
        }
        "APPEND" | "REPLACE" => Err(Bad("A message is missing")),
        name => on_messages(name, false, cursor),
    }
}

fn mailbox(cursor: &mut Cursor<'_>) -> Parse<Vec<u8>> {
    cursor.astring().map(|name| name.into_owned())
}

fn login(cursor: &mut Cursor<'_>) -> Parse<Command> {
    let user = cursor.astring()?.into_owned();
    cursor.space()?;
    Ok(Command::Login { user, password: Secret(cursor.astring()?.into_owned()) })
}

fn authenticate(cursor: &mut Cursor<'_>) -> Parse<Command> {
    let mechanism = cursor.atom()?.to_owned();
    let initial = match cursor.eat(b' ') {
        true => Some(Secret(cursor.ascii(|b| b > 0x20, "A response is missing")?.into())),
        false => None,
    };
    Ok(Command::Authenticate { mechanism, initial })
}

fn id(cursor: &mut Cursor<'_>) -> Parse<Command> {
    if cursor.eat_word("NIL") {
        return Ok(Command::Id(Vec::new()));
    }
    let pairs = cursor.list(|cursor| {
        let field = cursor.string()?.into_owned();
        cursor.space()?;
        Ok((field, cursor.nstring()?.map(|value| value.into_owned())))
    })?;
    if pairs.len() > MAX_ID_PAIRS {
        return Err(Bad("ID has too many fields"));
    }
    Ok(Command::Id(pairs))
}

fn enable(cursor: &mut Cursor<'_>) -> Parse<Command> {
    let mut names = vec![cursor.keyword()?];
    while cursor.eat(b' ') {
        names.push(cursor.keyword()?);
    }
    Ok(Command::Enable(names))
}

fn create(cursor: &mut Cursor<'_>) -> Parse<Command> {
    let mailbox = mailbox(cursor)?;
    if !cursor.eat(b' ') {
        return Ok(Command::Create { mailbox, special_use: None });
    }
    cursor.expect(b'(', "A parameter list is missing")?;
    if !cursor.eat_word("USE ") {
        return Err(Bad("That parameter of CREATE is not known"));
    }
    let uses = cursor.list(|cursor| {
        cursor.expect(b'\\', "A special use begins with a backslash")?;
        Ok(role_of(&cursor.keyword()?))
    })?;
    cursor.expect(b')', "A parameter list is not closed")?;
    let special_use = match uses[..] {
        [] => None,
        [one] => Some(one),
        _ => Some(None), // one mailbox has one role here
    };
    Ok(Command::Create { mailbox, special_use })
}

/// Of those that can be made: the others show what stands elsewhere too (RFC 6154 §2).
fn role_of(name: &str) -> Option<Role> {
    let role = Role::of_special_use(&format!("\\{name}"))?;
    (!matches!(role, Role::All | Role::Flagged | Role::Important)).then_some(role)
}

fn store(cursor: &mut Cursor<'_>) -> Parse<StoreFlags> {
    let set = SequenceSet::parse(cursor)?;
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.eat_word("(UNCHANGEDSINCE ") {
        unchanged_since = Some(cursor.number64()?);
        cursor.expect(b')', "A parameter list is not closed")?;
        cursor.space()?;
    }
    let how = match cursor.peek() {
        Some(b'+') => StoreHow::Add,
        Some(b'-') => StoreHow::Remove,
        _ => StoreHow::Set,
    };
    let _ = cursor.eat(b'+') || cursor.eat(b'-');
    if !cursor.eat_word("FLAGS") {
        return Err(Bad("FLAGS is missing"));
    }
    let silent = cursor.eat_word(".SILENT");
    cursor.space()?;
    let flags = match cursor.peek() {
        Some(b'(') => flag_list(cursor)?,
        _ => bare_flags(cursor)?,
    };
    Ok(StoreFlags { set, unchanged_since, how, silent, flags })
}

/// RFC 9051 §9 `flag-list`.
pub fn flag_list(cursor: &mut Cursor<'_>) -> Parse<FlagList> {
    let mut flags = FlagList::default();
    cursor.list(|cursor| flag(cursor, &mut flags))?;
    Ok(flags)
}

/// Flags without parentheses, as STORE may have them.
fn bare_flags(cursor: &mut Cursor<'_>) -> Parse<FlagList> {
    let mut flags = FlagList::default();
    flag(cursor, &mut flags)?;
    while cursor.eat(b' ') {
        flag(cursor, &mut flags)?;
    }
    Ok(flags)
}

fn flag(cursor: &mut Cursor<'_>, flags: &mut FlagList) -> Parse<()> {
    if !cursor.eat(b'\\') {
        let keyword = cursor.atom().map_err(|_| Bad("A flag is malformed"))?;
        if keyword.len() > MAX_KEYWORD_OCTETS || flags.keywords.len() == MAX_KEYWORDS {
            return Err(Bad("Too many keywords, or too long"));
        }
        flags.keywords.push(keyword.to_owned());
        return Ok(());
    }
    let bit = match cursor.keyword()?.as_str() {
        "SEEN" => SystemFlags::SEEN,
        "ANSWERED" => SystemFlags::ANSWERED,
        "FLAGGED" => SystemFlags::FLAGGED,
        "DELETED" => SystemFlags::DELETED,
        "DRAFT" => SystemFlags::DRAFT,
        // RFC 3501 §2.3.2: cannot be altered; clients that copy flags send it along.
        "RECENT" => SystemFlags::default(),
        _ => return Err(Bad("No such system flag")),
    };
    flags.system = flags.system.with(bit);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::command::Select;
    use crate::wire::sequence::SetNumber;

    fn read(text: &str) -> Command {
        parse(text.as_bytes()).unwrap_or_else(|bad| panic!("{text}: {bad:?}")).1
    }

    fn why_not(text: &str) -> &'static str {
        parse(text.as_bytes()).expect_err(text).why.0
    }

    #[test]
    fn plain_commands() {
        assert_eq!(parse(b"a.1 noop"), Ok(("a.1".into(), Command::Noop)));
        assert_eq!(read("a CHECK"), Command::Noop);
        assert_eq!(read("a NOOP "), Command::Noop);
        assert_eq!(
            read("a LOGIN {5}\r\nalice \"se\\\"cret\""),
            Command::Login { user: b"alice".to_vec(), password: Secret(b"se\"cret".to_vec()) }
        );
        assert_eq!(
            read("a AUTHENTICATE plain ="),
            Command::Authenticate { mechanism: "plain".into(), initial: Some(Secret(b"=".into())) }
        );
        assert_eq!(
            read("a SELECT INBOX (CONDSTORE)"),
            Command::Select(Select {
                mailbox: b"INBOX".into(),
                read_only: false,
                condstore: true,
                qresync: None
            })
        );
        assert_eq!(
            read("a CREATE Away (USE (\\Sent))"),
            Command::Create { mailbox: b"Away".into(), special_use: Some(Some(Role::Sent)) }
        );
        assert_eq!(
            read("a ID (\"name\" \"x\" \"os\" NIL)"),
            Command::Id(vec![(b"name".into(), Some(b"x".into())), (b"os".into(), None)])
        );
        assert_eq!(
            read("a ENABLE condstore X"),
            Command::Enable(vec!["CONDSTORE".into(), "X".into()])
        );
        assert_eq!(read("a UID EXPUNGE $"), Command::Expunge(Some(SequenceSet::Saved)));
    }

    #[test]
    fn storing_flags() {
        let Command::Store { uid: true, store } =
            read("a UID STORE 3 (UNCHANGEDSINCE 12) -FLAGS.SILENT (\\Seen $Junk)")
        else {
            panic!()
        };
        assert_eq!(store.unchanged_since, Some(12));
        assert_eq!(store.how, StoreHow::Remove);
        assert!(store.silent);
        assert_eq!(store.flags.system, SystemFlags::SEEN);
        assert_eq!(store.flags.keywords, ["$Junk"]);
        let three = (SetNumber::Number(3), SetNumber::Number(3));
        assert_eq!(store.set, SequenceSet::Ranges(vec![three]));
        let Command::Store { store, .. } = read("a STORE 1 +FLAGS \\Deleted \\Recent") else {
            panic!()
        };
        assert_eq!(store.flags.system, SystemFlags::DELETED);
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(parse(b"").unwrap_err().tag, None);
        assert_eq!(parse(b"a").unwrap_err().tag, None);
        assert_eq!(parse(b"+ NOOP").unwrap_err().tag, None);
        assert_eq!(parse(b"a XYZZY").unwrap_err().tag.as_deref(), Some("a"));
        for text in [
            "a NOOP now",
            "a LOGIN",
            "a LOGIN x",
            "a SELECT",
            "a SELECT a b",
            "a STORE 1 FLAGS",
            "a STORE 1 FLAGS (\\Foo)",
            "a COPY 1",
            "a UID NOOP",
            "a UID",
            "a STATUS x",
            "a  NOOP",
            "a ID (\"a\")",
            "a CREATE x (USE \\Sent)",
            "a APPEND x",
            "a EXPUNGE 1",
        ] {
            assert!(!why_not(text).is_empty());
        }
    }
}
