//! sockopt: set and read the options of a socket (setsockopt(2), getsockopt(2), `IORING_OP_URING_CMD`).
//!
//! For options whose value is an int, which nearly all are, through the ring or, at less cost unless other operations are
//! submitted with it, by the system call on the spot. Options with structures are left to the `socket2` crate: some of
//! them hold addresses that the kernel would write to, and none ever waits.

use std::io;
use std::os::fd::RawFd;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::{AnyDescriptor, Descriptor};
use crate::ring::capabilities::Capability;
use crate::ring::{Prepared, Sqe};

/// `SOCKET_URING_OP_GETSOCKOPT`.
const GET: u32 = 2;
/// `SOCKET_URING_OP_SETSOCKOPT`.
const SET: u32 = 3;

/// See [`set_option`].
#[derive(Debug)]
pub struct SetOption<D = Descriptor> {
    socket: D,
    level: i32,
    name: i32,
    value: [u8; 4],
}

/// Sets the option `name` of `level` (`libc::SOL_SOCKET`, `libc::IPPROTO_TCP`, ...) to `value`.
///
/// Linux 6.7; below that setsockopt(2) is called, which does not wait. For a direct descriptor there is no such call, and
/// it fails with [`Unsupported`](io::ErrorKind::Unsupported).
///
/// Dropping the future asks for cancellation; the option may be set all the same.
///
/// # Errors
/// Those of setsockopt(2).
pub fn set_option<D: AnyDescriptor>(socket: &D, level: i32, name: i32, value: i32) -> Op<SetOption<D>> {
    Op::new(SetOption { socket: socket.clone(), level, name, value: value.to_ne_bytes() })
}

pub(crate) const SET_FACTS: Facts = Facts {
    name: "setsockopt",
    opcode: opcode::UringCmd16::CODE,
    since: (6, 7),
    needs: Some(Capability::SocketOptions),
    returns: Returns::Unit,
    severs: Severs::Always,
    multishot: false,
};

impl<D: AnyDescriptor> Operation for SetOption<D> {
    type Output = io::Result<()>;
    const FACTS: Facts = SET_FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        command(&self.socket, SET, self.level, self.name, &mut self.value)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }

    fn fallback(&mut self) -> Option<Completion> {
        let socket = self.socket.of_process()?;
        let done = set(socket, self.level, self.name, i32::from_ne_bytes(self.value));
        Some(Completion::instead(done.map(|()| 0)))
    }
}

/// See [`get_option`].
#[derive(Debug)]
pub struct GetOption {
    socket: Descriptor,
    name: i32,
    value: [u8; 4],
}

/// Reads the option `name` of the level `SOL_SOCKET`, the only one whose options the kernel reads through the
/// ring.
///
/// Linux 6.7; below that getsockopt(2) is called, which does not wait.
///
/// Dropping the future cancels.
///
/// # Errors
/// Those of getsockopt(2); ENOPROTOOPT for SO_GET_FILTER, which is no int.
pub fn get_option(socket: &Descriptor, name: i32) -> Op<GetOption> {
    let name = bounded(libc::SOL_SOCKET, name);
    Op::new(GetOption { socket: socket.clone(), name, value: [0; 4] })
}

pub(crate) const GET_FACTS: Facts = Facts {
    name: "getsockopt",
    opcode: opcode::UringCmd16::CODE,
    since: (6, 7),
    needs: Some(Capability::SocketOptions),
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for GetOption {
    type Output = io::Result<i32>;
    const FACTS: Facts = GET_FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        command(&self.socket, GET, libc::SOL_SOCKET, self.name, &mut self.value)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.count().map(|_| i32::from_ne_bytes(self.value))
    }

    fn fallback(&mut self) -> Option<Completion> {
        let done = get(self.socket.raw(), libc::SOL_SOCKET, self.name);
        Some(Completion::instead(done.map(|value| {
            self.value = value.to_ne_bytes();
            self.value.len() as i32
        })))
    }
}

/// The name of an option that writes no more bytes than it is told; for one that would, a name that the kernel does not
/// know. The length of SO_GET_FILTER counts instructions, of eight bytes: with room for an int it writes up to 32.
fn bounded(level: i32, name: i32) -> i32 {
    if level == libc::SOL_SOCKET && name == libc::SO_GET_FILTER { -1 } else { name }
}

/// Sets the option `name` of `level` to `value` on the spot: setsockopt(2), which does not wait.
///
/// # Errors
/// Those of setsockopt(2).
pub fn set_option_now(socket: &Descriptor, level: i32, name: i32, value: i32) -> io::Result<()> {
    set(socket.raw(), level, name, value)
}

/// Reads the option `name` of any level on the spot: getsockopt(2), which does not wait. Of an option that is longer than
/// an int it is the first four bytes, or the kernel refuses.
///
/// # Errors
/// Those of getsockopt(2); ENOPROTOOPT for SO_GET_FILTER, which is no int.
pub fn get_option_now(socket: &Descriptor, level: i32, name: i32) -> io::Result<i32> {
    get(socket.raw(), level, name)
}

fn set(socket: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel reads at most the four bytes of a local; no option with addresses in its value is as short as
    // an int.
    let result = unsafe { libc::setsockopt(socket, level, name, std::ptr::from_ref(&value).cast(), len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn get(socket: RawFd, level: i32, name: i32) -> io::Result<i32> {
    let (mut value, name) = (0, bounded(level, name));
    let mut len = size_of_val(&value) as libc::socklen_t;
    // SAFETY:
    // - the kernel writes at most `len` bytes into a local of that size, for `bounded` keeps what would write more away;
    // - it writes into `len`, a local;
    // - no option with addresses in its value is as short as an int.
    let result =
        unsafe { libc::getsockopt(socket, level, name, std::ptr::from_mut(&mut value).cast(), &mut len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// Who is at the other end of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// The process; 0 if it lies outside of our process namespace.
    pub pid: i32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// Who was at the other end of a Unix socket when it was connected (getsockopt(2), SO_PEERCRED). Makes the system
/// call, which does not wait: the kernel reads no option of this size through the ring.
///
/// # Errors
/// Those of getsockopt(2); `InvalidData` for a socket that has no peer process.
pub fn peer_credentials(socket: &Descriptor) -> io::Result<PeerCredentials> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = size_of_val(&peer) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes of integers into a local of that size.
    let result = unsafe {
        libc::getsockopt(
            socket.raw(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            std::ptr::from_mut(&mut peer).cast(),
            &mut len,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // Of a socket without a peer the kernel says user -1.
    if peer.uid == u32::MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "there is no process at the other end"));
    }
    Ok(PeerCredentials { pid: peer.pid, uid: peer.uid, gid: peer.gid })
}

/// A command on a socket. Two pairs of 32-bit fields lie where other opcodes have a number of 64 bits.
fn command<'a>(
    socket: &impl AnyDescriptor,
    command: u32,
    level: i32,
    name: i32,
    value: &'a mut [u8; 4],
) -> Prepared<'a> {
    let pair = |first: u32, second: u32| {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&first.to_ne_bytes());
        bytes[4..].copy_from_slice(&second.to_ne_bytes());
        u64::from_ne_bytes(bytes)
    };
    Prepared::on(Sqe::new(opcode::UringCmd16::CODE), socket)
        .at(pair(command, 0))
        .number(pair(level as u32, name as u32))
        .option_value(value)
}
