//! Extended attributes: names with values that a file carries beside its contents (xattr(7)).
//!
//! Values are read and set through the ring, which hands them to a worker thread of the kernel. It has no opcodes to
//! list or remove attributes: that is done on the blocking pool.

use std::ffi::{CString, OsStr, OsString};
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use chainring_runtime::buf::{BufResult, IoBuf};
use chainring_runtime::op::getxattr::{fgetxattr, getxattr};
use chainring_runtime::op::setxattr::{fsetxattr, setxattr};
use chainring_runtime::op::syscall;

use crate::File;
use crate::blocking::blocking;
use crate::path::c_path;

/// Room for the values that most attributes have.
const GUESS: usize = 256;

/// The value of the attribute `name` (`user.mime_type`, for example) of what `path` leads to, links followed; `None` if
/// it has none of this name (getxattr(2)).
///
/// # Errors
/// Those of getxattr(2): ENOTSUP if the file system has no such attributes.
pub async fn get_xattr(path: impl AsRef<Path>, name: impl AsRef<OsStr>) -> io::Result<Option<Vec<u8>>> {
    let (path, name) = (c_path(path.as_ref())?, c_name(name.as_ref())?);
    whole(|value| getxattr(path.clone(), name.clone(), value)).await
}

/// Sets the attribute `name` of what `path` leads to, links followed, whether there is one or not (setxattr(2)).
///
/// # Errors
/// Those of setxattr(2): ENOTSUP if the file system has no such attributes.
pub async fn set_xattr<B: IoBuf>(
    path: impl AsRef<Path>,
    name: impl AsRef<OsStr>,
    value: B,
) -> BufResult<(), B> {
    match c_path(path.as_ref()).and_then(|path| Ok((path, c_name(name.as_ref())?))) {
        Ok((path, name)) => setxattr(path, name, value, 0).await,
        Err(error) => (Err(error), value),
    }
}

/// Removes the attribute `name` of what `path` leads to, links followed (removexattr(2), on the blocking pool).
///
/// # Errors
/// Those of removexattr(2): ENODATA if there is none of this name.
pub async fn remove_xattr(path: impl AsRef<Path>, name: impl AsRef<OsStr>) -> io::Result<()> {
    let (path, name) = (c_path(path.as_ref())?, c_name(name.as_ref())?);
    blocking(move || syscall::removexattr(&path, &name)).await
}

/// The names of the attributes of what `path` leads to, links followed, in no order (listxattr(2), on the blocking
/// pool).
///
/// # Errors
/// Those of listxattr(2).
pub async fn list_xattr(path: impl AsRef<Path>) -> io::Result<Vec<OsString>> {
    let path = c_path(path.as_ref())?;
    blocking(move || syscall::listxattr(&path)).await.map(names)
}

impl File {
    /// The value of the attribute `name` (`user.mime_type`, for example); `None` if there is none of this name
    /// (fgetxattr(2)).
    ///
    /// # Errors
    /// Those of fgetxattr(2): ENOTSUP if the file system has no such attributes.
    pub async fn get_xattr(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Vec<u8>>> {
        let name = c_name(name.as_ref())?;
        whole(|value| fgetxattr(self.descriptor(), name.clone(), value)).await
    }

    /// Sets the attribute `name`, whether there is one or not (fsetxattr(2)).
    ///
    /// Dropping the future asks for cancellation; the attribute may be set all the same.
    ///
    /// # Errors
    /// Those of fsetxattr(2): ENOTSUP if the file system has no such attributes.
    pub async fn set_xattr<B: IoBuf>(&self, name: impl AsRef<OsStr>, value: B) -> BufResult<(), B> {
        match c_name(name.as_ref()) {
            Ok(name) => fsetxattr(self.descriptor(), name, value, 0).await,
            Err(error) => (Err(error), value),
        }
    }

    /// Removes the attribute `name` (fremovexattr(2), on the blocking pool).
    ///
    /// # Errors
    /// Those of fremovexattr(2): ENODATA if there is none of this name.
    pub async fn remove_xattr(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let (file, name) = (self.duplicate()?, c_name(name.as_ref())?);
        blocking(move || syscall::fremovexattr(file.as_fd(), &name)).await
    }

    /// The names of the attributes, in no order (flistxattr(2), on the blocking pool).
    ///
    /// # Errors
    /// Those of flistxattr(2).
    pub async fn list_xattr(&self) -> io::Result<Vec<OsString>> {
        let file = self.duplicate()?;
        blocking(move || syscall::flistxattr(file.as_fd())).await.map(names)
    }
}

/// A value of whatever length. It may change between one question and the next.
async fn whole<F>(mut get: impl FnMut(Vec<u8>) -> F) -> io::Result<Option<Vec<u8>>>
where
    F: Future<Output = BufResult<usize, Vec<u8>>>,
{
    let mut room = GUESS;
    loop {
        let (result, mut value) = get(Vec::with_capacity(room)).await;
        match result {
            Ok(_) => {
                value.shrink_to_fit();
                return Ok(Some(value));
            }
            Err(error) if error.raw_os_error() == Some(libc::ENODATA) => return Ok(None),
            Err(error) if error.raw_os_error() != Some(libc::ERANGE) => return Err(error),
            Err(_) => {}
        }
        // Asked with no room, it says how long it is.
        match get(Vec::new()).await.0 {
            Ok(len) => room = len.max(1),
            Err(error) if error.raw_os_error() == Some(libc::ENODATA) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn c_name(name: &OsStr) -> io::Result<CString> {
    let error = || io::Error::new(io::ErrorKind::InvalidInput, "name of an attribute with a NUL byte");
    CString::new(name.as_bytes()).map_err(|_| error())
}

/// The names, each of which the kernel has put a NUL behind.
fn names(list: Vec<u8>) -> Vec<OsString> {
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| OsString::from_vec(name.to_vec())).collect()
}
