//! chainring: a task for each lookup under way, one file.

use std::rc::Rc;

use chainring::buf::{AlignedBuf, IoBuf as _};
use chainring::fs::File;
use chainring::{Runtime, spawn};

use super::{Descent, Header, PAGE, keys, open};
use crate::Result;
use crate::job::{Work, Worker, joined};

pub(crate) fn cached(work: &Work) -> Result<Vec<Worker>> {
    run(work, false)
}

pub(crate) fn direct(work: &Work) -> Result<Vec<Worker>> {
    run(work, true)
}

fn run(work: &Work, direct: bool) -> Result<Vec<Worker>> {
    let (file, header) = open(work, direct)?;
    Runtime::new()?.block_on(async {
        let file = Rc::new(File::from_std(file));
        work.each(|worker| joined(spawn(look_up(worker, file.clone(), header)))).await
    })
}

async fn look_up(mut worker: Worker, file: Rc<File>, header: Header) -> Result<Worker> {
    let mut key = keys(worker.index);
    let mut buffer = AlignedBuf::new(PAGE)?;
    while worker.next() {
        let mut descent = Descent::new(&header, key());
        loop {
            let (result, node) = file.read_at(buffer, descent.offset()).await;
            result?;
            buffer = node;
            if descent.step(buffer.as_bytes())? {
                break;
            }
        }
    }
    Ok(worker)
}
