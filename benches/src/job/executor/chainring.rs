//! chainring.

use chainring::{Runtime, spawn};
use chainring_runtime::op::nop::nop;

use super::NAP;
use crate::Result;
use crate::job::{Work, Worker, joined};

pub(crate) fn nops(work: &Work) -> Result<Vec<Worker>> {
    async fn run(mut worker: Worker) -> Result<Worker> {
        while worker.next() {
            nop().await?;
        }
        Ok(worker)
    }
    Runtime::new()?.block_on(work.each(|worker| joined(spawn(run(worker)))))
}

pub(crate) fn spawns(work: &Work) -> Result<Vec<Worker>> {
    async fn run(mut worker: Worker) -> Result<Worker> {
        while worker.next() {
            spawn(async {}).await.map_err(|error| error.to_string())?;
        }
        Ok(worker)
    }
    Runtime::new()?.block_on(work.each(|worker| joined(spawn(run(worker)))))
}

pub(crate) fn timers(work: &Work) -> Result<Vec<Worker>> {
    async fn run(mut worker: Worker) -> Result<Worker> {
        while worker.next() {
            chainring::time::sleep(NAP).await;
        }
        Ok(worker)
    }
    Runtime::new()?.block_on(work.each(|worker| joined(spawn(run(worker)))))
}
