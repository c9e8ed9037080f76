//! chainring: a frame for each writer, whose records reach the disk together by `commit`.

use chainring::Runtime;
use chainring::chains::{Chain, Flow, Log, Program, write};

use super::{HEAD, create, fill};
use crate::Result;
use crate::job::{Work, Worker};

pub(crate) fn run(work: &Work) -> Result<Vec<Worker>> {
    let log = Log::new("log");
    let program = program(&log, u32::try_from(work.size.max(HEAD))?)?;
    Runtime::new()?.block_on(async {
        let _open = log.open(create(&work.dir)?, 0)?;
        let spawner = program.start(u32::try_from(work.workers)?)?;
        let mut frames = Vec::new();
        for worker in work.workers() {
            let frame = spawner.spawn(worker, |_| ());
            frames.push(frame.map_err(|_| "there is no memory for a frame")?);
        }
        let mut workers = Vec::new();
        for frame in frames {
            let exit = frame.await;
            exit.result?;
            workers.push(exit.session);
        }
        Ok(workers)
    })
}

/// Appends a record and waits until it is on the disk, again and again.
fn program(log: &Log, size: u32) -> Result<Program<Worker>> {
    let mut c = Chain::<Worker>::new("log");
    let record = c.buffer(size);
    c.repeat(|c| {
        c.call((write(record.all()),), |worker: &mut Worker, (bytes,)| {
            if !worker.next() {
                return Flow::Finish;
            }
            fill(worker, bytes);
            Flow::Next
        });
        c.commit(log, record.all());
    });
    Ok(c.build()?)
}
