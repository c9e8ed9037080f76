//! Removing names.

use std::io;
use std::path::Path;

use chainring_runtime::op::unlink::unlink;

use crate::blocking::blocking;
use crate::path::c_path;

/// Removes a name that is not a directory's (unlinkat(2)). The file goes with its last name and last descriptor.
///
/// # Errors
/// Those of unlinkat(2): EISDIR for a directory.
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    unlink(None, c_path(path.as_ref())?, 0).await
}

/// Removes an empty directory (unlinkat(2)).
///
/// # Errors
/// Those of unlinkat(2): ENOTEMPTY, ENOTDIR.
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    unlink(None, c_path(path.as_ref())?, libc::AT_REMOVEDIR).await
}

/// Removes a directory with everything in it; links in it are removed, not followed, also if somebody puts them
/// there meanwhile. On the blocking pool, because directories have to be listed. If the future is dropped, a removal
/// that has begun goes on.
///
/// # Errors
/// Those of open(2), getdents(2) and unlinkat(2); a part may be gone then.
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking(move || std::fs::remove_dir_all(path)).await
}
