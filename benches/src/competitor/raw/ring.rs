//! A ring as a good engineer would set it up today, and the one way to turn it.

use std::io;

use io_uring::squeue::{Entry, SubmissionQueue};
use io_uring::{IoUring, Submitter, opcode, types::Fd};

/// Submissions of one enter: 16 KiB of entries, which stay in the first-level cache.
const SUBMISSIONS: u32 = 256;

/// Completions that fit before the kernel has to keep them aside.
const COMPLETIONS: u32 = 4096;

/// A ring for one thread that runs the kernel's deferred work only when it waits.
pub(in crate::competitor) fn build() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(COMPLETIONS)
        .build(SUBMISSIONS)
}

/// One enter: submits what was published and waits for a completion.
#[inline]
pub(in crate::competitor) fn turn(submitter: &Submitter<'_>) -> io::Result<()> {
    match submitter.submit_and_wait(1) {
        Ok(_) => Ok(()),
        Err(error) if passing(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes room for a list of `length` entries, so that no link is ever cut by a submission.
#[inline]
pub(in crate::competitor) fn reserve(
    queue: &mut SubmissionQueue<'_>,
    submitter: &Submitter<'_>,
    length: usize,
) -> io::Result<()> {
    if queue.capacity() - queue.len() < length { flush(queue, submitter, length) } else { Ok(()) }
}

#[cold]
fn flush(queue: &mut SubmissionQueue<'_>, submitter: &Submitter<'_>, length: usize) -> io::Result<()> {
    while queue.capacity() - queue.len() < length {
        queue.sync();
        match submitter.submit() {
            Ok(_) => queue.sync(),
            Err(error) if passing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Errors of an enter that a later one does not meet again.
fn passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN))
}

/// The entry that accepts until it is told otherwise.
pub(in crate::competitor) fn accept(listener: Fd, user_data: u64) -> Entry {
    opcode::AcceptMulti::new(listener).flags(libc::SOCK_CLOEXEC).build().user_data(user_data)
}

/// The descriptor that an accept brought, nothing if that peer has gone already, or the reason why none will
/// ever come.
pub(in crate::competitor) fn accepted(result: i32) -> io::Result<Option<i32>> {
    match result {
        0.. => Ok(Some(result)),
        error if matches!(-error, libc::ECONNABORTED | libc::EINTR | libc::EPROTO) => Ok(None),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}
