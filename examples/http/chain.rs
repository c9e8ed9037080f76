//! What happens on a connection: a request is received and understood, a file is opened, an answer sent, and so on until one
//! of the two has enough.

use std::time::Duration;

use chainring::chains::{BuildError, Chain, OpenHow, Program, outbox, read, reg, stream, value, write};

use crate::Limits;
use crate::connection::Connection;

/// Bytes of the head of a request at most.
pub(crate) const HEAD: u32 = 16 << 10;
/// Bytes of a path at most, a NUL at its end included: the kernel's own limit.
pub(crate) const PATH: usize = 4096;
/// Bytes of a file that are read and sent at a time. What is not longer is read at once, and kept.
pub(crate) const CHUNK: u32 = 64 << 10;
/// How long a client that was refused may go on sending: closed at once, it could lose the answer.
const LINGER: Duration = Duration::from_secs(1);

/// What comes next: set by calls.
pub(crate) mod action {
    /// The request is not whole.
    pub(crate) const MORE: u64 = 0;
    /// The answer is in the outbox.
    pub(crate) const SEND: u64 = 1;
    /// A file has to be opened, and looked at.
    pub(crate) const OPEN: u64 = 2;
    /// It is small: read whole, it is the answer.
    pub(crate) const READ: u64 = 3;
    /// It follows the head that is in the outbox.
    pub(crate) const STREAM: u64 = 4;
}

/// What becomes of the connection after an answer: set by calls.
pub(crate) mod after {
    pub(crate) const GO_ON: u64 = 0;
    pub(crate) const CLOSE: u64 = 1;
    /// Close, when the client has had a moment to read the answer.
    pub(crate) const LINGER: u64 = 2;
}

pub(crate) fn program(limits: Limits) -> Result<Program<Connection>, BuildError> {
    let mut c = Chain::<Connection>::new("http");
    let (sock, file, out) = (c.accepted(), c.file(), c.outbox());
    let (input, path, data) = (c.stream(HEAD), c.buffer(PATH as u32), c.pooled(CHUNK));
    let [action, after, errno, opened] = [(); 4].map(|()| c.reg());
    let [size, mode, modified, nanoseconds, inode] = [(); 5].map(|()| c.reg());
    let [at, end, len] = [(); 3].map(|()| c.reg());
    // Beneath the root, whatever links there are; and not through those of /proc.
    let how = OpenHow {
        flags: (libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY) as u64,
        resolve: libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS,
        ..OpenHow::default()
    };
    let understand = |c: &mut Chain<Connection>| {
        let access = (stream(input), reg(action), reg(after), outbox(out));
        c.call(access, |own, (input, action, after, out)| own.understand(input, action, after, out));
    };
    for reg in [action, after, opened, at, end, len] {
        c.set(reg, 0);
    }
    c.repeat(|c| {
        c.attempt(|c| {
            // It may have come with the one before.
            c.set(action, action::MORE);
            c.when(input.is_empty().not(), understand);
            c.when(action.eq(action::MORE) & input.is_empty(), |c| {
                c.within(limits.idle, |c| {
                    c.fill(sock, input).or_finish();
                });
                understand(c);
            });
            c.when(action.eq(action::MORE), |c| {
                c.within(limits.head, |c| {
                    c.repeat(|c| {
                        c.fill(sock, input).or_finish();
                        understand(c);
                        c.when(action.ne(action::MORE), |c| c.leave());
                    });
                });
            });
        })
        .on_error(errno, |c| {
            // Who has said nothing is told nothing.
            c.when(errno.ne(libc::ETIMEDOUT) | input.is_empty(), |c| c.finish());
            let access = (reg(action), reg(after), outbox(out));
            c.call(access, |own, (action, after, out)| own.too_slow(action, after, out));
        });
        c.when(action.eq(action::OPEN), |c| {
            c.repeat(|c| {
                for reg in [errno, opened, size, mode, modified, nanoseconds, inode] {
                    c.set(reg, 0);
                }
                c.call((write(path.all()),), |own, (path,)| own.put_path(path));
                c.attempt(|c| {
                    c.open(file, path.all(), how);
                    c.set(opened, 1);
                    let found = c.statx(file).size(size).mode(mode).inode(inode);
                    found.modified(modified).modified_nanoseconds(nanoseconds);
                })
                .on_error(errno, |_| {});
                let access = (value(size), value(modified), value(nanoseconds), value(inode));
                c.call(access, |own, (size, modified, nanoseconds, inode)| {
                    own.found(size, modified, nanoseconds, inode)
                });
                let access = (value(errno), value(mode), reg(action), reg(at), reg(end), outbox(out));
                c.call(access, |own, (errno, mode, action, at, end, out)| {
                    own.decide(errno, mode, action, at..end, out)
                });
                c.when(action.ne(action::OPEN), |c| c.leave());
            });
        });
        c.when(action.eq(action::READ), |c| {
            c.attempt(|c| {
                c.read_exact_at(file, data.to(end), 0);
                c.call((read(data.to(end)), outbox(out)), |own, (bytes, out)| own.keep(bytes, out));
            })
            .on_error(errno, |c| {
                c.call((outbox(out),), |own, (out,)| own.broken(out));
            });
        });
        c.within(limits.send, |c| c.send_outbox(sock, out));
        c.when(action.eq(action::STREAM), |c| {
            c.repeat(|c| {
                c.when(at.ge(end), |c| c.leave());
                c.set(len, end - at);
                c.when(len.gt(CHUNK), |c| c.set(len, CHUNK));
                // If the file has become shorter, the client notices by the end of the connection.
                c.read_exact_at(file, data.to(len), at);
                c.within(limits.send, |c| {
                    c.send_all(sock, data.to(len));
                });
                c.set(at, at + len);
            });
        });
        c.when(opened.eq(1), |c| {
            c.close_file(file);
            c.set(opened, 0);
        });
        c.when(after.eq(after::CLOSE), |c| c.finish());
        c.when(after.eq(after::LINGER), |c| {
            c.attempt(|c| {
                c.shutdown(sock);
                c.within(LINGER, |c| {
                    c.repeat(|c| {
                        c.recv(sock, data.all()).or_finish();
                    });
                });
            })
            .on_error(errno, |_| {});
            c.finish();
        });
    });
    c.build()
}
