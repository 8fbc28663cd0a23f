//! The queue.
mod schedule;
pub use schedule::Schedule;
