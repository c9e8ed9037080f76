//! An open file.
//!
//! - here: opening, what it is, syncing, and the ways from and to the standard library;
//! - `positional`: reads and writes at a position, which can be in flight together;
//! - `cursor`: reads and writes one after the other, at the file's own position;
//! - `space`: its length, its blocks, and advice about them;
//! - `share`: copying between files inside the kernel;
//! - `stream`, `writer`: front to back, with several transfers in flight.

mod cursor;
mod positional;
mod share;
mod space;
mod stream;
mod writer;

use std::fs::{FileTimes, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use chainring_runtime::Descriptor;
use chainring_runtime::op::close::close;
use chainring_runtime::op::fsync::{fdatasync, fsync};
use chainring_runtime::op::link::link;

use crate::blocking::blocking;
use crate::metadata::{self, Metadata};
use crate::options::OpenOptions;
use crate::path::{c_name, c_path};

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
pub(crate) use cursor::mend;
pub use space::Advice;
pub use stream::ReadStream;
pub use writer::Writer;

/// An open file. Dropping it closes it, through the ring and without waiting, once its operations in flight have
/// completed; [`close`](File::close) also tells how that went.
///
/// Reads and writes that name a position (`_at`) take `&self` and may be in flight together; those that do not keep to
/// the file's own position and take `&mut self`.
///
/// ```
/// use chainring_fs::File;
///
/// # chainring_runtime::Runtime::new().unwrap().block_on(async {
/// # let path = std::env::temp_dir().join(format!("chainring-file-{}", std::process::id()));
/// let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).await?;
/// file.write_all_at("the first, the second", 0).await.0?;
/// file.sync_data().await?;
///
/// // Of a `Vec` all the capacity is filled.
/// let one = file.read_exact_at(Vec::with_capacity(9), 0);
/// let other = file.read_exact_at(Vec::with_capacity(10), 11);
/// let ((first, one), (second, other)) = futures::join!(one, other);
/// first.and(second)?;
/// assert_eq!((&one[..], &other[..]), (&b"the first"[..], &b"the second"[..]));
/// file.close().await?;
/// # std::fs::remove_file(&path)
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct File(Descriptor);

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub async fn open(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).open(path).await
    }

    /// Opens a file for writing; creates it, or cuts it off at 0 bytes.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub async fn create(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path).await
    }

    /// Creates a file for reading and writing; there must be none.
    ///
    /// # Errors
    /// Those of openat2(2), EEXIST among them.
    pub async fn create_new(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path).await
    }

    /// How to open a file otherwise.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// The descriptor, for operations of [`chainring_runtime::op`] that have no method here. A clone of it keeps the file
    /// open.
    pub fn descriptor(&self) -> &Descriptor {
        &self.0
    }

    /// What the file is now (statx(2)).
    ///
    /// # Errors
    /// Those of statx(2).
    pub async fn metadata(&self) -> io::Result<Metadata> {
        metadata::of(&self.0).await
    }

    /// Waits until data and metadata are on the disk (fsync(2)). That the file's *name* is there takes a sync of
    /// its directory: see [`Dir::sync`](crate::Dir::sync).
    ///
    /// # Errors
    /// Those of fsync(2). After EIO the data that could not be written is lost: writing it again is the only remedy.
    pub async fn sync_all(&self) -> io::Result<()> {
        fsync(&self.0).await
    }

    /// Waits until the data is on the disk, and what of the metadata is needed to read it back (fdatasync(2)).
    ///
    /// # Errors
    /// As [`sync_all`](File::sync_all).
    pub async fn sync_data(&self) -> io::Result<()> {
        fdatasync(&self.0).await
    }

    /// Changes the permissions (fchmod(2), on the blocking pool).
    ///
    /// # Errors
    /// Those of fchmod(2); EMFILE at the limit of open files, for the pool has a descriptor of its own.
    pub async fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        let file = self.duplicate()?;
        blocking(move || file.set_permissions(permissions)).await
    }

    /// Changes the times of the last access and change (futimens(2), on the blocking pool).
    ///
    /// # Errors
    /// Those of futimens(2); EMFILE at the limit of open files, for the pool has a descriptor of its own.
    pub async fn set_times(&self, times: FileTimes) -> io::Result<()> {
        let file = self.duplicate()?;
        blocking(move || file.set_times(times)).await
    }

    /// Changes the owner and the group; `None` leaves one as it is (fchown(2), on the blocking pool).
    ///
    /// # Errors
    /// Those of fchown(2): EPERM for who may not.
    pub async fn set_owner(&self, user: Option<u32>, group: Option<u32>) -> io::Result<()> {
        let file = self.duplicate()?;
        blocking(move || std::os::unix::fs::fchown(file, user, group)).await
    }

    /// Gives an open file a name, one that was opened with [`tmpfile`](OpenOptions::tmpfile) its first (linkat(2)
    /// through `/proc/self/fd`, so that it needs no privilege).
    ///
    /// Dropping the future asks for cancellation; the name may be given all the same.
    ///
    /// # Errors
    /// Those of linkat(2): EEXIST if there is something of this name; ENOENT without `/proc`, or if the file had names
    /// and has lost them.
    pub async fn link_as(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let own = c_name(format!("/proc/self/fd/{}", self.0.as_fd().as_raw_fd()).as_bytes())?;
        // Where an absolute path is seen from does not matter; but so the operation keeps the descriptor open, and its
        // number from becoming another file's, also if this future is dropped while it is under way.
        link(Some(&self.0), own, None, c_path(path.as_ref())?, libc::AT_SYMLINK_FOLLOW).await
    }

    /// A second descriptor of the same open file: the two share the position and the flags (dup(2)).
    ///
    /// # Errors
    /// EMFILE at the limit of open files.
    pub fn try_clone(&self) -> io::Result<File> {
        self.0.as_fd().try_clone_to_owned().map(File::from)
    }

    /// Closes the file and tells how it went: some network file systems report a failed write only here (close(2)).
    /// While other operations on the file are in flight nothing can be told; it is closed with the last of them.
    ///
    /// Dropping the future does not keep the file open.
    ///
    /// # Errors
    /// Those of close(2), EIO and ENOSPC among them. The file is closed in any case.
    pub async fn close(self) -> io::Result<()> {
        match self.0.try_into_owned() {
            Ok(fd) => close(fd).await,
            Err(_shared) => Ok(()),
        }
    }

    /// Takes over a file of the standard library. Its position goes with it.
    pub fn from_std(file: std::fs::File) -> File {
        File::from(OwnedFd::from(file))
    }

    /// The file as one of the standard library; a duplicate of it, if operations on it are still in flight.
    ///
    /// # Errors
    /// EMFILE if it has to be duplicated and the limit of open files is reached.
    pub fn into_std(self) -> io::Result<std::fs::File> {
        match self.0.try_into_owned() {
            Ok(fd) => Ok(fd.into()),
            Err(shared) => shared.as_fd().try_clone_to_owned().map(std::fs::File::from),
        }
    }

    /// The bare descriptor. Gives the file back if operations on it are still in flight, which those of dropped futures
    /// are until the kernel has finished with them.
    pub fn into_owned(self) -> Result<OwnedFd, File> {
        self.0.try_into_owned().map_err(File)
    }

    /// The same descriptor once more.
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    pub(crate) fn share(&self) -> File {
        File(self.0.clone())
    }

    /// A duplicate that can go to another thread.
    pub(crate) fn duplicate(&self) -> io::Result<std::fs::File> {
        self.0.as_fd().try_clone_to_owned().map(std::fs::File::from)
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> Self {
        File(Descriptor::new(fd))
    }
}

impl From<File> for Descriptor {
    fn from(file: File) -> Self {
        file.0
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> Self {
        File::from_std(file)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
