//! Records: what must be found whole, or not at all.
//!
//! ```text
//! length (4, little-endian) | CRC-32 of what follows and of the length (4) | kind (1) | bytes
//! ```
//!
//! What is longer than [`PIECE`] is several records, of which only the last one says that it is; without it the others
//! count for nothing.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;

/// Bytes of a record, at most, besides its head.
pub(crate) const PIECE: usize = 1 << 20;
const HEAD: usize = 9;
/// Bytes that are looked through, and whose checksums are taken, to tell a torn tail from damage.
const SEARCH: usize = 1 << 30;
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

    /// Where the first record begins that is not whole, or would begin behind the last one.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next bytes, as they were given to [`records`]. None if there are no more that are whole.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        loop {
            let mut head = [0; HEAD];
            if !fill(&mut self.file, &mut head)? {
                return Ok(None);
            }
            let Some(Head { len, sum, kind }) = Head::of(head) else { return Ok(None) };
            let start = bytes.len();
            bytes.resize(start + len, 0);
            let filled = fill(&mut self.file, &mut bytes[start..])?;
            if !filled || checksum((len as u32).to_le_bytes(), kind, &bytes[start..]) != sum {
                return Ok(None);
            }
            self.at += (HEAD + len) as u64;
            if kind == LAST {
                self.whole = self.at;
                return Ok(Some(bytes));
            }
        }
    }
}

/// The head of a record that may be one.
struct Head {
    /// At most [`PIECE`].
    len: usize,
    sum: u32,
    kind: u8,
}

impl Head {
    fn of(bytes: [u8; HEAD]) -> Option<Head> {
        let [l0, l1, l2, l3, c0, c1, c2, c3, kind] = bytes;
        let (len, sum) =
            (u32::from_le_bytes([l0, l1, l2, l3]) as usize, u32::from_le_bytes([c0, c1, c2, c3]));
        (len <= PIECE && matches!(kind, MORE | LAST)).then_some(Head { len, sum, kind })
    }
}

/// Whether a file that has no whole record at `from` was damaged there, and not torn by the end of whoever wrote it.
///
/// What is written together has `batch` bytes at most, and is on the disk before anything follows it. So it was
/// damaged if there is more behind, or a whole record: that one was perhaps acknowledged. In doubt it was.
pub(crate) fn is_damaged(file: &File, from: u64, batch: u64) -> io::Result<bool> {
    let rest = file.metadata()?.len().saturating_sub(from);
    if rest > batch {
        return Ok(true);
    }
    let mut bytes = vec![0; rest as usize];
    file.read_exact_at(&mut bytes, from)?;
    let mut left = SEARCH;
    for at in 1..bytes.len() {
        let Some(head) = bytes[at..].first_chunk().copied().and_then(Head::of) else { continue };
        let Some(piece) = bytes[at + HEAD..].get(..head.len) else { continue };
        if checksum((head.len as u32).to_le_bytes(), head.kind, piece) == head.sum {
            return Ok(true);
        }
        match left.checked_sub(head.len) {
            Some(less) => left = less,
            // Somebody has filled it with what looks like records.
            None => return Ok(true),
        }
    }
    Ok(false)
}

/// Whether there was as much to be read.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
