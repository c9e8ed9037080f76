//! chainring: a task for each read in flight, as a program would have it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use chainring::buf::{AlignedBuf, IoBuf};
use chainring::fs::OpenOptions;
use chainring::{Runtime, spawn};

use super::random::{BLOCK, File, is_block};
use super::small::Files;
use crate::Result;

pub(super) fn small(files: &Files, until: Instant) -> Result<u64> {
    let all: Rc<[_]> = files.files.clone().into();
    let next = Rc::new(Cell::new(0));
    Runtime::new()?.block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..files.in_flight {
            let (all, next) = (all.clone(), next.clone());
            tasks.push(spawn(async move {
                let mut done = 0;
                while Instant::now() < until {
                    let (path, len) = &all[next.replace(next.get() + 1) % all.len()];
                    if chainring::fs::read(path).await?.len() != *len {
                        return Err("a file has not its length".into());
                    }
                    done += 1;
                }
                Ok::<u64, crate::Error>(done)
            }));
        }
        let mut done = 0;
        for task in tasks {
            done += task.await.map_err(|error| error.to_string())??;
        }
        Ok(done)
    })
}

pub(super) fn random(file: &File, until: Instant) -> Result<u64> {
    Runtime::new()?.block_on(async {
        let opened = OpenOptions::new().read(true).direct(file.direct).open(&file.path).await?;
        let opened = Rc::new(opened);
        let mut tasks = Vec::new();
        for reader in 0..file.depth {
            let (opened, mut next) = (opened.clone(), file.numbers(reader));
            tasks.push(spawn(async move {
                let mut buffer = AlignedBuf::new(BLOCK)?;
                let mut done = 0;
                while Instant::now() < until {
                    let number = next();
                    let (result, back) = opened.read_at(buffer, number * BLOCK as u64).await;
                    buffer = back;
                    if result? != BLOCK || !is_block(buffer.as_bytes(), number) {
                        return Err("a block is not the one asked for".into());
                    }
                    done += 1;
                }
                Ok::<u64, crate::Error>(done)
            }));
        }
        let mut done = 0;
        for task in tasks {
            done += task.await.map_err(|error| error.to_string())??;
        }
        Ok(done)
    })
}
