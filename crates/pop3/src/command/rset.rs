//! RSET (RFC 1939 §5): forgets every DELE of this session.

use crate::maildrop::Maildrop;
use crate::maildrops::Maildrops;
use crate::wire::response::{self, Messages};

pub(super) fn run<M: Maildrops>(maildrop: &mut Maildrop<M>, out: &mut Vec<u8>) {
    maildrop.unmark_all();
    let (count, octets) = maildrop.count_and_octets();
    response::ok(out, format_args!("{} ({octets} octets)", Messages(count)));
}
