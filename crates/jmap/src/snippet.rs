//! `SearchSnippet/get` (RFC 8621 §5): where in a message stands what was searched for.
//!
//! Marked is what the search finds: words and phrases of the filter, where a word begins, without regard to
//! case and accents. What a filter excludes is not marked.

use std::ops::Range;

use serde_json::{Map, Value, json};
use waxwing_message::parse::PartId;
use waxwing_message::parse::html::to_text;
use waxwing_store::{Located, MessageId, Terms};

use crate::blob::open::Octets;
use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::{Answer, Method, methods};
use crate::email::header;
use crate::email::keywords::visible_places;
use crate::email::part::Parts;
use crate::email::query::condition::{self, Test, Tests};
use crate::email::value;
use crate::standard::{self, get::each_once};
use crate::wire::blob_id::Blob;
use crate::wire::error::MethodError;
use crate::wire::filter::{Filter, Operator};
use crate::wire::id;

pub(crate) const METHODS: &[Method] = methods! {
    "SearchSnippet/get" Mail run,
};

/// Octets of a preview, marks and all (RFC 8621 §5).
const PREVIEW_OCTETS_MAX: usize = 255;
/// Octets of text before the first match.
const LEAD_OCTETS: usize = 60;
/// Octets of a text that are looked at.
const SEARCHED_OCTETS_MAX: u64 = 1 << 20;
/// What stands around a match.
const MARKS: (&str, &str) = ("<mark>", "</mark>");

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    account_id: String,
    #[serde(default)]
    filter: Option<Value>,
    email_ids: Vec<String>,
}

/// Runs the method.
async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: Arguments = standard::arguments(arguments)?;
    let wanted = Wanted::of(&condition::read(asked.filter)?);
    let account = context.account(&asked.account_id).await?;
    let ids = each_once(asked.email_ids, &context.limits)?;
    let messages: Vec<MessageId> = ids.iter().filter_map(|text| id::read(text)).collect();
    let readable = account.mailboxes.readable();
    let located = context.store.locate(account.id, &messages, &readable, true).await?;
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for text in ids {
        let message: Option<MessageId> = id::read(&text);
        let found = located.messages.iter().find(|one| Some(one.message) == message);
        let visible = found.filter(|one| visible_places(&one.places).next().is_some());
        match visible {
            Some(located) => list.push(snippet(context, &account, located, &wanted).await?),
            None => not_found.push(text),
        }
    }
    let response = json!({
        "accountId": asked.account_id,
        "list": list,
        "notFound": if not_found.is_empty() { Value::Null } else { json!(not_found) },
    });
    Ok(response.into())
}

/// What is looked for, and where.
struct Wanted {
    subject: Terms,
    body: Terms,
}

impl Wanted {
    fn of(filter: &Tests) -> Wanted {
        let (mut subject, mut body) = (Vec::new(), Vec::new());
        gather(filter, &mut subject, &mut body);
        Wanted { subject: Terms::new(&subject), body: Terms::new(&body) }
    }
}

/// The terms that a message may have passed the filter for.
fn gather(filter: &Tests, subject: &mut Vec<String>, body: &mut Vec<String>) {
    match filter {
        Filter::Operator(Operator::Not, _) => {}
        Filter::Operator(_, inner) => inner.iter().for_each(|one| gather(one, subject, body)),
        Filter::Condition(Test::Text { terms, headers_too }) => {
            body.extend_from_slice(terms);
            if *headers_too {
                subject.extend_from_slice(terms);
            }
        }
        Filter::Condition(Test::Field { name, terms }) if name == "subject" => {
            subject.extend_from_slice(terms);
        }
        Filter::Condition(_) => {}
    }
}

async fn snippet(
    context: &Context,
    account: &Account,
    located: &Located,
    wanted: &Wanted,
) -> Result<Value, MethodError> {
    let mut snippet = json!({
        "emailId": id::text(located.message), "subject": null, "preview": null,
    });
    let Some(summary) = &located.summary else { return Ok(snippet) };
    let summary = summary.read()?;
    if let Some(raw) = &summary.overview.subject {
        let subject = header::text(raw);
        let found = wanted.subject.find_all(&subject);
        if !found.is_empty() {
            snippet["subject"] = marked(&subject, &found).into();
        }
    }
    if wanted.body.is_empty() {
        return Ok(snippet);
    }
    let content = context.store.content_of(account.id, located.message).await?;
    let Some((content, _)) = content else { return Ok(snippet) };
    let octets = Octets::from(content);
    let parts = Parts::new(&summary, PartId::ROOT, Blob::of_message(located.message));
    let view = parts.view();
    let mut seen = Vec::new();
    for id in view.text.iter().chain(&view.html).filter(|id| parts.is_text(**id)) {
        if seen.contains(id) {
            continue;
        }
        seen.push(*id);
        let part = parts.part(*id);
        let needed = value::needed(part, SEARCHED_OCTETS_MAX);
        let body = octets.read(part.body.offset, needed).await?;
        let text = value::value(part, &body, SEARCHED_OCTETS_MAX);
        let mut text = text["value"].as_str().unwrap_or_default().to_owned();
        if part.subtype.eq_ignore_ascii_case(b"html") {
            text = to_text(&text, text.len());
        }
        if let Some(preview) = preview(&text, &wanted.body) {
            snippet["preview"] = preview.into();
            break;
        }
    }
    Ok(snippet)
}

/// The text around the first match, white space collapsed, as much as fits with its marks.
fn preview(text: &str, wanted: &Terms) -> Option<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = wanted.find_all(&text);
    let first = found.first()?.start;
    let around = piece(&text, &found, first.saturating_sub(LEAD_OCTETS));
    match around.contains(MARKS.0) {
        true => Some(around),
        // What comes before takes all the room, written as HTML.
        false => Some(piece(&text, &found, first)),
    }
}

/// As much as fits from about there on.
fn piece(text: &str, found: &[Range<usize>], from: usize) -> String {
    let first = found.first().map_or(from, |range| range.start);
    let mut start = text.floor_char_boundary(from);
    if start > 0 && start < first {
        // Rather a whole word.
        start = text[start..first].find(' ').map_or(start, |space| start + space + 1);
    }
    let mut end = text.len().min(start + PREVIEW_OCTETS_MAX);
    loop {
        end = text.floor_char_boundary(end).max(start);
        let inside = found.iter().filter(|range| range.start >= start && range.end <= end);
        let inside: Vec<_> = inside.map(|range| range.start - start..range.end - start).collect();
        let marked = marked(&text[start..end], &inside);
        if marked.len() <= PREVIEW_OCTETS_MAX {
            return marked;
        }
        // No octet becomes more than it is by this, nor do the marks on it.
        end = end.saturating_sub((marked.len() - PREVIEW_OCTETS_MAX).div_ceil(20));
    }
}

/// HTML of a text in which those ranges, which ascend and do not overlap, are marked (RFC 8621 §5).
fn marked(text: &str, found: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut at = 0;
    for range in found {
        escape(&text[at..range.start], &mut out);
        out.push_str(MARKS.0);
        escape(&text[range.clone()], &mut out);
        out.push_str(MARKS.1);
        at = range.end;
    }
    escape(&text[at..], &mut out);
    out
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn terms(all: &[&str]) -> Terms {
        Terms::new(&all.iter().map(|term| (*term).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn matches_are_marked_and_the_rest_is_escaped() {
        let text = "Foo & <foo> café, FOOD; snafoo";
        let found = terms(&["foo", "CAFE"]).find_all(text);
        assert_eq!(
            marked(text, &found),
            "<mark>Foo</mark> &amp; &lt;<mark>foo</mark>&gt; <mark>café</mark>, <mark>FOO</mark>D; snafoo"
        );
        assert_eq!(preview("nothing", &terms(&["foo"])), None);
        let quoted = format!("{} foo", "&".repeat(70));
        assert_eq!(preview(&quoted, &terms(&["foo"])).unwrap(), "<mark>foo</mark>");
        let long = format!("{} the needle {}", "hay ".repeat(100), "hay ".repeat(100));
        let preview = preview(&long, &terms(&["needle"])).unwrap();
        assert!(preview.starts_with("hay ") && preview.contains("the <mark>needle</mark> hay"));
        assert!(preview.len() <= 255 && preview.len() > 200, "{}", preview.len());
    }

    proptest! {
        #[test]
        fn previews_fit_and_hold_no_markup(text in "([a-c<>&\"é ]|foo |\u{3a3}|İ){0,200}", term in "[a-cé]{1,3}|foo") {
            if let Some(preview) = preview(&text, &terms(&[&term])) {
                prop_assert!(preview.len() <= PREVIEW_OCTETS_MAX);
                let bare = preview.replace("<mark>", "").replace("</mark>", "");
                prop_assert!(!bare.contains(['<', '>']));
                prop_assert!(preview.contains("<mark>"));
            }
        }
    }
}
