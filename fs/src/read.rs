//! A whole file, read.

use std::io;
use std::path::Path;

use crate::File;

/// The contents of a file.
///
/// # Errors
/// Those of openat2(2) and read(2): EISDIR for a directory.
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut file = File::open(path).await?;
    let (result, bytes) = file.read_to_end(Vec::new()).await;
    result.map(|_| bytes)
}

/// The contents of a file, which must be UTF-8.
///
/// # Errors
/// As [`read`]; [`InvalidData`](io::ErrorKind::InvalidData) if they are not UTF-8.
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let bytes = read(path).await?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}
