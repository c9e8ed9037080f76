//! Child processes: servers, loads and jobs, each pinned to its core, and what can be read from outside them.
//!
//! Whoever starts a child owns it: dropping its handle ends the process, and the kernel ends it should this
//! process die first.

mod child;
pub(crate) mod examples;
pub(crate) mod job;
pub(crate) mod load;
pub(crate) mod perf;
pub(crate) mod server;
pub(crate) mod subject;

use std::process::{Command, Stdio};

use crate::Result;
use crate::load::Report;
use child::Guarded;

/// The path of this program, which is also its own load generator and most of the servers.
pub(crate) fn own_program() -> Result<std::path::PathBuf> {
    Ok(std::env::current_exe().map_err(|error| format!("cannot find this program's file: {error}"))?)
}

/// Runs a child that prints its report.
fn report(mut command: Command, core: Option<usize>) -> Result<Report> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = Guarded::spawn(command, core)?;
    let out = process.child.stdout.take().expect("the output is piped");
    let report = std::io::read_to_string(out)?;
    let status = process.child.wait()?;
    if !status.success() {
        return Err(process.complaint().into());
    }
    Ok(serde_json::from_str(&report)?)
}
