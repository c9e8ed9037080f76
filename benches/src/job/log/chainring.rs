//! chainring: a task that commits, told by a channel.

use chainring::fs::File;
use chainring::{Runtime, spawn};
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::channel::oneshot;

use super::{create, record};
use crate::Result;
use crate::job::{Work, Worker, joined};

/// A record, and who waits for it to be on disk.
pub(in crate::job) type Append = (Vec<u8>, oneshot::Sender<()>);

pub(crate) fn run(work: &Work) -> Result<Vec<Worker>> {
    Runtime::new()?.block_on(async {
        let file = File::from_std(create(&work.dir)?);
        let (log, appends) = unbounded();
        let committer = spawn(commit(file, appends));
        let workers = work.each(|worker| joined(spawn(append(worker, work.size, log.clone())))).await?;
        drop(log);
        committer.await.map_err(|error| error.to_string())??;
        Ok(workers)
    })
}

pub(in crate::job) async fn append(
    mut worker: Worker,
    size: usize,
    log: UnboundedSender<Append>,
) -> Result<Worker> {
    while worker.next() {
        let (tell, told) = oneshot::channel();
        log.unbounded_send((record(&worker, size), tell))?;
        told.await?;
    }
    Ok(worker)
}

pub(in crate::job) async fn commit(file: File, mut appends: UnboundedReceiver<Append>) -> Result<()> {
    let (mut batch, mut waiting, mut end) = (Vec::new(), Vec::new(), 0);
    while let Some(first) = appends.next().await {
        batch.clear();
        let others = std::iter::from_fn(|| appends.try_recv().ok());
        for (record, tell) in std::iter::once(first).chain(others) {
            batch.extend_from_slice(&record);
            waiting.push(tell);
        }
        let (written, back) = file.write_all_at(batch, end).await;
        written?;
        file.sync_data().await?;
        batch = back;
        end += batch.len() as u64;
        for tell in waiting.drain(..) {
            // Whoever has gone need not know.
            let _ = tell.send(());
        }
    }
    Ok(())
}
