//! One shared mapping of a ring's memory, unmapped on drop and kept out of forked children.

use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;

/// A mapping of `len` bytes of the ring `fd`, owned by this value.
pub(crate) struct Map {
    start: NonNull<u8>,
    len: usize,
}

impl Map {
    /// Maps the queue at `offset` (an `IORING_OFF_*` constant).
    pub(crate) fn ring(fd: RawFd, offset: i64, len: usize) -> io::Result<Map> {
        // SAFETY: a fresh shared mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                fd,
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let map = Map { start: NonNull::new(start.cast()).expect("mmap never returns null"), len };
        // A forked child would share head and tail with its parent and corrupt both.
        // SAFETY: the range is exactly the mapping made above.
        if unsafe { libc::madvise(start, len, libc::MADV_DONTFORK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(map)
    }

    /// The address `offset` bytes into the mapping, for `count` values of `T`.
    ///
    /// # Panics
    /// If they do not lie inside the mapping or are not aligned: the kernel's offsets are not trusted.
    pub(crate) fn at<T>(&self, offset: u32, count: u32) -> NonNull<T> {
        let offset = offset as usize;
        let end = offset.checked_add(count as usize * size_of::<T>());
        assert!(end.is_some_and(|end| end <= self.len), "ring offset outside of its mapping");
        assert!(offset.is_multiple_of(align_of::<T>()), "ring offset not aligned");
        // SAFETY: the range was just checked to lie inside the mapping.
        unsafe { self.start.add(offset).cast() }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the range is exactly the mapping made in `ring`, and every pointer into it belongs to
        // the `Ring` that owns this value and is gone with it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
