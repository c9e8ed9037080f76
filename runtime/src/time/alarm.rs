//! Timers of frames: those that call one that waits, and those that interrupt one at work.

use std::time::{Duration, Instant};

use super::timers::Target;
use super::wheel::Id;
use crate::driver::Key;
use crate::exec::Handle;

/// A timer that calls or interrupts a frame; plain bits, so that a frame can keep it in a register. It may be used after its
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

    /// Interrupts a frame after `time`: what it has in flight by then is cancelled, and it is resumed with a
    /// [`Stop`](crate::frame::Stop) that says so; if it is parked its turn comes, and it
    /// [knows](crate::frame::Frame::is_interrupted). `None` if `time` is zero.
    ///
    /// Costs neither a submission nor, once as many timers have been in use, an allocation. The alarm is over once it has
    /// interrupted, or is [stopped](Handle::stop_alarm).
    pub fn start_deadline(&self, time: Duration, frame: Key) -> Option<Alarm> {
        self.core().timers.start_after(time, || Target::Deadline(frame)).map(Alarm::new)
    }

    /// Whether an alarm has yet to call.
    pub fn alarm_waits(&self, alarm: Alarm) -> bool {
        alarm.id().is_some_and(|id| self.core().timers.waits(id))
    }

    /// Stops an alarm, in constant time; false if it was over.
    pub fn stop_alarm(&self, alarm: Alarm) -> bool {
        alarm.id().is_some_and(|id| self.core().timers.stop(id))
    }
}
