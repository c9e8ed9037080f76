//! System calls, counted exactly by the kernel's tracepoints with `perf stat`.

use std::process::Command;

use serde::Serialize;

use super::load::{Extent, Shape};
use super::server::Running;
use crate::Result;

const ALL: &str = "raw_syscalls:sys_enter";
const ENTERS: &str = "syscalls:sys_enter_io_uring_enter";

/// What a server asked of the kernel for one request.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct SystemCalls {
    /// All system calls.
    pub(crate) all: f64,
    /// Those of them that were io_uring_enter.
    pub(crate) enters: f64,
}

/// Counts while a load of exactly `requests` runs. The few calls that open and close its connections are
/// counted too.
pub(crate) fn system_calls(
    server: &Running,
    shape: &Shape,
    requests: u64,
    core: usize,
) -> Result<SystemCalls> {
    let file = tempfile::NamedTempFile::new()?;
    let mut perf = Command::new("perf");
    perf.args(["stat", "--field-separator", ",", "--event", ALL, "--event", ENTERS]);
    perf.arg("--output").arg(file.path()).arg("--pid").arg(server.pid().to_string()).arg("--");
    shape.run_under(perf, server.address, Extent::Requests(requests), core)?;
    let text = std::fs::read_to_string(file.path())?;
    let per_request = |event| Ok::<_, crate::Error>(count(&text, event)? as f64 / requests as f64);
    Ok(SystemCalls { all: per_request(ALL)?, enters: per_request(ENTERS)? })
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
