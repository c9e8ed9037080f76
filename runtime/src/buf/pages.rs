//! A private anonymous mapping: memory in whole pages, zero at first, at an address that never changes.

use std::io;
use std::ptr::NonNull;

pub(crate) const PAGE: usize = 4096;

/// A mapping, owned by this value and kept out of forked children, whose copy-on-write would take pages away
/// under the kernel's feet.
pub(crate) struct Pages {
    start: NonNull<u8>,
    len: usize,
}

impl Pages {
    /// Maps at least `len` bytes. Memory is taken when a page is first touched.
    pub(crate) fn map(len: usize) -> io::Result<Pages> {
        let len = len.max(1).checked_next_multiple_of(PAGE).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: a fresh private mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let pages = Pages { start: NonNull::new(start.cast()).expect("mmap never returns null"), len };
        // SAFETY: the range is exactly the mapping made above.
        if unsafe { libc::madvise(start, len, libc::MADV_DONTFORK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(pages)
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range is exactly the mapping made in `map`; whoever handed out parts of it keeps this
        // value until they are back.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pages({} bytes)", self.len)
    }
}
