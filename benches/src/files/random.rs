//! The large file, and who reads here and there in it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Contestant, chainring, raw, standard, tokio};
use crate::Result;

/// Bytes of a read.
pub(super) const BLOCK: usize = 4096;

pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) blocks: u64,
    pub(super) direct: bool,
    /// Reads in flight.
    pub(super) depth: usize,
}

impl File {
    /// Makes the file, unless it is there. Each block begins with its number.
    pub(super) fn make(dir: &Path, len: u64, direct: bool, depth: usize) -> Result<File> {
        let file = File { path: dir.join("large"), blocks: len / BLOCK as u64, direct, depth };
        if !file.path.exists() {
            let mut out = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(&file.path)?);
            let mut block = [0u8; BLOCK];
            for number in 0..file.blocks {
                block[..8].copy_from_slice(&number.to_le_bytes());
                out.write_all(&block)?;
            }
            out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        }
        Ok(file)
    }

    /// Opens it as the contestants of the standard library have it.
    pub(super) fn open(&self) -> Result<std::fs::File> {
        let flags = if self.direct { libc::O_DIRECT } else { 0 };
        Ok(OpenOptions::new().read(true).custom_flags(flags).open(&self.path)?)
    }

    /// Numbers of blocks, one sequence for each reader.
    pub(super) fn numbers(&self, reader: usize) -> impl FnMut() -> u64 + use<> {
        let (mut state, blocks) = (0x9e37_79b9_7f4a_7c15u64 ^ (reader as u64 + 1) << 32, self.blocks);
        move || {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % blocks
        }
    }
}

/// Whether a block is the one that was asked for.
pub(super) fn is_block(bytes: &[u8], number: u64) -> bool {
    bytes.len() == BLOCK && bytes[..8] == number.to_le_bytes()
}

pub(super) fn contestants(file: &File) -> Vec<Contestant<'_>> {
    vec![
        Contestant::new("chainring", |until| chainring::random(file, until)),
        Contestant::new("raw ring", |until| raw::random(file, until)),
        Contestant::new("pread, a thread each", |until| standard::random(file, until)),
        Contestant::new("tokio::fs", |until| tokio::random(file, until)),
    ]
}
