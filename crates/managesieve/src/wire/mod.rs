//! The wire: RFC 5804 §4.
//!
//! | module | what it holds |
//! |---|---|
//! | [`frame`] | where a command ends, literals among it, in any pieces |
//! | [`command`] | the grammar of commands |
//! | [`response`] | responses, written |

pub mod command;
pub mod frame;
pub mod response;
