//! The task that writes the batches of a log.
//!
//! The first batch is followed by an fdatasync, linked to its write: with it reaches the disk what its owner has put into the
//! file before, a header or room for what is to come. After that nobody else writes to the file, and a batch is one write that
//! completes when its bytes are on the disk (RWF_DSYNC), where the file system is known to keep that promise: the same for the
//! disk, and one piece of work less for the kernel.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd as _;
use std::rc::Rc;

use chainring_runtime::Descriptor;
use chainring_runtime::buf::IoBuf;
use chainring_runtime::op::fsync::fdatasync;
use chainring_runtime::op::syscall::honours_dsync;
use chainring_runtime::op::write::{write_at, write_dsync_at};
use chainring_runtime::op::write_sync::write_sync;

use super::shared::Shared;

/// Writes batches until one fails, or there will be none.
pub(super) fn write(shared: Rc<Shared>, file: Descriptor) -> impl Future<Output = ()> {
    // If the runtime ends meanwhile, whoever waits outside of it hears of that: also if it ends before the first poll.
    let ended = Ended(shared);
    async move { write_all(&ended.0, file).await }
}

async fn write_all(shared: &Shared, file: Descriptor) {
    let mut batch = Vec::new();
    let (mut is_first, mut can_write_through) = (true, honours_dsync(file.as_fd()).unwrap_or(false));
    while poll_fn(|cx| shared.poll_filled(cx.waker())).await {
        let start = shared.take_batch(&mut batch);
        let (mut result, mut back) = (Err(libc::EOPNOTSUPP), batch);
        if !is_first && can_write_through {
            (result, back) = write_through(&file, back, start).await;
            can_write_through = result != Err(libc::EOPNOTSUPP);
        }
        if result == Err(libc::EOPNOTSUPP) {
            (result, back) = write_out(&file, back, start).await;
        }
        is_first = false;
        if let Err(errno) = result {
            return shared.fail(errno);
        }
        batch = back;
        batch.clear();
        shared.reached();
    }
}

struct Ended(Rc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fail(libc::ECANCELED);
    }
}

/// Writes all of a batch by writes that reach the disk before they complete.
async fn write_through(file: &Descriptor, mut batch: Vec<u8>, start: u64) -> (Result<(), i32>, Vec<u8>) {
    let mut done = 0;
    while done < batch.len() {
        let (result, back) = write_dsync_at(file, batch.slice(done..), start + done as u64).await;
        batch = back.into_inner();
        match result {
            Ok(0) => return (Err(libc::EIO), batch),
            Ok(written) => done += written,
            Err(error) => return (Err(error.raw_os_error().unwrap_or(libc::EIO)), batch),
        }
    }
    (Ok(()), batch)
}

/// Writes all of a batch and has the file reach the disk.
async fn write_out(file: &Descriptor, mut batch: Vec<u8>, start: u64) -> (Result<(), i32>, Vec<u8>) {
    let (len, mut done) = (batch.len(), 0);
    loop {
        let list = match write_sync(file, batch, done, start + done as u64) {
            Ok(list) => list,
            Err(back) => return one_by_one(file, back, done, start).await,
        };
        let (result, back) = list.await;
        batch = back;
        let left = len - done;
        if result.is_whole(left) {
            return (Ok(()), batch);
        }
        let errno = match result.written {
            // Short: the rest, and the sync again, which was not run.
            written if written > 0 && (written as usize) < left => {
                done += written as usize;
                continue;
            }
            written if written as usize == left => -result.synced,
            // A file that takes nothing and does not say why.
            0 => libc::EIO,
            written => -written,
        };
        if errno == libc::ECANCELED {
            // Nobody has cancelled it: a member could not even be prepared. Which, and why?
            return one_by_one(file, batch, done, start).await;
        }
        return (Err(errno), batch);
    }
}

/// The same, with a round trip between the two.
async fn one_by_one(
    file: &Descriptor,
    mut batch: Vec<u8>,
    mut done: usize,
    start: u64,
) -> (Result<(), i32>, Vec<u8>) {
    let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    while done < batch.len() {
        let (result, back) = write_at(file, batch.slice(done..), start + done as u64).await;
        batch = back.into_inner();
        match result {
            Ok(0) => return (Err(libc::EIO), batch),
            Ok(written) => done += written,
            Err(error) => return (Err(errno(error)), batch),
        }
    }
    (fdatasync(file).await.map_err(errno), batch)
}
