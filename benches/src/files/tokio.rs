//! tokio::fs, which hands every operation to a thread that may block.

use std::cell::Cell;
use std::io::SeekFrom;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};

use super::random::{BLOCK, File, is_block};
use super::small::Files;
use crate::Result;

/// With as many workers, or all on this thread.
pub(super) fn small(files: &Files, until: Instant, workers: Option<usize>) -> Result<u64> {
    let runtime = match workers {
        None => Builder::new_current_thread().build()?,
        Some(workers) => Builder::new_multi_thread().worker_threads(workers).build()?,
    };
    let all = Arc::new(files.files.clone());
    let next = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..files.in_flight {
            let (all, next) = (all.clone(), next.clone());
            tasks.spawn(async move {
                let mut done = 0;
                while Instant::now() < until {
                    let (path, len) = &all[next.fetch_add(1, Ordering::Relaxed) % all.len()];
                    if tokio::fs::read(path).await?.len() != *len {
                        return Err("a file has not its length".into());
                    }
                    done += 1;
                }
                Ok::<u64, crate::Error>(done)
            });
        }
        let mut done = 0;
        while let Some(task) = tasks.join_next().await {
            done += task??;
        }
        Ok(done)
    })
}

pub(super) fn random(file: &File, until: Instant) -> Result<u64> {
    if file.direct {
        return Err("tokio::fs reads through a buffer of its own, which is not aligned".into());
    }
    let runtime = Builder::new_current_thread().build()?;
    let local = LocalSet::new();
    let done = Rc::new(Cell::new(0));
    local.block_on(&runtime, async {
        let mut tasks = Vec::new();
        for reader in 0..file.depth {
            let mut opened = tokio::fs::File::from_std(file.open()?);
            let (mut next, done) = (file.numbers(reader), done.clone());
            tasks.push(tokio::task::spawn_local(async move {
                let mut block = vec![0; BLOCK];
                while Instant::now() < until {
                    let number = next();
                    opened.seek(SeekFrom::Start(number * BLOCK as u64)).await?;
                    opened.read_exact(&mut block).await?;
                    if !is_block(&block, number) {
                        return Err("a block is not the one asked for".into());
                    }
                    done.set(done.get() + 1);
                }
                Ok::<(), crate::Error>(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        Ok(done.get())
    })
}
