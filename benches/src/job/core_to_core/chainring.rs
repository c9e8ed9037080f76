//! chainring: a closure is sent to the other core, which makes a task of it.

use std::num::NonZeroUsize;

use chainring::{CancellationToken, CoreHandle, cores, spawn};

use crate::Result;
use crate::job::{Work, Worker, joined};

pub(crate) fn run(work: &Work) -> Result<Vec<Worker>> {
    let stop = CancellationToken::new();
    let each = cores(const { NonZeroUsize::new(2).unwrap() }).run(async |core: CoreHandle| {
        if core.index() == 1 {
            stop.cancelled().await;
            return Ok(Vec::new());
        }
        let _stop = stop.clone().drop_guard();
        let other = core.core(1);
        work.each(|worker| joined(spawn(ask(worker, other.clone())))).await
    })?;
    each.into_iter().next().ok_or("no core has run")?
}

async fn ask(mut worker: Worker, other: CoreHandle) -> Result<Worker> {
    while worker.next() {
        other.spawn(|| async {}).await.map_err(|error| error.to_string())?;
    }
    Ok(worker)
}
