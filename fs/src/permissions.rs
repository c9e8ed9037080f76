//! Who may do what, whose it is, and when it was touched: what a copy has to be given.

use std::fs::Permissions;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use chainring_runtime::op::syscall;

use crate::blocking::blocking;
use crate::path::c_path;

/// Changes the permissions of what `path` leads to, links followed (chmod(2), on the blocking pool).
///
/// # Errors
/// Those of chmod(2).
pub async fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking(move || std::fs::set_permissions(path, permissions)).await
}

/// Changes the owner and the group of what `path` leads to, links followed; `None` leaves one as it is (chown(2), on the
/// blocking pool).
///
/// # Errors
/// Those of chown(2): EPERM for who may not.
pub async fn set_owner(path: impl AsRef<Path>, user: Option<u32>, group: Option<u32>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking(move || std::os::unix::fs::chown(path, user, group)).await
}

/// As [`set_owner`], of `path` itself, also if it is a symbolic link (lchown(2), on the blocking pool).
///
/// # Errors
/// Those of lchown(2).
pub async fn set_symlink_owner(
    path: impl AsRef<Path>,
    user: Option<u32>,
    group: Option<u32>,
) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking(move || std::os::unix::fs::lchown(path, user, group)).await
}

/// Changes the times of the last access and change of `path` itself, also if it is a symbolic link (utimensat(2), on the
/// blocking pool). Those of an open file: [`File::set_times`](crate::File::set_times).
///
/// # Errors
/// Those of utimensat(2); EINVAL for a time that the kernel cannot be told.
pub async fn set_symlink_times(
    path: impl AsRef<Path>,
    accessed: SystemTime,
    modified: SystemTime,
) -> io::Result<()> {
    let path = c_path(path.as_ref())?;
    let (accessed, modified) = (timespec(accessed)?, timespec(modified)?);
    blocking(move || syscall::lutimes(&path, accessed, modified)).await
}

fn timespec(time: SystemTime) -> io::Result<libc::timespec> {
    let unknown = || io::Error::from_raw_os_error(libc::EINVAL);
    let (seconds, nanoseconds) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).map_err(|_| unknown())?, after.subsec_nanos()),
        // The nanoseconds count forwards from the second before.
        Err(before) => {
            let before = before.duration();
            let whole = before.as_secs() + u64::from(before.subsec_nanos() > 0);
            let seconds = i64::try_from(whole).map_err(|_| unknown())?;
            (-seconds, (1_000_000_000 - before.subsec_nanos()) % 1_000_000_000)
        }
    };
    Ok(libc::timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() })
}
