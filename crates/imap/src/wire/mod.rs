//! The wire: octets to commands, data to octets. Nothing here waits, reads a clock or knows the
//! store's operations.
//!
//! | in | |
//! |---|---|
//! | [`frame`] | where a command ends, literal by literal, as octets arrive |
//! | [`cursor`] | the tokens of a whole command |
//! | [`parse`], [`parse_fetch`], [`parse_search`], [`parse_list`] | the grammar, into [`command`] |
//! | [`sequence`], [`date`], [`utf7`] | message sets, dates, names of rev1 mailboxes |
//! | out | |
//! | [`out`] | strings, numbers, flags and sets, straight into the output buffer |
//! | [`structure`] | ENVELOPE, BODY and BODYSTRUCTURE from a stored summary |
//! | [`section`] | which octets of a message a section names; HEADER.FIELDS |
//! | [`transfer`] | undoing base64 and quoted-printable in pieces, for BINARY |

pub mod command;
pub mod cursor;
pub mod date;
pub mod frame;
pub mod out;
pub mod parse;
pub mod parse_fetch;
pub mod parse_list;
pub mod parse_search;
pub mod section;
pub mod sequence;
pub mod structure;
pub mod transfer;
pub mod utf7;
