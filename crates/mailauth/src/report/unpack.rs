//! Reports as they travel: in gzip (RFC 1952), in zip, or plain.
//!
//! The kind is told by the first octets, since names and media types lie. What is unpacked is bounded
//! three ways: its size, its ratio to what was packed, and its layers, of which there is one. A zip
//! archive is opened only when exactly one of its files can be the report. Nothing is believed that an
//! archive says about sizes: output is counted while it is made.

use std::io::{Cursor, Read, Write};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::ReportError;

/// How much is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of what is packed.
    pub packed_octets: usize,
    /// Octets of what comes out.
    pub octets: usize,
    /// How many times its packed size a report may grow; looked at beyond [`Limits::RATIO_FREE`]
    /// octets, since little can come of less.
    pub ratio: usize,
    /// Files in a zip archive.
    pub members: usize,
}

impl Limits {
    /// Octets that may come out at any ratio.
    pub const RATIO_FREE: usize = 1 << 20;
}

impl Default for Limits {
    /// Ten megabytes packed, twenty unpacked: a thousand times the usual report. Rows alike in all but
    /// their address are packed about fifty times smaller.
    fn default() -> Limits {
        Limits { packed_octets: 10_000_000, octets: 20_000_000, ratio: 250, members: 16 }
    }
}

/// Undoes gzip or zip; what is neither comes back as it is.
pub fn unpack(octets: &[u8], limits: &Limits) -> Result<Vec<u8>, ReportError> {
    if octets.len() > limits.packed_octets {
        return Err(ReportError::TooLarge { limit: limits.packed_octets });
    }
    let out = if is_gzip(octets) {
        // Octets after the first member, such as a line end that mail added, are passed over.
        bounded(GzDecoder::new(octets), octets.len(), limits)?
    } else if is_zip(octets) {
        unzip(octets, limits)?
    } else if octets.len() > limits.octets {
        return Err(ReportError::TooLarge { limit: limits.octets });
    } else {
        return Ok(octets.to_vec());
    };
    if is_gzip(&out) || is_zip(&out) {
        return Err(ReportError::Nested);
    }
    Ok(out)
}

/// Packs with gzip: one member, no name, no time, so that the same report gives the same octets.
pub fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder =
        GzEncoder::new(Vec::with_capacity(octets.len() / 8 + 64), Compression::best());
    // Writing to a Vec fails only where memory ends.
    let written = encoder.write_all(octets).and_then(|()| encoder.finish());
    written.expect("a Vec takes all octets")
}

/// Whether these octets begin as gzip does.
pub(super) fn is_gzip(octets: &[u8]) -> bool {
    octets.starts_with(&[0x1f, 0x8b])
}

/// Whether these octets begin as zip does, an empty archive included.
pub(super) fn is_zip(octets: &[u8]) -> bool {
    octets.starts_with(b"PK\x03\x04") || octets.starts_with(b"PK\x05\x06")
}

fn unzip(octets: &[u8], limits: &Limits) -> Result<Vec<u8>, ReportError> {
    // The library makes room for as many files as the archive claims; its own octets bound that.
    let broken = |error: zip::result::ZipError| ReportError::Archive(error.to_string());
    if zip_claims(octets) > limits.members {
        return Err(ReportError::TooMany { what: "files in its archive", limit: limits.members });
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(octets)).map_err(broken)?;
    if archive.len() > limits.members {
        return Err(ReportError::TooMany { what: "files in its archive", limit: limits.members });
    }
    let mut named = Vec::new();
    let mut files = Vec::new();
    for i in 0..archive.len() {
        let member = archive.by_index_raw(i).map_err(broken)?;
        let name = member.name_raw().to_ascii_lowercase();
        // What a Mac adds to every archive.
        if member.is_dir() || name.starts_with(b"__macosx/") {
            continue;
        }
        files.push(i);
        if name.ends_with(b".xml") || name.ends_with(b".json") {
            named.push(i);
        }
    }
    let candidates = if named.is_empty() { files } else { named };
    let [one] = candidates[..] else { return Err(ReportError::Members(candidates.len())) };
    let member = archive.by_index(one).map_err(broken)?;
    bounded(member, octets.len(), limits)
}

/// How many files the end of the central directory claims, as far as that can be told cheaply.
fn zip_claims(octets: &[u8]) -> usize {
    let end = memchr::memmem::rfind(octets, b"PK\x05\x06");
    let count = end.and_then(|at| octets.get(at + 10..at + 12));
    count.map_or(0, |count| usize::from(u16::from_le_bytes([count[0], count[1]])))
}

/// Reads to the end, but not beyond the limits.
fn bounded(mut from: impl Read, packed: usize, limits: &Limits) -> Result<Vec<u8>, ReportError> {
    let by_ratio = packed.saturating_mul(limits.ratio).max(Limits::RATIO_FREE);
    let most = limits.octets.min(by_ratio);
    let mut out = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(out),
            Ok(n) if out.len() + n > most => {
                return Err(if by_ratio < limits.octets {
                    ReportError::Ratio { limit: limits.ratio }
                } else {
                    ReportError::TooLarge { limit: limits.octets }
                });
            }
            Ok(n) => out.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ReportError::Archive(error.to_string())),
        }
    }
}
