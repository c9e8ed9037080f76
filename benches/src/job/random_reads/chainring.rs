//! chainring: a task for each read in flight, one file.

use std::rc::Rc;

use chainring::buf::{AlignedBuf, IoBuf as _};
use chainring::fs::{File, OpenOptions};
use chainring::{Runtime, spawn};

use super::{BLOCK, check, numbers};
use crate::Result;
use crate::job::{Work, Worker, joined};

pub(crate) fn cached(work: &Work) -> Result<Vec<Worker>> {
    run(work, false)
}

pub(crate) fn direct(work: &Work) -> Result<Vec<Worker>> {
    run(work, true)
}

fn run(work: &Work, direct: bool) -> Result<Vec<Worker>> {
    Runtime::new()?.block_on(async {
        let file = OpenOptions::new().read(true).direct(direct).open(work.dir.join("large")).await?;
        let file = Rc::new(file);
        work.each(|worker| joined(spawn(read(worker, file.clone())))).await
    })
}

async fn read(mut worker: Worker, file: Rc<File>) -> Result<Worker> {
    let mut next = numbers(worker.index);
    let mut buffer = AlignedBuf::new(BLOCK)?;
    while worker.next() {
        let number = next();
        let (result, filled) = file.read_at(buffer, number * BLOCK as u64).await;
        result?;
        check(filled.as_bytes(), number)?;
        buffer = filled;
    }
    Ok(worker)
}
