//! Calls to frames that wait.

use crate::driver::Key;
use crate::exec::Handle;

impl Handle {
    /// Calls a frame of this core: if it [waits](super::Frame::wait) it goes on in the next turn, by
    /// [`Resume::unparked`](super::Resume::unparked). The queue of calls is in order.
    ///
    /// A frame that has ended, or does not wait by the time of its turn, does not hear of it; one that has begun to wait for
    /// something else does. So whoever waits looks whether what it waits for is there, and waits again if it is not.
    pub fn call_frame(&self, frame: Key) {
        self.driver().make_ready(frame);
    }
}
