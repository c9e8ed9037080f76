//! Pinning a process to one core.

use std::io;

use super::check;

/// Pins the calling thread, and whatever it starts later, to `core`. Allocates nothing: it may run between
/// fork and exec.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: a zeroed cpu_set_t is the empty set, CPU_SET is given an index below CPU_SETSIZE, and the
    // kernel only reads the set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        check(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set))?;
    }
    Ok(())
}
