//! Echo through a proxy. Behind it is the loop by hand on epoll, on the load's core.

use super::{ECHO, Kind, Protocol, Workload, echo};

pub(crate) static PROXY: Workload = Workload {
    name: "proxy",
    about: "every byte is passed on to a server that sends it back, and so is its answer",
    connections: 64,
    size: 64,
    kind: Kind::Served(Protocol { speaks: "proxy", behind: Some(&ECHO), ..echo::PROTOCOL }),
};
