//! Whole messages of other projects: trees, offsets, texts and headers against the answers that come
//! with them, and a look at every other message for sense.

use std::path::Path;
use waxwing_suites as suites;

use base64::Engine;
use serde_json::Value;
use waxwing_message::parse::{AddressItem, Body, Message, PartId, addresses, content, date};
use waxwing_message::summary::Summary;

/// Answers that we judge differently, and why. `FILE: PLACE` as the comparison names them.
const JUDGED: &[(&str, &str)] = &[
    ("000: part 8 From", "a comment alone is no address (RFC 5322 §3.2.2)"),
    ("000: part 8 To", "a comment alone is no address"),
    ("000.crlf: part 8 From", "a comment alone is no address"),
    ("000.crlf: part 8 To", "a comment alone is no address"),
    ("002: part 3 To", "a comment after a named address is no part of the name"),
    ("002.crlf: part 3 To", "a comment after a named address is no part of the name"),
    ("016: part 3 Content", "8-bit octets that are no UTF-8 are read as windows-1252"),
    ("016.crlf: part 3 Content", "8-bit octets that are no UTF-8 are read as windows-1252"),
    ("017: part 0 To", "8-bit octets that are no UTF-8 are read as windows-1252"),
    ("017.crlf: part 0 To", "8-bit octets that are no UTF-8 are read as windows-1252"),
    ("017: part 2 octets", "x-uuencode is undone here"),
    ("017: part 3 octets", "x-uuencode is undone here"),
    ("017.crlf: part 2 octets", "x-uuencode is undone here"),
    ("017.crlf: part 3 octets", "x-uuencode is undone here"),
    ("023: part 4 Content", "8-bit octets that are no UTF-8 are read as windows-1252"),
    ("023.crlf: part 4 Content", "8-bit octets that are no UTF-8 are read as windows-1252"),
];

#[test]
fn answers_of_mail_parser() {
    let Some(rfc) = suites::find("mime/mail-parser-rfc") else { return };
    let mut folders = vec![rfc];
    folders.extend(suites::unpacked(
        "mime/mail-parser-legacy-half.tar.xz",
        env!("CARGO_TARGET_TMPDIR"),
    ));
    let mut compared = 0;
    let mut wrong = Vec::new();
    for file in folders.iter().flat_map(|folder| suites::files(folder, &[".eml"])) {
        let raw = std::fs::read(&file).expect("a message");
        let answer = |ending: &str| -> Value {
            let text = std::fs::read(file.with_extension(ending)).expect("its answer");
            serde_json::from_slice(&text).expect("JSON")
        };
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        // "As given" was with LF, whatever the file has now.
        let lf: Vec<u8> = raw.iter().copied().filter(|b| *b != b'\r').collect();
        compare(&name, &lf, &answer("json"), &mut wrong);
        compare(&format!("{name}.crlf"), &with_crlf(&raw), &answer("crlf.json"), &mut wrong);
        compared += 2;
    }
    assert!(compared >= 20);
    // A judgement that is no longer needed is to go.
    for (judged, _) in JUDGED {
        assert!(wrong.iter().any(|line| line.starts_with(judged)), "no longer differs: {judged}");
    }
    wrong.retain(|line| !JUDGED.iter().any(|(judged, _)| line.starts_with(judged)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn with_crlf(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in raw.split_inclusive(|&b| b == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(text) => {
                out.extend_from_slice(text.strip_suffix(b"\r").unwrap_or(text));
                out.extend_from_slice(b"\r\n");
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

fn compare(name: &str, raw: &[u8], answer: &Value, wrong: &mut Vec<String>) {
    let message = Message::parse(raw);
    let mut differ = |place: String, ours: String, theirs: String| {
        if ours != theirs {
            wrong.push(format!("{name}: {place}\n    ours   {ours}\n    theirs {theirs}"));
        }
    };
    // They open base64 messages too: those parts have no offsets in this message.
    let of_raw = |part: &&Value| {
        let message = part["message"].as_u64().expect("an id") as usize;
        answer["messages"][message]["source"] == "raw"
    };
    let parts: Vec<&Value> =
        answer["parts"].as_array().expect("parts").iter().filter(of_raw).collect();
    differ("parts".into(), message.parts.len().to_string(), parts.len().to_string());
    if message.parts.len() != parts.len() {
        return;
    }
    for (i, theirs) in parts.into_iter().enumerate() {
        let id = PartId(i as u32);
        let ours = message.part(id);
        differ(
            format!("part {i} offsets"),
            format!("{} {} {}", ours.header.start, ours.body.start, ours.body.end),
            format!(
                "{} {} {}",
                theirs["offset_header"], theirs["offset_body"], theirs["offset_end"]
            ),
        );
        let kind = match &ours.content {
            Body::Multipart(_) => "multipart",
            Body::Message(_) => "message",
            Body::Leaf => "leaf",
        };
        let encoded = !matches!(theirs["encoding"].as_str(), Some("none"));
        let their_kind = match theirs["kind"].as_str() {
            Some("multipart") => "multipart",
            Some("message") if !encoded => "message",
            _ => "leaf",
        };
        differ(format!("part {i} kind"), kind.into(), their_kind.into());
        if let Some(text) = theirs["text"].as_str() {
            differ(format!("part {i} text"), message.text(id), text.into());
        }
        if let Some(binary) = theirs["binary"].as_str() {
            let ours = base64::engine::general_purpose::STANDARD.encode(message.decoded(id));
            differ(format!("part {i} octets"), ours, binary.into());
        }
        let headers = theirs["headers"].as_array().expect("headers");
        differ(
            format!("part {i} fields"),
            ours.headers.len().to_string(),
            headers.len().to_string(),
        );
        for (ours, theirs) in ours.headers.iter().zip(headers) {
            let field = theirs["name"].as_str().unwrap_or_default();
            let offsets = format!("{} {}", theirs["offset_field"], theirs["offset_end"]);
            differ(
                format!("part {i} {field} offsets"),
                format!("{} {}", ours.range.start, ours.range.end),
                offsets,
            );
            if let Some((ours, theirs)) = values(ours.value, &theirs["value"]) {
                differ(format!("part {i} {field}"), ours, theirs);
            }
        }
    }
    let ids = |ids: Vec<PartId>| ids.iter().map(|id| id.0.to_string()).collect::<Vec<_>>();
    let root = &answer["messages"][0];
    for (name, ours) in [
        ("text_body", message.text_body()),
        ("html_body", message.html_body()),
        ("attachments", message.attachments()),
    ] {
        let theirs: Vec<String> =
            root[name].as_array().expect("ids").iter().map(Value::to_string).collect();
        differ(name.into(), ids(ours).join(" "), theirs.join(" "));
    }
}

/// A field's value in both readings, in one spelling.
fn values(ours: &[u8], theirs: &Value) -> Option<(String, String)> {
    if let Some(text) = theirs["text"].as_str() {
        return Some((waxwing_message::parse::words::decode_text(ours), text.into()));
    }
    if theirs["date_time"].is_object() {
        let ours = date::parse(ours).map(|at| at.as_second());
        return Some((format!("{ours:?}"), format!("{:?}", suites_date(&theirs["date_time"]))));
    }
    if theirs["address"].is_array() {
        return Some((our_addresses(ours), their_addresses(&theirs["address"])));
    }
    if theirs["content_type"].is_object() {
        return Some((our_type(ours), their_type(&theirs["content_type"])));
    }
    None
}

fn suites_date(date: &Value) -> Option<i64> {
    let n = |name: &str| date[name].as_i64().unwrap_or_default();
    let civil = jiff::civil::DateTime::new(
        n("year") as i16,
        n("month") as i8,
        n("day") as i8,
        n("hour") as i8,
        n("minute") as i8,
        n("second") as i8,
        0,
    );
    let utc = jiff::tz::Offset::UTC.to_timestamp(civil.ok()?).ok()?.as_second();
    // In that answer the hour is local; the zone is beside it.
    let zone = n("tz_hour") * 3600 + n("tz_minute") * 60;
    Some(if date["tz_before_gmt"] == true { utc + zone } else { utc - zone })
}

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
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        format!("{} <{}>, ", text("name"), text("address"))
    };
    for item in list.as_array().expect("a list") {
        if item["mailbox"].is_object() {
            out.push_str(&mailbox(&item["mailbox"]));
        } else {
            let group = &item["group"];
            out.push_str(&format!("{}: ", group["name"].as_str().unwrap_or_default()));
            let members = group["mailboxes"].as_array().expect("a list");
            members.iter().for_each(|member| out.push_str(&mailbox(member)));
            out.push_str("; ");
        }
    }
    out
}

fn our_type(value: &[u8]) -> String {
    // Content-Disposition has one word.
    let (main, sub) =
        content::media_type(value).unwrap_or_else(|| (content::first_word(value), "".into()));
    format!("{main}/{sub} {:?}", content::params(value))
}

fn their_type(value: &Value) -> String {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_ascii_lowercase();
    let mut params = Vec::new();
    for pair in value["attributes"].as_array().into_iter().flatten() {
        params.push((
            pair[0].as_str().unwrap_or_default().to_owned(),
            pair[1].as_str().unwrap_or_default().to_owned(),
        ));
    }
    format!("{}/{} {params:?}", text("type"), text("subtype"))
}

/// What must hold of every message whatever.
fn check_sense(file: &Path, raw: &[u8]) {
    let message = Message::parse(raw);
    let name = file.display();
    for (i, part) in message.parts.iter().enumerate() {
        assert!(part.header.start <= part.header.end, "{name}");
        assert!(part.header.end <= part.body.start, "{name}");
        assert!(part.body.end <= raw.len(), "{name}");
        if let Some(parent) = part.parent {
            let body = &message.part(parent).body;
            assert!(body.start <= part.header.start && part.body.end <= body.end, "{name} {i}");
        }
    }
    let summary = Summary::of(&message);
    assert_eq!(Summary::decode(&summary.encode()).as_ref(), Some(&summary), "{name}");
    message.searchable_text(1 << 20);
}

#[test]
fn every_message_is_read_with_sense() {
    let Some(mime) = suites::find("mime") else { return };
    let mut folders = vec![mime];
    folders.extend(suites::unpacked("mime/mime4j-testmsgs.tar.xz", env!("CARGO_TARGET_TMPDIR")));
    let mut seen = 0;
    for file in folders.iter().flat_map(|folder| suites::files(folder, &[".eml", ".msg"])) {
        let raw = std::fs::read(&file).expect("a message");
        check_sense(&file, &raw);
        check_sense(&file, &with_crlf(&raw));
        seen += 1;
    }
    assert!(seen >= 100, "{seen}");
}
