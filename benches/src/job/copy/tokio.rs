//! tokio: all files of the folder at once, each on a blocking thread.

use std::path::PathBuf;

use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::pairs;
use crate::Result;
use crate::job::{Work, Worker, joined};

pub(crate) fn run(work: &Work) -> Result<Vec<Worker>> {
    let runtime = Builder::new_current_thread().build()?;
    runtime.block_on(work.each(|worker| joined(tokio::spawn(copy(worker, work.dir.clone())))))
}

async fn copy(mut worker: Worker, dir: PathBuf) -> Result<Worker> {
    while worker.next() {
        let mut files = JoinSet::new();
        for (source, target) in pairs(&dir, worker.index)? {
            files.spawn(tokio::fs::copy(source, target));
        }
        while let Some(copied) = files.join_next().await {
            copied??;
        }
    }
    Ok(worker)
}
