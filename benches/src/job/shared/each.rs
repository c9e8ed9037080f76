//! Connections on several cores.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use chainring::CoreHandle;
use chainring::chains::{Event, Init, Program};
use futures::future::{Either, select, try_join_all};

use super::{Work, Worker};
use crate::Result;

/// Shares the workers out to so many cores, has each do its share, and keeps all of them until the last is done: others may
/// want something of them.
pub(super) fn core<F>(
    work: &Work,
    count: usize,
    run: impl Fn(CoreHandle, Vec<Worker>) -> F + Sync,
) -> Result<Vec<Worker>>
where
    F: Future<Output = Result<Vec<Worker>>>,
{
    let mut shares: Vec<Vec<Worker>> = (0..count).map(|_| Vec::new()).collect();
    for worker in work.workers() {
        shares[worker.index % count].push(worker);
    }
    let shares = Mutex::new(shares);
    let (done, failed) = (Event::new("done"), Event::new("failed"));
    let cores = NonZeroUsize::new(count).ok_or("no cores")?;
    let ended = chainring::cores(cores).run(|core| {
        let share = std::mem::take(&mut shares.lock().unwrap_or_else(PoisonError::into_inner)[core.index()]);
        let (ended, done, failed) = (run(core.clone(), share), &done, &failed);
        async move {
            let all_ended = async {
                let workers = ended.await?;
                core.cores().for_each(|other| _ = done.notify_on(&other));
                for _ in 0..core.count() {
                    done.wait().await;
                }
                Ok(workers)
            };
            // Whoever fails may hold what others wait for.
            let ended: Result<_> = match select(pin!(all_ended), pin!(failed.wait())).await {
                Either::Left((ended, _)) => ended,
                // That one says why.
                Either::Right(_) => return Ok(Vec::new()),
            };
            if ended.is_err() {
                core.cores().for_each(|other| _ = failed.notify_on(&other));
            }
            ended
        }
    })?;
    let mut all = Vec::with_capacity(work.workers);
    for workers in ended {
        all.extend(workers?);
    }
    Ok(all)
}

/// A frame for each worker; ends with the first that fails.
pub(super) async fn frame<S: 'static>(
    program: &Program<S>,
    workers: Vec<Worker>,
    session: impl Fn(Worker) -> S,
    init: impl Fn(&mut Init<'_, '_>) -> Result<()>,
) -> Result<Vec<S>> {
    let spawner = program.start(u32::try_from(workers.len().max(1))?)?;
    let mut frames = Vec::with_capacity(workers.len());
    for worker in workers {
        let mut prepared = Ok(());
        let frame = spawner.spawn(session(worker), |frame| prepared = init(frame));
        prepared?;
        let frame = frame.map_err(|_| "there is no memory for a frame")?;
        frames.push(async move {
            let exit = frame.await;
            exit.result.map(|()| exit.session)
        });
    }
    Ok(try_join_all(frames).await?)
}
