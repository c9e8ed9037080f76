//! Point lookups in a B+tree of a million keys: three reads, of which each tells where the next one is.
//!
//! The tree is that of the example `lookup`, and so is the chain. Nobody keeps a node in memory, the topmost included:
//! it is the reads that are compared.

pub(crate) mod blocking;
pub(crate) mod by_chain;
#[path = "../../../../examples/lookup/chain.rs"]
mod chain;
pub(crate) mod chainring;
#[path = "../../../../examples/lookup/format.rs"]
mod format;
pub(crate) mod raw;
pub(crate) mod tokio;

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use self::format::{FANOUT, Header, KEYS, PAGE, VALUES};
use super::{Job, Work};
use crate::Result;
use crate::workload::{Kind, Workload};

pub(crate) static CACHED: Workload = Workload {
    name: "lookup",
    about: "a key of a million in a B+tree file: three dependent reads, from page cache",
    connections: 64,
    size: 0,
    kind: Kind::Alone(Job { prepare, pinned: false, ..Job::PLAIN }),
};

pub(crate) static DIRECT: Workload = Workload {
    name: "direct-lookup",
    about: "the same past the page cache, with O_DIRECT",
    connections: 64,
    size: 0,
    kind: Kind::Alone(Job { prepare, pinned: false, ..Job::PLAIN }),
};

const ENTRIES: u64 = 1_000_000;

fn prepare(dir: &Path) -> Result<()> {
    let mut pairs: Vec<_> = (0..ENTRIES).map(mix).map(|key| (key, mix(key))).collect();
    pairs.sort_unstable();
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(dir.join("tree"))?);
    out.seek(SeekFrom::Start(PAGE as u64))?;
    let header = format::pages(&pairs, |page| out.write_all(page))?;
    let file = out.into_inner().map_err(|error| error.into_error())?;
    file.write_all_at(&header.page(), 0)?;
    Ok(file.sync_all()?)
}

/// Opens the tree as the standard library does.
fn open(work: &Work, direct: bool) -> Result<(std::fs::File, Header)> {
    let path = work.dir.join("tree");
    let mut page = vec![0; PAGE];
    std::fs::File::open(&path)?.read_exact_at(&mut page, 0)?;
    let header = Header::of_page(&page).ok_or("there is no tree")?;
    let flags = if direct { libc::O_DIRECT } else { 0 };
    Ok((OpenOptions::new().read(true).custom_flags(flags).open(path)?, header))
}

/// The keys that a worker looks up: a sequence of its own.
fn keys(worker: usize) -> impl FnMut() -> u64 {
    let mut number = (worker as u64) << 32;
    move || {
        number += 1;
        mix(mix(number) % ENTRIES)
    }
}

/// A lookup on its way down.
#[derive(Clone, Copy)]
struct Descent {
    key: u64,
    page: u64,
    level: u64,
}

impl Descent {
    fn new(header: &Header, key: u64) -> Descent {
        Descent { key, page: header.root, level: header.top }
    }

    /// Where the next node is, in bytes.
    fn offset(&self) -> u64 {
        self.page * PAGE as u64
    }

    /// Searches the node that was read. Says whether it was a leaf, in which the right value has to be.
    fn step(&mut self, node: &[u8]) -> Result<bool> {
        let node: &[u8; PAGE] = node.try_into().map_err(|_| "a node came in part")?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| node[at + byte]));
        let count = usize::from(u16::from_le_bytes([node[2], node[3]])).min(FANOUT);
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = (low + high) / 2;
            if number(KEYS + middle * 8) <= self.key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let last = low.checked_sub(1).ok_or("a key is not there")?;
        let value = number(VALUES + last * 8);
        if self.level > 0 {
            (self.page, self.level) = (value, self.level - 1);
            return Ok(false);
        }
        if number(KEYS + last * 8) != self.key {
            return Err("a key is not there".into());
        }
        check(self.key, value)?;
        Ok(true)
    }
}

/// An error unless a value is that of the key.
fn check(key: u64, value: u64) -> Result<()> {
    if value == mix(key) { Ok(()) } else { Err("a value is not the one asked for".into()) }
}

/// The mixing step of splitmix64: no two numbers come to the same.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
