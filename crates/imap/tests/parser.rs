//! The parser on what nobody planned: any octets, and commands with a few octets changed.

use proptest::prelude::*;
use waxwing_imap::fuzzing::{fuzz_inflate, fuzz_parse, fuzz_threads};

/// Commands that parse, from RFC 3501, RFC 9051 and the extensions.
const SOUND: &[&str] = &[
    "a001 LOGIN SMITH SESAME",
    "A932 EXAMINE blurdybloop",
    "A683 RENAME blurdybloop sarasoop",
    "A202 LIST ~/Mail/ %",
    "A01 LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"INBOX\" \"Drafts\" \"Sent/%\") RETURN (CHILDREN)",
    "A042 STATUS blurdybloop (UIDNEXT MESSAGES)",
    "A282 SEARCH RETURN (MIN COUNT) FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
    "A284 SEARCH CHARSET UTF-8 TEXT {12}\r\n123456789012",
    "A654 FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])",
    "s100 UID FETCH 1:* (FLAGS MODSEQ) (CHANGEDSINCE 12345)",
    "A003 STORE 2:4 +FLAGS (\\Deleted)",
    "a103 UID STORE 6,4,8 (UNCHANGEDSINCE 12121230045) +FLAGS.SILENT (\\Deleted)",
    "A003 COPY 2:4 MEETING",
    "A999 UID FETCH 4827313:4828442 FLAGS",
    "a UID MOVE 42:69 foo",
    "a023 ID (\"name\" \"sodr\" \"version\" \"19.34\" \"vendor\" NIL)",
    "t2 ENABLE CONDSTORE X-GOOD-IDEA",
    "C: AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q=",
    "t1 CREATE MySpecial (USE (\\Drafts \\Sent))",
    "A FETCH 3 BINARY.PEEK[1.2]<0.2048>",
    "B04 SELECT INBOX (QRESYNC (67890007 90060115194045000 1:29997 (5000,7500 15000,22500)))",
    "s100 UID FETCH 300:500 (FLAGS EMAILID SAVEDATE) (CHANGEDSINCE 12345 VANISHED PARTIAL -1:-30)",
    "A01 UID SEARCH RETURN (PARTIAL -1:-100) UNDELETED UNKEYWORD $Junk",
    "27 search emailid M6d99ac3275bb4e SAVEDBEFORE 1-Feb-2020",
    "A283 SORT RETURN (MIN) (SUBJECT REVERSE DATE) UTF-8 ALL",
    "A285 UID THREAD REFERENCES UTF-8 SINCE 5-MAR-2000",
    "A003 GETQUOTAROOT INBOX",
    "c compress deflate",
    "A002 SETACL INBOX/Drafts Chris +cda",
    "B002 DeleteAcl INBOX Fred",
    "A002 GETACL INBOX",
    "a001 LISTRIGHTS ~/Mail/saved smith",
    "A003 MYRIGHTS INBOX",
    "A01 LIST (SUBSCRIBED) \"\" % RETURN (CHILDREN MYRIGHTS STATUS (SIZE))",
    "a GETMETADATA \"INBOX\" (DEPTH 1 MAXSIZE 1024) (/private/filters/values /shared/comment)",
    "a SETMETADATA INBOX (/private/comment {5}\r\nmy c. /shared/x NIL /private/b ~{3}\r\na\0b)",
    "b NOTIFY SET STATUS (selected (MessageNew (uid body.peek[header.fields (from to subject)]) \
     MessageExpunge)) (subtree Lists (MessageNew MessageExpunge FlagChange MailboxName))",
    "a NOTIFY NONE",
];

#[test]
fn sound_commands_parse() {
    for command in SOUND {
        let parsed = waxwing_imap::wire::parse::parse(command.as_bytes());
        assert!(parsed.is_ok(), "{command}: {parsed:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_octets(data: Vec<u8>) {
        fuzz_parse(&data);
        fuzz_inflate(&data);
    }

    /// Few ids, so that they refer to each other.
    #[test]
    fn threads_of_anything(text in "(<[a-c]@x>|re: |\\[|\\]|[a-c]|\n){0,60}") {
        fuzz_threads(text.as_bytes());
    }

    /// Sound commands with octets replaced, removed and doubled.
    #[test]
    fn nearly_sound_commands(
        which in 0..SOUND.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..6),
    ) {
        let mut text = SOUND[which].as_bytes().to_vec();
        for (at, octet, how) in changes {
            let at = at.index(text.len().max(1)).min(text.len().saturating_sub(1));
            match how {
                0 if !text.is_empty() => text[at] = octet,
                1 if !text.is_empty() => { text.remove(at); }
                _ => text.insert(at, octet),
            }
        }
        let _ = waxwing_imap::wire::parse::parse(&text);
        text.extend_from_slice(b"\r\n");
        fuzz_parse(&text);
    }
}
