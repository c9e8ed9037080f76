//! The standard library: a thread for each lookup under way, which reads with pread(2).

use std::os::unix::fs::FileExt as _;

use super::{Descent, Header, PAGE, keys, open};
use crate::Result;
use crate::job::{Work, Worker};

pub(crate) fn cached(work: &Work) -> Result<Vec<Worker>> {
    run(work, false)
}

pub(crate) fn direct(work: &Work) -> Result<Vec<Worker>> {
    run(work, true)
}

fn run(work: &Work, direct: bool) -> Result<Vec<Worker>> {
    let (file, header) = &open(work, direct)?;
    std::thread::scope(|scope| {
        let threads = work.workers().into_iter().map(|worker| scope.spawn(|| look_up(worker, file, header)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("panicked".into()))).collect()
    })
}

fn look_up(mut worker: Worker, file: &std::fs::File, header: &Header) -> Result<Worker> {
    let mut key = keys(worker.index);
    let mut memory = vec![0; 2 * PAGE];
    let aligned = memory.as_ptr().align_offset(PAGE);
    let node = &mut memory[aligned..][..PAGE];
    while worker.next() {
        let mut descent = Descent::new(header, key());
        loop {
            file.read_exact_at(node, descent.offset())?;
            if descent.step(node)? {
                break;
            }
        }
    }
    Ok(worker)
}
