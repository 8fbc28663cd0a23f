//! What is composed is parsed again.

use proptest::prelude::*;
use serde_json::json;
use waxwing_message::compose::entity::base64_lines;
use waxwing_message::parse::TransferEncoding;
use waxwing_message::{Message, Summary};

use super::*;
use crate::email::body::{self, Read};
use crate::email::header::{HeaderProperty, of_fields, of_overview};
use crate::email::part::Parts;
use crate::email::value;
use crate::email::wanted::{GET_DEFAULT, Wanted};
use crate::wire::blob_id::Blob;
use waxwing_message::parse::PartId;
use waxwing_store::MessageId;

/// Octets of every blob there is, by its id.
fn blob(id: &str) -> &[u8] {
    match id {
        "Bmail" => b"Subject: inner\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n",
        id => id.as_bytes(),
    }
}

fn letter(object: Value) -> Result<Letter, SetError> {
    Letter::read(object.as_object().unwrap())
}

fn composed(object: Value) -> Vec<u8> {
    let letter = letter(object).unwrap();
    let keys = 0..letter.blobs().len();
    let looks = keys.filter(|key| letter.must_look_at(*key));
    let looks = looks.map(|key| (key, Looks::of(blob(&letter.blobs()[key])))).collect();
    // RFC 8621 §4.10 was written on that day.
    let now = Timestamp::from_second(1_531_184_591).unwrap();
    let origin = Origin { now, domain: "x.test", random: [7; 16] };
    let octets = letter.pieces(&looks, &origin).into_iter().flat_map(|piece| match piece {
        Piece::Octets(octets) => octets,
        Piece::Elsewhere { key, encoding: TransferEncoding::Base64 } => {
            base64_lines(blob(&letter.blobs()[key]))
        }
        Piece::Elsewhere { key, .. } => blob(&letter.blobs()[key]).to_vec(),
    });
    octets.collect()
}

/// Properties of a message as `Email/get` would give them: of its header, of its parts, and its texts.
struct Shown {
    raw: Vec<u8>,
    summary: Summary,
}

impl Shown {
    fn of(raw: Vec<u8>) -> Shown {
        let message = Message::parse(&raw);
        assert_eq!(message.defects, [], "{}", String::from_utf8_lossy(&raw));
        let summary = Summary::of(&message);
        Shown { raw, summary }
    }

    fn parts(&self) -> Parts<'_> {
        Parts::new(&self.summary, PartId::ROOT, Blob::of_message(MessageId(1)))
    }

    fn header(&self, property: &str) -> Value {
        let property = HeaderProperty::read(property).unwrap().unwrap();
        of_fields(&property, Message::parse(&self.raw).root().headers.iter())
    }

    fn property(&self, property: &str) -> Value {
        of_overview(property, &self.summary.overview).unwrap()
    }

    fn structure(&self, properties: &[&str]) -> Value {
        let mut arguments = json!({"bodyProperties": properties}).as_object().cloned().unwrap();
        let wanted = Wanted::take(&mut arguments, &GET_DEFAULT).unwrap();
        let parts = self.parts();
        let mut read = Read::default();
        for id in parts.all() {
            read.headers.insert(id, self.octets(parts.part(id).header).to_vec());
        }
        body::structure(&parts, PartId::ROOT, &wanted, &read)
    }

    fn octets(&self, extent: waxwing_message::summary::Extent) -> &[u8] {
        &self.raw[extent.offset as usize..(extent.offset + extent.octets) as usize]
    }

    fn text(&self, id: PartId) -> String {
        let part = &self.summary.parts[id.0 as usize];
        let value = value::value(part, self.octets(part.body), 0);
        assert_eq!(value["isEncodingProblem"], false);
        value["value"].as_str().unwrap().to_owned()
    }
}

#[test]
fn the_draft_of_the_rfc() {
    // RFC 8621 §4.10.
    let text = "I have the most brilliant plan.  Let me tell you all about it.  What we do is, we";
    let raw = composed(json!({
        "mailboxIds": {"F1": true},
        "keywords": {"$seen": true, "$draft": true},
        "from": [{"name": "Joe Bloggs", "email": "joe@example.com"}],
        "subject": "World domination",
        "receivedAt": "2018-07-10T01:03:11Z",
        "sentAt": "2018-07-10T11:03:11+10:00",
        "bodyStructure": {
            "type": "text/plain", "partId": "bd48", "header:Content-Language": "en",
        },
        "bodyValues": {"bd48": {"value": text, "isTruncated": false}},
    }));
    let expected = format!(
        "From: Joe Bloggs <joe@example.com>\r\nSubject: World domination\r\n\
         Date: Tue, 10 Jul 2018 11:03:11 +1000\r\n\
         Message-ID: <07070707070707070707070707070707@x.test>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\
         Content-Language: en\r\n\r\n{text}"
    );
    assert_eq!(String::from_utf8(raw).unwrap(), expected);
}

#[test]
fn the_second_draft_of_the_rfc() {
    let raw = composed(json!({
        "bodyStructure": {
            "type": "multipart/alternative",
            "subParts": [
                {"partId": "a49d", "type": "text/html", "header:Content-Language": "en"},
                {"partId": "bd48", "type": "text/plain", "header:Content-Language": "en"},
            ],
        },
        "bodyValues": {
            "bd48": {"value": "plan"},
            "a49d": {"value": "<b>plan</b>\n", "isEncodingProblem": false},
        },
    }));
    let shown = Shown::of(raw);
    assert_eq!(shown.property("sentAt"), json!("2018-07-10T01:03:11Z"));
    let tree = shown.structure(&["type", "language"]);
    let part = |kind| json!({"type": kind, "language": ["en"]});
    let expected = json!({
        "type": "multipart/alternative", "language": null,
        "subParts": [part("text/html"), part("text/plain")],
    });
    assert_eq!(tree, expected);
    assert_eq!(
        (shown.text(PartId(1)), shown.text(PartId(2))),
        ("<b>plan</b>\n".into(), "plan".into())
    );
}

#[test]
fn lists_become_a_tree() {
    let text = json!([{"partId": "t"}]);
    let html = json!([{"partId": "h", "type": "text/html"}]);
    let image =
        json!({"blobId": "Bimage", "type": "image/png", "cid": "a@b", "disposition": "inline"});
    let file = json!({"blobId": "Bfile", "type": "application/pdf", "name": "Größe.pdf"});
    let mail = json!({"blobId": "Bmail", "type": "message/rfc822"});
    let values = json!({"t": {"value": "t"}, "h": {"value": "h"}});
    let types = |object: &[(&str, &Value)]| {
        let mut all = json!({"bodyValues": values});
        for (name, value) in object {
            all[*name] = (*value).clone();
        }
        fn draw(tree: &Value) -> String {
            let kind = tree["type"].as_str().unwrap().to_owned();
            match tree["subParts"].as_array() {
                None => kind,
                Some(parts) => {
                    let parts: Vec<String> = parts.iter().map(draw).collect();
                    let kind = kind.strip_prefix("multipart/").unwrap();
                    format!("{kind}[{}]", parts.join(" "))
                }
            }
        }
        draw(&Shown::of(composed(all)).structure(&["type"]))
    };
    assert_eq!(types(&[]), "text/plain");
    assert_eq!(types(&[("textBody", &text)]), "text/plain");
    assert_eq!(
        types(&[("textBody", &text), ("htmlBody", &html)]),
        "alternative[text/plain text/html]"
    );
    let all = json!([image, file, mail]);
    assert_eq!(
        types(&[("textBody", &text), ("htmlBody", &html), ("attachments", &all)]),
        "mixed[alternative[text/plain related[text/html image/png]] application/pdf message/rfc822]"
    );
    assert_eq!(
        types(&[("textBody", &text), ("attachments", &json!([image]))]),
        "mixed[text/plain image/png]"
    );
    assert_eq!(types(&[("attachments", &json!([file]))]), "mixed[application/pdf]");
}

#[test]
fn attachments_keep_what_they_are() {
    let shown = Shown::of(composed(json!({
        "textBody": [{"partId": "t"}],
        "bodyValues": {"t": {"value": "t"}},
        "attachments": [
            {"blobId": "Bmail", "type": "message/rfc822", "size": 1, "name": "a.eml"},
            {"blobId": "Btext", "type": "text/csv", "charset": "iso-8859-1", "disposition": "inline",
                "name": "ä.csv", "cid": "c@x", "language": ["de", "en-GB"], "location": "http://x.test/a"},
            {"blobId": "Bplain", "header:Content-Type": "text/plain; format=flowed; boundary=x",
                "header:Content-Disposition": "attachment; filename=\"b.txt\"", "header:X-Y:asText": "é"},
        ],
    })));
    let view = shown.parts().view();
    assert_eq!((view.text.len(), view.attachments.len()), (1, 3));
    let properties = [
        "type",
        "name",
        "disposition",
        "charset",
        "cid",
        "language",
        "location",
        "header:X-Y:asText",
    ];
    let tree = shown.structure(&properties);
    let parts = tree["subParts"].as_array().unwrap();
    let none = Value::Null;
    assert_eq!(
        parts[1],
        json!({"type": "message/rfc822", "name": "a.eml", "disposition": "attachment", "charset": none,
            "cid": none, "language": none, "location": none, "header:X-Y:asText": none})
    );
    assert_eq!(
        parts[2],
        json!({"type": "text/csv", "name": "ä.csv", "disposition": "inline", "charset": "iso-8859-1",
            "cid": "c@x", "language": ["de", "en-GB"], "location": "http://x.test/a",
            "header:X-Y:asText": none})
    );
    assert_eq!((&parts[3]["name"], &parts[3]["header:X-Y:asText"]), (&json!("b.txt"), &json!("é")));
    let mail = &shown.summary.parts[2];
    assert_eq!(mail.encoding, b"8bit");
    assert_eq!(shown.octets(mail.body), blob("Bmail"));
    let message = Message::parse(&shown.raw);
    let flowed = message.parts.last().unwrap();
    assert_eq!(flowed.params(), [("format".to_owned(), "flowed".to_owned())]);
    assert_eq!(&*message.decoded(PartId(message.parts.len() as u32 - 1)), b"Bplain");
}

#[test]
fn fields_of_the_root_part_are_the_message_s() {
    let shown = Shown::of(composed(json!({
        "subject": "s",
        "header:X-List:asText:all": ["a", "b"],
        "header:Message-ID": " <own@x>",
        "bodyStructure": {"partId": "t", "header:Date": "Tue, 1 Jul 2003 10:52:37 +0200", "header:X-A": "a"},
        "bodyValues": {"t": {"value": ""}},
    })));
    assert_eq!(shown.property("messageId"), json!(["own@x"]));
    assert_eq!(shown.property("sentAt"), json!("2003-07-01T10:52:37+02:00"));
    assert_eq!(shown.header("header:X-List:asText:all"), json!(["a", "b"]));
    assert_eq!(shown.header("header:X-A:all"), json!([" a"]));
    assert_eq!(shown.header("header:MIME-Version:all"), json!([" 1.0"]));
}

/// Which properties are refused.
fn refused(object: Value) -> Vec<String> {
    match letter(object.clone()) {
        Err(SetError { kind: SetErrorKind::InvalidProperties(properties), .. }) => properties,
        other => panic!("{object}: {other:?}"),
    }
}

#[test]
fn what_the_rfc_forbids_is_refused() {
    let values = json!({"t": {"value": "x"}});
    let body = |part: Value| json!({"bodyStructure": part, "bodyValues": values});
    for (object, properties) in [
        // RFC 8621 §4.6, in its order.
        (json!({"headers": []}), vec!["headers"]),
        (body(json!({"partId": "t", "headers": []})), vec!["bodyStructure/headers"]),
        (
            json!({"from": [], "header:from": "a@b", "subject": "x", "header:Subject:asText": "y"}),
            vec!["subject"],
        ),
        (json!({"header:X": "a", "header:x:asText": "b"}), vec!["header:x:asText"]),
        (
            body(json!({"partId": "t", "cid": "a@b", "header:Content-ID": "<c@d>"})),
            vec!["bodyStructure/header:Content-ID"],
        ),
        (
            body(json!({"partId": "t", "type": "text/plain", "header:Content-Type": "text/plain"})),
            vec!["bodyStructure/type"],
        ),
        (json!({"header:From:asDate": "2018-07-10T11:03:11Z"}), vec!["header:From:asDate"]),
        (json!({"header:Content-Type": "text/plain"}), vec!["header:Content-Type"]),
        (
            json!({"bodyStructure": {"partId": "t"}, "textBody": [], "attachments": [], "bodyValues": values}),
            vec!["textBody", "attachments"],
        ),
        (
            json!({"bodyStructure": {"partId": "t", "header:Subject": "x"}, "subject": "y", "bodyValues": values}),
            vec!["bodyStructure"],
        ),
        (json!({"textBody": [], "bodyValues": values}), vec!["textBody"]),
        (
            json!({"textBody": [{"partId": "t", "type": "text/html"}], "bodyValues": values}),
            vec!["textBody/0/type"],
        ),
        (
            json!({"htmlBody": [{"partId": "t", "type": "text/plain"}], "bodyValues": values}),
            vec!["htmlBody/0/type"],
        ),
        (body(json!({"partId": "t", "blobId": "B1"})), vec!["bodyStructure"]),
        (body(json!({"partId": "u"})), vec!["bodyStructure/partId"]),
        (body(json!({"partId": "t", "charset": "utf-8"})), vec!["bodyStructure/charset"]),
        (body(json!({"partId": "t", "size": 1})), vec!["bodyStructure/size"]),
        (
            body(json!({"partId": "t", "header:Content-Transfer-Encoding": "8bit"})),
            vec!["bodyStructure/header:Content-Transfer-Encoding"],
        ),
        (
            json!({"bodyValues": {"t": {"value": "", "isTruncated": true}}}),
            vec!["bodyValues/t/isTruncated"],
        ),
        (
            json!({"bodyValues": {"t": {"value": "", "isEncodingProblem": true}}}),
            vec!["bodyValues/t/isEncodingProblem"],
        ),
        // And what makes no sense.
        (json!({"id": "M1", "blobId": "B1"}), vec!["blobId", "id"]),
        (json!({"colour": "red"}), vec!["colour"]),
        (json!({"from": "joe"}), vec!["from"]),
        (json!({"sentAt": "2018-07-10"}), vec!["sentAt"]),
        (json!({"bodyValues": {"t": {}}}), vec!["bodyValues/t/value"]),
        (json!({"attachments": [{"blobId": "B1"}, {}]}), vec!["attachments/1"]),
        (json!({"attachments": [{"blobId": 1}]}), vec!["attachments/0/blobId"]),
        (
            json!({"attachments": [{"blobId": "B1", "type": "multipart/mixed"}]}),
            vec!["attachments/0/blobId"],
        ),
        (json!({"attachments": [{"blobId": "B1", "cid": "<a@b>"}]}), vec!["attachments/0/cid"]),
        (
            json!({"attachments": [{"blobId": "B1", "disposition": "a b"}]}),
            vec!["attachments/0/disposition"],
        ),
        (body(json!({"type": "multipart/mixed", "subParts": []})), vec!["bodyStructure/subParts"]),
        (
            body(json!({"type": "text/plain", "subParts": [{"partId": "t"}]})),
            vec!["bodyStructure/subParts"],
        ),
        (
            body(json!({"subParts": [{"partId": "t", "type": "image/png"}]})),
            vec!["bodyStructure/subParts/0/type"],
        ),
    ] {
        assert_eq!(refused(object.clone()), properties, "{object}");
    }
}

#[test]
fn parts_do_not_nest_for_ever() {
    let mut part = json!({"partId": "t"});
    for _ in 0..40 {
        part = json!({"subParts": [part]});
    }
    assert_eq!(
        refused(json!({"bodyStructure": part, "bodyValues": {"t": {"value": ""}}})).len(),
        1
    );
    let many = vec![json!({"partId": "t"}); 9_999];
    let many = json!({"bodyStructure": {"subParts": many}, "bodyValues": {"t": {"value": ""}}});
    assert_eq!(refused(many).len(), FAULTS_MAX);
}

/// A name, a subject, a file's name: what people type on one line.
fn line() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[A-Za-z][a-z]{0,20}",
        "[!-~]([ -~]{0,90}[!-~])?",
        "[a-zé日]([ a-zé日]{0,60}[a-zé日])?"
    ];
    // What looks like an encoded word is one for whoever reads it.
    line.prop_filter("no encoded word", |line| !line.contains("=?"))
}

/// A text in lines, of any kind of characters.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "([ -~]{0,90}\n){0,5}[ -~]{0,20}",
        "([ -~é日\u{1f600}]{0,60}\n?){0,6}",
        "(From x\n|\\.\n|x{1200}\n?){0,3}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_composed_is_what_was_given(
        subject in line(), from in line(), to in prop::collection::vec((prop::option::of(line()), "[a-z.]{1,9}@[a-z]{1,9}\\.test"), 0..4),
        references in prop::collection::vec("[a-z0-9.]{1,30}@[a-z.]{1,20}", 0..8),
        plain in text(), html in prop::option::of(text()),
        files in prop::collection::vec((line(), "B[a-z]{1,200}", any::<bool>()), 0..4),
        secs in 0i64..4_000_000_000, minutes in -840i32..840,
    ) {
        prop_assume!(to.iter().all(|(_, email)| waxwing_message::Address::parse(email).is_ok()));
        let offset = jiff::tz::Offset::from_seconds(minutes * 60).unwrap();
        let sent_at = crate::wire::date::with_offset(Timestamp::from_second(secs).unwrap(), offset);
        let to: Vec<Value> =
            to.iter().map(|(name, email)| json!({"name": name, "email": email})).collect();
        let from = json!([{"name": from, "email": "me@x.test"}]);
        let mut object = json!({
            "subject": subject, "from": from, "to": to, "references": references, "sentAt": sent_at,
            "textBody": [{"partId": "t"}],
            "bodyValues": {"t": {"value": plain}, "h": {"value": html.as_deref().unwrap_or_default()}},
            "attachments": files.iter().map(|(name, blob, inline)| {
                let disposition = if *inline { json!("inline") } else { json!(null) };
                json!({"blobId": blob, "name": name, "type": "application/x-y", "disposition": disposition})
            }).collect::<Vec<_>>(),
        });
        if html.is_some() {
            object["htmlBody"] = json!([{"partId": "h"}]);
        }
        let raw = composed(object);
        prop_assert!(raw.is_ascii());
        prop_assert!(raw.split(|b| *b == b'\n').all(|line| line.len() <= 999));
        let shown = Shown::of(raw);
        prop_assert_eq!(shown.property("subject"), json!(subject));
        prop_assert_eq!(shown.property("from"), from);
        prop_assert_eq!(shown.property("to"), if to.is_empty() { Value::Null } else { json!(to) });
        prop_assert_eq!(shown.property("sentAt"), json!(sent_at));
        let ids = if references.is_empty() { Value::Null } else { json!(references) };
        prop_assert_eq!(shown.property("references"), ids);
        let view = shown.parts().view();
        prop_assert_eq!(shown.text(view.text[0]), plain);
        if let Some(html) = html {
            prop_assert_eq!(shown.text(view.html[0]), html);
        }
        prop_assert_eq!(view.attachments.len(), files.len());
        let message = Message::parse(&shown.raw);
        for (id, (name, blob, _)) in view.attachments.iter().zip(&files) {
            prop_assert_eq!(message.part(*id).file_name(), Some(name.clone()));
            prop_assert_eq!(&*message.decoded(*id), blob.as_bytes());
        }
    }

    #[test]
    fn nothing_that_is_given_panics(name in "(header:)?[A-Za-z:-]{0,12}", text: String, number: u64) {
        for value in [json!(text), json!(number), json!([text]), json!({"a": text}), json!(null)] {
            let part = json!({"partId": text, &name: value});
            for object in [json!({&name: value}), json!({"bodyStructure": part}), json!({"attachments": [part]})] {
                let _ = letter(object);
            }
        }
    }
}
