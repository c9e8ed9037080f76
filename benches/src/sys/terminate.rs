//! Ending on SIGTERM with success, without a trace in any server's loop.

use std::io;

use super::check;

/// From now on SIGTERM ends the process at once with exit code 0.
///
/// The servers own nothing that outlives their process, so there is nothing to tidy up; and because the
/// handler never returns, no loop has to look for a flag or carry a descriptor that only the measurement
/// needs.
pub(crate) fn exit_on_sigterm() -> io::Result<()> {
    extern "C" fn exit(_signal: libc::c_int) {
        // SAFETY: `_exit` is async-signal-safe and takes a plain integer.
        unsafe { libc::_exit(0) }
    }
    // SAFETY: the zeroed structure is a valid sigaction (no flags, an empty mask), and the handler has the
    // signature that the kernel calls when SA_SIGINFO is not set.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = exit as extern "C" fn(libc::c_int) as usize;
        check(libc::sigaction(libc::SIGTERM, &action, std::ptr::null_mut()))?;
    }
    Ok(())
}
