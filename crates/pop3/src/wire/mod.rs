//! POP3's wire, pure: command lines in, responses out. No socket, no state of a session.
//!
//! | module | what it holds |
//! |---|---|
//! | [`command`] | a line of octets parsed into a [`Command`](command::Command) |
//! | [`response`] | `+OK`, `-ERR` and their response codes |
//! | [`multiline`] | messages as multi-line responses: dot-stuffing, line ends, and TOP's cut |

pub mod command;
pub mod multiline;
pub mod response;
