//! tokio: the reads of a shared file go to its blocking threads, each with its own buffer, as its documentation advises.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::task::spawn_blocking;

use super::{BLOCK, check, numbers, open};
use crate::Result;
use crate::job::{Work, Worker, joined};

/// 4 KiB that start at a multiple of themselves.
#[derive(Clone)]
#[repr(align(4096))]
struct Block([u8; BLOCK]);

pub(crate) fn cached(work: &Work) -> Result<Vec<Worker>> {
    run(work, false)
}

pub(crate) fn direct(work: &Work) -> Result<Vec<Worker>> {
    run(work, true)
}

fn run(work: &Work, direct: bool) -> Result<Vec<Worker>> {
    let file = Arc::new(open(work, direct)?);
    let runtime = Builder::new_current_thread().build()?;
    runtime.block_on(work.each(|worker| joined(tokio::spawn(read(worker, file.clone())))))
}

async fn read(mut worker: Worker, file: Arc<std::fs::File>) -> Result<Worker> {
    let mut next = numbers(worker.index);
    let mut block = Box::new(Block([0; BLOCK]));
    while worker.next() {
        let number = next();
        let file = file.clone();
        let read = spawn_blocking(move || {
            file.read_exact_at(&mut block.0, number * BLOCK as u64)?;
            std::io::Result::Ok(block)
        });
        block = read.await??;
        check(&block.0, number)?;
    }
    Ok(worker)
}
