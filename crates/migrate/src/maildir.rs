//! Names in a Maildir: of files (`UNIQUE:2,FLAGS`), of Maildir++ folders (`.Work.2024`), and of the
//! keywords that Dovecot writes into `dovecot-keywords`.
//!
//! ```text
//! Maildir/cur/1700000000.M1P2.host,S=1234:2,FSb     flagged, seen, keyword 1
//! Maildir/new/…                                     not seen yet
//! Maildir/.Work.2024/cur/…                          the mailbox Work/2024
//! Maildir/dovecot-keywords                          0 $Forwarded␊1 urgent␊
//! ```

use waxwing_imap::wire::utf7;
use waxwing_store::{Flags, SystemFlags};

use crate::flags::{FORWARDED, Gathered, keywords};

/// Keywords that a Maildir can name: letters `a` to `z`.
pub const KEYWORDS_MAX: usize = 26;

/// Letters and their flags.
const LETTERS: [(char, SystemFlags); 5] = [
    ('D', SystemFlags::DRAFT),
    ('F', SystemFlags::FLAGGED),
    ('R', SystemFlags::ANSWERED),
    ('S', SystemFlags::SEEN),
    ('T', SystemFlags::DELETED),
];

/// What the letters `a` to `z` mean in one folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keywords {
    names: Vec<Option<String>>,
}

impl Keywords {
    /// Of the text of `dovecot-keywords`: a number and a name on each line.
    pub fn parse(text: &str) -> Keywords {
        let mut keywords = Keywords::default();
        for line in text.lines() {
            let Some((number, name)) = line.split_once(' ') else { continue };
            match number.parse::<usize>() {
                Ok(number) if number < KEYWORDS_MAX => {
                    if keywords.names.len() <= number {
                        keywords.names.resize(number + 1, None);
                    }
                    keywords.names[number] = Some(name.trim().to_owned());
                }
                _ => {}
            }
        }
        keywords
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let names = self.names.iter().enumerate();
        names.filter_map(|(n, name)| Some(format!("{n} {}\n", name.as_ref()?))).collect()
    }

    /// None is named.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn name(&self, letter: char) -> Option<&str> {
        let number = (letter as usize).checked_sub('a' as usize)?;
        self.names.get(number)?.as_deref()
    }

    /// The letter of a keyword, a new one if there is room.
    fn letter(&mut self, keyword: &str) -> Option<char> {
        let same = |name: &Option<String>| {
            name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(keyword))
        };
        let number = match self.names.iter().position(same) {
            Some(number) => number,
            None if self.names.len() < KEYWORDS_MAX => {
                self.names.push(Some(keyword.to_owned()));
                self.names.len() - 1
            }
            None => return None,
        };
        Some(char::from(b'a' + u8::try_from(number).ok()?))
    }
}

/// The flags in a file's name. Where a file system has no `:`, programs write `;` or `!`.
pub fn flags(file_name: &str, keywords: &Keywords) -> Flags {
    let mut gathered = Gathered::default();
    let info = file_name.rfind([':', ';', '!']).map(|at| &file_name[at + 1..]);
    for letter in info.and_then(|info| info.strip_prefix("2,")).unwrap_or_default().chars() {
        match letter {
            'P' => gathered.keyword(FORWARDED),
            'a'..='z' => {
                if let Some(name) = keywords.name(letter) {
                    gathered.keyword(name);
                }
            }
            _ => {
                let known = LETTERS.iter().find(|(known, _)| *known == letter);
                gathered.system(known.map_or_else(SystemFlags::default, |(_, flag)| *flag));
            }
        }
    }
    gathered.finish()
}

/// The `:2,` and letters for these flags, in ASCII order. Keywords beyond the twenty-sixth of a folder
/// have no letter and are left out.
pub fn info(flags: &Flags, names: &mut Keywords) -> String {
    let mut letters: Vec<char> = LETTERS
        .iter()
        .filter(|(_, flag)| flags.system.contains(*flag))
        .map(|(letter, _)| *letter)
        .collect();
    for keyword in keywords(flags) {
        match keyword.eq_ignore_ascii_case(FORWARDED) {
            true => letters.push('P'),
            false => letters.extend(names.letter(keyword)),
        }
    }
    letters.sort_unstable();
    format!(":2,{}", letters.into_iter().collect::<String>())
}

/// The mailbox of a folder: `.Work.2024` is `Work/2024`. Names are in modified UTF-7; some programs
/// write UTF-8, and what is neither is taken as it is. `None`: it is no such folder.
pub fn mailbox_name(folder: &str) -> Option<String> {
    let name = folder.strip_prefix('.').filter(|name| !name.is_empty() && *name != ".")?;
    let decoded = utf7::decode(name.as_bytes()).unwrap_or_else(|| name.to_owned());
    crate::names::ours(&decoded, Some('.'), "")
}

/// The folder of a mailbox, without the leading folder of the Maildir; INBOX is the Maildir itself.
///
/// A `.` in a level would part it in two: it becomes `_`.
pub fn folder_name(mailbox: &str) -> String {
    if mailbox == "INBOX" {
        return String::new();
    }
    let mut folder = String::from(".");
    let dotted = mailbox.replace('.', "_").replace('/', ".");
    utf7::encode(&dotted, |b| folder.push(char::from(b)));
    folder
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn file_names_hold_flags() {
        let names = Keywords::parse("0 $Junk\n1 urgent\nx\n99 far\n");
        let flags = flags("1700000000.M1P2.host,S=12:2,FPSbz", &names);
        assert_eq!(flags.system, SystemFlags::FLAGGED.with(SystemFlags::SEEN));
        assert_eq!(keywords(&flags).collect::<Vec<_>>(), ["$Forwarded", "urgent"]);
        for none in ["1700000000.M1P2.host", "x:1,S", "x:2,", ""] {
            assert_eq!(super::flags(none, &names), Flags::default(), "{none}");
        }
        assert_eq!(super::flags("x;2,S", &names).system, SystemFlags::SEEN);
    }

    #[test]
    fn folders_are_mailboxes() {
        assert_eq!(mailbox_name(".Work.2024").as_deref(), Some("Work/2024"));
        assert_eq!(mailbox_name(".Entw&APw-rfe").as_deref(), Some("Entwürfe"));
        assert_eq!(mailbox_name(".Entwürfe").as_deref(), Some("Entwürfe"));
        assert_eq!(mailbox_name("cur"), None);
        assert_eq!(mailbox_name(".."), None);
        assert_eq!(folder_name("INBOX"), "");
        assert_eq!(folder_name("Entwürfe/a.b"), ".Entw&APw-rfe.a_b");
    }

    #[test]
    fn the_twenty_seventh_keyword_has_no_letter() {
        let mut names = Keywords::default();
        for number in 0..27 {
            let mut gathered = Gathered::default();
            gathered.keyword(&format!("k{number}"));
            let info = info(&gathered.finish(), &mut names);
            assert_eq!(info.len(), if number < 26 { 4 } else { 3 }, "{info}");
        }
        assert_eq!(Keywords::parse(&names.text()), names);
    }

    proptest! {
        #[test]
        fn flags_come_back(system in 0u8..32, words in proptest::collection::vec("[a-z$]{1,8}", 0..6)) {
            let mut gathered = Gathered::default();
            gathered.system(SystemFlags(system));
            words.iter().for_each(|word| gathered.keyword(word));
            let given = gathered.finish();
            let mut names = Keywords::default();
            let name = format!("1.2.host{}", info(&given, &mut names));
            prop_assert_eq!(flags(&name, &Keywords::parse(&names.text())), given);
        }

        #[test]
        fn mailboxes_come_back(name in "[A-Za-zäöü&]{1,8}(/[A-Za-z台北 ]{1,8}){0,3}") {
            prop_assume!(!name.to_lowercase().starts_with("inbox"));
            let back = mailbox_name(&folder_name(&name));
            prop_assert_eq!(back, crate::names::ours(&name, Some('/'), ""));
        }
    }
}
