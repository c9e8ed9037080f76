//! Bytes go out, the same bytes come back.

use super::{Exchange, Kind, Protocol, Workload, noise};

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

pub(super) const PROTOCOL: Protocol = Protocol::new(1..=1 << 20, exchange, "echo");

fn exchange(size: usize, seed: u64) -> Exchange {
    let request = noise(size, seed);
    Exchange::plain(request.clone(), request).stamped(size, 0, 0)
}
