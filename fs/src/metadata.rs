//! What a file is: statx(2).

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use chainring_runtime::Descriptor;
use chainring_runtime::op::statx::{Statx, StatxTimestamp, statx};

use crate::DirectAlignment;
use crate::path::c_path;

/// What to ask for.
pub(crate) const MASK: u32 = libc::STATX_BASIC_STATS | libc::STATX_BTIME | libc::STATX_DIOALIGN;

/// The metadata of what `path` leads to, links followed.
///
/// # Errors
/// Those of statx(2).
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    ask(None, path.as_ref(), 0).await
}

/// The metadata of `path` itself, also if it is a symbolic link.
///
/// # Errors
/// Those of statx(2).
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    ask(None, path.as_ref(), libc::AT_SYMLINK_NOFOLLOW).await
}

/// Whether there is something at the end of `path`, links followed.
///
/// # Errors
/// Those of statx(2), if they leave it open whether there is.
pub async fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    found(metadata(path).await)
}

pub(crate) fn found(metadata: io::Result<Metadata>) -> io::Result<bool> {
    match metadata {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn ask(at: Option<&Descriptor>, path: &Path, flags: i32) -> io::Result<Metadata> {
    statx(at, c_path(path)?, flags, MASK).await.map(Metadata)
}

/// The metadata of an open file or directory.
pub(crate) async fn of(file: &Descriptor) -> io::Result<Metadata> {
    statx(Some(file), c"".to_owned(), libc::AT_EMPTY_PATH, MASK).await.map(Metadata)
}

/// The metadata of a file, as it was when it was asked for.
#[derive(Clone, Copy)]
pub struct Metadata(Statx);

#[allow(clippy::len_without_is_empty, reason = "as in the standard library")]
impl Metadata {
    pub(crate) fn of_statx(answer: Statx) -> Metadata {
        Metadata(answer)
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.0.size
    }

    /// What kind of file it is.
    pub fn file_type(&self) -> FileType {
        FileType(u32::from(self.0.mode) & libc::S_IFMT)
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type().is_dir()
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.file_type().is_file()
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.file_type().is_symlink()
    }

    /// The permissions.
    pub fn permissions(&self) -> Permissions {
        Permissions::from_mode(self.mode())
    }

    /// The time of the last change of its contents.
    pub fn modified(&self) -> io::Result<SystemTime> {
        self.time(libc::STATX_MTIME, self.0.mtime)
    }

    /// The time of the last access, as exactly as the mount keeps it.
    pub fn accessed(&self) -> io::Result<SystemTime> {
        self.time(libc::STATX_ATIME, self.0.atime)
    }

    /// The time of its creation.
    ///
    /// # Errors
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the file system does not keep it.
    pub fn created(&self) -> io::Result<SystemTime> {
        self.time(libc::STATX_BTIME, self.0.btime)
    }

    fn time(&self, mask: u32, time: StatxTimestamp) -> io::Result<SystemTime> {
        let missing =
            || io::Error::new(io::ErrorKind::Unsupported, "the file system does not keep this time");
        if self.0.mask & mask == 0 {
            return Err(missing());
        }
        let seconds = Duration::from_secs(time.sec.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        let whole = if time.sec < 0 { epoch.checked_sub(seconds) } else { epoch.checked_add(seconds) };
        whole.and_then(|time_| time_.checked_add(Duration::from_nanos(time.nsec.into()))).ok_or_else(missing)
    }

    /// The kind of file and its permissions, `st_mode`.
    pub fn mode(&self) -> u32 {
        self.0.mode.into()
    }

    /// The number of the device that it is on.
    pub fn dev(&self) -> u64 {
        libc::makedev(self.0.dev_major, self.0.dev_minor)
    }

    /// Its number on the device.
    pub fn ino(&self) -> u64 {
        self.0.ino
    }

    /// How many names it has.
    pub fn nlink(&self) -> u64 {
        self.0.nlink.into()
    }

    /// The user that owns it.
    pub fn uid(&self) -> u32 {
        self.0.uid
    }

    /// The group that owns it.
    pub fn gid(&self) -> u32 {
        self.0.gid
    }

    /// The size of blocks that the file system likes to be asked for, in bytes.
    pub fn blksize(&self) -> u64 {
        self.0.blksize.into()
    }

    /// The space it takes, in units of 512 bytes. A sparse file takes less than its length.
    pub fn blocks(&self) -> u64 {
        self.0.blocks
    }

    /// How O_DIRECT wants to be given positions, lengths and memory; `None` if the file or its file system cannot do
    /// it, or does not say.
    pub fn direct_alignment(&self) -> Option<DirectAlignment> {
        let asked = self.0.mask & libc::STATX_DIOALIGN != 0;
        let Statx { dio_mem_align: memory, dio_offset_align: offset, .. } = self.0;
        (asked && memory > 0 && offset > 0).then_some(DirectAlignment { memory, offset })
    }

    /// Everything that statx(2) said.
    pub fn as_statx(&self) -> &Statx {
        &self.0
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("file_type", &self.file_type())
            .field("mode", &format_args!("{:o}", self.mode() & 0o7777))
            .field("len", &self.len())
            .field("modified", &self.modified().ok())
            .finish_non_exhaustive()
    }
}

/// A kind of file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileType(u32);

impl FileType {
    /// A directory.
    pub fn is_dir(&self) -> bool {
        self.0 == libc::S_IFDIR
    }

    /// A regular file.
    pub fn is_file(&self) -> bool {
        self.0 == libc::S_IFREG
    }

    /// A symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.0 == libc::S_IFLNK
    }

    /// A block device.
    pub fn is_block_device(&self) -> bool {
        self.0 == libc::S_IFBLK
    }

    /// A character device.
    pub fn is_char_device(&self) -> bool {
        self.0 == libc::S_IFCHR
    }

    /// A named pipe.
    pub fn is_fifo(&self) -> bool {
        self.0 == libc::S_IFIFO
    }

    /// A Unix socket.
    pub fn is_socket(&self) -> bool {
        self.0 == libc::S_IFSOCK
    }

    fn name(self) -> &'static str {
        match self.0 {
            libc::S_IFDIR => "directory",
            libc::S_IFREG => "file",
            libc::S_IFLNK => "symlink",
            libc::S_IFBLK => "block device",
            libc::S_IFCHR => "character device",
            libc::S_IFIFO => "fifo",
            libc::S_IFSOCK => "socket",
            _ => "unknown",
        }
    }
}

impl From<std::fs::FileType> for FileType {
    fn from(kind: std::fs::FileType) -> Self {
        FileType(match kind {
            kind if kind.is_file() => libc::S_IFREG,
            kind if kind.is_dir() => libc::S_IFDIR,
            kind if kind.is_symlink() => libc::S_IFLNK,
            kind if kind.is_block_device() => libc::S_IFBLK,
            kind if kind.is_char_device() => libc::S_IFCHR,
            kind if kind.is_fifo() => libc::S_IFIFO,
            kind if kind.is_socket() => libc::S_IFSOCK,
            _ => 0,
        })
    }
}

impl fmt::Debug for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileType({})", self.name())
    }
}
