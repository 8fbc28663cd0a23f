//! Blobs outside the database: in a folder, or in any store that speaks S3.
//!
//! An object is called `STORE/ab/abcdef…-0123456789abcdef`: a name of the store itself (kept in its
//! database), the hash of the content, and a number that is random each time it is staged. So a name is never used twice, and an object whose row is gone
//! can be deleted without asking who might just be staging the same content. Objects of other stores
//! and files of any other name are never touched, wherever the URL points. An object holds the
//! stored chunks one after another; where each ends is kept in the row.
//!
//! | URL | what |
//! |---|---|
//! | `file:///folder` | a folder; every object is synced to the disk |
//! | `s3://bucket/prefix` | S3; options as `object_store` names them (`aws_endpoint`, `aws_access_key_id`, …), from the environment where absent |

use std::ops::Range;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart};

use crate::{BlobId, OpenError, StoreError};

/// Objects up to here are put in one request; larger ones in parts of this size. S3 wants parts of
/// at least 5 MiB.
const PART_OCTETS: usize = 5 << 20;
/// Parts on their way at one time.
const PARTS_AT_ONCE: usize = 2;
/// Names looked up in the database at once while sweeping.
const NAMES_AT_ONCE: usize = 500;
/// Hexadecimal digits that name a store.
const OWNER_DIGITS: usize = 16;

/// An object store and the prefix of all names in it.
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    /// The first level of all our names: see [`Objects::belong_to`].
    owner: String,
}

impl Objects {
    pub(crate) fn open(url: &str, options: &[(String, String)]) -> Result<Objects, OpenError> {
        let wrong = |why: String| OpenError::Url { url: url.to_owned(), why };
        if let Some(folder) = url.strip_prefix("file://") {
            std::fs::create_dir_all(folder).map_err(|e| wrong(format!("{folder}: {e}")))?;
            let store =
                LocalFileSystem::new_with_prefix(folder).map_err(|e| wrong(e.to_string()))?;
            let store = store.with_fsync(true).with_automatic_cleanup(true);
            return Ok(Objects {
                store: Arc::new(store),
                prefix: String::new(),
                owner: String::new(),
            });
        }
        let Some(rest) = url.strip_prefix("s3://") else {
            return Err(wrong("it begins with neither file:// nor s3://".into()));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        for (key, value) in options {
            let key: AmazonS3ConfigKey =
                key.to_ascii_lowercase().parse().map_err(|_| wrong(format!("option {key}")))?;
            builder = builder.with_config(key, value);
        }
        let store = builder.build().map_err(|e| wrong(e.to_string()))?;
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Objects { store: Arc::new(store), prefix, owner: String::new() })
    }

    /// Gives all new names a first level that no other store has. `secret` is the database's.
    pub(crate) fn belong_to(&mut self, secret: &[u8; 32]) {
        let id = blake3::derive_key("waxwing-store object names", secret);
        self.owner = blake3::Hash::from_bytes(id).to_hex()[..OWNER_DIGITS].to_owned();
    }

    /// A new object for that content.
    pub(crate) async fn upload(&self, id: &BlobId) -> Result<Upload<'_>, StoreError> {
        let hash = blake3::Hash::from_bytes(id.0).to_hex();
        let number = rand::random::<u64>();
        let name = format!("{}/{}/{hash}-{number:016x}", self.owner, &hash[..2]);
        Ok(Upload { objects: self, name, buffer: Vec::new(), multipart: None })
    }

    pub(crate) async fn get(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let got = self.store.get_range(&self.path(name), range).await;
        got.map(Vec::from).map_err(|error| store_error(&error))
    }

    /// One that is gone already is no error.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(store_error(&error)),
        }
    }

    /// The names of this store's objects that were written before then, some at a time.
    pub(crate) fn older_than(
        &self,
        before: Timestamp,
    ) -> impl Stream<Item = Result<Vec<String>, StoreError>> + Unpin + '_ {
        let listing = self.store.list(Some(&self.path(&self.owner)));
        let names = listing.filter_map(move |found| {
            let name = match found {
                Err(error) => Some(Err(store_error(&error))),
                Ok(meta) if meta.last_modified.timestamp() >= before.as_second() => None,
                Ok(meta) => {
                    let name = meta.location.as_ref().strip_prefix(&self.prefix);
                    name.filter(|name| is_name_of(&self.owner, name)).map(|name| Ok(name.into()))
                }
            };
            std::future::ready(name)
        });
        let chunks = names.chunks(NAMES_AT_ONCE);
        Box::pin(chunks.map(|names| names.into_iter().collect::<Result<Vec<String>, _>>()))
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }
}

/// Whether that is exactly a name as `upload` makes it.
fn is_name_of(owner: &str, name: &str) -> bool {
    let hex = |text: &str, digits| {
        text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut levels = name.split('/');
    let (Some(first), Some(folder), Some(file), None) =
        (levels.next(), levels.next(), levels.next(), levels.next())
    else {
        return false;
    };
    let Some((hash, number)) = file.split_once('-') else { return false };
    hex(owner, OWNER_DIGITS)
        && first == owner
        && hex(folder, 2)
        && hex(hash, 64)
        && hash.starts_with(folder)
        && hex(number, 16)
}

/// An object being written. Dropped before `finish`, it does not come to be.
pub(crate) struct Upload<'a> {
    objects: &'a Objects,
    name: String,
    /// Until it is known that one request will not do.
    buffer: Vec<u8>,
    multipart: Option<WriteMultipart>,
}

impl Upload<'_> {
    pub(crate) async fn write(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        if let Some(multipart) = &mut self.multipart {
            multipart.wait_for_capacity(PARTS_AT_ONCE).await.map_err(|e| store_error(&e))?;
            multipart.write(octets);
            return Ok(());
        }
        self.buffer.extend_from_slice(octets);
        if self.buffer.len() > PART_OCTETS {
            let path = self.objects.path(&self.name);
            let upload =
                self.objects.store.put_multipart(&path).await.map_err(|e| store_error(&e))?;
            let mut multipart = WriteMultipart::new_with_chunk_size(upload, PART_OCTETS);
            multipart.write(&std::mem::take(&mut self.buffer));
            self.multipart = Some(multipart);
        }
        Ok(())
    }

    /// Lets go of what has been sent, so that nobody pays for parts of an object that will never be.
    pub(crate) async fn abort(self) {
        if let Some(multipart) = self.multipart
            && let Err(error) = multipart.abort().await
        {
            tracing::warn!(%error, name = self.name, "an upload could not be taken back");
        }
    }

    /// Durable on return. Gives the name.
    pub(crate) async fn finish(self) -> Result<String, StoreError> {
        let done = match self.multipart {
            Some(multipart) => multipart.finish().await,
            None => {
                let path = self.objects.path(&self.name);
                self.objects.store.put(&path, self.buffer.into()).await
            }
        };
        done.map(|_| self.name).map_err(|error| store_error(&error))
    }
}

fn store_error(error: &object_store::Error) -> StoreError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return match StoreError::from_io(io) {
                StoreError::Unavailable(_) => StoreError::Unavailable(error.to_string()),
                other => other,
            };
        }
        cause = inner.source();
    }
    match error {
        // Rows name only objects that were durable first: nobody but us deletes them.
        object_store::Error::NotFound { .. } => StoreError::Damaged(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_our_own_names_are_ours() {
        let folder = tempfile::tempdir().unwrap();
        let mut objects =
            Objects::open(&format!("file://{}", folder.path().display()), &[]).unwrap();
        objects.belong_to(&[1; 32]);
        let name = objects.upload(&BlobId([0xab; 32])).await.unwrap().name;
        let ours = objects.owner.clone();
        assert!(is_name_of(&ours, &name), "{name}");
        objects.belong_to(&[2; 32]);
        assert!(!is_name_of(&objects.owner, &name));
        for other in [
            "waxwing.db".to_owned(),
            format!("{ours}/ab/key.pem"),
            format!("{name}x"),
            format!("{name}/x"),
            name.replace("/ab/", "/ac/"),
            name.replace('-', ""),
            name.to_uppercase(),
        ] {
            assert!(!is_name_of(&ours, &other), "{other}");
        }
        assert!(!is_name_of("", &name));
    }
}
