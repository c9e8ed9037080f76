//! A whole file, replaced at once: temporary file, fsync, rename, fsync of the directory.

use std::ffi::CString;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use chainring_runtime::buf::{BufResult, IoBuf};
use chainring_runtime::op::Op;
use chainring_runtime::op::fsync::fsync;
use chainring_runtime::op::openat2::{OpenAt2, OpenHow, openat2};
use chainring_runtime::op::rename::rename;
use chainring_runtime::op::unlink::unlink;
use chainring_runtime::{Descriptor, Handle, spawn};

use crate::File;
use crate::path::c_name;

/// Gives the file at `path` these contents, at once: whoever opens it, also after a crash, finds either what was
/// there before or all of the new. When it returns, the new is on the disk.
///
/// The new file is written beside the old one, under a name that begins with `.chainring-`, synced, and renamed over
/// it; then the directory is synced. So it is another file: owner, permissions, attributes and other names of the old
/// one stay with that, and a symbolic link at `path` is itself replaced.
///
/// If the future is dropped, either file may be there; the temporary one is removed in the background. (One is left
/// behind if the machine, or the runtime, stops meanwhile.)
///
/// # Errors
/// Those of openat2(2), write(2), fsync(2) and renameat2(2); EISDIR for a path that ends as only a directory's does, EACCES
/// if the directory cannot be read, which syncing it takes. The old contents are then still there, unless it is the
/// last sync that failed: then the new ones are there, but a crash may bring the old ones back.
pub async fn write_atomic<B: IoBuf>(path: impl AsRef<Path>, contents: B) -> BufResult<(), B> {
    let path = path.as_ref();
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    };
    let opened = async {
        let whole = path.as_os_str().as_bytes();
        // Written as a directory is; `Path` would look past that.
        let is_dir = whole.ends_with(b"/") || whole.ends_with(b"/.");
        let name = path.file_name().filter(|_| !is_dir);
        let name = c_name(name.ok_or_else(|| io::Error::from_raw_os_error(libc::EISDIR))?.as_bytes())?;
        let flags = (libc::O_RDONLY | libc::O_DIRECTORY) as u64;
        let how = OpenHow { flags, ..OpenHow::default() };
        let dir = openat2(None, crate::path::c_path(parent)?, how).await?;
        Ok((Descriptor::new(dir), name))
    };
    match opened.await {
        Ok((dir, name)) => replace(&dir, name, contents).await,
        Err(error) => (Err(error), contents),
    }
}

/// Replaces `name`, a single component, in the directory `at`, which was opened for reading so that it can be synced.
pub(crate) async fn replace<B: IoBuf>(at: &Descriptor, name: CString, contents: B) -> BufResult<(), B> {
    let (file, temporary) = match create(at).await {
        Ok(created) => created,
        Err(error) => return (Err(error), contents),
    };
    let (written, contents) = file.write_all_at(contents, 0).await;
    let replaced = async {
        written?;
        file.sync_all().await?;
        file.close().await?;
        rename(Some(at), temporary.name.clone(), Some(at), name, 0).await
    };
    match replaced.await {
        Ok(()) => {
            temporary.disarm();
            (fsync(at).await, contents)
        }
        Err(error) => {
            // Removed before the error is told: nobody should find it.
            let _ = unlink(Some(at), temporary.name.clone(), 0).await;
            temporary.disarm();
            (Err(error), contents)
        }
    }
}

/// The name of the temporary file. Dropping it removes the file in the background.
struct Temporary {
    at: Option<Descriptor>,
    name: CString,
    /// The file is being created. Whoever removes it waits for this: an open that is cancelled may create the file all
    /// the same, and do so when the removal has found nothing.
    opening: Option<Op<OpenAt2>>,
}

impl Temporary {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let opening = self.opening.as_mut().expect("it is opened once");
        let opened = std::task::ready!(Pin::new(opening).poll(cx));
        self.opening = None;
        Poll::Ready(opened)
    }

    /// There is nothing to remove.
    fn disarm(mut self) {
        self.at = None;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let Some(at) = self.at.take().filter(|_| Handle::try_current().is_some()) else { return };
        let (name, opening) = (std::mem::take(&mut self.name), self.opening.take());
        drop(spawn(async move {
            let created = match opening {
                Some(opening) => opening.await.map(Descriptor::new).is_ok(),
                None => true,
            };
            if created {
                let _ = unlink(Some(&at), name, 0).await;
            }
        }));
    }
}

async fn create(at: &Descriptor) -> io::Result<(File, Temporary)> {
    let flags = (libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW) as u64;
    loop {
        // Keyed at random each time.
        let number = RandomState::new().hash_one(0);
        let name = c_name(format!(".chainring-{number:016x}.tmp").as_bytes())?;
        let opening = openat2(Some(at), name.clone(), OpenHow { flags, mode: 0o666, resolve: 0 });
        let mut temporary = Temporary { at: Some(at.clone()), name, opening: Some(opening) };
        match poll_fn(|cx| temporary.poll_open(cx)).await {
            Ok(fd) => return Ok((File::from(fd), temporary)),
            Err(error) => {
                // Nothing was made, and what has the name is somebody else's.
                temporary.disarm();
                if error.kind() != io::ErrorKind::AlreadyExists {
                    return Err(error);
                }
            }
        }
    }
}
