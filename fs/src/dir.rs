//! A directory that paths cannot lead out of.
//!
//! The kernel has one system call that resolves a path with limits: openat2(2). So whatever else is done to a name is
//! done in two steps: the directory that the name is in is opened beneath this one, without following anything out of
//! it, and the name, a single component then, is handed to mkdirat(2), unlinkat(2), renameat2(2) or linkat(2), none of
//! which follows a link in its last component.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use chainring_runtime::Descriptor;
use chainring_runtime::buf::{BufResult, IoBuf};
use chainring_runtime::op::fsync::fsync;
use chainring_runtime::op::link::link;
use chainring_runtime::op::mkdir::mkdir;
use chainring_runtime::op::openat2::{OpenHow, openat2};
use chainring_runtime::op::rename::rename;
use chainring_runtime::op::symlink::symlink;
use chainring_runtime::op::unlink::unlink;

use crate::metadata::{self, Metadata};
use crate::path::{c_name, c_path};
use crate::read::read_at;
use crate::read_dir::{ReadDir, read_open_dir};
use crate::{File, OpenOptions, create_dir, write_atomic};

/// Beneath the directory, and not through the links of /proc that lead anywhere.
const RESOLVE: u64 = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;

/// How often a path is resolved again if something above it was renamed meanwhile.
const TRIES: u32 = 64;

/// An open directory. Paths given to its methods are seen from it and stay beneath it: one that is absolute, or leads
/// out of it by `..` or by a link, fails with EXDEV, whoever else renames or links what meanwhile.
///
/// Links inside may lead anywhere beneath. What is mounted beneath counts as beneath.
#[derive(Clone, Debug)]
pub struct Dir(Descriptor);

impl Dir {
    /// Opens a directory. This path may lead anywhere.
    ///
    /// # Errors
    /// Those of openat2(2): ENOTDIR if it is something else.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Dir> {
        let flags = (libc::O_RDONLY | libc::O_DIRECTORY) as u64;
        let how = OpenHow { flags, ..OpenHow::default() };
        openat2(None, c_path(path.as_ref())?, how).await.map(Dir::from)
    }

    /// Opens a directory beneath this one.
    ///
    /// # Errors
    /// Those of openat2(2), EXDEV if the path leads out.
    pub async fn open_dir(&self, path: impl AsRef<Path>) -> io::Result<Dir> {
        self.beneath(path.as_ref(), libc::O_RDONLY | libc::O_DIRECTORY).await.map(Dir::from)
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// Those of openat2(2), EXDEV if the path leads out.
    pub async fn open_file(&self, path: impl AsRef<Path>) -> io::Result<File> {
        self.open_with(&OpenOptions::new().read(true), path).await
    }

    /// Opens a file for writing; creates it, or cuts it off at 0 bytes.
    ///
    /// # Errors
    /// Those of openat2(2), EXDEV if the path leads out.
    pub async fn create_file(&self, path: impl AsRef<Path>) -> io::Result<File> {
        self.open_with(&OpenOptions::new().write(true).create(true).truncate(true), path).await
    }

    /// Opens a file as `options` say.
    ///
    /// # Errors
    /// Those of openat2(2), EXDEV if the path leads out.
    pub async fn open_with(&self, options: &OpenOptions, path: impl AsRef<Path>) -> io::Result<File> {
        let path = path.as_ref();
        again(|| options.open_at(Some(&self.0), path, RESOLVE)).await
    }

    /// The contents of a file.
    ///
    /// # Errors
    /// Those of openat2(2) and read(2), EXDEV if the path leads out.
    pub async fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let path = path.as_ref();
        again(|| read_at(Some(&self.0), path, RESOLVE)).await
    }

    /// Creates a file with these contents, or replaces those of an existing one; not at once.
    ///
    /// # Errors
    /// Those of openat2(2) and write(2), EXDEV if the path leads out.
    pub async fn write<B: IoBuf>(&self, path: impl AsRef<Path>, contents: B) -> BufResult<(), B> {
        match self.create_file(path).await {
            Ok(file) => file.write_all_at(contents, 0).await,
            Err(error) => (Err(error), contents),
        }
    }

    /// Gives a file these contents at once, as [`write_atomic`](crate::write_atomic) does.
    ///
    /// # Errors
    /// As there, and EXDEV if the path leads out.
    pub async fn write_atomic<B: IoBuf>(&self, path: impl AsRef<Path>, contents: B) -> BufResult<(), B> {
        let opened = async {
            let name = Name::of(path.as_ref())?.file()?;
            Ok((self.parent(&name, libc::O_RDONLY).await?, c_name(name.last)?))
        };
        match opened.await {
            Ok((at, name)) => write_atomic::replace(&at, name, contents).await,
            Err(error) => (Err(error), contents),
        }
    }

    /// The metadata of what `path` leads to, links followed.
    ///
    /// # Errors
    /// Those of openat2(2) and statx(2), EXDEV if the path leads out.
    pub async fn metadata(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        let found = self.beneath(path.as_ref(), libc::O_PATH).await?;
        metadata::of(&Descriptor::new(found)).await
    }

    /// The metadata of `path` itself, also if it is a symbolic link.
    ///
    /// # Errors
    /// Those of openat2(2) and statx(2), EXDEV if the path leads out.
    pub async fn symlink_metadata(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        let found = self.beneath(path.as_ref(), libc::O_PATH | libc::O_NOFOLLOW).await?;
        metadata::of(&Descriptor::new(found)).await
    }

    /// Whether there is something at the end of `path`, links followed.
    ///
    /// # Errors
    /// Those of openat2(2) if they leave it open whether there is; EXDEV if the path leads out.
    pub async fn exists(&self, path: impl AsRef<Path>) -> io::Result<bool> {
        metadata::found(self.metadata(path).await)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// Those of openat2(2) and mkdirat(2), EXDEV if the path leads out.
    pub async fn create_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let name = Name::of(path.as_ref())?;
        let at = self.parent(&name, libc::O_PATH).await?;
        mkdir(Some(&at), c_name(name.last)?, create_dir::MODE).await
    }

    /// Removes a name that is not a directory's.
    ///
    /// # Errors
    /// Those of openat2(2) and unlinkat(2), EXDEV if the path leads out.
    pub async fn remove_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let name = Name::of(path.as_ref())?.file()?;
        let at = self.parent(&name, libc::O_PATH).await?;
        unlink(Some(&at), c_name(name.last)?, 0).await
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// Those of openat2(2) and unlinkat(2), EXDEV if the path leads out.
    pub async fn remove_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let name = Name::of(path.as_ref())?;
        let at = self.parent(&name, libc::O_PATH).await?;
        unlink(Some(&at), c_name(name.last)?, libc::AT_REMOVEDIR).await
    }

    /// Renames `from`, beneath this directory, to `to`, beneath that one, in the place of what is there.
    ///
    /// # Errors
    /// Those of openat2(2) and renameat2(2), EXDEV if a path leads out.
    pub async fn rename(&self, from: impl AsRef<Path>, dir: &Dir, to: impl AsRef<Path>) -> io::Result<()> {
        let (old, new) = (Name::of(from.as_ref())?, Name::of(to.as_ref())?);
        let (from, to) = (self.parent(&old, libc::O_PATH).await?, dir.parent(&new, libc::O_PATH).await?);
        rename(Some(&from), old.with_slash()?, Some(&to), new.with_slash()?, 0).await
    }

    /// Makes `new`, beneath the directory `dir`, another name of `original`, beneath this one.
    ///
    /// # Errors
    /// Those of openat2(2) and linkat(2), EXDEV if a path leads out.
    pub async fn hard_link(
        &self,
        original: impl AsRef<Path>,
        dir: &Dir,
        new: impl AsRef<Path>,
    ) -> io::Result<()> {
        let (old, new) = (Name::of(original.as_ref())?.file()?, Name::of(new.as_ref())?.file()?);
        let (from, to) = (self.parent(&old, libc::O_PATH).await?, dir.parent(&new, libc::O_PATH).await?);
        link(Some(&from), c_name(old.last)?, Some(&to), c_name(new.last)?, 0).await
    }

    /// Makes `new` a symbolic link to `target`. The target is not looked at: it may lead out, and then no method of a
    /// `Dir` follows it.
    ///
    /// # Errors
    /// Those of openat2(2) and symlinkat(2), EXDEV if the path leads out.
    pub async fn symlink(&self, target: impl AsRef<Path>, new: impl AsRef<Path>) -> io::Result<()> {
        let name = Name::of(new.as_ref())?.file()?;
        let at = self.parent(&name, libc::O_PATH).await?;
        symlink(c_path(target.as_ref())?, Some(&at), c_name(name.last)?).await
    }

    /// Lists a directory (on the blocking pool; needs `/proc`). `.` is this one.
    ///
    /// # Errors
    /// Those of openat2(2), EXDEV if the path leads out; ENOENT without `/proc`.
    pub async fn read_dir(&self, path: impl AsRef<Path>) -> io::Result<ReadDir> {
        let dir = self.open_dir(path.as_ref()).await?;
        read_open_dir(&dir.0, path.as_ref()).await
    }

    /// Waits until the names in this directory are on the disk (fsync(2)): those of files that were created, renamed
    /// or removed in it.
    ///
    /// # Errors
    /// Those of fsync(2).
    pub async fn sync(&self) -> io::Result<()> {
        fsync(&self.0).await
    }

    async fn beneath(&self, path: &Path, flags: i32) -> io::Result<OwnedFd> {
        let path = c_path(path)?;
        let how = OpenHow { flags: flags as u64, mode: 0, resolve: RESOLVE };
        again(|| openat2(Some(&self.0), path.clone(), how)).await
    }

    /// The directory that a name is in. A lone name is in this one.
    async fn parent(&self, name: &Name<'_>, flags: i32) -> io::Result<Descriptor> {
        match name.parent {
            None => Ok(self.0.clone()),
            Some(parent) => {
                let parent = Path::new(std::ffi::OsStr::from_bytes(parent));
                self.beneath(parent, flags | libc::O_DIRECTORY).await.map(Descriptor::new)
            }
        }
    }
}

impl From<OwnedFd> for Dir {
    fn from(fd: OwnedFd) -> Self {
        Dir(Descriptor::new(fd))
    }
}

impl From<Dir> for Descriptor {
    fn from(dir: Dir) -> Self {
        dir.0
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Opens, and does so again if the kernel could not tell whether the path stays beneath, because something was renamed
/// while it looked (EAGAIN).
async fn again<T, F: Future<Output = io::Result<T>>>(mut open: impl FnMut() -> F) -> io::Result<T> {
    let mut opened = open().await;
    for _ in 1..TRIES {
        match &opened {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => opened = open().await,
            _ => break,
        }
    }
    opened
}

/// A path taken apart into its last component and what is before.
struct Name<'p> {
    parent: Option<&'p [u8]>,
    last: &'p [u8],
    /// Written with a slash behind it: as the name of a directory.
    slash: bool,
}

impl<'p> Name<'p> {
    /// # Errors
    /// ENOENT for the empty path, EXDEV for the root, EINVAL if the last component is `.` or `..`, which is nobody's
    /// name.
    fn of(path: &'p Path) -> io::Result<Name<'p>> {
        let all = path.as_os_str().as_bytes();
        let end = all.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let named = &all[..end];
        let (parent, last) = match named.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (Some(&named[..=slash]), &named[slash + 1..]),
            None => (None, named),
        };
        match last {
            b"" if all.is_empty() => Err(io::Error::from_raw_os_error(libc::ENOENT)),
            b"" => Err(io::Error::from_raw_os_error(libc::EXDEV)),
            b"." | b".." => Err(io::Error::from_raw_os_error(libc::EINVAL)),
            last => Ok(Name { parent, last, slash: end < all.len() }),
        }
    }

    /// Refuses the name of a directory.
    fn file(self) -> io::Result<Self> {
        if self.slash { Err(io::Error::from_raw_os_error(libc::ENOTDIR)) } else { Ok(self) }
    }

    /// The last component as it was written. Only for renameat2(2), which does not follow a link for the slash, but
    /// insists on a directory.
    fn with_slash(&self) -> io::Result<CString> {
        if self.slash { c_name(&[self.last, b"/"].concat()) } else { c_name(self.last) }
    }
}
