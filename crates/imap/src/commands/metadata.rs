//! GETMETADATA and SETMETADATA (RFC 5464).
//!
//! The server itself has two shared entries (RFC 5464 §6.2.1): `/shared/admin`, whom to turn to, and
//! `/shared/comment`, if its operator says something. No client can set them, or another shared entry of the
//! server; private ones of the server are notes of the account. Those of vendors (§6.2.1) are theirs to define,
//! and there are none of ours.

use waxwing_store::{METADATA_VALUE_OCTETS_MAX, MetadataEntry, MetadataError};

use crate::access::{self, Act, Place};
use crate::connection::Connection;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;
use crate::wire::out::Out;
use crate::wire::parse_metadata::{Depth, GetMetadata, SetMetadata};

/// GETMETADATA.
pub async fn get(connection: &mut Connection<'_>, session: &Session, get: &GetMetadata) -> Done {
    let place = place(session, &get.mailbox, Act::ReadMetadata).await?;
    let known = known(session, place.as_ref()).await?;
    let limit = get.max_octets.map_or(usize::MAX, |limit| limit as usize);
    let found: Vec<(&str, Option<&[u8]>)> =
        get.entries.iter().flat_map(|entry| asked(&known, entry, get.depth)).collect();
    // RFC 5464 §4.2.1: what is longer is left out, and the length of the longest is told.
    let octets = |value: &Option<&[u8]>| value.map_or(0, <[u8]>::len);
    let longest = found.iter().map(|(_, value)| octets(value)).max().unwrap_or(0);
    let fitting = found.iter().filter(|(_, value)| octets(value) <= limit);
    let fitting: Vec<(&str, Option<&[u8]>)> = fitting.copied().collect();
    let name = place.as_ref().map_or("", |place| place.mailbox.name.as_str());
    write(&mut connection.out, name, &fitting);
    connection.relieve().await?;
    let tagged = Tagged::ok("Those are the entries");
    Ok(match longest > limit {
        true => tagged.with(format!("METADATA LONGENTRIES {longest}")),
        false => tagged,
    })
}

/// SETMETADATA: all or nothing.
pub async fn set(session: &Session, set: SetMetadata) -> Done {
    let account = session.account()?;
    let place = place(session, &set.mailbox, Act::WritePrivateMetadata).await?;
    if set.entries.iter().any(|(name, _)| name.starts_with("/shared/")) {
        match &place {
            Some(place) => place.need(Act::WriteSharedMetadata)?,
            None => return Err(Fail::no("NOPERM", "What the server says of itself is not yours")),
        }
    }
    let mailbox = place.map(|place| place.mailbox.id);
    let changed = session.store.set_metadata(mailbox, account, set.entries).await;
    changed.map_err(|error| match error {
        MetadataError::NotFound => Fail::no("NONEXISTENT", "No such mailbox"),
        MetadataError::TooMany => Fail::no("METADATA TOOMANY", "Those are too many entries"),
        // RFC 5464 §4.3: what would have been possible.
        MetadataError::TooLong => Fail::Refused(
            Tagged::no("", "A value is too long")
                .with(format!("METADATA MAXSIZE {METADATA_VALUE_OCTETS_MAX}")),
        ),
        MetadataError::Store(error) => error.into(),
    })?;
    Ok(Tagged::ok("Noted"))
}

/// The mailbox; `None` for the server, whose name is empty.
async fn place(session: &Session, wire: &[u8], act: Act) -> Result<Option<Place>, Fail> {
    session.account()?;
    match wire {
        [] => Ok(None),
        wire => access::open(session, wire, act).await.map(Some),
    }
}

/// Every entry that the account sees there, by name.
async fn known(session: &Session, place: Option<&Place>) -> Result<Vec<MetadataEntry>, Fail> {
    let account = session.account()?;
    let mailbox = place.map(|place| place.mailbox.id);
    let mut known = session.store.metadata(mailbox, account).await?;
    if mailbox.is_none()
        && let Some(account) = session.store.account(account).await?
    {
        // RFC 2142 §5: every domain here has one.
        let postmaster = || format!("mailto:postmaster@{}", account.address.domain());
        let admin = session.settings.admin.clone().unwrap_or_else(postmaster);
        known.push(("/shared/admin".into(), admin.into_bytes()));
        let comment = session.settings.comment.clone();
        known.extend(comment.map(|text| ("/shared/comment".into(), text.into_bytes())));
    }
    Ok(known)
}

/// What is asked for by one name. The entry itself is told of even if it has no value.
fn asked<'k>(
    known: &'k [MetadataEntry],
    entry: &'k str,
    depth: Depth,
) -> Vec<(&'k str, Option<&'k [u8]>)> {
    let mut found: Vec<(&str, Option<&[u8]>)> = Vec::new();
    let itself = known.iter().find(|(name, _)| name == entry);
    if itself.is_some() || depth == Depth::Zero {
        found.push((entry, itself.map(|(_, value)| value.as_slice())));
    }
    let below = known.iter().filter(|(name, _)| {
        let below = name.strip_prefix(entry).and_then(|rest| rest.strip_prefix('/'));
        below.is_some_and(|rest| match depth {
            Depth::Zero => false,
            Depth::One => !rest.contains('/'),
            Depth::Infinity => true,
        })
    });
    found.extend(below.map(|(name, value)| (name.as_str(), Some(value.as_slice()))));
    found
}

fn write(out: &mut Out, mailbox: &str, entries: &[(&str, Option<&[u8]>)]) {
    if entries.is_empty() {
        return;
    }
    out.raw("* METADATA ").mailbox(mailbox).raw(" (");
    for (at, (name, value)) in entries.iter().enumerate() {
        out.raw(if at > 0 { " " } else { "" }).string(name.as_bytes()).raw(" ");
        out.nstring8(*value);
    }
    out.raw(")\r\n");
}
