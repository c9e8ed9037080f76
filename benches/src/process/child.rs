//! A child process that cannot outlive this one.

use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::Result;
use crate::sys::affinity;

/// How long a child may take to follow a request to end.
const GRACE: Duration = Duration::from_secs(2);

/// A running process and the file that keeps what it says on standard error.
pub(super) struct Guarded {
    pub(super) child: Child,
    complaints: std::fs::File,
}

impl Guarded {
    /// Starts `command`, on one core if one is named.
    pub(super) fn spawn(mut command: Command, core: Option<usize>) -> Result<Self> {
        let complaints = tempfile::tempfile()?;
        command.stderr(complaints.try_clone()?);
        // SAFETY: between fork and exec the closure makes at most two system calls and neither allocates nor locks.
        unsafe {
            command.pre_exec(move || {
                if let Some(core) = core {
                    affinity::pin(core)?;
                }
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == -1 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let program = command.get_program().to_owned();
        let child = command.spawn().map_err(|error| match core {
            Some(core) => format!("cannot start {} on core {core}: {error}", program.display()),
            None => format!("cannot start {}: {error}", program.display()),
        })?;
        Ok(Self { child, complaints })
    }

    /// What it said on standard error, its last lines in one.
    pub(super) fn complaint(&mut self) -> String {
        let mut text = String::new();
        let read = self.complaints.rewind().and_then(|()| self.complaints.read_to_string(&mut text));
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match read {
            Ok(_) if !lines.is_empty() => lines[lines.len().saturating_sub(3)..].join("; "),
            _ => "it says nothing".to_owned(),
        }
    }

    /// Asks it to end, and makes it end if it does not.
    pub(super) fn terminate(&mut self) -> io::Result<()> {
        let Ok(pid) = libc::pid_t::try_from(self.child.id()) else { return self.child.kill() };
        // SAFETY: the call takes no memory, and the child, which has not been waited for, still owns its
        // identifier.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        match self.wait(GRACE)? {
            Some(_) => Ok(()),
            None => self.child.kill(),
        }
    }

    /// Waits at most `patience` for its end.
    pub(super) fn wait(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + patience;
        loop {
            match self.child.try_wait()? {
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                outcome => return Ok(outcome),
            }
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Both fail only if the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
