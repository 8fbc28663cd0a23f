//! Uploads (RFC 8620 §6.1): from the network into a spool, and from there into the store; never whole in
//! memory.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use tokio::time::{Instant, timeout_at};
use waxwing_jmap::Caller;
use waxwing_jmap::wire::blob_id::Blob;
use waxwing_jmap::wire::error::RequestError;

use super::crowd::Errand;
use super::reply::{self, Reply, problem};
use super::{Shared, uploaded};

/// For one piece, and for all of them.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Octets of a media type that are kept.
const TYPE_OCTETS_MAX: usize = 255;

impl Shared {
    pub(super) async fn upload(
        &self,
        head: &Parts,
        account: &str,
        mut body: Incoming,
        caller: Arc<Caller>,
    ) -> Result<Reply, Reply> {
        let most = self.limits.max_concurrent_upload;
        let place = self.crowd.enter(caller.account.id, Errand::Upload, most);
        let _place = place.ok_or_else(|| reply::limit("maxConcurrentUpload"))?;
        let account = self.account(&caller, account.trim_end_matches('/')).await?;
        let too_large = || {
            let problem = RequestError::Limit("maxSizeUpload").problem();
            reply::json_problem(StatusCode::PAYLOAD_TOO_LARGE, &problem)
        };
        if body.size_hint().lower() > self.limits.max_size_upload {
            return Err(too_large());
        }
        let broken = || problem(StatusCode::REQUEST_TIMEOUT, "the upload did not come whole");
        let end = Instant::now() + UPLOAD_TIMEOUT;
        let mut spool = self.store.spool();
        loop {
            let until = end.min(Instant::now() + PIECE_TIMEOUT);
            let frame = timeout_at(until, body.frame()).await.map_err(|_| broken())?;
            let Some(frame) = frame else { break };
            if let Ok(piece) = frame.map_err(|_| broken())?.into_data() {
                if spool.len() + piece.len() as u64 > self.limits.max_size_upload {
                    return Err(too_large());
                }
                spool.write(&piece).map_err(reply::failed)?;
            }
        }
        let size = spool.len();
        let spool = spool.finish().map_err(reply::failed)?;
        let staged = self.store.stage(Vec::new(), &spool, 0).await.map_err(reply::failed)?;
        let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.filter(|text| text.len() <= TYPE_OCTETS_MAX);
        let media_type = media_type.unwrap_or("application/octet-stream");
        let now = jiff::Timestamp::now();
        let kept = self.store.keep_upload(caller.account.id, staged, media_type, now).await;
        let blob = Blob::of_upload(kept.map_err(reply::failed)?).to_string();
        Ok(uploaded(&account.text(), &blob, media_type, size))
    }
}
