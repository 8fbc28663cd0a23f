//! What must hold of any octets at all, and of anything composed here.

use jiff::Timestamp;
use proptest::prelude::*;

use waxwing_message::compose::{Attachment, Draft, Mailbox};
use waxwing_message::dsn::{Action, DeliveryStatus, RecipientStatus};
use waxwing_message::parse::field::{fields, header_end};
use waxwing_message::parse::{
    AddressItem, Body, MAX_DEPTH, Message, PartId, addresses, charset, content, date, html,
    transfer, words,
};
use waxwing_message::submission::{Submission, from_addresses, repair};
use waxwing_message::{Address, OriginalRecipient, ReversePath, Summary, trace};

/// Every part lies in its parent, in order, apart from its siblings; every range lies in the message.
fn check_tree(message: &Message<'_>) {
    let length = message.raw.len();
    assert!(!message.parts.is_empty());
    let mut seen = 1;
    for (i, part) in message.parts.iter().enumerate() {
        assert!(part.header.start <= part.header.end && part.header.end == part.body.start);
        assert!(part.body.start <= part.body.end && part.body.end <= length);
        for header in &part.headers {
            assert!(part.header.start <= header.range.start && header.range.end <= part.header.end);
            assert!(header.range.len() > header.name.len() + header.value.len());
        }
        let children = match &part.content {
            Body::Leaf => Vec::new(),
            Body::Multipart(children) => {
                assert!(!children.is_empty());
                children.clone()
            }
            Body::Message(root) => {
                assert_eq!(message.part(*root).header.start, part.body.start);
                assert_eq!(message.part(*root).body.end, part.body.end);
                vec![*root]
            }
        };
        let mut at = part.body.start;
        for child in &children {
            assert!(child.0 as usize > i);
            let child = message.part(*child);
            assert_eq!(child.parent, Some(PartId(i as u32)));
            assert!(at <= child.header.start && child.body.end <= part.body.end);
            at = child.body.end;
        }
        seen += children.len();
    }
    assert_eq!(seen, message.parts.len(), "every part but the root is one part's child");
    let depth = |mut id: PartId| {
        let mut depth = 0;
        while let Some(parent) = message.part(id).parent {
            assert!(parent < id);
            (id, depth) = (parent, depth + 1);
        }
        depth
    };
    let deepest = (0..message.parts.len()).map(|i| depth(PartId(i as u32))).max();
    assert!(deepest.unwrap_or(0) <= MAX_DEPTH);
}

/// Asks everything there is to ask.
fn use_everything(raw: &[u8]) {
    let message = Message::parse(raw);
    check_tree(&message);
    let _ = (message.date(), message.subject(), message.message_id(), message.ids("References"));
    for name in ["From", "To", "Cc", "X"] {
        message.addresses(name);
    }
    let view = message.view();
    let summary = Summary::of(&message);
    assert_eq!(summary.view(PartId::ROOT), view);
    for (part, children) in message.parts.iter().zip(summary.children()) {
        match &part.content {
            Body::Leaf => assert!(children.is_empty()),
            Body::Multipart(of_message) => assert_eq!(&children, of_message),
            Body::Message(root) => assert_eq!(children, [*root]),
        }
    }
    for id in view.text.iter().chain(&view.html).chain(&view.attachments) {
        assert!((id.0 as usize) < message.parts.len());
    }
    for (i, part) in message.parts.iter().enumerate() {
        let id = PartId(i as u32);
        message.text(id);
        let _ = (part.params(), part.disposition(), part.file_name(), part.content_id());
        for header in &part.headers {
            let _ = (header.text(), addresses::parse(header.value), date::parse(header.value));
            content::params(header.value);
            words::message_ids(header.value);
        }
    }
    assert!(message.searchable_text(1000).len() <= 1000);
    assert!(message.preview(256).chars().count() <= 256);
    let summary = Summary::of(&message);
    assert_eq!(Summary::decode(&summary.encode()).as_ref(), Some(&summary));
    assert!(header_end(raw) <= raw.len());
    let _ = (trace::count_received(raw), from_addresses(raw));
    DeliveryStatus::parse(raw);
}

/// Octets that look like mail now and then.
fn mail_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("Content-Type: multipart/mixed; boundary=a".to_owned()),
        Just("Content-Type: multipart/digest; boundary=\"b c\"".to_owned()),
        Just("Content-Type: message/rfc822".to_owned()),
        Just("Content-Type: text/html; charset=utf-7".to_owned()),
        Just("Content-Type: text/plain; name*0*=utf-8''%C3; name*1*=%A9".to_owned()),
        Just("Content-Transfer-Encoding: base64".to_owned()),
        Just("Content-Transfer-Encoding: quoted-printable".to_owned()),
        Just("Content-Disposition: attachment; filename=x".to_owned()),
        Just("Subject: =?utf-8?q?x=C3?= =?utf-8?b?qQ==?=".to_owned()),
        Just("From: A <a@b.c>, G: d@e (f);".to_owned()),
        Just("Date: 1 Jan 2020 10:00:00 +0100".to_owned()),
        Just("--a".to_owned()),
        Just("--a--".to_owned()),
        Just("--b c".to_owned()),
        Just("--b c--".to_owned()),
        Just(" folded".to_owned()),
        Just("aGVsbG8=".to_owned()),
        "[ -~]{0,12}",
        "\\PC{0,6}",
    ];
    let line = (piece, prop_oneof![Just("\r\n"), Just("\n"), Just("\r\n\r\n"), Just("")]);
    prop::collection::vec(line, 0..60).prop_map(|lines| {
        lines.into_iter().flat_map(|(a, b)| [a.into_bytes(), b.into()].concat()).collect()
    })
}

fn name() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        "[A-Za-z .]{0,30}",
        "\\PC{0,40}",
        "[ -~]{0,90}",
        Just("=?utf-8?q?x?=".to_owned())
    ];
    name.prop_map(|name: String| name.replace('\u{feff}', ""))
}

fn address() -> impl Strategy<Value = Address> {
    let local = prop_oneof!["[a-z0-9.+-]{1,20}", "[ -~]{1,20}"];
    (local, "[a-z0-9]{1,10}(\\.[a-z]{2,5}){1,2}")
        .prop_filter_map("an address", |(local, domain)| Address::new(&local, &domain).ok())
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    (prop::option::of(name()), address()).prop_map(|(name, address)| Mailbox { name, address })
}

fn attachment() -> impl Strategy<Value = Attachment> {
    let content = prop::collection::vec(any::<u8>(), 0..300);
    let kinds = prop::sample::select(vec!["image/png", "application/pdf", "no type", "text/plain"]);
    (kinds, prop::option::of(file_name()), content).prop_map(|(media_type, file_name, content)| {
        Attachment { media_type: media_type.into(), file_name, content_id: None, content }
    })
}

fn file_name() -> impl Strategy<Value = String> {
    let name = prop_oneof!["[a-z]{1,20}\\.txt", "[!-~][ -~]{0,120}[!-~]", "x\\PC{1,60}"];
    name.prop_map(|name: String| name.replace('\u{feff}', ""))
}

/// Text as a reader gets it: one line, control characters gone.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn crlf(text: &str) -> String {
    let lines = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
    if lines.is_empty() || lines.ends_with("\r\n") { lines } else { lines + "\r\n" }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_are_a_message(raw in prop::collection::vec(any::<u8>(), 0..600)) {
        use_everything(&raw);
    }

    #[test]
    fn anything_like_mail_is_a_message(raw in mail_like()) {
        use_everything(&raw);
    }

    #[test]
    fn any_octets_may_be_stored_as_a_summary(stored in prop::collection::vec(any::<u8>(), 0..300)) {
        Summary::decode(&stored);
        Summary::decode(&[&[1], &stored[..]].concat());
    }

    #[test]
    fn what_is_composed_says_the_same_when_parsed(
        from in mailbox(),
        to in prop::collection::vec(mailbox(), 1..5),
        subject in prop_oneof!["\\PC{0,200}", "[ -~]{0,300}", "[a-z]{1000}", ".{0,40}"],
        comment in "\\PC{0,60}",
        text in prop_oneof!["(\\PC{0,90}\r?\n?){0,6}", "[ -~\n]{0,300}", "(From |\\.\n|x{2000}\n){0,3}"],
        html in prop::option::of("[ -~\n]{0,100}"),
        files in prop::collection::vec(attachment(), 0..3),
        inline in prop::collection::vec(attachment(), 0..2),
        ids in prop::collection::vec("[a-z0-9.]{1,40}@[a-z.]{1,20}", 1..12),
        secs in 0i64..4_000_000_000,
        random in any::<[u8; 16]>(),
    ) {
        let at = Timestamp::from_second(secs).unwrap();
        // A byte order mark at the beginning is no text to any reader.
        let [subject, comment, text] = [subject, comment, text].map(|t| t.replace('\u{feff}', ""));
        let mut draft = Draft::new()
            .from(from.clone())
            .subject(subject.clone())
            .date(at)
            .message_id(ids[0].clone())
            .header("X-Comment", comment.clone())
            .text(text.clone());
        for mailbox in &to {
            draft = draft.to(mailbox.clone());
        }
        for id in &ids {
            draft = draft.reference(id.clone());
        }
        if let Some(html) = &html {
            draft = draft.html(html.clone());
        }
        for file in &files {
            draft = draft.attach(file.clone());
        }
        for (i, image) in inline.iter().enumerate() {
            draft = draft.inline(Attachment { content_id: Some(format!("i{i}@x")), ..image.clone() });
        }
        let raw = draft.to_bytes(random);
        prop_assert!(raw.is_ascii());
        for line in raw.split(|&b| b == b'\n') {
            prop_assert!(line.len() <= 999, "{}", String::from_utf8_lossy(line));
        }
        prop_assert_eq!(raw.iter().filter(|b| **b == b'\n').count(),
            raw.windows(2).filter(|w| w == b"\r\n").count(), "every line ends with CRLF");

        let message = Message::parse(&raw);
        check_tree(&message);
        prop_assert_eq!(&message.defects, &[]);
        prop_assert_eq!(message.subject().unwrap_or_default(), shown(&subject));
        prop_assert_eq!(message.header("X-Comment").unwrap().text(), shown(&comment));
        prop_assert_eq!(message.date(), Some(at));
        prop_assert_eq!(message.message_id(), Some(ids[0].clone()));
        prop_assert_eq!(message.ids("References"), ids);
        let read = message.addresses("To");
        prop_assert_eq!(read.len(), to.len());
        for (read, sent) in read.iter().zip(&to) {
            prop_assert_eq!(read.address(), Some(sent.address.clone()));
            let AddressItem::Mailbox { name, .. } = read else { panic!("a mailbox") };
            let sent = sent.name.as_deref().map(shown).filter(|name| !name.trim().is_empty());
            prop_assert_eq!(name.clone(), sent);
        }
        prop_assert_eq!(message.text(message.text_body()[0]), crlf(&text));
        if let Some(html) = &html {
            prop_assert_eq!(message.text(message.html_body()[0]), crlf(html));
        }
        // Inline images and attachments, in the order of the tree.
        let found: Vec<_> = (0..message.parts.len() as u32)
            .map(PartId)
            .filter(|id| message.part(*id).disposition().is_some())
            .collect();
        let sent: Vec<_> = inline.iter().chain(&files).collect();
        prop_assert_eq!(found.len(), sent.len());
        for (id, sent) in found.into_iter().zip(sent) {
            prop_assert_eq!(&*message.decoded(id), &sent.content[..]);
            prop_assert_eq!(message.part(id).file_name(), sent.file_name.clone());
        }
    }

    #[test]
    fn addresses_are_read_back(address in address()) {
        prop_assert_eq!(Address::parse(&address.to_string()), Ok(address.clone()));
        let items = addresses::parse(format!("x <{address}>, {address}").as_bytes());
        prop_assert_eq!(items.len(), 2);
        prop_assert!(items.iter().all(|item| item.address().as_ref() == Some(&address)));
    }

    #[test]
    fn transfer_encodings_are_undone(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
        use waxwing_message::compose::entity;
        prop_assert_eq!(transfer::base64(&entity::base64_lines(&octets)), &octets[..]);
        // A line end that is not CRLF has no place in text.
        let text: Vec<u8> = octets.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
        let encoded = entity::quoted_printable(&text);
        prop_assert!(encoded.split(|&b| b == b'\n').all(|line| line.len() <= 77));
        prop_assert_eq!(transfer::quoted_printable(&encoded), text);
    }

    /// However a body is cut, its pieces say what the whole says.
    #[test]
    fn pieces_are_decoded_as_the_whole(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "([A-Za-z0-9+/]{1,9}|=|=[0-9A-F]{2}| |\t|\r\n|\n|\r|=\r\n|= \n){0,60}"
                .prop_map(String::into_bytes),
        ],
        size in 1usize..40,
    ) {
        use transfer::{Decoder, TransferEncoding::*};
        for encoding in [SevenBit, Base64, QuotedPrintable, Uuencode] {
            let mut decoder = Decoder::new(encoding);
            let mut out = Vec::new();
            body.chunks(size).for_each(|piece| decoder.push(piece, &mut out));
            decoder.finish(&mut out);
            prop_assert_eq!(&out[..], &*encoding.decode(&body), "{:?}", encoding);
        }
    }

    #[test]
    fn decoders_take_anything(octets in prop::collection::vec(any::<u8>(), 0..500), label in ".{0,20}") {
        transfer::uuencode(&octets);
        transfer::quoted_printable(&octets);
        for label in [label.as_bytes(), b"utf-7", b"utf-16", b"iso-2022-jp", b"gb18030", b"replacement"] {
            let text = charset::decode(&octets, Some(label));
            let checked = charset::decode_checked(&octets, Some(label), true);
            prop_assert_eq!(&checked.text, &text);
            let cut = charset::decode_checked(&octets, Some(label), false);
            prop_assert!(label == b"utf-7" || cut.problem || text.starts_with(cut.text.as_str()));
        }
        html::to_text(&String::from_utf8_lossy(&octets), 100);
    }

    #[test]
    fn html_of_any_kind_becomes_text(page in "(<[a-z/!-]{0,6}|>|\"|'|&[a-z#0-9x]{0,9};?|-->|\\PC|\n){0,60}") {
        let text = html::to_text(&page, usize::MAX);
        prop_assert!(text.len() <= page.len() * 2);
    }

    #[test]
    fn edits_change_nothing_else(raw in mail_like()) {
        let before = fields(&raw).count();
        let path = ReversePath::Address(Address::parse("a@b.test").unwrap());
        let edited = trace::for_delivery(&raw, &path, b"").concat(&raw);
        let after: Vec<_> = fields(&edited).collect();
        prop_assert_eq!(after.len(), before + 1);
        prop_assert!(after[0].is("Return-Path"));
        for (new, old) in after[1..].iter().zip(fields(&raw)) {
            prop_assert_eq!(new.name, old.name);
            prop_assert_eq!(new.value, old.value);
        }
        prop_assert_eq!(&edited[header_end(&edited)..], &raw[header_end(&raw)..]);

        let submission = Submission {
            now: Timestamp::UNIX_EPOCH, domain: "b.test", random: [1; 16],
            from: Some(&Address::parse("a@b.test").unwrap()),
        };
        let repaired = repair(&raw, &submission).edited.concat(&raw);
        let again = repair(&repaired, &submission);
        prop_assert_eq!(&again.repairs, &[], "a repaired message needs no repair");
        prop_assert_eq!(&repaired[header_end(&repaired)..], &raw[header_end(&raw)..]);
    }

    #[test]
    fn delivery_status_is_read_back(
        address in "\\PC{1,20}@b[.]test".prop_filter("trimmed", |a| !a.contains(char::is_whitespace)),
        reply in "[!-~][ -~]{0,200}[!-~]",
        secs in 0i64..4_000_000_000,
        utf8 in any::<bool>(),
    ) {
        let at = Timestamp::from_second(secs).unwrap();
        let status = DeliveryStatus {
            reporting_mta: "mx.b.test".into(),
            envelope_id: Some("e 1".into()),
            arrival: Some(at),
            recipients: vec![RecipientStatus {
                original: None,
                final_recipient: OriginalRecipient { address_type: "utf-8".into(), address },
                action: Action::Delayed,
                status: "4.4.1".into(),
                remote_mta: None,
                diagnostic: Some(reply),
                last_attempt: None,
                will_retry_until: Some(at),
            }],
        };
        prop_assert_eq!(DeliveryStatus::parse(&status.to_bytes(utf8)), Some(status));
    }

    #[test]
    fn dates_are_read_back(secs in -30_000_000_000i64..200_000_000_000) {
        let at = Timestamp::from_second(secs).unwrap();
        prop_assert_eq!(date::parse(date::format(at).as_bytes()), Some(at));
    }
}
