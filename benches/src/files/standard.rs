//! The standard library: one thread for small files, a thread for each read in flight otherwise.

use std::os::unix::fs::FileExt;
use std::time::Instant;

use super::random::{BLOCK, File, is_block};
use super::small::Files;
use crate::Result;

pub(super) fn small(files: &Files, until: Instant) -> Result<u64> {
    let mut done = 0;
    for (path, len) in files.files.iter().cycle() {
        if std::fs::read(path)?.len() != *len {
            return Err("a file has not its length".into());
        }
        done += 1;
        if Instant::now() >= until {
            break;
        }
    }
    Ok(done)
}

pub(super) fn random(file: &File, until: Instant) -> Result<u64> {
    let opened = file.open()?;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..file.depth)
            .map(|reader| {
                let (opened, mut next) = (&opened, file.numbers(reader));
                scope.spawn(move || -> Result<u64> {
                    let mut memory = vec![0; 2 * BLOCK];
                    let aligned = memory.as_ptr().align_offset(BLOCK);
                    let block = &mut memory[aligned..][..BLOCK];
                    let mut done = 0;
                    while Instant::now() < until {
                        let number = next();
                        opened.read_exact_at(block, number * BLOCK as u64)?;
                        if !is_block(block, number) {
                            return Err("a block is not the one asked for".into());
                        }
                        done += 1;
                    }
                    Ok(done)
                })
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap_or_else(|_| Err("panicked".into()))).sum()
    })
}
