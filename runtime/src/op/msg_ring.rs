//! msg_ring: wake another core (`IORING_OP_MSG_RING`).
//!
//! A message is a completion in the other ring, whose `user_data` the sender chooses. A chosen `user_data` could
//! complete any operation there while the kernel still works on it. So a message of chainring always carries
//! the same key, which belongs to nothing, and says nothing: that it came is what wakes the core.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::driver::Key;
use crate::exec::Handle;
use crate::ring::{Prepared, Sqe};

/// The ring of a core, to send messages to. It can go to any thread, and keeps the ring itself (not the
/// runtime) alive.
#[derive(Clone, Debug)]
pub struct Doorbell(Arc<OwnedFd>);

impl Doorbell {
    /// That of `core`.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn of(core: &Handle) -> io::Result<Doorbell> {
        core.driver().ring.as_fd().try_clone_to_owned().map(|fd| Doorbell(Arc::new(fd)))
    }
}

/// See [`msg_ring`].
#[derive(Debug)]
pub struct MsgRing(Doorbell);

/// Wakes the core of `doorbell`, which looks around and sleeps again. Completes when the message has arrived.
///
/// Dropping the future asks for cancellation; the message may arrive all the same.
///
/// # Errors
/// EBADFD if the other ring is gone, EOVERFLOW if its completion queue is full.
pub fn msg_ring(doorbell: &Doorbell) -> Op<MsgRing> {
    Op::new(MsgRing(doorbell.clone()))
}

pub(crate) const FACTS: Facts = Facts {
    name: "msg_ring",
    opcode: opcode::MsgRingData::CODE,
    since: (5, 18),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for MsgRing {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let key = Key::HEARD.with_step(0);
        Prepared::new(Sqe::new(opcode::MsgRingData::CODE), self.0.0.as_raw_fd()).at(key)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
