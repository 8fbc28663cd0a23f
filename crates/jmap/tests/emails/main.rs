//! Emails on a real store, asked as a client asks: by requests.

mod changing;
mod getting;
mod querying;
mod support;
