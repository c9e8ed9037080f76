//! The other runtimes: a task for each file in flight, and their own way to read a file whole.

use super::{Known, share, whole};
use crate::Result;
use crate::job::{Work, Worker, joined};

pub(crate) fn monoio(work: &Work) -> Result<Vec<Worker>> {
    async fn read(mut worker: Worker, mut files: impl Iterator<Item = Known>) -> Result<Worker> {
        while worker.next() {
            let Some((path, len)) = files.next() else { break };
            whole(monoio::fs::read(path).await?.len(), len)?;
        }
        Ok(worker)
    }
    monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build()?.block_on(work.each(|worker| {
        let files = share(work, worker.index);
        monoio::spawn(read(worker, files))
    }))
}

pub(crate) fn compio(work: &Work) -> Result<Vec<Worker>> {
    async fn read(mut worker: Worker, mut files: impl Iterator<Item = Known>) -> Result<Worker> {
        while worker.next() {
            let Some((path, len)) = files.next() else { break };
            whole(compio::fs::read(path).await?.len(), len)?;
        }
        Ok(worker)
    }
    compio::runtime::Runtime::new()?.block_on(work.each(|worker| {
        let files = share(work, worker.index);
        joined(compio::runtime::spawn(read(worker, files)))
    }))
}

/// It has no call that reads a file whole.
pub(crate) fn tokio_uring(work: &Work) -> Result<Vec<Worker>> {
    async fn read(mut worker: Worker, mut files: impl Iterator<Item = Known>) -> Result<Worker> {
        while worker.next() {
            let Some((path, len)) = files.next() else { break };
            let file = tokio_uring::fs::File::open(path).await?;
            let mut bytes = Vec::with_capacity(4096 + 32);
            loop {
                let end = bytes.len();
                let (read, slice) =
                    file.read_at(tokio_uring::buf::BoundedBuf::slice(bytes, end..), end as u64).await;
                bytes = slice.into_inner();
                if read? == 0 {
                    break;
                }
            }
            file.close().await?;
            whole(bytes.len(), len)?;
        }
        Ok(worker)
    }
    tokio_uring::start(work.each(|worker| {
        let files = share(work, worker.index);
        joined(tokio_uring::spawn(read(worker, files)))
    }))
}

pub(crate) fn glommio(work: &Work) -> Result<Vec<Worker>> {
    async fn read(mut worker: Worker, mut files: impl Iterator<Item = Known>) -> Result<Worker> {
        while worker.next() {
            let Some((path, len)) = files.next() else { break };
            let file = glommio::io::BufferedFile::open(path).await.map_err(told)?;
            let size = file.file_size().await.map_err(told)?;
            let read = file.read_at(0, size as usize).await.map_err(told)?;
            file.close().await.map_err(told)?;
            whole(read.len(), len)?;
        }
        Ok(worker)
    }
    let executor = glommio::LocalExecutorBuilder::default().make().map_err(told)?;
    executor.run(work.each(|worker| {
        let files = share(work, worker.index);
        glommio::spawn_local(read(worker, files))
    }))
}

/// Its errors are not for other threads.
fn told<T>(error: glommio::GlommioError<T>) -> String {
    error.to_string()
}
