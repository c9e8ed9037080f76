//! What the tests of group commit share: a chain that commits, records with checksums, and a reader that stops behind the
//! last whole one.

#![allow(dead_code, reason = "each of them uses a part of it")]

use chainring_chains::{Chain, Log, Program, Reg};

use super::common::one::chain;
use super::common::soon;

/// Length of the body, whose it is, its number, and the checksum of all that.
pub(crate) const HEAD: usize = 4 + 4 + 4 + 8;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) of: u32,
    pub(crate) number: u32,
    pub(crate) body: Vec<u8>,
}

impl Record {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        record(self.of, self.number, &self.body)
    }
}

pub(crate) fn record(of: u32, number: u32, body: &[u8]) -> Vec<u8> {
    let head = [(body.len() as u32).to_be_bytes(), of.to_be_bytes(), number.to_be_bytes()].concat();
    let sum = checksum(&head, body).to_be_bytes();
    [&head, &sum[..], body].concat()
}

/// FNV-1a, 64 bits.
fn checksum(head: &[u8], body: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    head.iter().chain(body).fold(0xcbf2_9ce4_8422_2325, step)
}

/// The whole records that a log begins with and where each is, and where the last one ends.
pub(crate) fn whole(log: &[u8]) -> (Vec<(usize, Record)>, usize) {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some((record, len)) = first(&log[at..]) {
        found.push((at, record));
        at += len;
    }
    (found, at)
}

fn first(bytes: &[u8]) -> Option<(Record, usize)> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (len, of, own) = (number(0)? as usize, number(4)?, number(8)?);
    let sum = u64::from_be_bytes(bytes.get(12..HEAD)?.try_into().ok()?);
    let body = bytes.get(HEAD..HEAD.checked_add(len)?)?;
    let is_whole = checksum(&bytes[..12], body) == sum;
    is_whole.then(|| (Record { of, number: own, body: body.to_vec() }, HEAD + len))
}

/// Commits so many records of so many bytes.
pub(crate) fn committer(log: &Log) -> (Program<()>, [Reg; 2]) {
    chain(|c: &mut Chain<()>| {
        let (count, len, data) = (c.param(), c.param(), c.buffer(4096));
        let text = c.constant(b"filled!!");
        c.copy(data.range(..8), text.all());
        c.repeat(|c| {
            c.when(count.eq(0), |c| c.leave());
            c.commit(log, data.to(len));
            c.set(count, count - 1);
        });
        [count, len]
    })
}

/// Lets others run until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            chainring_runtime::yield_now().await;
        }
    };
    soon(what, wait).await;
}
