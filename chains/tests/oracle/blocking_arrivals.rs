//! The twin's steps that wait for somebody to come, or for something to be there.

use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

use socket2::Socket;

use super::blocking::{Twin, Way, errno};
use super::peer::PATIENCE;
use super::program::{ACCEPTED, Polled};
use super::report::Failure;

impl Twin<'_> {
    /// What was accepted before is closed.
    pub(super) fn accept(&mut self) -> Result<Way, Failure> {
        self.strike()?;
        let listener = self.listener.as_ref().expect("a program that accepts has a listener");
        let (stream, _) = listener.accept().map_err(|error| errno(&error))?;
        let socket = Socket::from(stream);
        socket.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        socket.set_write_timeout(Some(PATIENCE)).expect("write timeout");
        self.sockets[ACCEPTED] = Some(Rc::new(socket));
        Ok(Way::On)
    }

    pub(super) fn poll(
        &mut self,
        step: u32,
        what: Polled,
        events: u64,
        into: Option<usize>,
    ) -> Result<Way, Failure> {
        self.strike()?;
        let pipe = || self.pipe.as_ref().expect("a program that polls a pipe has one");
        let fd = match what {
            Polled::Socket(socket) => self.wire(socket).as_raw_fd(),
            Polled::Listener => self.listener.as_ref().expect("it has a listener").as_raw_fd(),
            Polled::Silent => return Ok(self.never(step)),
            Polled::Room => pipe().1.as_raw_fd(),
        };
        let come = poll(fd, events);
        self.put(into, come);
        Ok(Way::On)
    }
}

/// poll(2): what holds of the events, which must not take for ever.
fn poll(fd: RawFd, events: u64) -> u64 {
    let mut polled = libc::pollfd { fd, events: events as i16, revents: 0 };
    // SAFETY: it is one `struct pollfd`, which lives on.
    let count = unsafe { libc::poll(&mut polled, 1, PATIENCE.as_millis() as i32) };
    assert_eq!(count, 1, "nothing comes");
    polled.revents as u16 as u64
}
