//! futex: wait for a word of memory to change, without a thread (futex(2), `IORING_OP_FUTEX_*`).
//!
//! The word is owned by whoever shares it, the operation among them: an `Arc<AtomicU32>`, an `Rc`, a `Box` or a
//! `&'static AtomicU32`. The kernel only compares it. Waiters and wakers are those of this process; threads that
//! block on the same word by futex(2) with the private flag wait beside them.
//!
//! Linux 6.7; below that these operations fail with [`Unsupported`](std::io::ErrorKind::Unsupported).

use std::io;
use std::ops::Deref;
use std::sync::atomic::AtomicU32;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::ring::capabilities::Capability;
use crate::ring::{Prepared, Sqe};

/// `FUTEX2_SIZE_U32 | FUTEX2_PRIVATE`: a word of 32 bits, of this process.
const FLAGS: u32 = 2 | 128;

/// See [`futex_wait`].
#[derive(Debug)]
pub struct FutexWait<W> {
    word: W,
    expected: u32,
}

/// Waits until `word` is woken; or fails at once with EAGAIN if it does not hold `expected`.
///
/// Dropping the future cancels the wait; a wake-up that came to it meanwhile is lost.
///
/// # Errors
/// EAGAIN, see above.
pub fn futex_wait<W: Deref<Target = AtomicU32> + 'static>(word: W, expected: u32) -> Op<FutexWait<W>> {
    Op::new(FutexWait { word, expected })
}

pub(crate) const WAIT_FACTS: Facts = Facts {
    name: "futex_wait",
    opcode: opcode::FutexWait::CODE,
    since: (6, 7),
    needs: Some(Capability::Futex),
    returns: Returns::Unit,
    severs: Severs::Always,
    multishot: false,
};

impl<W: Deref<Target = AtomicU32> + 'static> Operation for FutexWait<W> {
    type Output = io::Result<()>;
    const FACTS: Facts = WAIT_FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe::new(opcode::FutexWait::CODE);
        Prepared::new(sqe, FLAGS as i32).futex(&self.word, u64::from(self.expected))
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}

/// See [`futex_wake`].
#[derive(Debug)]
pub struct FutexWake<W> {
    word: W,
    count: u32,
}

/// Wakes at most `count` of those that wait on `word`. Gives how many there were.
///
/// Dropping the future asks for cancellation; they may be woken all the same.
///
/// # Errors
/// Those of futex(2).
pub fn futex_wake<W: Deref<Target = AtomicU32> + 'static>(word: W, count: u32) -> Op<FutexWake<W>> {
    Op::new(FutexWake { word, count })
}

pub(crate) const WAKE_FACTS: Facts = Facts {
    name: "futex_wake",
    opcode: opcode::FutexWake::CODE,
    since: (6, 7),
    needs: Some(Capability::Futex),
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl<W: Deref<Target = AtomicU32> + 'static> Operation for FutexWake<W> {
    type Output = io::Result<usize>;
    const FACTS: Facts = WAKE_FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe::new(opcode::FutexWake::CODE);
        Prepared::new(sqe, FLAGS as i32).futex(&self.word, u64::from(self.count))
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.count()
    }
}

/// `struct futex_waitv`. Only ever made by [`waiters`], from words that outlive it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// See [`futex_waitv`].
#[derive(Debug)]
pub struct FutexWaitV<W> {
    words: Vec<(W, u32)>,
    waiters: Vec<Waiter>,
}

/// Waits until one of several words is woken, and gives its position among them; or fails at once with EAGAIN
/// if one does not hold the value beside it. At most 128.
///
/// Dropping the future cancels the wait.
///
/// # Errors
/// EAGAIN, see above; EINVAL for no words or more than 128.
pub fn futex_waitv<W: Deref<Target = AtomicU32> + 'static>(words: Vec<(W, u32)>) -> Op<FutexWaitV<W>> {
    Op::new(FutexWaitV { words, waiters: Vec::new() })
}

pub(crate) const WAITV_FACTS: Facts = Facts {
    name: "futex_waitv",
    opcode: opcode::FutexWaitV::CODE,
    since: (6, 7),
    needs: Some(Capability::Futex),
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl<W: Deref<Target = AtomicU32> + 'static> Operation for FutexWaitV<W> {
    type Output = io::Result<usize>;
    const FACTS: Facts = WAITV_FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(Sqe::new(opcode::FutexWaitV::CODE), 0).array(waiters(&mut self.waiters, &self.words))
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.count()
    }
}

/// The array that the kernel reads, for as long as the words in it are borrowed.
fn waiters<'a, W: Deref<Target = AtomicU32>>(
    list: &'a mut Vec<Waiter>,
    words: &'a [(W, u32)],
) -> &'a [Waiter] {
    list.clear();
    list.extend(words.iter().map(|(word, value)| Waiter {
        value: u64::from(*value),
        address: word.as_ptr() as u64,
        flags: FLAGS,
        reserved: 0,
    }));
    list
}
