//! The shape of HTTP without its grammar: a request is a head that ends with an empty line, its reply is always the same.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{Exchange, Kind, Protocol, Workload, noise};

/// The reply to every request.
pub(crate) const REPLY: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";

/// The longest head that a server accepts; a longer one closes the connection.
pub(crate) const LARGEST_HEAD: usize = 4096;

/// The end of a head.
pub(crate) const END: &[u8] = b"\r\n\r\n";

const BEFORE: &[u8] = b"GET /";
const BEHIND: &[u8] = b" HTTP/1.1\r\nHost: bench\r\n\r\n";

/// Heads asked, replies answered; a server finds where each head ends, and may find several at once, or a part of one.
pub(crate) static HTTP: Workload = Workload {
    name: "http-shaped",
    about: "heads that end with an empty line, each answered with the same 79 bytes",
    connections: 64,
    size: 128,
    kind: Kind::Served(Protocol::new(64..=LARGEST_HEAD, exchange, "http-shaped")),
};

fn exchange(size: usize, seed: u64) -> Exchange {
    let path = noise(size - BEFORE.len() - BEHIND.len(), seed);
    let path: Vec<u8> = path.into_iter().map(|byte| b'a' + byte % 26).collect();
    Exchange::plain([BEFORE, &path, BEHIND].concat(), REPLY.to_vec())
}

/// How long the head at the front of `bytes` is, if it is there as a whole. Never inlined, so that its cost can be told from that
/// of the servers that call it; portable code searches for the same [`END`] with the same function.
#[inline(never)]
pub(crate) fn head(bytes: &[u8]) -> Option<usize> {
    static SEARCH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(END));
    SEARCH.find(bytes).map(|at| at + END.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_an_empty_line() {
        let two = exchange(64, 3).request.repeat(2);
        for len in 0..two.len() {
            assert_eq!(head(&two[..len]), (len >= 64).then_some(64), "{len} bytes");
        }
        assert_eq!(head(b"\r\n\n\n\r\n"), None);
    }
}
