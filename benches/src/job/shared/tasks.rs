//! The same by tasks, as everybody knows it: a mutex that is awaited, and an owner behind a channel.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chainring::fs::File;
use chainring::spawn;
use chainring_runtime::op::nop::nop;
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::channel::oneshot;
use futures::future::try_join_all;

use super::counter::counted;
use super::{Work, Worker, appends, each};
use crate::Result;
use crate::job::joined;

/// One at a time, whatever the core. The mutex guards the end of the log.
pub(crate) fn log_by_mutex(work: &Work, cores: usize) -> Result<Vec<Worker>> {
    async fn append(
        mut worker: Worker,
        size: usize,
        file: File,
        tail: Arc<futures::lock::Mutex<u64>>,
    ) -> Result<Worker> {
        while worker.next() {
            nop().await?;
            let record = appends::record(&worker, size);
            let mut tail = tail.lock().await;
            let (written, record) = file.write_all_at(record, *tail).await;
            written?;
            file.sync_data().await?;
            *tail += record.len() as u64;
        }
        Ok(worker)
    }
    let (log, tail) = (appends::create(&work.dir)?, Arc::default());
    let (log, tail) = (&log, &tail);
    each::core(work, cores, async |_, workers| {
        let mut tasks = Vec::with_capacity(workers.len());
        for worker in workers {
            let file = File::from_std(log.try_clone()?);
            tasks.push(joined(spawn(append(worker, work.size, file, Arc::clone(tail)))));
        }
        try_join_all(tasks).await
    })
}

/// An owner that commits all that wait at once.
pub(crate) fn log_by_channel(work: &Work, cores: usize) -> Result<Vec<Worker>> {
    use appends::chainring::{append, commit};
    let (log, records) = unbounded();
    let owner = Mutex::new(Some((appends::create(&work.dir)?, records)));
    let (log, owner) = (&log, &owner);
    each::core(work, cores, async |core, workers| {
        if core.index() == 0 {
            let (file, records) = owner.lock().map_err(|_| "poisoned")?.take().ok_or("no owner")?;
            // It ends with the core.
            drop(spawn(commit(File::from_std(file), records)));
        }
        let task = |worker| joined(spawn(append(worker, work.size, log.clone())));
        try_join_all(workers.into_iter().map(task)).await
    })
}

/// An owner that counts what it is told.
pub(crate) fn counter_by_channel(work: &Work, cores: usize) -> Result<Vec<Worker>> {
    type Add = oneshot::Sender<u64>;
    async fn ask(mut worker: Worker, owner: UnboundedSender<Add>) -> Result<Worker> {
        while worker.next() {
            nop().await?;
            let (tell, told) = oneshot::channel();
            owner.unbounded_send(tell)?;
            told.await?;
        }
        Ok(worker)
    }
    async fn own(mut asked: UnboundedReceiver<Add>, total: Arc<AtomicU64>) {
        let mut counter = 0;
        while let Some(tell) = asked.next().await {
            counter += 1;
            total.store(counter, Ordering::Relaxed);
            // Whoever has gone need not know.
            let _ = tell.send(counter);
        }
    }
    let (owner, asked) = unbounded();
    let (asked, total) = (Mutex::new(Some(asked)), Arc::new(AtomicU64::new(0)));
    let workers = {
        let (owner, asked, total) = (&owner, &asked, &total);
        each::core(work, cores, async |core, workers| {
            if core.index() == 0 {
                let asked = asked.lock().map_err(|_| "poisoned")?.take().ok_or("no owner")?;
                // It ends with the core.
                drop(spawn(own(asked, Arc::clone(total))));
            }
            try_join_all(workers.into_iter().map(|worker| joined(spawn(ask(worker, owner.clone()))))).await
        })?
    };
    counted(workers, total.load(Ordering::Relaxed))
}
