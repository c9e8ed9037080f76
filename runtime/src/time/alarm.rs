//! Deadlines of frames.

use std::time::Instant;

use super::timers::Target;
use super::wheel::Id;
use crate::driver::Key;
use crate::exec::Handle;

/// A timer that calls a frame; plain bits, so that a frame can keep it in a register. It may be used after its
/// timer is over, and then names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm(u64);

impl Alarm {
    /// The bits, never zero.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The alarm of these bits. Bits that are no alarm's name nothing.
    pub fn from_bits(bits: u64) -> Self {
        Alarm(bits)
    }

    fn new(id: Id) -> Self {
        Alarm(u64::from(id.generation) << 32 | (u64::from(id.index) + 1))
    }

    fn id(self) -> Option<Id> {
        let index = (self.0 as u32).checked_sub(1)?;
        Some(Id { index, generation: (self.0 >> 32) as u32 })
    }
}

impl Handle {
    /// Calls a frame at `deadline`: it is put into the ready queue, as by
    /// [`Frame::park`](crate::frame::Frame::park), if it [waits](crate::frame::Frame::wait). `None` if the deadline has passed.
    ///
    /// The alarm is over once it has called, or is [stopped](Handle::stop_alarm). It does not keep the frame: a
    /// call for a frame that has ended reaches nobody.
    pub fn start_alarm(&self, deadline: Instant, frame: Key) -> Option<Alarm> {
        self.core().timers.start(deadline, || Target::Frame(frame)).map(Alarm::new)
    }

    /// Stops an alarm, in constant time; false if it was over.
    pub fn stop_alarm(&self, alarm: Alarm) -> bool {
        alarm.id().is_some_and(|id| self.core().timers.stop(id))
    }
}
