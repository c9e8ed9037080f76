//! What the server does: keys and values, and the commands on them. No I/O here, and no clock but the one it is told.
//!
//! A [`Store`] is one core's share of the keys. [`run`] runs a command on it; which keys a command is about, and so which
//! store, says [`table`]. What concerns the connection or the whole server is in `serve`.

mod commands;
mod describe;
mod expiry;
mod glob;
mod journal;
mod number;
mod refusal;
mod store;
pub(crate) mod table;
mod value;

pub(crate) use commands::keys::store_of;
pub(crate) use commands::{Call, run};
pub(crate) use glob::matches;
pub(crate) use journal::Journal;
pub(crate) use number::parse as number;
pub(crate) use refusal::{Refusal, SHOWN, shown, upper};
pub(crate) use store::{Memory, Place, Store, core_of};
