//! chainring: a frame for each lookup under way, and the chain of the example `lookup` for all of them.

use chainring::Runtime;

use super::chain::{self, Keys};
use super::{check, keys, open};
use crate::Result;
use crate::job::{Work, Worker};

pub(crate) fn cached(work: &Work) -> Result<Vec<Worker>> {
    run(work, false)
}

pub(crate) fn direct(work: &Work) -> Result<Vec<Worker>> {
    run(work, true)
}

/// The session of a frame.
struct Seeker {
    worker: Worker,
    key: Box<dyn FnMut() -> u64>,
    checked: Result<()>,
}

impl Keys for Seeker {
    fn next(&mut self) -> Option<u64> {
        (self.checked.is_ok() && self.worker.next()).then(|| (self.key)())
    }

    fn found(&mut self, key: u64, value: Option<u64>) {
        self.checked = value.ok_or_else(|| "a key is not there".into()).and_then(|value| check(key, value));
    }
}

fn run(work: &Work, direct: bool) -> Result<Vec<Worker>> {
    let (file, header) = open(work, direct)?;
    let point = chain::point::<Seeker>()?;
    Runtime::new()?.block_on(async {
        let spawner = point.program.start(u32::try_from(work.workers)?)?;
        let mut frames = Vec::new();
        for worker in work.workers() {
            let own = file.try_clone()?;
            let seeker = Seeker { key: Box::new(keys(worker.index)), worker, checked: Ok(()) };
            let frame = spawner.spawn(seeker, |frame| {
                frame.file(point.file, own).set(point.root, header.root).set(point.top, header.top);
            });
            frames.push(frame.map_err(|_| "there is no memory for a frame")?);
        }
        let mut workers = Vec::new();
        for frame in frames {
            let exit = frame.await;
            exit.result?;
            exit.session.checked?;
            workers.push(exit.session.worker);
        }
        Ok(workers)
    })
}
