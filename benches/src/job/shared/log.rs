//! Chains that append to a log, and go on when it is on the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use chainring::CoreHandle;
use chainring::chains::{Buf, Chain, Event, File, Flow, Group, Init, Log, Program, Shared, read, write};

use super::futex::{lock, unlock};
use super::{Work, Worker, appends, each};
use crate::Result;

/// The place in the log is taken by a continuation; then all write and sync side by side. A crash may leave a hole in front of
/// what was acknowledged.
pub(crate) fn continuations(work: &Work) -> Result<Vec<Worker>> {
    let words = Shared::new("log", 1);
    run(work, 1, |c, file, record| {
        let (tail, at) = (c.shared(&words, 0), c.reg());
        c.set(at, tail);
        c.set(tail, at + u64::from(size(work)));
        c.write_all_at(file, [record.all()], at);
        c.fdatasync(file);
    })
}

/// The same with a word of all threads.
pub(crate) fn atomic(work: &Work, cores: usize) -> Result<Vec<Worker>> {
    let tail = Arc::new(AtomicU64::new(0));
    run(work, cores, |c, file, record| {
        let (tail, at) = (c.atomic(tail.clone()), c.reg());
        c.fetch_add(tail, u64::from(size(work))).into(at);
        c.write_all_at(file, [record.all()], at);
        c.fdatasync(file);
    })
}

/// One at a time.
pub(crate) fn serial(work: &Work) -> Result<Vec<Worker>> {
    let (words, group) = (Shared::new("log", 1), Group::new("log"));
    run(work, 1, |c, file, record| {
        let (tail, at) = (c.shared(&words, 0), c.reg());
        c.serial(&group, |c| {
            c.set(at, tail);
            c.write_all_at(file, [record.all()], at);
            c.fdatasync(file);
            c.set(tail, at + u64::from(size(work)));
        });
    })
}

/// One at a time, whatever the core.
pub(crate) fn futex(work: &Work, cores: usize) -> Result<Vec<Worker>> {
    let (tail, locked) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU32::new(0)));
    run(work, cores, |c, file, record| {
        let (tail, locked) = (c.atomic(tail.clone()), c.atomic(locked.clone()));
        let (at, was) = (c.reg(), c.reg());
        lock(c, locked, was);
        c.set(at, tail);
        c.write_all_at(file, [record.all()], at);
        c.fdatasync(file);
        c.set(tail, at + u64::from(size(work)));
        unlock(c, locked, was);
    })
}

/// All that wait at once. The log is the first core's; those of the others send their records to it.
pub(crate) fn commit(work: &Work, cores: usize) -> Result<Vec<Worker>> {
    let log = Log::new("log");
    let near = appending(
        size(work),
        |worker: &mut Worker| worker,
        |c, _, record| {
            c.commit(&log, [record.all()]);
        },
    )?;
    let far = sending(work, &log)?;
    let (opened, finished) = (Event::new("opened"), Event::new("finished"));
    let (log, near, far) = (&log, &near.0, &far);
    each::core(work, cores, async |core, workers| {
        if core.index() == 0 {
            let open = log.open(appends::create(&work.dir)?, 0)?;
            for other in core.cores().skip(1) {
                opened.notify_on(&other);
            }
            let workers = each::frame(near, workers, |worker| worker, |_| Ok(())).await;
            for _ in 1..core.count() {
                finished.wait().await;
            }
            // Nobody sends any more.
            drop(open);
            return workers;
        }
        opened.wait().await;
        let owner = core.core(0);
        let ended = each::frame(far, workers, |worker| (worker, owner.clone()), |_| Ok(())).await;
        finished.notify_on(&owner);
        Ok(ended?.into_iter().map(|(worker, _)| worker).collect())
    })
}

type Sender = (Worker, CoreHandle);

/// A connection of another core than the log.
fn sending(work: &Work, log: &Log) -> Result<Program<Sender>> {
    let log = log.clone();
    let (program, _) = appending(
        size(work),
        |session: &mut Sender| &mut session.0,
        |c, _, record| {
            let fetch = move |(_, owner): &mut Sender, (bytes,): (&[u8],)| {
                let (log, record) = (log.clone(), bytes.to_vec());
                owner.spawn(|| async move {
                    let open = log.here().ok_or(std::io::ErrorKind::NotFound)?;
                    open.commit(record).await
                })
            };
            c.call_async((read(record.all()),), fetch, (), |_, (), committed| match committed {
                Ok(Ok(_)) => Flow::Next,
                Ok(Err(error)) => Flow::fail(error),
                Err(error) => Flow::fail(error),
            });
        },
    )?;
    Ok(program)
}

fn size(work: &Work) -> u32 {
    work.size.max(appends::HEAD) as u32
}

/// A connection that appends to a file by itself.
fn run(work: &Work, cores: usize, append: impl FnOnce(&mut Chain<Worker>, File, Buf)) -> Result<Vec<Worker>> {
    let (program, file) = appending(size(work), |worker: &mut Worker| worker, append)?;
    let log = appends::create(&work.dir)?;
    let (program, log) = (&program, &log);
    each::core(work, cores, async |_, workers| {
        let init = |frame: &mut Init<'_, '_>| {
            frame.file(file, log.try_clone()?);
            Ok(())
        };
        each::frame(program, workers, |worker| worker, init).await
    })
}

/// A connection that makes a record and appends it, with a nop in place of its peer.
fn appending<S: 'static>(
    size: u32,
    worker: impl Fn(&mut S) -> &mut Worker + Send + Sync + 'static,
    append: impl FnOnce(&mut Chain<S>, File, Buf),
) -> Result<(Program<S>, File)> {
    let mut c = Chain::new("append");
    let (file, record) = (c.file(), c.buffer(size));
    c.repeat(|c| {
        c.call((write(record.all()),), move |session, (bytes,)| {
            let worker = worker(session);
            if !worker.next() {
                return Flow::Finish;
            }
            bytes.copy_from_slice(&appends::record(worker, bytes.len()));
            Flow::Next
        });
        c.nop();
        append(c, file, record);
    });
    Ok((c.build()?, file))
}
