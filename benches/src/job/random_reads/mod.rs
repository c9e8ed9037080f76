//! 4 KiB here and there in a large file.

pub(crate) mod blocking;
pub(crate) mod chainring;
pub(crate) mod raw;
pub(crate) mod tokio;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::{Job, Work};
use crate::Result;
use crate::workload::{Kind, Workload};

pub(crate) static CACHED: Workload = Workload {
    name: "random-reads",
    about: "4 KiB at random places of a 128 MiB file, from page cache",
    connections: 8,
    size: 0,
    kind: Kind::Alone(Job { prepare, pinned: false, ..Job::PLAIN }),
};

pub(crate) static DIRECT: Workload = Workload {
    name: "direct-reads",
    about: "the same past the page cache, with O_DIRECT",
    connections: 8,
    size: 0,
    kind: Kind::Alone(Job { prepare, pinned: false, ..Job::PLAIN }),
};

/// Bytes of a read.
const BLOCK: usize = 4096;

const BLOCKS: u64 = 32 << 10;

/// Each block begins with its number.
fn prepare(dir: &Path) -> Result<()> {
    let file = std::fs::File::create(dir.join("large"))?;
    let mut out = std::io::BufWriter::with_capacity(1 << 20, file);
    let mut block = [0; BLOCK];
    for number in 0..BLOCKS {
        block[..8].copy_from_slice(&number.to_le_bytes());
        out.write_all(&block)?;
    }
    Ok(out.into_inner().map_err(|error| error.into_error())?.sync_all()?)
}

/// Opens the file as the standard library does.
fn open(work: &Work, direct: bool) -> Result<std::fs::File> {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    Ok(OpenOptions::new().read(true).custom_flags(flags).open(work.dir.join("large"))?)
}

/// The numbers of blocks that a worker asks for: a sequence of its own.
fn numbers(worker: usize) -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (worker as u64 + 1) << 32;
    move || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % BLOCKS
    }
}

/// An error unless a block is the one that was asked for.
fn check(bytes: &[u8], number: u64) -> Result<()> {
    if bytes.len() == BLOCK && bytes[..8] == number.to_le_bytes() {
        Ok(())
    } else {
        Err("a block is not the one asked for".into())
    }
}
