//! Messages out of an mbox file, one after another, in pieces: neither the file nor a message of it
//! is ever whole in memory.

use std::io::{self, BufRead as _, BufReader, Read, Seek, SeekFrom};

use waxwing_message::parse::field;

use super::head::Head;
use super::{from_line, is_note, looks_quoted};

/// A line goes on in pieces of this size.
const PIECE_OCTETS: usize = 64 * 1024;
/// Of a header, notes are looked for so far.
const HEADER_OCTETS_MAX: usize = 1 << 20;

/// Takes a piece of a message.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]);

/// An open file.
pub struct Reader<R: Read + Seek> {
    input: BufReader<R>,
    /// The piece read last; of a line, unless it is longer than a piece.
    piece: Vec<u8>,
    /// The piece is the beginning of its line.
    at_start: bool,
    /// Octets read, the piece with them.
    offset: u64,
    /// The piece is the `From ` line of the next message.
    ahead: bool,
}

impl<R: Read + Seek> Reader<R> {
    /// Looks for the first message. Fails with [`io::ErrorKind::InvalidData`] when the file is no mbox.
    pub fn new(input: R) -> io::Result<Reader<R>> {
        let input = BufReader::with_capacity(PIECE_OCTETS, input);
        let mut reader =
            Reader { input, piece: Vec::new(), at_start: true, offset: 0, ahead: false };
        while reader.read_piece()? {
            if is_empty(&reader.piece) {
                continue;
            }
            // The first line of all need not have a date.
            reader.ahead = reader.piece.starts_with(b"From ");
            if !reader.ahead {
                let what = "it does not begin with a `From ` line";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            break;
        }
        Ok(reader)
    }

    /// Octets of the file that were read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next message, with CRLF line ends and without notes, into `sink`; and what the file says
    /// about it. `None`: there are no more.
    pub fn next(&mut self, sink: Sink<'_>) -> io::Result<Option<Head>> {
        if !std::mem::take(&mut self.ahead) {
            return Ok(None);
        }
        let mut head = Head {
            received_at: from_line::received_at(&self.piece),
            offset: self.offset - self.piece.len() as u64,
            notes: Vec::new(),
        };
        let mut out = Crlf { sink, last: 0 };
        if self.header(&mut head, &mut out)? {
            match self.body_length(&head)? {
                Some(octets) => self.counted_body(octets, &mut out)?,
                None => self.body(&mut out)?,
            }
        }
        Ok(Some(head))
    }

    /// False: the file ends with it.
    fn header(&mut self, head: &mut Head, out: &mut Crlf<'_>) -> io::Result<bool> {
        let mut header = Vec::new();
        loop {
            let more = self.read_piece()?;
            let ended = !more || self.at_start && is_empty(&self.piece);
            if ended || header.len() + self.piece.len() > HEADER_OCTETS_MAX {
                emit_header(&header, head, out);
                out.put(if ended { b"\n" } else { &self.piece });
                return Ok(more);
            }
            header.extend_from_slice(&self.piece);
        }
    }

    /// Where `Content-Length` leads to the end of the file or to another message, it is right.
    fn body_length(&mut self, head: &Head) -> io::Result<Option<u64>> {
        let Some(value) = head.note("content-length") else { return Ok(None) };
        let length = std::str::from_utf8(value).ok().and_then(|v| v.trim().parse::<u64>().ok());
        let Some(end) = length.and_then(|length| self.offset.checked_add(length)) else {
            return Ok(None);
        };
        let here = self.offset;
        let size = self.input.seek(SeekFrom::End(0))?;
        let mut next = Vec::new();
        if end <= size {
            self.input.seek(SeekFrom::Start(end))?;
            self.input.by_ref().take(8).read_to_end(&mut next)?;
        }
        self.input.seek(SeekFrom::Start(here))?;
        let after = next.trim_ascii_start();
        let right =
            end <= size && (after.is_empty() && end + 8 >= size || after.starts_with(b"From "));
        Ok(length.filter(|_| right))
    }

    /// A body of known length (mboxcl2), and the empty line behind it.
    fn counted_body(&mut self, octets: u64, out: &mut Crlf<'_>) -> io::Result<()> {
        let end = self.offset + octets;
        while self.offset < end {
            let room = usize::try_from(end - self.offset).unwrap_or(PIECE_OCTETS);
            if !self.read_piece_within(room.min(PIECE_OCTETS))? {
                return Ok(());
            }
            out.put(&self.piece);
        }
        self.at_start = true;
        self.piece.clear();
        while self.read_piece()? {
            if self.piece.starts_with(b"From ") {
                self.ahead = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// A body that ends before an empty line and a `From ` line.
    fn body(&mut self, out: &mut Crlf<'_>) -> io::Result<()> {
        // The empty line that ends the header may be the one before the next message.
        let (mut after_empty, mut held) = (true, false);
        while self.read_piece()? {
            if after_empty && self.at_start && from_line::received_at(&self.piece).is_some() {
                self.ahead = true;
                return Ok(());
            }
            if std::mem::take(&mut held) {
                out.put(b"\n");
            }
            after_empty = self.at_start && is_empty(&self.piece);
            if after_empty {
                held = true;
                continue;
            }
            let quoted = self.at_start && self.piece.starts_with(b">") && looks_quoted(&self.piece);
            out.put(&self.piece[usize::from(quoted)..]);
        }
        Ok(())
    }

    fn read_piece(&mut self) -> io::Result<bool> {
        self.read_piece_within(PIECE_OCTETS)
    }

    /// Reads on to the end of the line, but no more than `limit` octets. False: there is nothing.
    fn read_piece_within(&mut self, limit: usize) -> io::Result<bool> {
        self.at_start = self.piece.is_empty() || self.piece.ends_with(b"\n");
        self.piece.clear();
        let read = self.input.by_ref().take(limit as u64).read_until(b'\n', &mut self.piece)?;
        self.offset += read as u64;
        Ok(read > 0)
    }
}

fn is_empty(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// Passes fields on, but for the notes.
fn emit_header(header: &[u8], head: &mut Head, out: &mut Crlf<'_>) {
    let mut at = 0;
    loop {
        match field::item_at(header, at) {
            field::Item::Field(found) => {
                at = found.range.end;
                if is_note(found.name) {
                    let name = String::from_utf8_lossy(found.name).to_ascii_lowercase();
                    head.notes.push((name, found.unfolded().into_owned()));
                } else {
                    out.put_lines(&header[found.range]);
                }
            }
            field::Item::Junk(range) => {
                at = range.end;
                out.put_lines(&header[range]);
            }
            field::Item::End { .. } => {
                out.put_lines(&header[at..]);
                return;
            }
        }
    }
}

/// Makes every line end CRLF.
struct Crlf<'a> {
    sink: Sink<'a>,
    last: u8,
}

impl Crlf<'_> {
    /// Of one line, or a part of one.
    fn put(&mut self, piece: &[u8]) {
        let Some((&last, text)) = piece.split_last() else { return };
        let before = text.last().copied().unwrap_or(self.last);
        if last == b'\n' && before != b'\r' {
            (self.sink)(text);
            (self.sink)(b"\r\n");
        } else {
            (self.sink)(piece);
        }
        self.last = last;
    }

    fn put_lines(&mut self, lines: &[u8]) {
        lines.split_inclusive(|&b| b == b'\n').for_each(|line| self.put(line));
    }
}
