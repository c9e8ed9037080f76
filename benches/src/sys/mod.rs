//! The few system calls that std does not offer, each behind a safe function.

pub(crate) mod affinity;
pub(crate) mod cpu_clock;
pub(crate) mod epoll;
pub(crate) mod limits;
pub(crate) mod terminate;

use std::io;

/// Turns the `-1` of a system call into the error in errno.
fn check(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
