//! Pipes that frames splice through: made when they are first used, and anew if something was left in one.

use std::io;
use std::os::fd::OwnedFd;

use chainring_runtime::frame::Frame;

use super::runner::Runner;
use crate::compile::flow::Pc;
use crate::error::ErrorKind;
use crate::handle::Pipe;

impl<S: 'static> Runner<S> {
    /// Makes a pipe unless the frame has one in which nothing was left. A system call that does not wait.
    pub(super) fn make_pipe<'f>(
        &self,
        mut frame: Frame<'f>,
        line: Pc,
        pipe: Pipe,
        next: u32,
    ) -> Option<(Frame<'f>, u32)> {
        let [read, write] = [pipe.read, pipe.write].map(|end| frame.take_descriptor(end.index));
        let ends = match (read, write) {
            (Some(read), Some(write)) if frame.registers().get(pipe.used.index) == 0 => Ok((read, write)),
            _ => io::pipe().map(|(read, write)| (OwnedFd::from(read), OwnedFd::from(write))),
        };
        match ends {
            Ok((read, write)) => {
                frame.put_descriptor(pipe.read.index, read);
                frame.put_descriptor(pipe.write.index, write);
                frame.registers().set(pipe.used.index, 1);
                Some((frame, next))
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                self.route(frame, line, ErrorKind::Errno(errno))
            }
        }
    }
}
