//! Connections: as chains, or as tasks.

pub(crate) mod awaited;
pub(crate) mod chained;
mod client;
pub(crate) mod core;
mod describe;
mod errand;
mod hub;
mod info;
mod session;
