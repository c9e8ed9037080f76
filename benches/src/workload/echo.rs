//! Bytes go out, the same bytes come back.

use super::{Exchange, Kind, Protocol, STAMP, Stamp, Workload, noise};

/// The byte stream sent back as it comes; a server needs no notion of a message.
pub(crate) static ECHO: Workload = Workload {
    name: "echo",
    about: "every byte is sent back as it comes",
    connections: 64,
    size: 64,
    kind: Kind::Served(PROTOCOL),
};

/// The same, but every request comes on a connection of its own.
pub(crate) static CHURN: Workload = Workload {
    name: "churn",
    about: "connect, one echo, disconnect",
    connections: 64,
    size: 64,
    kind: Kind::Served(Protocol { renews: true, ..PROTOCOL }),
};

const PROTOCOL: Protocol = Protocol { sizes: 1..=1 << 20, exchange, speaks: "echo", renews: false };

fn exchange(size: usize, seed: u64) -> Exchange {
    let request = noise(size, seed);
    let stamp = (size >= STAMP).then_some(Stamp { request: 0, reply: 0 });
    Exchange { reply: request.clone(), request, stamp }
}
