//! The two halves of COMPRESS=DEFLATE (RFC 4978): raw DEFLATE streams (RFC 1951), without I/O.
//!
//! What a client sends may grow a thousandfold: no more is made of it at once than is asked for, and
//! the rest waits compressed.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Both streams of a connection: about 300 KB, which only those pay who ask for it.
pub struct Deflate {
    compress: Compress,
    decompress: Decompress,
    /// Received, not yet decompressed.
    pub received: Vec<u8>,
    /// Compressed, not yet sent.
    packed: Vec<u8>,
}

/// The client sends what is not DEFLATE, or has ended its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// Compressed at once.
const PIECE_OCTETS: usize = 16 * 1024;

impl Deflate {
    /// `received`: what has come already.
    pub fn new(received: Vec<u8>) -> Deflate {
        Deflate {
            // RFC 4978 §4: the least intensive setting does well on IMAP.
            compress: Compress::new(Compression::fast(), false),
            decompress: Decompress::new(false),
            received,
            packed: Vec::new(),
        }
    }

    /// Decompresses onto `input`, at most `most` octets. Gives how many; 0: more must be received.
    pub fn unpack(&mut self, input: &mut Vec<u8>, most: usize) -> Result<usize, Broken> {
        let mut piece = vec![0; most];
        let (taken, given) = (self.decompress.total_in(), self.decompress.total_out());
        let status = self.decompress.decompress(&self.received, &mut piece, FlushDecompress::None);
        let taken = (self.decompress.total_in() - taken) as usize;
        let given = (self.decompress.total_out() - given) as usize;
        self.received.drain(..taken);
        input.extend_from_slice(&piece[..given]);
        match status {
            Ok(Status::StreamEnd) if given == 0 => Err(Broken),
            Ok(_) => Ok(given),
            Err(_) => Err(Broken),
        }
    }

    /// Compresses `out` to its end, so that the client can read all of it.
    pub fn pack(&mut self, out: &[u8]) -> Result<&[u8], Broken> {
        self.packed.clear();
        let mut rest = out;
        loop {
            self.packed.reserve(PIECE_OCTETS);
            let before = self.compress.total_in();
            let room = self.packed.capacity() - self.packed.len();
            let length = self.packed.len();
            self.compress
                .compress_vec(rest, &mut self.packed, FlushCompress::Sync)
                .map_err(|_| Broken)?;
            rest = &rest[(self.compress.total_in() - before) as usize..];
            // Where room is left, nothing waits inside any more.
            if rest.is_empty() && self.packed.len() - length < room {
                return Ok(&self.packed);
            }
        }
    }

    /// Gives memory back while the connection waits.
    pub fn release(&mut self) {
        self.packed = Vec::new();
        if self.received.is_empty() {
            self.received = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unpacked(deflate: &mut Deflate, most: usize) -> Vec<u8> {
        let mut input = Vec::new();
        while deflate.unpack(&mut input, most).unwrap() > 0 {}
        input
    }

    proptest! {
        /// However it is cut, and each piece can be read as soon as it is there.
        #[test]
        fn round_trip(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..6),
            times in 1usize..200, most in 1usize..5000,
        ) {
            let (mut near, mut far) = (Deflate::new(Vec::new()), Deflate::new(Vec::new()));
            for piece in pieces {
                let piece = piece.repeat(times);
                far.received.extend_from_slice(near.pack(&piece).unwrap());
                prop_assert_eq!(unpacked(&mut far, most), piece);
            }
        }

        #[test]
        fn any_octets(received: Vec<u8>) {
            let mut deflate = Deflate::new(received);
            let mut input = Vec::new();
            while deflate.unpack(&mut input, 100).is_ok_and(|given| given > 0) {}
        }
    }

    #[test]
    fn a_bomb_stays_small() {
        let mut bomb = Deflate::new(Vec::new());
        let received = bomb.pack(&vec![0; 10_000_000]).unwrap().to_vec();
        assert!(received.len() < 100_000);
        let mut deflate = Deflate::new(received);
        let mut input = Vec::new();
        assert_eq!(deflate.unpack(&mut input, 1000), Ok(1000));
        assert_eq!(input.len(), 1000);
    }
}
