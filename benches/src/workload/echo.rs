//! Bytes go out, the same bytes come back.

use super::{Exchange, STAMP, Stamp, Workload, noise};

/// The byte stream sent back as it comes; a server needs no notion of a message.
pub(crate) static ECHO: Workload =
    Workload { name: "echo", about: "every byte is sent back as it comes", sizes: 1..=1 << 20, exchange };

fn exchange(size: usize, seed: u64) -> Exchange {
    let request = noise(size, seed);
    let stamp = (size >= STAMP).then_some(Stamp { request: 0, reply: 0 });
    Exchange { reply: request.clone(), request, stamp }
}
