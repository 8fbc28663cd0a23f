//! The lists of a THREAD response (RFC 5256 §5 `thread-data`).
//!
//! ```text
//! -- 3            (3 6 (4 23)(44 7 96))
//!    \-- 6
//!        |-- 4
//!        |   \-- 23
//!        \-- 44 …
//! ```

use super::out::Out;
use crate::threading::Threads;

/// What is still to be written.
enum Rest {
    Thread(usize),
    Close,
}

/// Writes all threads, without recursion: they may be as deep as a mailbox is long.
pub fn write(out: &mut Out, threads: &Threads) {
    let mut rest: Vec<Rest> = threads.roots.iter().rev().map(|&root| Rest::Thread(root)).collect();
    while let Some(next) = rest.pop() {
        let Rest::Thread(mut at) = next else {
            out.raw(")");
            continue;
        };
        out.raw("(");
        loop {
            let node = &threads.nodes[at];
            if let Some(number) = node.number {
                out.number(number);
            }
            let [child] = node.children[..] else { break };
            if node.number.is_some() {
                out.raw(" ");
            }
            at = child;
        }
        let node = &threads.nodes[at];
        if node.number.is_some() && !node.children.is_empty() {
            out.raw(" ");
        }
        rest.push(Rest::Close);
        rest.extend(node.children.iter().rev().map(|&child| Rest::Thread(child)));
    }
}
