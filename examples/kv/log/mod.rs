//! The append-only log of `--dir`: every change, on the disk before it is acknowledged.
//!
//! ```text
//! DIR/epoch-3/0.7.log    core 0 of 2, after 7 compactions
//!             1.5.log    core 1 of 2
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `record` | checksummed records; where the last whole one ends |
//! | `folder` | which files count: renaming one, or the folder of all, is what makes it so |
//! | `load` | a store as its log says |
//! | `disk` | commits of a core, in order, and what must wait for them |
//! | `compact` | a shorter log of the same keys, written while the server goes on |
//!
//! A change is noted by the engine as a command that would make it again, whatever the clock says: numbers are noted as what
//! they have become, deadlines as times, and keys that end as deleted. So a log is read by doing its commands.

mod compact;
mod disk;
mod folder;
pub(crate) mod load;
pub(crate) mod record;

pub(crate) use disk::{Disk, Persist};
pub(crate) use folder::Folder;
