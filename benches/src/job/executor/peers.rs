//! The other runtimes, as far as they have the same.

use super::NAP;
use crate::Result;
use crate::job::{Work, Worker, joined};

pub(crate) fn tokio_uring_nops(work: &Work) -> Result<Vec<Worker>> {
    async fn run(mut worker: Worker) -> Result<Worker> {
        while worker.next() {
            tokio_uring::no_op().await?;
        }
        Ok(worker)
    }
    tokio_uring::start(work.each(|worker| joined(tokio_uring::spawn(run(worker)))))
}

pub(crate) fn monoio_spawns(work: &Work) -> Result<Vec<Worker>> {
    async fn run(mut worker: Worker) -> Result<Worker> {
        while worker.next() {
            monoio::spawn(async {}).await;
        }
        Ok(worker)
    }
    monoio()?.block_on(work.each(|worker| monoio::spawn(run(worker))))
}

pub(crate) fn monoio_timers(work: &Work) -> Result<Vec<Worker>> {
    async fn run(mut worker: Worker) -> Result<Worker> {
        while worker.next() {
            monoio::time::sleep(NAP).await;
        }
        Ok(worker)
    }
    monoio()?.block_on(work.each(|worker| monoio::spawn(run(worker))))
}

fn monoio() -> std::io::Result<monoio::Runtime<monoio::time::TimeDriver<monoio::IoUringDriver>>> {
    monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().enable_timer().build()
}

pub(crate) fn compio_spawns(work: &Work) -> Result<Vec<Worker>> {
    use compio::runtime::spawn;
    async fn run(mut worker: Worker) -> Result<Worker> {
        while worker.next() {
            spawn(async {}).await.map_err(|error| error.to_string())?;
        }
        Ok(worker)
    }
    compio::runtime::Runtime::new()?.block_on(work.each(|worker| joined(spawn(run(worker)))))
}

pub(crate) fn compio_timers(work: &Work) -> Result<Vec<Worker>> {
    use compio::runtime::spawn;
    async fn run(mut worker: Worker) -> Result<Worker> {
        while worker.next() {
            compio::time::sleep(NAP).await;
        }
        Ok(worker)
    }
    compio::runtime::Runtime::new()?.block_on(work.each(|worker| joined(spawn(run(worker)))))
}

pub(crate) fn glommio_spawns(work: &Work) -> Result<Vec<Worker>> {
    async fn run(mut worker: Worker) -> Result<Worker> {
        while worker.next() {
            glommio::spawn_local(async {}).await;
        }
        Ok(worker)
    }
    glommio()?.run(work.each(|worker| glommio::spawn_local(run(worker))))
}

pub(crate) fn glommio_timers(work: &Work) -> Result<Vec<Worker>> {
    async fn run(mut worker: Worker) -> Result<Worker> {
        while worker.next() {
            glommio::timer::sleep(NAP).await;
        }
        Ok(worker)
    }
    glommio()?.run(work.each(|worker| glommio::spawn_local(run(worker))))
}

fn glommio() -> Result<glommio::LocalExecutor> {
    glommio::LocalExecutorBuilder::default().make().map_err(|error| error.to_string().into())
}
