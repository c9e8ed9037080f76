//! The CPU time that a process has used, user and system, all its threads, in nanoseconds; and the time that
//! it had to wait for it.
//!
//! The kernel brings the scheduler's account up to date when such a clock is read, which
//! `/proc/PID/schedstat` does not: that file lags by up to a tick for a thread that is running.

use std::io;
use std::time::Duration;

use super::check;

/// The CPU clock of one process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuClock(libc::clockid_t);

impl CpuClock {
    /// The clock of this process.
    pub(crate) const OWN: CpuClock = CpuClock(libc::CLOCK_PROCESS_CPUTIME_ID);

    /// The clock of another process, running or stopped.
    pub(crate) fn of(pid: u32) -> io::Result<CpuClock> {
        let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
        let mut clock = 0;
        // SAFETY: `clock` is a valid place for the identifier.
        match unsafe { libc::clock_getcpuclockid(pid, &mut clock) } {
            0 => Ok(CpuClock(clock)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// The time used so far.
    pub(crate) fn read(self) -> io::Result<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a valid place for the result.
        check(unsafe { libc::clock_gettime(self.0, &mut time) })?;
        // Both fields are non-negative, and the second is below a billion.
        Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }
}

/// The time that the children of this process have used, those that have ended and been waited for.
pub(crate) fn children() -> io::Result<Duration> {
    // SAFETY: an all-zero rusage is valid, and a valid place for the result.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        check(libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage))?;
        usage
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    Ok(time(usage.ru_utime) + time(usage.ru_stime))
}

/// How long the main thread of a process has been ready to run without getting a core, as the scheduler
/// accounts for it.
pub(crate) fn waited(pid: u32) -> io::Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanos = text.split_ascii_whitespace().nth(1).and_then(|field| field.parse().ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_itself_from_outside() {
        let inside = CpuClock::OWN.read().unwrap();
        let outside = CpuClock::of(std::process::id()).unwrap().read().unwrap();
        assert!(outside >= inside);
    }

    #[test]
    fn a_child_counts_when_it_has_been_waited_for() {
        let before = children().unwrap();
        let mut busy = std::process::Command::new("sh");
        assert!(
            busy.args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done"])
                .status()
                .unwrap()
                .success()
        );
        assert!(children().unwrap() > before);
    }

    #[test]
    fn waiting_never_decreases() {
        let before = waited(std::process::id()).unwrap();
        std::thread::yield_now();
        assert!(waited(std::process::id()).unwrap() >= before);
    }
}
