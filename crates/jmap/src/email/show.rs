//! One Email object, as `Email/get` and `Email/parse` give it.

use serde_json::{Map, Value};
use waxwing_message::Summary;
use waxwing_message::parse::Header;
use waxwing_message::parse::PartId;
use waxwing_message::parse::field::fields;
use waxwing_message::summary::PartKind;
use waxwing_store::{Located, Place};

use super::body::{self, Read};
use super::header::{of_fields, of_overview};
use super::part::Parts;
use super::wanted::{Known, PartList, PartProperty, Property, Wanted};
use super::{keywords, value};
use crate::blob::open::{Octets, Opened};
use crate::wire::blob_id::Blob;
use crate::wire::error::MethodError;
use crate::wire::{date, id};

/// A message to be shown.
pub struct Subject<'s> {
    /// Where it is and since when; `None` of one that is no Email.
    pub located: Option<&'s Located>,
    /// What its octets are called.
    pub blob: Blob,
    /// What is stored ready of it.
    pub summary: &'s Summary,
    /// Its octets, if something is wanted that is only in them.
    pub octets: Option<&'s Octets>,
    /// How many.
    pub size: u64,
}

/// The object, with texts of at most so many octets.
pub async fn email(
    subject: &Subject<'_>,
    wanted: &Wanted,
    values_max: u64,
) -> Result<Value, MethodError> {
    let parts = Parts::new(subject.summary, PartId::ROOT, subject.blob.clone());
    let view = match wanted.opens_message() {
        true => parts.view(),
        false => waxwing_message::parse::View::default(),
    };
    let list = |list: PartList| match list {
        PartList::Text => &view.text,
        PartList::Html => &view.html,
        PartList::Attachments => &view.attachments,
    };
    let shown = match wanted.wants(&Property::BodyStructure) {
        true => parts.all(),
        false => {
            let lists = [PartList::Text, PartList::Html, PartList::Attachments];
            let lists = lists.into_iter().filter(|list| wanted.wants(&Property::Parts(*list)));
            lists.flat_map(|one| list(one).iter().copied()).collect()
        }
    };
    let read = read_parts(subject, &parts, &shown, wanted).await?;
    let header = match wants_header(wanted) {
        true => read_header(subject, PartId::ROOT).await?,
        false => Vec::new(),
    };
    let mut members = Map::new();
    for (name, property) in &wanted.properties {
        let value = match property {
            Property::Known(known) => of_known(*known, subject),
            Property::Convenience => {
                of_overview(name, &subject.summary.overview).unwrap_or(Value::Null)
            }
            Property::Header(property) => {
                let all: Vec<Header<'_>> = fields(&header).collect();
                of_fields(property, all.iter())
            }
            Property::Headers => body::all_fields(&header),
            Property::BodyStructure => body::structure(&parts, parts.root(), wanted, &read),
            Property::Parts(which) => {
                list(*which).iter().map(|id| body::part(&parts, *id, wanted, &read)).collect()
            }
            Property::BodyValues => {
                let mut ids = Vec::new();
                ids.extend_from_slice(if wanted.text_values { &view.text } else { &[] });
                ids.extend_from_slice(if wanted.html_values { &view.html } else { &[] });
                if wanted.all_values {
                    ids.extend(parts.all());
                }
                body_values(subject, &parts, ids, values_max).await?
            }
        };
        members.insert(name.clone(), value);
    }
    Ok(Value::Object(members))
}

fn of_known(known: Known, subject: &Subject<'_>) -> Value {
    let places =
        || keywords::visible_places(subject.located.map_or(&[], |located| &located.places));
    match known {
        Known::Id => subject.located.map(|located| id::text(located.message)).into(),
        Known::BlobId => subject.blob.to_string().into(),
        Known::ThreadId => subject.located.map(|located| id::text(located.thread)).into(),
        Known::Size => subject.size.into(),
        Known::HasAttachment => subject.summary.has_attachment.into(),
        Known::Preview => subject.summary.preview.as_str().into(),
        Known::MailboxIds | Known::Keywords | Known::ReceivedAt if subject.located.is_none() => {
            Value::Null
        }
        Known::MailboxIds => {
            let ids = places().map(|place| (id::text(place.mailbox), Value::Bool(true)));
            ids.collect::<Map<_, _>>().into()
        }
        Known::Keywords => keywords::value(&keywords::of_places(places())),
        Known::ReceivedAt => received_at(places()).into(),
    }
}

/// When a message was received; where its places say different times, the first.
fn received_at<'p>(places: impl Iterator<Item = &'p Place>) -> Option<String> {
    places.map(|place| place.entry.received_at).min().map(date::utc)
}

fn wants_header(wanted: &Wanted) -> bool {
    let is_header =
        |property: &Property| matches!(property, Property::Header(_) | Property::Headers);
    wanted.properties.iter().any(|(_, property)| is_header(property))
}

async fn read_header(subject: &Subject<'_>, id: PartId) -> Result<Vec<u8>, MethodError> {
    let (Some(part), Some(octets)) = (subject.summary.parts.get(id.0 as usize), subject.octets)
    else {
        return Ok(Vec::new());
    };
    Ok(octets.read(part.header.offset, part.header.octets).await?)
}

/// Looks up what the properties of parts need.
async fn read_parts(
    subject: &Subject<'_>,
    parts: &Parts<'_>,
    shown: &[PartId],
    wanted: &Wanted,
) -> Result<Read, MethodError> {
    let mut read = Read::default();
    let Some(octets) = subject.octets else { return Ok(read) };
    let wants = |is: fn(&PartProperty) -> bool| wanted.part_properties.iter().any(|(_, p)| is(p));
    let sizes = wants(|property| *property == PartProperty::Size);
    let headers =
        wants(|property| matches!(property, PartProperty::Headers | PartProperty::Header(_)));
    for &id in shown {
        let part = parts.part(id);
        if headers && !read.headers.contains_key(&id) {
            read.headers.insert(id, read_header(subject, id).await?);
        }
        if !sizes || read.sizes.contains_key(&id) {
            continue;
        }
        let size = match part.kind {
            PartKind::Multipart { .. } => continue,
            PartKind::Message { .. } => part.body.octets,
            PartKind::Leaf => match part.transfer_encoding() {
                encoding if encoding.is_identity() => part.body.octets,
                encoding => Opened::body(octets.clone(), part.body, encoding).size().await?,
            },
        };
        read.sizes.insert(id, size);
    }
    Ok(read)
}

async fn body_values(
    subject: &Subject<'_>,
    parts: &Parts<'_>,
    ids: Vec<PartId>,
    most: u64,
) -> Result<Value, MethodError> {
    let mut values = Map::new();
    let Some(octets) = subject.octets else { return Ok(Value::Object(values)) };
    for id in ids.into_iter().filter(|id| parts.is_text(*id)) {
        let Some(name) = parts.part_id(id).filter(|name| !values.contains_key(name)) else {
            continue;
        };
        let part = parts.part(id);
        let body = octets.read(part.body.offset, value::needed(part, most)).await?;
        values.insert(name, value::value(part, &body, most));
    }
    Ok(Value::Object(values))
}
