//! tokio::fs, which hands every operation to a thread that may block.

use tokio::runtime::{Builder, Runtime};

use super::{Known, share, whole};
use crate::Result;
use crate::job::{Work, Worker, joined};

pub(crate) fn current_thread(work: &Work) -> Result<Vec<Worker>> {
    run(&Builder::new_current_thread().build()?, work)
}

pub(crate) fn multi_thread(work: &Work) -> Result<Vec<Worker>> {
    run(&Builder::new_multi_thread().build()?, work)
}

fn run(runtime: &Runtime, work: &Work) -> Result<Vec<Worker>> {
    runtime.block_on(work.each(|worker| {
        let files = share(work, worker.index);
        joined(tokio::spawn(read(worker, files)))
    }))
}

async fn read(mut worker: Worker, mut files: impl Iterator<Item = Known>) -> Result<Worker> {
    while worker.next() {
        let Some((path, len)) = files.next() else { break };
        whole(tokio::fs::read(path).await?.len(), len)?;
    }
    Ok(worker)
}
