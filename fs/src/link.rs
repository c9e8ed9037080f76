//! Other names, and where they lead.

use std::io;
use std::path::{Path, PathBuf};

use chainring_runtime::op::link::link;
use chainring_runtime::op::symlink::symlink as symlink_op;

use crate::blocking::blocking;
use crate::path::c_path;

/// Makes `new` another name of the file `original` (linkat(2)). If that is a symbolic link: of the link itself.
///
/// # Errors
/// Those of linkat(2).
pub async fn hard_link(original: impl AsRef<Path>, new: impl AsRef<Path>) -> io::Result<()> {
    link(None, c_path(original.as_ref())?, None, c_path(new.as_ref())?, 0).await
}

/// Makes `new` a symbolic link to `target`, which is not looked at (symlinkat(2)).
///
/// # Errors
/// Those of symlinkat(2).
pub async fn symlink(target: impl AsRef<Path>, new: impl AsRef<Path>) -> io::Result<()> {
    symlink_op(c_path(target.as_ref())?, None, c_path(new.as_ref())?).await
}

/// Where a symbolic link says that it leads (readlink(2), on the blocking pool).
///
/// # Errors
/// Those of readlink(2).
pub async fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    blocking(move || std::fs::read_link(path)).await
}

/// The absolute path of what `path` leads to, without links, `.` and `..` (realpath(3), on the blocking pool).
///
/// # Errors
/// Those of realpath(3).
pub async fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    blocking(move || std::fs::canonicalize(path)).await
}
