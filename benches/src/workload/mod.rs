//! What is asked of the servers: each workload is one file and one line in [`ALL`].
//!
//! A workload owns the client's side of a protocol as plain bytes: what a connection sends and what it must
//! get back, known before the first packet. The load generator only copies and compares; the servers' side
//! belongs to the competitors.

mod echo;
mod framed;

pub(crate) use echo::ECHO;
pub(crate) use framed::{FRAMED, HEAD, LARGEST_BODY};

use std::ops::RangeInclusive;

use crate::Result;

/// Every workload, in the order in which they are listed.
pub(crate) static ALL: &[&Workload] = &[&ECHO, &FRAMED];

/// One request and its reply, repeated by every connection.
#[derive(Debug)]
pub(crate) struct Workload {
    /// What the command line calls it.
    pub(crate) name: &'static str,
    /// One line for people.
    pub(crate) about: &'static str,
    /// The message sizes it can carry.
    pub(crate) sizes: RangeInclusive<usize>,
    /// Builds the exchange of one connection; `seed` differs from connection to connection.
    pub(crate) exchange: fn(size: usize, seed: u64) -> Exchange,
}

/// The bytes of one request and of its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) reply: Vec<u8>,
    /// Where a request carries its number, if it is large enough for one.
    pub(crate) stamp: Option<Stamp>,
}

/// The offsets of the eight bytes that hold a request's number, so that a stale or swapped reply is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) request: usize,
    pub(crate) reply: usize,
}

/// The bytes of a stamp.
pub(crate) const STAMP: usize = size_of::<u64>();

impl Workload {
    /// Finds a workload by its name.
    pub(crate) fn find(name: &str) -> Result<&'static Workload> {
        let found = ALL.iter().copied().find(|workload| workload.name == name);
        found.ok_or_else(|| {
            let known: Vec<_> = ALL.iter().map(|workload| workload.name).collect();
            format!("no workload is called `{name}`; there are: {}", known.join(", ")).into()
        })
    }

    /// Builds an exchange, or says why `size` is impossible.
    pub(crate) fn build(&self, size: usize, seed: u64) -> Result<Exchange> {
        if !self.sizes.contains(&size) {
            let (low, high) = (self.sizes.start(), self.sizes.end());
            return Err(format!("{} carries {low} to {high} bytes, not {size}", self.name).into());
        }
        Ok((self.exchange)(size, seed))
    }
}

/// Bytes that look random and differ by seed: a splitmix64 stream.
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as u8
    };
    (0..size).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_connections_never_send_the_same_bytes() {
        for workload in ALL {
            let (one, two) = (workload.build(64, 1).unwrap(), workload.build(64, 2).unwrap());
            assert_ne!(one.request, two.request, "{}", workload.name);
        }
    }

    #[test]
    fn a_stamp_lies_inside_its_message() {
        for workload in ALL {
            for size in [*workload.sizes.start(), 7, 8, 64, *workload.sizes.end()] {
                let exchange = workload.build(size, 0).unwrap();
                if let Some(stamp) = exchange.stamp {
                    assert!(stamp.request + STAMP <= exchange.request.len());
                    assert!(stamp.reply + STAMP <= exchange.reply.len());
                }
            }
        }
    }

    #[test]
    fn an_impossible_size_is_refused_by_name() {
        let refused = FRAMED.build(LARGEST_BODY + 1, 0).unwrap_err();
        assert_eq!(refused.to_string(), "framed carries 0 to 65536 bytes, not 65537");
    }
}
