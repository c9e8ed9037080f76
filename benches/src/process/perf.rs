//! System calls, counted exactly by the kernel's tracepoints with `perf stat`.

use std::ops::Sub;
use std::process::Command;

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::Result;

const ALL: &str = "raw_syscalls:sys_enter";
const ENTERS: &str = "syscalls:sys_enter_io_uring_enter";

/// What a server asked of the kernel for one request.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SystemCalls {
    /// All system calls.
    pub(crate) all: f64,
    /// Those of them that were io_uring_enter.
    pub(crate) enters: f64,
}

/// What was counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    all: u64,
    enters: u64,
}

impl Counts {
    pub(super) fn per(self, requests: u64) -> SystemCalls {
        SystemCalls { all: self.all as f64 / requests as f64, enters: self.enters as f64 / requests as f64 }
    }
}

impl Sub for Counts {
    type Output = Counts;

    fn sub(self, less: Counts) -> Counts {
        Counts { all: self.all.saturating_sub(less.all), enters: self.enters.saturating_sub(less.enters) }
    }
}

/// One run of `perf stat`, and the file that it writes.
pub(super) struct Counter(NamedTempFile);

impl Counter {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(NamedTempFile::new()?))
    }

    /// The command, to which is added what to count, `--`, and what to run meanwhile.
    pub(super) fn command(&self) -> Command {
        let mut perf = Command::new("perf");
        perf.args(["stat", "--field-separator", ",", "--event", ALL, "--event", ENTERS]);
        perf.arg("--output").arg(self.0.path());
        perf
    }

    /// What it has counted.
    pub(super) fn read(&self) -> Result<Counts> {
        let text = std::fs::read_to_string(self.0.path())?;
        Ok(Counts { all: count(&text, ALL)?, enters: count(&text, ENTERS)? })
    }
}

/// The count of one event in perf's comma-separated output.
fn count(text: &str, event: &str) -> Result<u64> {
    for line in text.lines() {
        let mut fields = line.split(',');
        if let (Some(count), _, Some(name)) = (fields.next(), fields.next(), fields.next())
            && name == event
        {
            return count.parse().map_err(|_| format!("perf does not count {event}: {count}").into());
        }
    }
    Err(format!("perf does not mention {event}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "# started on Thu\n\n43,,raw_syscalls:sys_enter,987,100.00,,\n\
                          <not supported>,,syscalls:sys_enter_io_uring_enter,0,100.00,,\n";

    #[test]
    fn an_event_is_found_by_its_name() {
        assert_eq!(count(OUTPUT, ALL).unwrap(), 43);
    }

    #[test]
    fn an_event_that_cannot_be_counted_is_no_zero() {
        assert!(count(OUTPUT, ENTERS).unwrap_err().to_string().contains("<not supported>"));
        assert!(count(OUTPUT, "cycles").is_err());
    }
}
