//! Paths as the kernel takes them.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The path with the NUL at its end that the kernel wants. Any other byte may be in it.
pub(crate) fn c_path(path: &Path) -> io::Result<CString> {
    c_name(path.as_os_str().as_bytes())
}

pub(crate) fn c_name(name: &[u8]) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "path with a NUL byte"))
}
