//! How to open a file.

use std::io;
use std::path::Path;

use chainring_runtime::Descriptor;
use chainring_runtime::op::openat2::{OpenHow, openat2};

use crate::File;
use crate::path::c_path;

/// How to open a file; the methods and their rules are those of [`std::fs::OpenOptions`], and some more for
/// storage engines.
///
/// ```no_run
/// # async fn open() -> std::io::Result<()> {
/// use chainring_fs::OpenOptions;
///
/// let log = OpenOptions::new().write(true).create(true).direct(true).dsync(true).open("log").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    tmpfile: bool,
    extra: i32,
    custom: i32,
    mode: u32,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            tmpfile: false,
            extra: 0,
            custom: 0,
            mode: 0o666,
        }
    }
}

impl OpenOptions {
    /// Nothing is set: at least one of read, write and append has to be.
    pub fn new() -> Self {
        Self::default()
    }

    /// For reading.
    #[must_use]
    pub fn read(mut self, read: bool) -> Self {
        self.read = read;
        self
    }

    /// For writing.
    #[must_use]
    pub fn write(mut self, write: bool) -> Self {
        self.write = write;
        self
    }

    /// For writing at the end, wherever it is by then (O_APPEND). Positions given to writes are ignored.
    #[must_use]
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// Cuts an existing file off at 0 bytes (O_TRUNC).
    #[must_use]
    pub fn truncate(mut self, truncate: bool) -> Self {
        self.truncate = truncate;
        self
    }

    /// Creates the file if there is none (O_CREAT).
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Creates the file, and fails with EEXIST if there is something (O_EXCL).
    #[must_use]
    pub fn create_new(mut self, create_new: bool) -> Self {
        self.create_new = create_new;
        self
    }

    /// Makes a file without a name in the directory that the path names (O_TMPFILE): it is gone with its last
    /// descriptor, unless it is [linked](File::link_as) somewhere. Needs write access; not every file system
    /// can (EOPNOTSUPP).
    #[must_use]
    pub fn tmpfile(mut self, tmpfile: bool) -> Self {
        self.tmpfile = tmpfile;
        self
    }

    /// Past the page cache (O_DIRECT): buffers, positions and lengths must be aligned, see
    /// [`DirectBuf`](crate::DirectBuf).
    #[must_use]
    pub fn direct(mut self, direct: bool) -> Self {
        self.set(libc::O_DIRECT, direct);
        self
    }

    /// Each write returns when its data is on the disk, as after [`sync_data`](File::sync_data) (O_DSYNC).
    #[must_use]
    pub fn dsync(mut self, dsync: bool) -> Self {
        self.set(libc::O_DSYNC, dsync);
        self
    }

    /// The permissions of a file that is created, less the umask; 0o666 by default.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// More `O_*` flags, replacing those of an earlier call; the access mode among them is ignored. openat2(2)
    /// refuses flags that it does not know, or that make no sense together.
    #[must_use]
    pub fn custom_flags(mut self, flags: i32) -> Self {
        self.custom = flags;
        self
    }

    fn set(&mut self, flag: i32, on: bool) {
        self.extra = if on { self.extra | flag } else { self.extra & !flag };
    }

    /// Opens `path`. A named pipe is opened without waiting for its other end, as io_uring does it: until somebody
    /// writes it reads as ended.
    ///
    /// Dropping the future closes a file that was opened meanwhile; one that was created stays.
    ///
    /// # Errors
    /// Those of openat2(2); EINVAL for options that contradict each other.
    pub async fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        self.open_at(None, path.as_ref(), 0).await
    }

    /// Opens `path`, seen from a directory.
    pub(crate) async fn open_at(
        &self,
        at: Option<&Descriptor>,
        path: &Path,
        resolve: u64,
    ) -> io::Result<File> {
        let path = c_path(path)?;
        let how = OpenHow { resolve, ..self.how()? };
        openat2(at, path, how).await.map(File::from)
    }

    /// The flags and the mode.
    fn how(&self) -> io::Result<OpenHow> {
        let creates = self.create || self.create_new;
        let nonsense = match (self.write, self.append) {
            _ if self.tmpfile => creates || self.truncate || !(self.write || self.append),
            (_, true) => self.truncate && !self.create_new,
            (true, false) => false,
            (false, false) => creates || self.truncate || !self.read,
        };
        if nonsense {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let access = match (self.read, self.write || self.append) {
            (true, true) => libc::O_RDWR,
            (false, true) => libc::O_WRONLY,
            (_, false) => libc::O_RDONLY,
        };
        let creation = match (self.create, self.truncate, self.create_new) {
            (_, _, true) => libc::O_CREAT | libc::O_EXCL,
            (create, truncate, false) => {
                (if create { libc::O_CREAT } else { 0 }) | (if truncate { libc::O_TRUNC } else { 0 })
            }
        };
        let custom = self.custom & !libc::O_ACCMODE;
        let flags = access
            | creation
            | self.extra
            | custom
            | if self.append { libc::O_APPEND } else { 0 }
            | if self.tmpfile { libc::O_TMPFILE } else { 0 };
        // openat2 refuses a mode where nothing can be created, and bits that are no permissions.
        let makes = flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE;
        let mode = if makes { u64::from(self.mode & 0o7777) } else { 0 };
        Ok(OpenHow { flags: flags as u64, mode, resolve: 0 })
    }
}
