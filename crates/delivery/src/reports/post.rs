//! TLS reports that are wanted over HTTPS (RFC 8460 §3, §5.4). Nothing here opens a socket: the program
//! posts ([`PostReport`]).
//!
//! A report that was posted and could not be noted as sent is posted again, under the same id: who
//! takes it can tell.

use futures_util::future::{BoxFuture, join_all};

/// Posts reports.
pub trait PostReport: Send + Sync {
    /// Posts a TLS report, packed by gzip, as `application/tlsrpt+gzip`. The URI is an `https` one, and a
    /// stranger wrote it: it must not be followed to an address that is not public. `Ok` when the host
    /// answered that it has the report; else why not, in words. Ends by itself within a minute.
    fn post<'a>(&'a self, uri: &'a str, report: &'a [u8]) -> BoxFuture<'a, Result<(), String>>;
}

/// Posts a report to everybody who wants it so, at once; gives who took it. Those who did not are told
/// in `left_out`.
pub(super) async fn post_to_all(
    post: &dyn PostReport,
    uris: &[String],
    report: &[u8],
    left_out: &mut Vec<String>,
) -> Vec<String> {
    let answers = join_all(uris.iter().map(|uri| post.post(uri, report))).await;
    let mut taken = Vec::new();
    for (uri, answer) in uris.iter().zip(answers) {
        match answer {
            Ok(()) => taken.push(uri.clone()),
            Err(why) => left_out.push(format!("{uri}: {why}")),
        }
    }
    taken
}
