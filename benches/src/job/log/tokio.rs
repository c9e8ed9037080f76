//! tokio: a task that commits, told by a channel; write and fdatasync go to a blocking thread in one piece.

use std::fs::File;
use std::io::Write as _;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::{create, record};
use crate::Result;
use crate::job::{Work, Worker, joined};

/// The most records of one commit.
const BATCH: usize = 1024;

/// A record, and who waits for it to be on disk.
type Append = (Vec<u8>, oneshot::Sender<()>);

pub(crate) fn current_thread(work: &Work) -> Result<Vec<Worker>> {
    run(&Builder::new_current_thread().build()?, work)
}

pub(crate) fn multi_thread(work: &Work) -> Result<Vec<Worker>> {
    run(&Builder::new_multi_thread().build()?, work)
}

fn run(runtime: &Runtime, work: &Work) -> Result<Vec<Worker>> {
    runtime.block_on(async {
        let file = create(&work.dir)?;
        let (log, appends) = channel(BATCH);
        let committer = tokio::spawn(commit(file, appends));
        let workers =
            work.each(|worker| joined(tokio::spawn(append(worker, work.size, log.clone())))).await?;
        drop(log);
        committer.await??;
        Ok(workers)
    })
}

async fn append(mut worker: Worker, size: usize, log: Sender<Append>) -> Result<Worker> {
    while worker.next() {
        let (tell, told) = oneshot::channel();
        log.send((record(&worker, size), tell)).await?;
        told.await?;
    }
    Ok(worker)
}

async fn commit(mut file: File, mut appends: Receiver<Append>) -> Result<()> {
    let (mut batch, mut group) = (Vec::new(), Vec::new());
    while appends.recv_many(&mut group, BATCH).await > 0 {
        batch.clear();
        for (record, _) in &group {
            batch.extend_from_slice(record);
        }
        let commit = spawn_blocking(move || {
            file.write_all(&batch)?;
            file.sync_data()?;
            std::io::Result::Ok((file, batch))
        });
        (file, batch) = commit.await??;
        for (_, tell) in group.drain(..) {
            // Whoever has gone need not know.
            let _ = tell.send(());
        }
    }
    Ok(())
}
