//! What is copied.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::Result;

/// Files of a directory.
const EACH: u32 = 100;
/// Bytes of a small file, and of a piece of data in the large one.
const SMALL: usize = 4 << 10;
const PIECE: u64 = 1 << 20;
/// One piece of the large file of so many is data.
const HOLES: u64 = 16;

/// A file or tree, made for this.
pub(super) struct Source {
    pub(super) about: String,
    pub(super) path: PathBuf,
}

impl Source {
    /// As many small files, in directories.
    pub(super) fn files(dir: &Path, count: u32) -> Result<Source> {
        let path = dir.join("files");
        fs::create_dir(&path)?;
        for i in 0..count {
            let folder = path.join((i / EACH).to_string());
            if i % EACH == 0 {
                fs::create_dir(&folder)?;
            }
            fs::write(folder.join(i.to_string()), noise(SMALL, i.into()))?;
        }
        Ok(Source { about: format!("{count} files of {SMALL} bytes"), path })
    }

    /// A file of so many bytes, most of them in holes.
    pub(super) fn sparse(dir: &Path, len: u64) -> Result<Source> {
        let path = dir.join("sparse");
        let file = File::create(&path)?;
        file.set_len(len)?;
        for at in (0..len / PIECE).step_by(HOLES as usize) {
            file.write_all_at(&noise(PIECE as usize, at), at * PIECE)?;
        }
        file.sync_all()?;
        Ok(Source { about: format!("a file of {} MiB with holes", len >> 20), path })
    }

    /// Reads all of it, so that the kernel has it in memory.
    pub(super) fn read(&self) -> io::Result<()> {
        fn read(path: &Path) -> io::Result<()> {
            if path.is_dir() {
                return fs::read_dir(path)?.try_for_each(|entry| read(&entry?.path()));
            }
            io::copy(&mut File::open(path)?, &mut io::sink()).map(drop)
        }
        read(&self.path)
    }

    /// Whether a copy has the holes of this, if it is a file.
    pub(super) fn is_as_sparse(&self, copy: &Path) -> Result<()> {
        let (source, copy) = (fs::metadata(&self.path)?, fs::metadata(copy)?);
        // Blocks of the file system's own bookkeeping differ a little.
        if source.is_file() && copy.blocks() > source.blocks() + source.blocks() / 8 {
            return Err(format!("{} blocks became {}", source.blocks(), copy.blocks()).into());
        }
        Ok(())
    }
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        state >> 32
    };
    (0..len).map(|_| next() as u8).collect()
}
