//! Listing a directory: on the blocking pool, since io_uring has no getdents.
//!
//! The listing of the standard library travels to the pool and back with a batch of entries each time, so a long
//! directory costs one visit to the pool per 256 entries.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use chainring_runtime::op::statx::statx;
use chainring_runtime::{Descriptor, JoinHandle, spawn_blocking};
use futures::Stream;

use crate::blocking::blocking;
use crate::metadata::{FileType, Metadata, symlink_metadata};
use crate::path::c_name;

const BATCH: usize = 256;

/// Lists a directory (opendir(3) and readdir(3), on the blocking pool: io_uring has no opcode for it). Without `.` and
/// `..`, in the file system's order. Entries that come or go meanwhile may or may not be among them.
///
/// A [`ReadDir`] is a stream; what is done with its entries can be in flight together:
///
/// ```
/// use chainring_fs as fs;
/// use futures::TryStreamExt;
///
/// # chainring_runtime::Runtime::new().unwrap().block_on(async {
/// # let dir = std::env::temp_dir().join(format!("chainring-read-dir-{}", std::process::id()));
/// # fs::create_dir_all(&dir).await?;
/// # fs::write(dir.join("one"), "1").await.0?;
/// # fs::write(dir.join("two"), "22").await.0?;
/// let contents = fs::read_dir(&dir).await?.map_ok(|entry| fs::read(entry.path()));
/// let contents: Vec<Vec<u8>> = contents.try_buffer_unordered(64).try_collect().await?;
/// assert_eq!(contents.concat().len(), 3);
///
/// fs::write_atomic(dir.join("summary"), format!("{} files\n", contents.len())).await.0?;
/// # fs::remove_dir_all(&dir).await
/// # }).unwrap();
/// ```
///
/// # Errors
/// Those of open(2).
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref().to_owned();
    let parent = Rc::from(path.as_path());
    let (list, batch) = blocking(move || std::fs::read_dir(path).map(next_batch)).await?;
    Ok(ReadDir::new(list, batch, parent, None))
}

/// Lists an open directory, called `parent` in the paths of its entries.
pub(crate) async fn read_open_dir(dir: &Descriptor, parent: &Path) -> io::Result<ReadDir> {
    let fd = dir.as_fd().try_clone_to_owned()?;
    let (list, batch) = blocking(move || {
        // The way to a listing of what is open already.
        let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
        std::fs::read_dir(own).map(next_batch)
    })
    .await?;
    Ok(ReadDir::new(list, batch, Rc::from(parent), Some(dir.clone())))
}

/// What comes back from the pool. The list is `None` at its end.
type Visit = (Option<std::fs::ReadDir>, VecDeque<io::Result<Found>>);

struct Found {
    name: OsString,
    kind: io::Result<std::fs::FileType>,
    ino: u64,
}

fn next_batch(mut list: std::fs::ReadDir) -> Visit {
    let mut batch = VecDeque::new();
    while batch.len() < BATCH {
        match list.next() {
            None => return (None, batch),
            Some(entry) => batch.push_back(entry.map(|entry| Found {
                name: entry.file_name(),
                kind: entry.file_type(),
                ino: entry.ino(),
            })),
        }
    }
    (Some(list), batch)
}

/// The entries of a directory: a stream. Dropping it ends the listing.
#[must_use = "a listing does nothing unless it is polled"]
pub struct ReadDir {
    state: State,
    batch: VecDeque<io::Result<Found>>,
    parent: Rc<Path>,
    at: Option<Descriptor>,
}

enum State {
    /// Between two visits.
    Here(std::fs::ReadDir),
    Away(JoinHandle<Visit>),
    Ended,
}

impl ReadDir {
    fn new(
        list: Option<std::fs::ReadDir>,
        batch: VecDeque<io::Result<Found>>,
        parent: Rc<Path>,
        at: Option<Descriptor>,
    ) -> ReadDir {
        ReadDir { state: list.map_or(State::Ended, State::Here), batch, parent, at }
    }

    /// The next entry; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of getdents(2).
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await.transpose()
    }
}

impl Stream for ReadDir {
    type Item = io::Result<DirEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(found) = self.batch.pop_front() {
                let entry = |found| DirEntry { found, parent: self.parent.clone(), at: self.at.clone() };
                return Poll::Ready(Some(found.map(entry)));
            }
            self.state = match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Here(list) => State::Away(spawn_blocking(move || next_batch(list))),
                State::Away(mut visit) => {
                    let Poll::Ready(back) = Pin::new(&mut visit).poll(cx) else {
                        self.state = State::Away(visit);
                        return Poll::Pending;
                    };
                    match back {
                        Ok((list, batch)) => {
                            self.batch = batch;
                            list.map_or(State::Ended, State::Here)
                        }
                        Err(_) => {
                            let lost = io::Error::from_raw_os_error(libc::ECANCELED);
                            return Poll::Ready(Some(Err(lost)));
                        }
                    }
                }
            };
        }
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").field("parent", &self.parent).finish_non_exhaustive()
    }
}

/// An entry of a directory.
pub struct DirEntry {
    found: Found,
    parent: Rc<Path>,
    at: Option<Descriptor>,
}

impl DirEntry {
    /// The path of the directory, as it was given, with the name of the entry. Of a listing of a
    /// [`Dir`](crate::Dir): seen from that.
    pub fn path(&self) -> PathBuf {
        self.parent.join(&self.found.name)
    }

    /// Its name in the directory.
    pub fn file_name(&self) -> &OsStr {
        &self.found.name
    }

    /// What kind of file it was when it was listed.
    ///
    /// # Errors
    /// Those of lstat(2), which has to be asked on few file systems.
    pub fn file_type(&self) -> io::Result<FileType> {
        match &self.found.kind {
            Ok(kind) => Ok((*kind).into()),
            Err(error) => Err(error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error)),
        }
    }

    /// Its number on the device.
    pub fn ino(&self) -> u64 {
        self.found.ino
    }

    /// Its metadata, links not followed (statx(2), through the ring).
    ///
    /// # Errors
    /// Those of statx(2): ENOENT if it is gone.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        match &self.at {
            None => symlink_metadata(self.path()).await,
            Some(dir) => {
                let name = c_name(self.found.name.as_bytes())?;
                let asked = statx(Some(dir), name, libc::AT_SYMLINK_NOFOLLOW, crate::metadata::MASK);
                asked.await.map(Metadata::of_statx)
            }
        }
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirEntry").field(&self.path()).finish()
    }
}
