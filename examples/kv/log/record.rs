//! Records: what must be found whole, or not at all.
//!
//! ```text
//! length (4, little-endian) | CRC-32 of what follows and of the length (4) | kind (1) | bytes
//! ```
//!
//! What is longer than [`PIECE`] is several records, of which only the last one says that it is; without it the others
//! count for nothing.

use std::io::{self, ErrorKind, Read};

/// Bytes of a record, at most, besides its head.
pub(crate) const PIECE: usize = 1 << 20;
const HEAD: usize = 9;
/// The longest record in the file.
pub(crate) const LONGEST: usize = HEAD + PIECE;

/// There is more in the next record.
const MORE: u8 = 1;
/// This is all.
const LAST: u8 = 2;

/// The records of some bytes, at least one.
pub(crate) fn records(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let count = bytes.len().div_ceil(PIECE).max(1);
    (0..count).map(move |i| {
        let piece = &bytes[i * PIECE..bytes.len().min((i + 1) * PIECE)];
        let kind = if i + 1 == count { LAST } else { MORE };
        let len = (piece.len() as u32).to_le_bytes();
        let mut record = Vec::with_capacity(HEAD + piece.len());
        record.extend(len);
        record.extend(checksum(len, kind, piece).to_le_bytes());
        record.push(kind);
        record.extend_from_slice(piece);
        record
    })
}

fn checksum(len: [u8; 4], kind: u8, piece: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&len);
    hasher.update(&[kind]);
    hasher.update(piece);
    hasher.finalize()
}

/// Reads records up to the first that is not whole.
#[derive(Debug)]
pub(crate) struct Records<R> {
    file: R,
    /// Where the last whole bytes end.
    whole: u64,
    at: u64,
}

impl<R: Read> Records<R> {
    pub(crate) fn new(file: R) -> Self {
        Records { file, whole: 0, at: 0 }
    }

    /// Where the last whole bytes that were given end.
    pub(crate) fn whole(&self) -> u64 {
        self.whole
    }

    /// The next bytes, as they were given to [`records`]. None if there are no more that are whole.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        loop {
            let mut head = [0; HEAD];
            if !fill(&mut self.file, &mut head)? {
                return Ok(None);
            }
            let [l0, l1, l2, l3, c0, c1, c2, c3, kind] = head;
            let (len, sum) = ([l0, l1, l2, l3], u32::from_le_bytes([c0, c1, c2, c3]));
            let length = u32::from_le_bytes(len) as usize;
            if length > PIECE || !matches!(kind, MORE | LAST) {
                return Ok(None);
            }
            let start = bytes.len();
            bytes.resize(start + length, 0);
            if !fill(&mut self.file, &mut bytes[start..])? || checksum(len, kind, &bytes[start..]) != sum {
                return Ok(None);
            }
            self.at += (HEAD + length) as u64;
            if kind == LAST {
                self.whole = self.at;
                return Ok(Some(bytes));
            }
        }
    }
}

/// Whether there was as much to be read.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
