//! tokio, current_thread.

use tokio::runtime::{Builder, Runtime};

use super::NAP;
use crate::Result;
use crate::job::{Work, Worker, joined};

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_time().build()
}

pub(crate) fn spawns(work: &Work) -> Result<Vec<Worker>> {
    async fn run(mut worker: Worker) -> Result<Worker> {
        while worker.next() {
            tokio::spawn(async {}).await?;
        }
        Ok(worker)
    }
    runtime()?.block_on(work.each(|worker| joined(tokio::spawn(run(worker)))))
}

pub(crate) fn timers(work: &Work) -> Result<Vec<Worker>> {
    async fn run(mut worker: Worker) -> Result<Worker> {
        while worker.next() {
            tokio::time::sleep(NAP).await;
        }
        Ok(worker)
    }
    runtime()?.block_on(work.each(|worker| joined(tokio::spawn(run(worker)))))
}
