//! What io_uring has no opcode for: system calls, done when they return. Those that may wait for the disk say so, and
//! belong on a thread that may block ([`spawn_blocking`](crate::spawn_blocking)).

use std::ffi::{CStr, c_char};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::descriptor::Descriptor;

/// Moves the file's own position to `offset`, seen from where `whence` (`SEEK_*`) says, and gives it in bytes
/// from the start (lseek(2)). It hardly waits; with `SEEK_DATA` and `SEEK_HOLE` the file system may have to read its
/// own bookkeeping from the disk.
///
/// # Errors
/// Those of lseek(2): ESPIPE for what has no position, EINVAL before the start, ENXIO for a hole or data behind the
/// end.
pub fn seek(file: &Descriptor, offset: i64, whence: i32) -> io::Result<u64> {
    let file: BorrowedFd<'_> = file.as_fd();
    // SAFETY: takes numbers only, and the descriptor is open as long as it is borrowed.
    let position = unsafe { libc::lseek64(file.as_raw_fd(), offset, whence) };
    u64::try_from(position).map_err(|_| io::Error::last_os_error())
}

/// The access mode and status flags that a file is open with, `O_*` (fcntl(2), F_GETFL).
///
/// # Errors
/// Those of fcntl(2).
pub fn status_flags(file: BorrowedFd<'_>) -> io::Result<i32> {
    // SAFETY: takes numbers only, and the descriptor is open as long as it is borrowed.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 { Err(io::Error::last_os_error()) } else { Ok(flags) }
}

/// Whether [`write_dsync_at`](super::write::write_dsync_at) is known to be worth a write and an fdatasync on the file's file
/// system (fstatfs(2)): ext2 to ext4, XFS, btrfs, F2FS and tmpfs, whose writes end with the sync of what they have written.
///
/// # Errors
/// Those of fstatfs(2).
pub fn honours_dsync(file: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: numbers and arrays of them, for which zero is a value.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a descriptor that is open as long as it is borrowed, and room for what the call fills.
    done(unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut found) })?;
    let known = [
        libc::EXT4_SUPER_MAGIC,
        libc::XFS_SUPER_MAGIC,
        libc::BTRFS_SUPER_MAGIC,
        libc::F2FS_SUPER_MAGIC,
        libc::TMPFS_MAGIC,
    ];
    Ok(known.contains(&found.f_type))
}

/// The names of the extended attributes of what `path` leads to, links followed, each with a NUL behind it
/// (listxattr(2)). May wait for the disk.
///
/// # Errors
/// Those of listxattr(2).
pub fn listxattr(path: &CStr) -> io::Result<Vec<u8>> {
    // SAFETY: a string, and room of the size that goes with it, both of which outlive the call.
    names(|room, size| unsafe { libc::listxattr(path.as_ptr(), room, size) })
}

/// The names of the extended attributes of an open file, as [`listxattr`] gives them (flistxattr(2)). May wait for the
/// disk.
///
/// # Errors
/// Those of flistxattr(2).
pub fn flistxattr(file: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    // SAFETY: a descriptor that is open as long as it is borrowed, and room of the size that goes with it.
    names(|room, size| unsafe { libc::flistxattr(file.as_raw_fd(), room, size) })
}

/// Removes an extended attribute of what `path` leads to, links followed (removexattr(2)). May wait for the disk.
///
/// # Errors
/// Those of removexattr(2), ENODATA if there is none of this name.
pub fn removexattr(path: &CStr, name: &CStr) -> io::Result<()> {
    // SAFETY: two strings that outlive the call.
    done(unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) })
}

/// Removes an extended attribute of an open file (fremovexattr(2)). May wait for the disk.
///
/// # Errors
/// Those of fremovexattr(2), ENODATA if there is none of this name.
pub fn fremovexattr(file: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    // SAFETY: a descriptor that is open as long as it is borrowed, and a string that outlives the call.
    done(unsafe { libc::fremovexattr(file.as_raw_fd(), name.as_ptr()) })
}

/// Copies up to `len` bytes from one file to another inside the kernel, and says how many; 0 is the end of the first
/// (copy_file_range(2)). Where the file system can, they share the blocks. May wait for the disk.
///
/// # Errors
/// Those of copy_file_range(2): EXDEV, EOPNOTSUPP or EINVAL between files that cannot be copied so.
pub fn copy_file_range(
    from: BorrowedFd<'_>,
    offset: u64,
    to: BorrowedFd<'_>,
    at: u64,
    len: usize,
) -> io::Result<usize> {
    let (mut offset, mut at) = (offset.cast_signed(), at.cast_signed());
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: two descriptors that are open as long as they are borrowed, and two numbers that outlive the call.
    count(unsafe { libc::copy_file_range(from, &raw mut offset, to, &raw mut at, len, 0) })
}

/// Makes the contents of `to` those of `from`, sharing all of its blocks (FICLONE, ioctl_ficlone(2)). May wait for the
/// disk.
///
/// # Errors
/// Those of ioctl_ficlone(2): EOPNOTSUPP where the file system cannot, EXDEV between file systems.
pub fn clone_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: this request takes a descriptor, both of which are open as long as they are borrowed.
    done(unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONE, from.as_raw_fd()) })
}

/// Sets the times of the last access and change of `path` itself, also if it is a symbolic link (utimensat(2)). May
/// wait for the disk.
///
/// # Errors
/// Those of utimensat(2).
pub fn lutimes(path: &CStr, accessed: libc::timespec, modified: libc::timespec) -> io::Result<()> {
    let times = [accessed, modified];
    // SAFETY: a string and an array of two, which outlive the call.
    done(unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) })
}

/// Asks how long the list is, and then for it; again if it has grown in between.
fn names(list: impl Fn(*mut c_char, usize) -> isize) -> io::Result<Vec<u8>> {
    loop {
        let mut names = vec![0; count(list(std::ptr::null_mut(), 0))?];
        if names.is_empty() {
            return Ok(names);
        }
        match count(list(names.as_mut_ptr().cast(), names.len())) {
            Ok(len) => {
                names.truncate(len);
                return Ok(names);
            }
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {}
            Err(error) => return Err(error),
        }
    }
}

fn count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn done(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
