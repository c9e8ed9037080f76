//! A whole file, read.
//!
//! A small file (up to 4 KiB) is opened and read by one list of linked entries, without ever having a descriptor in
//! the process's table: see [`read_file`]. A longer one goes on from there.

use std::io::{self, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use chainring_runtime::op::poll::poll;
use chainring_runtime::op::read_file::{Begun, read_file};
use chainring_runtime::{Descriptor, DirectDescriptor};

use crate::{File, OpenOptions};

/// The contents of a file.
///
/// Dropping the future closes the file; what was taken out of a pipe is lost.
///
/// # Errors
/// Those of openat2(2) and read(2): EISDIR for a directory. A file that ends in an error is an error.
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    read_at(None, path.as_ref(), 0).await
}

/// The contents of a file, which must be UTF-8.
///
/// # Errors
/// As [`read`]; [`InvalidData`](io::ErrorKind::InvalidData) if they are not UTF-8.
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let bytes = read(path).await?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

/// The contents of a file, seen from a directory.
pub(crate) async fn read_at(at: Option<&Descriptor>, path: &Path, resolve: u64) -> io::Result<Vec<u8>> {
    let part = match read_file(at, path.as_os_str().as_bytes(), libc::O_RDONLY, resolve) {
        Some(reading) => match reading.await {
            Ok(Begun::Whole(bytes)) => return Ok(bytes),
            Ok(Begun::Part(bytes, direct)) => Some((bytes, direct)),
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    // Boxed, so that the future of a small file is a small one: it is copied to where it is awaited.
    Box::pin(go_on(at, path, resolve, part)).await
}

/// Reads what a list has left of a file, or all of it, step by step.
async fn go_on(
    at: Option<&Descriptor>,
    path: &Path,
    resolve: u64,
    part: Option<(Vec<u8>, DirectDescriptor)>,
) -> io::Result<Vec<u8>> {
    let Some((bytes, direct)) = part else {
        let file = OpenOptions::new().read(true).open_at(at, path, resolve).await?;
        return rest(file, Vec::new()).await;
    };
    let file = File::from(direct.install().await?);
    drop(direct);
    rest(file, bytes).await
}

async fn rest(mut file: File, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    // A read that stopped at an error may not have moved the position; the one behind it then read the same again.
    if file.stream_position().is_ok_and(|position| position != bytes.len() as u64) {
        bytes.clear();
        file.seek(SeekFrom::Start(0))?;
    }
    if bytes.is_empty() && file.metadata().await?.file_type().is_fifo() {
        // io_uring opens a named pipe without waiting for its other end, and without one it reads as ended. Poll tells
        // an end that has not come yet from one that has gone.
        let events = (libc::POLLIN | libc::POLLHUP) as u32;
        poll(file.descriptor(), events).await?;
    }
    let (result, mut bytes) = file.read_to_end(bytes).await;
    result?;
    bytes.shrink_to_fit();
    Ok(bytes)
}
