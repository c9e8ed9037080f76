//! The standard library: a thread for each read in flight.

use std::os::unix::fs::FileExt as _;

use super::{BLOCK, check, numbers, open};
use crate::Result;
use crate::job::{Work, Worker};

pub(crate) fn cached(work: &Work) -> Result<Vec<Worker>> {
    run(work, false)
}

pub(crate) fn direct(work: &Work) -> Result<Vec<Worker>> {
    run(work, true)
}

fn run(work: &Work, direct: bool) -> Result<Vec<Worker>> {
    let file = &open(work, direct)?;
    std::thread::scope(|scope| {
        let threads = work.workers().into_iter().map(|worker| scope.spawn(|| read(worker, file)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("panicked".into()))).collect()
    })
}

fn read(mut worker: Worker, file: &std::fs::File) -> Result<Worker> {
    let mut next = numbers(worker.index);
    let mut memory = vec![0; 2 * BLOCK];
    let aligned = memory.as_ptr().align_offset(BLOCK);
    let block = &mut memory[aligned..][..BLOCK];
    while worker.next() {
        let number = next();
        file.read_exact_at(block, number * BLOCK as u64)?;
        check(block, number)?;
    }
    Ok(worker)
}
