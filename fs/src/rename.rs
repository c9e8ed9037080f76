//! Giving a file another name.

use std::io;
use std::path::Path;

use chainring_runtime::op::rename::rename as rename_op;

use crate::path::c_path;

/// Renames `from` to `to`, in the place of what is there (renameat2(2)). Whoever opens `to` meanwhile gets the one or
/// the other.
///
/// # Errors
/// Those of renameat2(2): EXDEV between file systems.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    rename_op(None, c_path(from.as_ref())?, None, c_path(to.as_ref())?, 0).await
}
