//! The wire: octets to commands, data to octets. Nothing here waits, reads a clock or knows the
//! store's operations.
//!
//! | in | |
//! |---|---|
//! | [`frame`] | where a command ends, literal by literal, as octets arrive |
//! | [`cursor`] | the tokens of a whole command |
//! | [`parse`], [`parse_select`], [`parse_fetch`], [`parse_search`], [`parse_sort`], [`parse_list`], [`parse_append`], [`parse_acl`], [`parse_metadata`], [`parse_notify`] | the grammar, into [`command`] |
//! | [`sequence`], [`partial`], [`date`], [`utf7`] | message sets, parts of results, dates, names of rev1 mailboxes |
//! | [`url`] | URLs of messages, for CATENATE |
//! | [`object_id`] | identifiers of mailboxes and contents, both ways |
//! | out | |
//! | [`out`] | strings, numbers, flags and sets, straight into the output buffer |
//! | [`structure`] | ENVELOPE, BODY and BODYSTRUCTURE from a stored summary |
//! | [`threads`] | the lists of THREAD |
//! | [`section`] | which octets of a message a section names; HEADER.FIELDS |
//! | [`transfer`] | undoing base64 and quoted-printable in pieces, for BINARY |

pub mod command;
pub mod cursor;
pub mod date;
pub mod frame;
pub mod object_id;
pub mod out;
pub mod parse;
pub mod parse_acl;
pub mod parse_append;
pub mod parse_fetch;
pub mod parse_list;
pub mod parse_metadata;
pub mod parse_notify;
pub mod parse_search;
pub mod parse_select;
pub mod parse_sort;
pub mod partial;
pub mod section;
pub mod sequence;
pub mod structure;
pub mod threads;
pub mod transfer;
pub mod url;
pub mod utf7;
