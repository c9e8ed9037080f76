//! What is compared: each workload is one line in [`ALL`].
//!
//! Some are served: a server in one process, the load in another. Such a workload owns the client's side of a protocol as
//! plain bytes: what a connection sends and what it must get back, known before the first packet. The load generator only
//! copies and compares; the servers' side belongs to the competitors. Others are jobs, which a competitor does by itself:
//! see [`crate::job`].

mod echo;
mod files;
mod framed;
mod http;
mod kv;
mod proxy;

pub(crate) use echo::{CHURN, ECHO};
pub(crate) use files::FILES;
pub(crate) use framed::{FRAMED, HEAD, LARGEST_BODY};
pub(crate) use http::{END as HEAD_END, HTTP, LARGEST_HEAD, REPLY, head};
pub(crate) use kv::KV;
pub(crate) use proxy::PROXY;

use std::net::TcpStream;
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use crate::Result;
use crate::job::{self, Job};

/// Every workload, in the order in which they are listed.
pub(crate) static ALL: &[&Workload] = &[
    &ECHO,
    &FRAMED,
    &HTTP,
    &CHURN,
    &KV,
    &FILES,
    &PROXY,
    &job::small_files::SMALL_FILES,
    &job::log::LOG,
    &job::random_reads::CACHED,
    &job::random_reads::DIRECT,
    &job::lookup::CACHED,
    &job::lookup::DIRECT,
    &job::copy::COPY,
    &job::executor::NOP,
    &job::executor::SPAWN,
    &job::executor::TIMERS,
    &job::core_to_core::CORE_TO_CORE,
    &job::shared::COUNTER,
    &job::shared::COUNTER_OF_TWO,
    &job::shared::LOG,
    &job::shared::LOG_OF_TWO,
];

/// One thing to compare competitors by.
#[derive(Debug)]
pub(crate) struct Workload {
    /// What the command line calls it.
    pub(crate) name: &'static str,
    /// One line for people.
    pub(crate) about: &'static str,
    /// Connections, or pieces of work in flight, unless the command line says otherwise.
    pub(crate) connections: u32,
    /// Bytes of a message, likewise; 0 where there is none.
    pub(crate) size: usize,
    pub(crate) kind: Kind,
}

/// Who does the work.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A server, loaded from outside.
    Served(Protocol),
    /// A competitor on its own.
    Alone(Job),
}

/// The client's side of a protocol.
#[derive(Debug)]
pub(crate) struct Protocol {
    /// The message sizes it can carry.
    pub(crate) sizes: RangeInclusive<usize>,
    /// Builds the exchange of one connection; `seed` differs from connection to connection.
    pub(crate) exchange: fn(size: usize, seed: u64) -> Exchange,
    /// The workload whose servers speak it.
    pub(crate) speaks: &'static str,
    /// Whether every request comes on a new connection.
    pub(crate) renews: bool,
    /// Makes what the servers find in their directory, for messages of this size.
    pub(crate) prepare: fn(&Path, size: usize) -> Result<()>,
    /// Where replies differ from server to server: asks once, and says what the reply is.
    pub(crate) learn: Option<Learn>,
    /// The workload of which there is a server behind the one that is measured.
    pub(crate) behind: Option<&'static Workload>,
}

/// Completes an exchange by asking the server.
pub(crate) type Learn = fn(&mut TcpStream, &mut Exchange) -> Result<()>;

impl Protocol {
    /// Nothing special.
    const fn new(
        sizes: RangeInclusive<usize>,
        exchange: fn(size: usize, seed: u64) -> Exchange,
        speaks: &'static str,
    ) -> Self {
        Self { sizes, exchange, speaks, renews: false, prepare: |_, _| Ok(()), learn: None, behind: None }
    }
}

/// The bytes of one request and of its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) reply: Vec<u8>,
    /// The bytes of the reply that need not be the same: a date, say. Empty, if none is said to be.
    pub(crate) loose: Range<usize>,
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

/// Two of a name are the same.
impl PartialEq for Workload {
    fn eq(&self, other: &Workload) -> bool {
        self.name == other.name
    }
}

impl Workload {
    /// Finds a workload by its name.
    pub(crate) fn find(name: &str) -> Result<&'static Workload> {
        let found = ALL.iter().copied().find(|workload| workload.name == name);
        found.ok_or_else(|| {
            let known: Vec<_> = ALL.iter().map(|workload| workload.name).collect();
            format!("no workload is called `{name}`; there are: {}", known.join(", ")).into()
        })
    }

    /// The workload whose servers serve this one.
    pub(crate) fn served_as(&self) -> &'static str {
        match &self.kind {
            Kind::Served(protocol) => protocol.speaks,
            Kind::Alone(_) => self.name,
        }
    }

    /// Builds an exchange, or says why there is none of `size`.
    pub(crate) fn build(&self, size: usize, seed: u64) -> Result<Exchange> {
        let protocol = self.protocol()?;
        if !protocol.sizes.contains(&size) {
            let (low, high) = (protocol.sizes.start(), protocol.sizes.end());
            return Err(format!("{} carries {low} to {high} bytes, not {size}", self.name).into());
        }
        Ok((protocol.exchange)(size, seed))
    }

    /// Makes what is found in a directory by everyone who takes part, for pieces or messages of this size.
    pub(crate) fn prepare(&self, dir: &Path, size: usize) -> Result<()> {
        match &self.kind {
            Kind::Alone(job) => (job.prepare)(dir),
            Kind::Served(protocol) => {
                self.build(size, 0)?;
                (protocol.prepare)(dir, size)
            }
        }
    }

    /// Its protocol, if it is served.
    pub(crate) fn protocol(&self) -> Result<&Protocol> {
        match &self.kind {
            Kind::Served(protocol) => Ok(protocol),
            Kind::Alone(_) => Err(format!("{} needs no load", self.name).into()),
        }
    }

    /// The job, if it is one.
    pub(crate) fn job(&self) -> Result<&Job> {
        match &self.kind {
            Kind::Alone(job) => Ok(job),
            Kind::Served(_) => Err(format!("{} is served, not done alone", self.name).into()),
        }
    }
}

impl Exchange {
    /// One without a stamp, whose reply has to be just that.
    fn plain(request: Vec<u8>, reply: Vec<u8>) -> Self {
        Self { request, reply, loose: 0..0, stamp: None }
    }

    /// With a stamp at these places, if so many bytes are enough for one.
    fn stamped(self, size: usize, request: usize, reply: usize) -> Self {
        Self { stamp: (size >= STAMP).then_some(Stamp { request, reply }), ..self }
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

    /// Those that have a protocol.
    fn served() -> impl Iterator<Item = (&'static Workload, &'static Protocol)> {
        ALL.iter().filter_map(|workload| Some((*workload, workload.protocol().ok()?)))
    }

    #[test]
    fn names_are_unique() {
        for (index, workload) in ALL.iter().enumerate() {
            assert!(ALL[..index].iter().all(|other| other.name != workload.name), "{}", workload.name);
        }
    }

    #[test]
    fn two_connections_never_send_the_same_bytes() {
        for (workload, _) in served().filter(|(_, protocol)| protocol.learn.is_none()) {
            let (one, two) = (workload.build(64, 1).unwrap(), workload.build(64, 2).unwrap());
            assert_ne!(one.request, two.request, "{}", workload.name);
        }
    }

    #[test]
    fn a_stamp_lies_inside_its_message() {
        for (workload, protocol) in served() {
            let (shortest, longest) = (*protocol.sizes.start(), *protocol.sizes.end());
            for size in [shortest, 7.max(shortest), 8.max(shortest), 64, longest] {
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
