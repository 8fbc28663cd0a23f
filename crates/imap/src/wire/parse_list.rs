//! LIST with the options of RFC 5258, RFC 5819 and RFC 6154 (all in RFC 9051 §6.3.9), LSUB, and the
//! items of STATUS.

use super::cursor::{Bad, Cursor, Parse};

/// Patterns in one LIST.
const MAX_PATTERNS: usize = 50;

/// LIST or LSUB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// LSUB's answers are named so.
    pub lsub: bool,
    /// Selection options.
    pub select: ListSelect,
    /// The reference.
    pub reference: Vec<u8>,
    /// At least one.
    pub patterns: Vec<Vec<u8>>,
    /// Patterns in parentheses or options: the syntax of RFC 5258 was used.
    pub extended: bool,
    /// Return options.
    pub returns: ListReturn,
}

/// Which mailboxes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListSelect {
    /// Only subscribed names.
    pub subscribed: bool,
    /// Also parents of ones that match.
    pub recursive_match: bool,
    /// Only those with a special use.
    pub special_use: bool,
}

/// What to tell of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// \Subscribed.
    pub subscribed: bool,
    /// A MYRIGHTS response beside each (RFC 8440).
    pub my_rights: bool,
    /// A STATUS response beside each (RFC 5819).
    pub status: Option<Vec<StatusItem>>,
}

/// RFC 9051 §6.3.11, RFC 7162, RFC 7889, RFC 8474, RFC 9208, and rev1's RECENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// MESSAGES.
    Messages,
    /// RECENT: always 0.
    Recent,
    /// UIDNEXT.
    UidNext,
    /// UIDVALIDITY.
    UidValidity,
    /// UNSEEN.
    Unseen,
    /// DELETED.
    Deleted,
    /// SIZE.
    Size,
    /// HIGHESTMODSEQ.
    HighestModSeq,
    /// APPENDLIMIT.
    AppendLimit,
    /// MAILBOXID (RFC 8474).
    MailboxId,
    /// DELETED-STORAGE (RFC 9208).
    DeletedStorage,
}

/// Reads the arguments of LIST.
pub fn list(cursor: &mut Cursor<'_>) -> Parse<List> {
    let mut list = List::default();
    if cursor.peek() == Some(b'(') {
        list.extended = true;
        list.select = select_options(cursor)?;
        cursor.space()?;
    }
    list.reference = cursor.astring()?.into_owned();
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        list.extended = true;
        list.patterns =
            cursor.list(|cursor| cursor.list_mailbox().map(|name| name.into_owned()))?;
        if list.patterns.is_empty() || list.patterns.len() > MAX_PATTERNS {
            return Err(Bad("LIST needs patterns, but not that many"));
        }
    } else {
        list.patterns.push(cursor.list_mailbox()?.into_owned());
    }
    if cursor.eat_word(" RETURN ") {
        list.extended = true;
        list.returns = return_options(cursor)?;
    }
    Ok(list)
}

/// Reads the arguments of LSUB (RFC 3501 §6.3.9).
pub fn lsub(cursor: &mut Cursor<'_>) -> Parse<List> {
    let reference = cursor.astring()?.into_owned();
    cursor.space()?;
    let patterns = vec![cursor.list_mailbox()?.into_owned()];
    Ok(List {
        lsub: true,
        select: ListSelect { subscribed: true, ..ListSelect::default() },
        reference,
        patterns,
        ..List::default()
    })
}

fn select_options(cursor: &mut Cursor<'_>) -> Parse<ListSelect> {
    let mut select = ListSelect::default();
    cursor.list(|cursor| {
        match cursor.keyword()?.as_str() {
            "SUBSCRIBED" => select.subscribed = true,
            "RECURSIVEMATCH" => select.recursive_match = true,
            "SPECIAL-USE" => select.special_use = true,
            "REMOTE" => {} // RFC 5258 §3.1: there are no remote mailboxes
            _ => return Err(Bad("No such selection option")),
        }
        Ok(())
    })?;
    if select.recursive_match && !(select.subscribed || select.special_use) {
        return Err(Bad("RECURSIVEMATCH needs another selection option")); // RFC 5258 §3.1
    }
    Ok(select)
}

fn return_options(cursor: &mut Cursor<'_>) -> Parse<ListReturn> {
    let mut returns = ListReturn::default();
    cursor.list(|cursor| {
        match cursor.keyword()?.as_str() {
            "SUBSCRIBED" => returns.subscribed = true,
            "MYRIGHTS" => returns.my_rights = true,
            "CHILDREN" | "SPECIAL-USE" => {} // always told
            "STATUS" => {
                cursor.space()?;
                returns.status = Some(status_items(cursor)?);
            }
            _ => return Err(Bad("No such return option")),
        }
        Ok(())
    })?;
    Ok(returns)
}

/// `(MESSAGES UNSEEN …)`.
pub fn status_items(cursor: &mut Cursor<'_>) -> Parse<Vec<StatusItem>> {
    let mut items = Vec::new();
    cursor.list(|cursor| {
        let item = match cursor.keyword()?.as_str() {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "DELETED" => StatusItem::Deleted,
            "SIZE" => StatusItem::Size,
            "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
            "APPENDLIMIT" => StatusItem::AppendLimit,
            "DELETED-STORAGE" => StatusItem::DeletedStorage,
            "MAILBOXID" => StatusItem::MailboxId,
            _ => return Err(Bad("No such STATUS item")),
        };
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    })?;
    if items.is_empty() { Err(Bad("STATUS needs an item")) } else { Ok(items) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parse<List> {
        let mut cursor = Cursor::new(text.as_bytes());
        let list = list(&mut cursor)?;
        cursor.end()?;
        Ok(list)
    }

    #[test]
    fn lists() {
        let plain = read("\"\" %/*").unwrap();
        assert!(!plain.extended);
        assert_eq!(plain.patterns, [b"%/*"]);
        let extended = read(
            "(SUBSCRIBED RECURSIVEMATCH) ref (a \"b*\") RETURN (CHILDREN STATUS (UNSEEN SIZE))",
        );
        let extended = extended.unwrap();
        assert!(extended.extended && extended.select.subscribed && extended.select.recursive_match);
        assert_eq!(extended.patterns, [b"a".to_vec(), b"b*".to_vec()]);
        assert_eq!(extended.returns.status, Some(vec![StatusItem::Unseen, StatusItem::Size]));
        assert!(read("() \"\" *").is_ok());
        for bad in ["\"\"", "(RECURSIVEMATCH) \"\" *", "(X) \"\" *", "\"\" ()", "\"\" * RETURN (X)"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
