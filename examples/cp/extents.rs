//! Where a file has data, and where holes.

use std::io;
use std::ops::Range;

use chainring::fs::{File, Metadata};

/// The unit in which a file's space is counted.
const UNIT: u64 = 512;

/// Whether a file takes less space than its length.
pub(crate) fn is_sparse(metadata: &Metadata) -> bool {
    metadata.blocks() * UNIT < metadata.len()
}

/// The first data at or behind `from`, up to the next hole; `None` if there is none before `len`.
///
/// A file system that knows of no holes says that everything is data.
pub(crate) fn next(file: &mut File, from: u64, len: u64) -> io::Result<Option<Range<u64>>> {
    if from >= len {
        return Ok(None);
    }
    let Some(start) = file.seek_data(from)? else { return Ok(None) };
    let end = file.seek_hole(start)?.unwrap_or(len);
    Ok((start < len).then_some(start..end.min(len)))
}
