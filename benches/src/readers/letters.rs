//! The mailbox that is read: conversations of a few letters each, of one to eight KB.

use std::io::Write as _;

use crate::render::Material;

/// In the body of one letter in a thousand.
pub const RARE_WORD: &str = "zanzibar";
/// In the subject of one in five hundred.
pub const RARE_SUBJECT: &str = "quarterly";
/// Letters of one conversation.
const CONVERSATION: u32 = 5;

/// Letters by number; the same ones every time.
pub struct Letters(Material);

impl Letters {
    pub fn new() -> Letters {
        Letters(Material::new())
    }

    /// One letter with CRLF line ends.
    pub fn letter(&self, number: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(9 * 1024);
        let (thread, place) = (number / CONVERSATION, number % CONVERSATION);
        let reply = if place > 0 { "Re: " } else { "" };
        let rare = if number.is_multiple_of(500) { RARE_SUBJECT } else { "weekly" };
        let sender = number.wrapping_mul(2_654_435_761) % 997;
        let (day, hour, minute) = (1 + number / 1440 % 28, number / 60 % 24, number % 60);
        let _ = write!(
            out,
            "Received: from client.sender.test ([198.51.100.7])\r\n\
             \tby relay.sender.test with ESMTPS id {number:012};\r\n\
             \tMon, 01 Jun 2026 09:30:00 +0000\r\n\
             Date: {day:02} Jun 2026 {hour:02}:{minute:02}:00 +0000\r\n\
             From: \"Sender {sender}\" <sender{sender}@sender.test>\r\n\
             To: <reader00@bench.test>, \"Somebody Else\" <else@sender.test>\r\n\
             Subject: {reply}The {rare} plan of group {thread:06}\r\n\
             Message-ID: <{number:09}.bench@sender.test>\r\n"
        );
        if place > 0 {
            let parents = (number - place..number).map(|n| format!(" <{n:09}.bench@sender.test>"));
            let parents = parents.collect::<Vec<_>>().join("\r\n");
            let last = number - 1;
            let _ = write!(
                out,
                "In-Reply-To: <{last:09}.bench@sender.test>\r\nReferences:{parents}\r\n"
            );
        }
        out.extend_from_slice(
            b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
        );
        if number.is_multiple_of(1000) {
            let _ = write!(out, "We met in {RARE_WORD} and agreed.\r\n");
        }
        let lines = 15 + (number.wrapping_mul(40_503) % 100) as usize;
        out.extend_from_slice(self.0.lines(lines, u64::from(number)));
        out
    }
}
