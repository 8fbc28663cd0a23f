//! NOOP (RFC 1939 §5): keeps the session awake.

use crate::wire::response;

pub(super) fn run(out: &mut Vec<u8>) {
    response::ok(out, "still here");
}
