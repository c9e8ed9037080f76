//! Messages: the counter belongs to frames of the first core, which are told by events, and tell by events that it is done.
//! An event says nothing but that it has come, so the owner has a frame for each core that may ask.

use std::sync::atomic::{AtomicU64, Ordering};

use chainring::chains::{Chain, Event, Program, Shared};

use super::counter::{add, counted, counting};
use super::{Work, Worker, each};
use crate::Result;

/// The events of one core.
struct Told {
    asked: Event,
    done: Event,
}

pub(crate) fn run(work: &Work, cores: usize) -> Result<Vec<Worker>> {
    let words = Shared::new("counter", 1);
    let all: Vec<_> =
        (0..cores).map(|_| Told { asked: Event::new("asked"), done: Event::new("done") }).collect();
    let asking = |(core, told): (usize, &Told)| {
        counting(|c| {
            notify(c, &told.asked, core, 0);
            c.wait(&told.done);
        })
    };
    let asking = all.iter().enumerate().map(asking).collect::<Result<Vec<_>>>()?;
    let owning = all.iter().enumerate().map(|(core, told)| owning(&words, core, told));
    let owning = owning.collect::<Result<Vec<_>>>()?;
    let total = AtomicU64::new(0);
    let (asking, owning) = (&asking, &owning);
    let finished = Event::new("finished");
    let workers = each::core(work, cores, async |core, workers| {
        if core.index() == 0 {
            for program in owning {
                // It ends with the core.
                drop(program.start(1)?.spawn((), |_| {}).map_err(|_| "there is no memory for a frame")?);
            }
        }
        let workers = each::frame(&asking[core.index()], workers, |worker| worker, |_| Ok(())).await;
        finished.notify_on(&core.core(0));
        if core.index() == 0 {
            // Whoever was told that it is done is counted.
            for _ in 0..core.count() {
                finished.wait().await;
            }
            total.store(words.get(0), Ordering::Relaxed);
        }
        workers
    })?;
    counted(workers, total.into_inner())
}

fn owning(words: &Shared, core: usize, told: &Told) -> Result<Program<()>> {
    let mut c = Chain::new("owner");
    let (word, n) = (c.shared(words, 0), c.reg());
    c.repeat(|c| {
        c.wait(&told.asked);
        add(c, word, n);
        notify(c, &told.done, 0, core);
    });
    Ok(c.build()?)
}

fn notify<S: 'static>(c: &mut Chain<S>, event: &Event, from: usize, to: usize) {
    if from == to { c.notify(event) } else { c.notify_on(event, to as u64) }
}
