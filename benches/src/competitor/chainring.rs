//! chainring itself: the example programs of the root package, started as any user would start them.

use super::{Competitor, Server};
use crate::workload::{ECHO, FRAMED};

/// The connection as a chain.
pub(super) static CHAIN: Competitor = Competitor {
    name: "chainring-chain",
    about: "chainring: a chain compiled to linked SQEs",
    servers: &[(&ECHO, Server::Example("echo_chain")), (&FRAMED, Server::Example("framed_chain"))],
};

/// The connection as an `async fn`.
pub(super) static AWAIT: Competitor = Competitor {
    name: "chainring-await",
    about: "chainring: one task a connection",
    servers: &[(&ECHO, Server::Example("echo"))],
};
