//! Other systems' mailbox names in ours: their separator for `/`, what they call a role by name.

use waxwing_store::Role;

/// Octets of a level that the store takes.
const LEVEL_OCTETS_MAX: usize = 255;
/// Levels that the store takes.
const LEVELS_MAX: usize = 32;

/// A name as we write it; `prefix` is what stands before all personal mailboxes there (RFC 2342), such
/// as `INBOX.`. `None` when nothing is left.
///
/// What cannot be in a level here (a `/` where another separator parts levels, a control character)
/// becomes `_`; a level that is too long is cut.
pub fn ours(theirs: &str, separator: Option<char>, prefix: &str) -> Option<String> {
    let inbox = theirs.eq_ignore_ascii_case("INBOX");
    let own = if inbox { theirs } else { theirs.strip_prefix(prefix).unwrap_or(theirs) };
    let levels: Vec<String> = match separator {
        Some(separator) => own.split(separator).map(level).collect(),
        None => vec![level(own)],
    };
    let mut levels: Vec<String> = levels.into_iter().filter(|level| !level.is_empty()).collect();
    levels.truncate(LEVELS_MAX);
    if levels.first().is_some_and(|first| first.eq_ignore_ascii_case("INBOX")) {
        levels[0] = "INBOX".to_owned();
    }
    (!levels.is_empty()).then(|| levels.join("/"))
}

fn level(text: &str) -> String {
    let allowed = |c: char| !c.is_control() && !matches!(c, '/' | '\u{2028}' | '\u{2029}');
    let level: String = text.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    // Composing (NFC), which the store does, can make text a little longer.
    let end = level.floor_char_boundary(LEVEL_OCTETS_MAX / 3 * 2);
    if level.len() > LEVEL_OCTETS_MAX { level[..end].to_owned() } else { level }
}

/// The role that a name tells where nothing else does: what common servers and programs call it.
pub fn role_of_name(name: &str) -> Option<Role> {
    let known: [(Role, &[&str]); 6] = [
        (Role::Inbox, &["inbox"]),
        (Role::Drafts, &["drafts", "draft"]),
        (Role::Sent, &["sent", "sent items", "sent messages", "sent mail", "sent-mail"]),
        (Role::Junk, &["junk", "spam", "junk e-mail", "junk email", "junk mail", "bulk mail"]),
        (Role::Trash, &["trash", "deleted items", "deleted messages", "wastebasket"]),
        (Role::Archive, &["archive", "archives"]),
    ];
    let name = name.to_lowercase();
    known.into_iter().find(|(_, names)| names.contains(&name.as_str())).map(|(role, _)| role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_their_separator() {
        let dot = |name| ours(name, Some('.'), "INBOX.");
        assert_eq!(dot("INBOX").as_deref(), Some("INBOX"));
        assert_eq!(dot("inbox").as_deref(), Some("INBOX"));
        assert_eq!(dot("INBOX.Work.2024").as_deref(), Some("Work/2024"));
        assert_eq!(dot("INBOX.a/b").as_deref(), Some("a_b"));
        assert_eq!(dot("INBOX..").as_deref(), None);
        assert_eq!(ours("a.b/c", Some('/'), "").as_deref(), Some("a.b/c"));
        assert_eq!(ours("a/b", None, "").as_deref(), Some("a_b"));
        assert_eq!(ours("Inbox/x", Some('/'), "").as_deref(), Some("INBOX/x"));
        assert_eq!(ours("a\u{7}b", Some('/'), "").as_deref(), Some("a_b"));
        assert!(ours(&"ü".repeat(400), Some('/'), "").unwrap().len() <= 255);
    }

    #[test]
    fn roles_by_name() {
        assert_eq!(role_of_name("Sent Items"), Some(Role::Sent));
        assert_eq!(role_of_name("SPAM"), Some(Role::Junk));
        assert_eq!(role_of_name("Projects"), None);
    }
}
