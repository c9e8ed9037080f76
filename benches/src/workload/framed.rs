//! Length-prefixed messages: four bytes of big-endian length, then the body; the whole frame comes back.

use super::{Exchange, Kind, Protocol, Workload, noise};

/// The bytes of a frame's head.
pub(crate) const HEAD: usize = size_of::<u32>();

/// The longest body that a server accepts; a longer one closes the connection.
pub(crate) const LARGEST_BODY: usize = 64 << 10;

/// One frame asked, the same frame answered, and only once all of it has arrived.
pub(crate) static FRAMED: Workload = Workload {
    name: "framed",
    about: "a 4-byte length and a body of at most 64 KiB, sent back whole",
    connections: 64,
    size: 64,
    kind: Kind::Served(Protocol::new(0..=LARGEST_BODY, exchange, "framed")),
};

fn exchange(size: usize, seed: u64) -> Exchange {
    let length = u32::try_from(size).expect("the size is within `sizes`");
    let mut request = length.to_be_bytes().to_vec();
    request.extend(noise(size, seed));
    Exchange::plain(request.clone(), request).stamped(size, HEAD, HEAD)
}
