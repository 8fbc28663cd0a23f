//! SELECT and EXAMINE: parameters (RFC 4466 §2.1), CONDSTORE and QRESYNC (RFC 7162 §3.1.8, §3.2.5).

use super::cursor::{Bad, Cursor, Parse};
use super::sequence::SequenceSet;

/// SELECT or EXAMINE.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// Which.
    pub mailbox: Vec<u8>,
    /// EXAMINE.
    pub read_only: bool,
    /// `(CONDSTORE)` (RFC 7162 §3.1.8).
    pub condstore: bool,
    /// `(QRESYNC (…))`.
    pub qresync: Option<Qresync>,
}

/// What a client remembers of a mailbox (RFC 7162 §3.2.5). No set has `*` or `$` in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Qresync {
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// HIGHESTMODSEQ.
    pub modseq: u64,
    /// The UIDs it has; all when absent.
    pub known: Option<SequenceSet>,
    /// Sequence numbers and the UIDs that they had, one for one.
    pub matched: Option<(SequenceSet, SequenceSet)>,
}

/// Reads the arguments.
pub fn select(read_only: bool, cursor: &mut Cursor<'_>) -> Parse<Select> {
    let mailbox = cursor.astring()?.into_owned();
    let mut select = Select { mailbox, read_only, condstore: false, qresync: None };
    if cursor.eat(b' ') {
        cursor.list(|cursor| match cursor.keyword()?.as_str() {
            "CONDSTORE" => {
                select.condstore = true;
                Ok(())
            }
            "QRESYNC" if select.qresync.is_none() => {
                cursor.space()?;
                select.qresync = Some(qresync(cursor)?);
                Ok(())
            }
            _ => Err(Bad("That parameter of SELECT is not known")),
        })?;
    }
    Ok(select)
}

fn qresync(cursor: &mut Cursor<'_>) -> Parse<Qresync> {
    cursor.expect(b'(', "The parameters of QRESYNC are missing")?;
    let uid_validity = cursor.nz_number()?;
    cursor.space()?;
    let modseq = cursor.number64()?;
    let (mut known, mut matched) = (None, None);
    if cursor.rest().starts_with(b" ") && !cursor.rest().starts_with(b" (") {
        cursor.space()?;
        known = Some(plain_set(cursor)?);
    }
    if cursor.eat(b' ') {
        cursor.expect(b'(', "Sequence match data is malformed")?;
        let numbers = plain_set(cursor)?;
        cursor.space()?;
        matched = Some((numbers, plain_set(cursor)?));
        cursor.expect(b')', "Sequence match data is not closed")?;
    }
    cursor.expect(b')', "The parameters of QRESYNC are not closed")?;
    Ok(Qresync { uid_validity, modseq, known, matched })
}

/// RFC 7162 §7: `*` is not allowed.
fn plain_set(cursor: &mut Cursor<'_>) -> Parse<SequenceSet> {
    match SequenceSet::parse(cursor)? {
        set @ SequenceSet::Ranges(_) if !set.has_largest() => Ok(set),
        _ => Err(Bad("Neither * nor $ can stand there")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parse<Select> {
        let mut cursor = Cursor::new(text.as_bytes());
        let select = select(false, &mut cursor)?;
        cursor.end()?;
        Ok(select)
    }

    #[test]
    fn parameters() {
        assert!(read("INBOX (CONDSTORE)").unwrap().condstore);
        // RFC 7162 §3.2.5's examples.
        let short = read("INBOX (QRESYNC (67890007 20050715194045000))").unwrap().qresync.unwrap();
        assert_eq!((short.uid_validity, short.modseq), (67_890_007, 20_050_715_194_045_000));
        assert_eq!((short.known, short.matched), (None, None));
        let long = "INBOX (QRESYNC (67890007 90060115194045000 1:29997 (5000,7500 15000,22500)))";
        let long = read(long).unwrap().qresync.unwrap();
        assert!(long.known.is_some() && long.matched.is_some());
        let no_known = read("INBOX (QRESYNC (1 2 (3 4)) CONDSTORE)").unwrap();
        assert!(no_known.condstore && no_known.qresync.unwrap().known.is_none());
        for bad in [
            "INBOX (X)",
            "INBOX (QRESYNC)",
            "INBOX (QRESYNC (0 1))",
            "INBOX (QRESYNC (1))",
            "INBOX (QRESYNC (1 2 1:*))",
            "INBOX (QRESYNC (1 2 $))",
            "INBOX (QRESYNC (1 2 3 (4)))",
            "INBOX (QRESYNC (1 2 3 (4 *)))",
            "INBOX (QRESYNC (1 2) QRESYNC (1 2))",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
