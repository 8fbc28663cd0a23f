//! Header field values of another project, with the reading it expects. Its answers are turned into
//! ours where they say the same in another shape; where they do not, [`JUDGED`] says why.

use std::collections::BTreeMap;
use waxwing_suites as suites;

use serde_json::Value;
use waxwing_message::parse::{AddressItem, addresses, content, date, words};

fn cases(name: &str) -> Vec<(String, Value)> {
    let Some(folder) = suites::find("mime/fields") else { return Vec::new() };
    let text = std::fs::read(folder.join(name)).expect("the suite is whole");
    let all: Vec<Value> = serde_json::from_slice(&text).expect("JSON");
    all.into_iter()
        .map(|case| (one_value(case["header"].as_str().expect("text")), case["expected"].clone()))
        .collect()
}

/// Some cases go on with the next field, where that library would stop reading.
fn one_value(header: &str) -> String {
    let folds = |rest: &str| rest.starts_with([' ', '\t']);
    let end = header.match_indices('\n').map(|(at, _)| at + 1).find(|at| !folds(&header[*at..]));
    header[..end.unwrap_or(header.len())].to_owned()
}

/// Fails when a reading differs that is not judged, or a judged one does not.
fn check(name: &str, judged: &[(&str, &str)], read: impl Fn(&str, &Value) -> (String, String)) {
    let all = cases(name);
    if all.is_empty() {
        return;
    }
    let judged: BTreeMap<&str, &str> = judged.iter().copied().collect();
    let mut wrong = String::new();
    for (header, expected) in &all {
        let (ours, theirs) = read(header, expected);
        match (ours == theirs, judged.contains_key(header.as_str())) {
            (true, false) | (false, true) => {}
            (true, true) => wrong.push_str(&format!("no longer differs: {header:?}\n")),
            (false, false) => {
                wrong.push_str(&format!("{header:?}\n    ours   {ours:?}\n    theirs {theirs:?}\n"))
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn dates() {
    check("date.json", DATES, |header, expected| {
        let n = |name: &str| expected[name].as_i64().unwrap_or_default();
        let theirs = expected.is_object().then(|| {
            jiff::civil::DateTime::new(
                n("year") as i16,
                n("month") as i8,
                n("day") as i8,
                n("hour") as i8,
                n("minute") as i8,
                n("second") as i8,
                0,
            )
            .ok()
            .and_then(|civil| jiff::tz::Offset::UTC.to_timestamp(civil).ok())
            .map(|utc| {
                let zone = n("tz_hour") * 3600 + n("tz_minute") * 60;
                utc.as_second() + if expected["tz_before_gmt"] == true { zone } else { -zone }
            })
        });
        let ours = date::parse(header.as_bytes()).map(|at| at.as_second());
        (format!("{ours:?}"), format!("{:?}", theirs.flatten()))
    });
}

#[rustfmt::skip]
const DATES: &[(&str, &str)] = &[
    ("20 11 (some \n 44 comments(more comments\n )) 79 05:34:27 -0300", "numbers without a month's name are no date"),
    (" 4 8 15 16 23 42, 4 8 15 16 23 42, 4 8 15 16 23 42, ", "numbers without a month's name are no date"),
    ("Tue, 1 Jul 2003 10:52:37 +5 \n", "one or two digits are hours"),
    ("Tue, 1 Jul 2003 10:52:37 +530\n", "the last two of three digits are minutes"),
    ("Tue, 1 Jul 2003 10:52:37\n", "understood well enough"),
    ("Tue, 1 June 2003 10:52:37 +0200", "understood well enough"),
    ("01-Jan-2021 10:52:37 +0200", "understood well enough"),
    ("Tue, 1 Jul 2003 10:52:37 est", "zone names are case-insensitive"),
    ("Tue, 1 Xul 2003 10:52:37 +0200", "no month, no date"),
    ("Tue, 1 Jul 2003 10:52:37 +0200 foo-bar", "a word after the zone is no zone"),
    ("Tue, 1 Jul 2003 10:52:37 +0200; x", "understood well enough"),
    ("Wed, 27 Jun 99 04:11 GMT\n", "understood well enough"),
    ("Tue, 1 Jul 2003 10:52:37", "understood well enough"),
    ("Tue, 1 Xul 2003 10:52:37 -0000", "no month, no date"),
    ("1 Jul 121 10:52:37 +0200", "RFC 5322 §4.3: three digits count from 1900"),
    ("Tue, 1 Jul 2003 10:52:37 +0200 x-y", "a word after the zone is no zone"),
    ("Tue, 1 Jul 2003 10:52:37 +0200 foo-", "a word after the zone is no zone"),
    ("Tue, 1 Jul 2003 10:52:37 +020", "the last two of three digits are minutes"),
    ("Tue, 1 Jul 2003 10:52:37 5\n", "a word after the zone is no zone"),
    ("Tue, 1 Jul 2003 10:52:37 +05 (IST)\n", "one or two digits are hours"),
    ("Tue, 1 Jul 2003 10:52:37 +1 x-\n", "a word after the zone is no zone"),
    ("Tue, 1 Jul 2003 10:52:37 +3(7 +5", "a word after the zone is no zone"),
    ("Tue, 1 Jul 2003 10:52:37 5+,", "a word after the zone is no zone"),
    ("Tue, 1 Jul 2003 10:52:37 -+5\n", "a word after the zone is no zone"),
];

#[test]
fn unstructured() {
    check("unstructured.json", UNSTRUCTURED, |header, expected| {
        let theirs = expected.as_str().unwrap_or_default().to_owned();
        (words::decode_text(header.as_bytes()), theirs)
    });
}

#[rustfmt::skip]
const UNSTRUCTURED: &[(&str, &str)] = &[
    ("=?utf-8?q?a?= =?utf-8?q?=ZZ?=\n", "a Q word with a broken escape is still a word; the escape stands"),
];

#[test]
fn ids() {
    check("id.json", IDS, |header, expected| {
        let theirs: Vec<String> = match expected {
            Value::Array(all) => {
                all.iter().map(|id| id.as_str().unwrap_or_default().to_owned()).collect()
            }
            _ => Vec::new(),
        };
        (format!("{:?}", words::message_ids(header.as_bytes())), format!("{theirs:?}"))
    });
}

#[rustfmt::skip]
const IDS: &[(&str, &str)] = &[
    ("<1234   @   local(blah)  .machine .example>\n", "white space in an id is folding and dropped"),
    ("<a<b>c>\n", "an id begins at the last bracket"),
    ("foo <> bar\n", "several words are no id"),
    ("a>b\n", "brackets are no part of an id"),
    ("< a b >\n", "white space in an id is folding and dropped"),
    ("<a\r\n b>\r\n", "white space in an id is folding and dropped"),
    ("a@b <c\n <d@e>\n", "an open bracket ends where the next begins"),
];

#[test]
fn content_types() {
    check("content_type.json", CONTENT_TYPES, |header, expected| {
        let value = header.as_bytes();
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let ours = match content::media_type(value) {
            Some((main, sub)) => format!("{main}/{sub}"),
            None => format!("{}/", content::first_word(value)),
        };
        let theirs = format!("{}/{}", text(&expected["c_type"]), text(&expected["c_subtype"]));
        // The language of RFC 2231 is a parameter to them and nothing to us.
        let mut params = Vec::new();
        for pair in expected["attributes"].as_array().into_iter().flatten() {
            if !text(&pair[0]).ends_with("-language") {
                params.push((text(&pair[0]), text(&pair[1])));
            }
        }
        (format!("{ours} {:?}", content::params(value)), format!("{theirs} {params:?}"))
    });
}

#[rustfmt::skip]
const CONTENT_TYPES: &[(&str, &str)] = &[
    ("application/pdf\n   filename*0*=iso-8859-1'es'%D1and%FA\n   filename*1*=iso-8859-1'%20r%E1pido\n   filename*2*=\"iso-8859-1' (versi%F3n \\'99 \\\"oficial\\\").pdf\"\n", "RFC 2231 §4.1 has charset and language in the first section only"),
    ("image/jpeg;\n   name=\"=?iso-8859-1?B?4Q==?= =?utf-8?B?w6k=?= =?iso-8859-1?q?=ED?=.jpeg\"\n", "RFC 2047 §6.2: white space between encoded words is dropped"),
    ("/ ; name=value\n", "parameters are read even where the type is no type: a boundary may be among them"),
    ("text/plain; name=  \n", "an empty value is a value"),
    ("test/encoded; key4*=us-ascii''foo; key*9999=ba%; key2*0=a; key3*0*=us-ascii'en'xyz; key*0=\"f\0oo\"; key2*1*=b%25; key3*1=plop%; key*1=baz; *=test; =test2;\n", "parameters stand in the order of their first appearance"),
    ("malicious/attempt; 1*2*=a; 3**=b; 4***=c; *5**6*=d;*****7*8*=e; 9*10*11*12*13*14=f; 15*x***fff*===g;1 * 999999999999999999 *= h; 18 *=*=*=*=*==i;\n", "a name with stray stars is its own name"),
    (";charset=us-ascii\n", "parameters are read even where the type is no type: a boundary may be among them"),
    (" ;charset=us-ascii\n", "parameters are read even where the type is no type: a boundary may be among them"),
    ("/;charset=us-ascii\n", "parameters are read even where the type is no type: a boundary may be among them"),
    ("/ ;charset=us-ascii\n", "parameters are read even where the type is no type: a boundary may be among them"),
    ("/plain;charset=us-ascii\n", "parameters are read even where the type is no type: a boundary may be among them"),
    ("/plain ;charset=us-ascii\n", "parameters are read even where the type is no type: a boundary may be among them"),
    ("text/plain/format\n", "a subtype ends where a token ends (RFC 2045 §5.1)"),
    ("text/plain/format;charset=us-ascii\n", "a subtype ends where a token ends (RFC 2045 §5.1)"),
    ("text/plain/format ;charset=us-ascii\n", "a subtype ends where a token ends (RFC 2045 §5.1)"),
    ("application/pdf; name*=\"iso-8859-1''abc%\"\n", "a percent sign that escapes nothing stands as it is"),
    (" text/plain; name*0*=utf-16le''%41%00; name*1=bc\n", "the charset holds for all sections (RFC 2231 §4.1)"),
    (" text/plain; title*0*=us-ascii'en'a; title*1*=us-ascii'en'b\n", "RFC 2231 §4.1 has charset and language in the first section only"),
    (" text/plain; name*1=\"b\"; name=\"x\"; name*0=\"a\"\n", "a continued parameter wins over the plain one for old readers"),
];

#[test]
fn address_lists() {
    check("address.json", ADDRESSES, |header, expected| {
        (our_addresses(header.as_bytes()), their_addresses(expected))
    });
}

#[rustfmt::skip]
const ADDRESSES: &[(&str, &str)] = &[
    ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    ("Pete(A nice \n \\\n ) chap) <pete(his\n account)@silly\n .test(his host)>\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    ("A Group(Some people)\n        :Chris Jones <c@(Chris's host.)public.example>,\n            joe@example.org,\n     John <jdoe@one.test> (my dear friend); (the end of the group)\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    ("(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    ("Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example\n", "an old route is dropped (RFC 5322 §4.4)"),
    ("John Doe <jdoe@machine(comment).  example>\n", "white space around the dots of a domain is dropped (RFC 5322 §4.4)"),
    ("Nathaniel Borenstein <nsb@thumper.bellcore.com>\n    (=?iso-8859-8?b?7eXs+SDv4SDp7Oj08A==?=)\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    ("\"  James Smythe\" <james@example.com>, Friends:\n  jane@example.com, =?UTF-8?Q?John_Sm=C3=AEth?=\n   <john@example.com>;\n", "names are trimmed"),
    ("Name (comment) =?utf-8?q?Doe?= <a@b.com>\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    ("James Derrick, Steven (PGE) SCHNEIDER, Robert Williams\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    ("James Derrick (Enron Corp)\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    ("<x@y.com>, group: (some text);, <x@y.com>\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    (" <x@y.com>, group: (some text);, <x@y.com>\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    (" : a@b.c;, <x@y.com>\n", "a group is what has a name, and a comment serves as one"),
    ("a@b.c\r\n\tjane@y.z\n", "two addresses without a comma are two"),
    ("\"Doe, John\" <a@b.c>,\r\n\t\"  a  \"<b@c.d>\n", "names are trimmed"),
    ("< =?utf-8?q?a?=b@c.d>\n", "RFC 2047 §5: no encoded words in an addr-spec"),
    ("a@b.c (x), <>, John <a@b.c>>\n", "a stray bracket is no name"),
    ("<a\\b@c.d>, <a(b)@c.d>\n", "a comment is no name where a name could stand"),
    (" Art Vandelay <art@vandelay.com> (Vandelay Industries)\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    ("\"John", "what never closes is an ordinary character and hides no address"),
    ("x (comment", "what never closes is an ordinary character and hides no address"),
    ("John \"Smith\" <a@b.com>\n", "white space between words is kept"),
    ("John Smith john@example.com\n", "a name before an address without its brackets"),
    ("\"unterminated <a@b.com>\n", "what never closes is an ordinary character and hides no address"),
    ("Joe <a@b.com> <c@d.com>\n", "two addresses without a comma are two"),
    ("John   Smith <a@b.com>\n", "white space between words is one space"),
    ("a\u{b}b (c)\n", "a control character is no white space"),
    ("(=?x?q?c?=) \"=?y?b?Yg==?=\" <a@b.com>\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    ("=?utf-8?q?a?= (=?utf-8?q?b?=) =?utf-8?q?c?=\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    ("<=?utf-8?q?a?=b@c.d>\n", "RFC 2047 §5: no encoded words in an addr-spec"),
    ("(c):; x@y.z;\n", "a group is what has a name, and a comment serves as one"),
    ("G (c): x@y.z;\n", "comments beside a name are dropped (RFC 5322 §3.2.2)"),
    ("(c):;\n", "a group is what has a name, and a comment serves as one"),
];

fn our_addresses(value: &[u8]) -> String {
    let mut out = String::new();
    for item in addresses::parse(value) {
        match item {
            AddressItem::Mailbox { name, local_part, domain } => {
                let name = name.unwrap_or_default();
                // A word without a domain is a name to them and a local part to us.
                out.push_str(&match (local_part.as_str(), domain.as_str()) {
                    ("", "") => format!("{name} <>, "),
                    (local_part, "") if name.is_empty() => format!("{local_part} <>, "),
                    (local_part, "") => format!("{name} <{local_part}>, "),
                    (local_part, domain) => format!("{name} <{local_part}@{domain}>, "),
                });
            }
            AddressItem::GroupStart(name) => out.push_str(&format!("{name}: ")),
            AddressItem::GroupEnd => out.push_str("; "),
        }
    }
    out
}

fn their_addresses(list: &Value) -> String {
    let mut out = String::new();
    let mailbox = |value: &Value| {
        let text = |name: &str| value[name].as_str().unwrap_or_default();
        match (text("name"), text("address")) {
            ("", word) if !word.contains('@') => format!("{word} <>, "),
            (name, address) => format!("{name} <{address}>, "),
        }
    };
    for item in list.as_array().into_iter().flatten() {
        if item["mailbox"].is_object() {
            out.push_str(&mailbox(&item["mailbox"]));
        } else {
            let group = &item["group"];
            out.push_str(&format!("{}: ", group["name"].as_str().unwrap_or_default()));
            let members = group["mailboxes"].as_array().into_iter().flatten();
            members.for_each(|member| out.push_str(&mailbox(member)));
            out.push_str("; ");
        }
    }
    out
}
