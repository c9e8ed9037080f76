//! Who may do what.

use std::fs::Permissions;
use std::io;
use std::path::Path;

use crate::blocking::blocking;

/// Changes the permissions of what `path` leads to, links followed (chmod(2), on the blocking pool).
///
/// # Errors
/// Those of chmod(2).
pub async fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking(move || std::fs::set_permissions(path, permissions)).await
}
