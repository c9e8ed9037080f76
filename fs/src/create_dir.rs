//! Making directories.

use std::io;
use std::path::Path;

use chainring_runtime::op::mkdir::mkdir;

use crate::metadata::metadata;
use crate::path::c_path;

/// The permissions of a new directory, before the umask.
pub(crate) const MODE: u32 = 0o777;

/// Makes a directory (mkdir(2)).
///
/// # Errors
/// Those of mkdir(2): EEXIST, ENOENT if its parent is missing.
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    mkdir(None, c_path(path.as_ref())?, MODE).await
}

/// Makes a directory and those above it that are missing. It is no error if it is there already.
///
/// Dropping the future leaves those that were made.
///
/// # Errors
/// Those of mkdir(2); EEXIST if there is something else in its place.
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    if path == Path::new("") {
        return Ok(());
    }
    // Up to the first one that can be made or is there, and down again.
    let mut missing = Vec::new();
    for dir in path.ancestors().filter(|dir| *dir != Path::new("")) {
        match make(dir).await {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(dir),
            Err(error) => return Err(error),
        }
    }
    // If nothing at all could be made, making the topmost again tells why.
    while let Some(dir) = missing.pop() {
        make(dir).await?;
    }
    Ok(())
}

/// Makes a directory, unless it is there.
async fn make(path: &Path) -> io::Result<()> {
    match create_dir(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let is_there = metadata(path).await.is_ok_and(|metadata| metadata.is_dir());
            if is_there { Ok(()) } else { Err(error) }
        }
        made => made,
    }
}
