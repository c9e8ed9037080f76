//! Child processes: servers and loads, each pinned to its core, and what can be read from outside them.
//!
//! Whoever starts a child owns it: dropping its handle ends the process, and the kernel ends it should this
//! process die first.

mod child;
mod examples;
pub(crate) mod load;
pub(crate) mod perf;
pub(crate) mod server;

use crate::Result;

/// The path of this program, which is also its own load generator and most of the servers.
pub(crate) fn own_program() -> Result<std::path::PathBuf> {
    Ok(std::env::current_exe().map_err(|error| format!("cannot find this program's file: {error}"))?)
}
