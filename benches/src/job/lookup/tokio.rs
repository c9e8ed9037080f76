//! tokio: every read goes to its blocking threads, as `tokio::fs` does it, but at a position and into a buffer that goes
//! there and back, as its documentation advises.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::task::spawn_blocking;

use super::{Descent, Header, PAGE, keys, open};
use crate::Result;
use crate::job::{Work, Worker, joined};

/// A page that starts at a multiple of itself.
#[derive(Clone)]
#[repr(align(4096))]
struct Page([u8; PAGE]);

pub(crate) fn cached(work: &Work) -> Result<Vec<Worker>> {
    run(work, false)
}

pub(crate) fn direct(work: &Work) -> Result<Vec<Worker>> {
    run(work, true)
}

fn run(work: &Work, direct: bool) -> Result<Vec<Worker>> {
    let (file, header) = open(work, direct)?;
    let file = Arc::new(file);
    let runtime = Builder::new_current_thread().build()?;
    runtime.block_on(work.each(|worker| joined(tokio::spawn(look_up(worker, file.clone(), header)))))
}

async fn look_up(mut worker: Worker, file: Arc<std::fs::File>, header: Header) -> Result<Worker> {
    let mut key = keys(worker.index);
    let mut node = Box::new(Page([0; PAGE]));
    while worker.next() {
        let mut descent = Descent::new(&header, key());
        loop {
            let (file, offset) = (file.clone(), descent.offset());
            let read = spawn_blocking(move || {
                file.read_exact_at(&mut node.0, offset)?;
                std::io::Result::Ok(node)
            });
            node = read.await??;
            if descent.step(&node.0)? {
                break;
            }
        }
    }
    Ok(worker)
}
