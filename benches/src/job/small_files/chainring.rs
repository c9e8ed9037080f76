//! chainring: a task for each file in flight.

use chainring::{Runtime, spawn};

use super::{Known, share, whole};
use crate::Result;
use crate::job::{Work, Worker, joined};

pub(crate) fn run(work: &Work) -> Result<Vec<Worker>> {
    Runtime::new()?.block_on(work.each(|worker| {
        let files = share(work, worker.index);
        joined(spawn(read(worker, files)))
    }))
}

async fn read(mut worker: Worker, mut files: impl Iterator<Item = Known>) -> Result<Worker> {
    while worker.next() {
        let Some((path, len)) = files.next() else { break };
        whole(chainring::fs::read(path).await?.len(), len)?;
    }
    Ok(worker)
}
