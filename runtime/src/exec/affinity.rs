//! Which CPUs a thread runs on.

use std::io;

/// The CPUs that this thread may run on; none if the kernel does not say.
pub(super) fn allowed() -> Vec<usize> {
    let mut set = empty();
    // SAFETY: the set is a local variable of the size given.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    if result != 0 {
        return Vec::new();
    }
    // SAFETY: CPU_ISSET only reads the set, at indices below its size.
    (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

/// Keeps this thread on these CPUs, which came out of [`allowed`].
pub(super) fn keep_to(cpus: &[usize]) -> io::Result<()> {
    let mut set = empty();
    for cpu in cpus {
        // SAFETY: the index came out of a set of this size.
        unsafe { libc::CPU_SET(*cpu, &mut set) };
    }
    // SAFETY: the set is a local variable of the size given.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn empty() -> libc::cpu_set_t {
    // SAFETY: a plain array of bits, for which zero is the empty set.
    unsafe { std::mem::zeroed() }
}
