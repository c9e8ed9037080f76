//! The protocol of Redis (RESP): requests as bytes arrive, replies as they are to be sent. No I/O here.
//!
//! [`Parser`] is fed what a connection received, in whatever pieces, and lends a [`Command`] as soon as one is whole. The
//! arguments of a command that arrived in one piece are looked at where they lie; what must outlive the piece is kept by
//! the parser. Replies go into a [`Sink`]: the outbox of a frame, or [`Replies`].

mod command;
mod inline;
mod line;
mod parser;
mod replies;
mod sink;
mod violation;

pub(crate) use command::{Batch, Command};
pub(crate) use parser::{LARGE, Limits, Parser};
pub(crate) use replies::{End, Replies};
pub(crate) use sink::{Proto, Reply, Shared, Sink};
