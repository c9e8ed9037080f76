//! What sendmsg and recvmsg need besides bytes: names and control messages.
//!
//! The `msghdr` that the kernel reads points to the name, the parts and the control bytes. All of them are
//! fields of the same operation; `MsgHdr` is only ever filled from borrows of one lifetime, which the
//! `Header` that goes into the submission carries on.
//!
//! Descriptors can travel in control messages (`SCM_RIGHTS`). Sending them takes shared ownership until the
//! operation is over. Received ones are owned by the [`Control`] they came in and are closed with it, also when
//! nobody waits for the message any more. So is the descriptor of the sending process, which the kernel adds on a
//! socket that asks for it (`SCM_PIDFD`, Linux 6.5).

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use socket2::{SockAddr, SockAddrStorage};

use crate::buf::Gathered;
use crate::descriptor::Descriptor;

/// `struct msghdr`, as part of an operation.
pub(crate) struct MsgHdr(libc::msghdr);

/// A filled `msghdr` together with the borrow of everything that it points to.
pub(crate) struct Header<'a> {
    header: &'a mut libc::msghdr,
    memory: PhantomData<&'a mut [u8]>,
}

impl Header<'_> {
    pub(crate) fn as_ptr(&self) -> *const libc::msghdr {
        self.header
    }
}

impl MsgHdr {
    pub(crate) fn new() -> Self {
        // SAFETY: integers and null pointers.
        MsgHdr(unsafe { std::mem::zeroed() })
    }

    /// The kernel reads the name, the parts and the control bytes.
    pub(crate) fn sends<'a>(
        &'a mut self,
        name: Option<&'a SockAddr>,
        parts: Gathered<'a>,
        control: &'a [u8],
    ) -> Header<'a> {
        *self = MsgHdr::new();
        if let Some(name) = name {
            self.0.msg_name = name.as_ptr().cast_mut().cast();
            self.0.msg_namelen = name.len();
        }
        if !control.is_empty() {
            self.0.msg_control = control.as_ptr().cast_mut().cast();
            self.0.msg_controllen = control.len() as _;
        }
        self.parts(parts)
    }

    /// The kernel writes the name, the parts and the control bytes.
    pub(crate) fn receives<'a>(
        &'a mut self,
        name: &'a mut Name,
        parts: Gathered<'a>,
        control: &'a mut [u8],
    ) -> Header<'a> {
        *self = MsgHdr::new();
        self.0.msg_name = std::ptr::from_mut(&mut name.0).cast();
        self.0.msg_namelen = name.0.size_of();
        if !control.is_empty() {
            self.0.msg_control = control.as_mut_ptr().cast();
            self.0.msg_controllen = control.len() as _;
        }
        self.parts(parts)
    }

    /// The kernel writes name and payload into a buffer of a pool.
    pub(crate) fn selects(&mut self, name_len: u32) -> Header<'_> {
        *self = MsgHdr::new();
        self.0.msg_namelen = name_len;
        Header { header: &mut self.0, memory: PhantomData }
    }

    fn parts<'a>(&'a mut self, parts: Gathered<'a>) -> Header<'a> {
        let parts = parts.iovecs();
        self.0.msg_iov = parts.as_ptr().cast_mut();
        self.0.msg_iovlen = parts.len() as _;
        Header { header: &mut self.0, memory: PhantomData }
    }

    /// The length of the name, the used length of the control bytes and the flags, after a receive.
    #[allow(clippy::unnecessary_cast, reason = "the C libraries differ in the type of msg_controllen")]
    pub(crate) fn received(&self) -> (u32, usize, i32) {
        (self.0.msg_namelen, self.0.msg_controllen as usize, self.0.msg_flags)
    }
}

impl fmt::Debug for MsgHdr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MsgHdr").finish_non_exhaustive()
    }
}

/// Room for the address that a message came from.
#[derive(Debug)]
pub(crate) struct Name(SockAddrStorage);

impl Name {
    pub(crate) fn new() -> Self {
        Name(SockAddrStorage::zeroed())
    }

    /// The address of `len` bytes that the kernel wrote, if it is one.
    pub(crate) fn address(self, len: u32) -> Option<SockAddr> {
        address(self.0, len)
    }

    /// The address in bytes that the kernel wrote elsewhere.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<SockAddr> {
        let mut storage = SockAddrStorage::zeroed();
        let len = bytes.len().min(storage.size_of() as usize);
        // SAFETY: `sockaddr_storage` is as large as itself, and any bytes are one.
        let place = unsafe { storage.view_as::<libc::sockaddr_storage>() };
        // SAFETY: `len` bytes are in both, which do not overlap.
        unsafe { std::ptr::from_mut(place).cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), len) };
        address(storage, len as u32)
    }
}

fn address(mut storage: SockAddrStorage, len: u32) -> Option<SockAddr> {
    // SAFETY: `sockaddr_storage` is what the storage is.
    let family = i32::from(unsafe { storage.view_as::<libc::sockaddr_storage>() }.ss_family);
    let least = match family {
        libc::AF_INET => size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
        _ => size_of::<libc::sa_family_t>(),
    };
    if (len as usize) < least || len > storage.size_of() {
        return None;
    }
    // SAFETY: the length is at least that of the family's address, and inside the storage.
    Some(unsafe { SockAddr::new(storage, len) })
}

/// Resets a connection: what it has not delivered is thrown away.
pub(crate) fn reset(socket: &Descriptor) {
    // SAFETY: an integer and padding.
    let mut nowhere: libc::sockaddr = unsafe { std::mem::zeroed() };
    nowhere.sa_family = libc::AF_UNSPEC as libc::sa_family_t;
    // SAFETY: an address of this frame, of the size given. An error means that there is no connection.
    unsafe { libc::connect(socket.raw(), &nowhere, size_of::<libc::sockaddr>() as libc::socklen_t) };
}

/// Control messages (cmsg(3)): to be sent, or received.
///
/// ```
/// use chainring_runtime::op::message::Control;
///
/// // One datagram in segments of 1200 bytes (UDP_SEGMENT, a u16).
/// let control = Control::new().with(libc::SOL_UDP, 103, &1200u16.to_ne_bytes());
/// assert_eq!(control.iter().next().unwrap(), (libc::SOL_UDP, 103, &1200u16.to_ne_bytes()[..]));
/// ```
#[derive(Default)]
pub struct Control {
    bytes: Vec<u8>,
    /// What it was made to receive; a message leaves fewer bytes.
    room: usize,
    /// Descriptors that go out with the message, kept open until it is sent.
    sending: Vec<Descriptor>,
    /// Descriptors that came with the message.
    received: Vec<OwnedFd>,
    /// That of the process that sent it.
    sender: Option<OwnedFd>,
    /// Whether the kernel may have put descriptors into the bytes.
    may_hold: bool,
}

/// `struct cmsghdr` of the kernel: a length of a machine word, level and type.
const WORD: usize = size_of::<usize>();
const HEAD: usize = WORD + 8;

/// linux/socket.h
const SCM_PIDFD: i32 = 4;

const fn aligned(len: usize) -> usize {
    len.next_multiple_of(WORD)
}

impl Control {
    /// No control messages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Room to receive control messages of `bytes` bytes, their heads (16 bytes each) and padding included. What has received
    /// a message has the same room for another one.
    pub fn with_room(bytes: usize) -> Self {
        let mut control = Control::new();
        (control.bytes, control.room) = (vec![0; bytes], bytes);
        control
    }

    /// One message more to be sent.
    ///
    /// # Panics
    /// If it is SCM_RIGHTS, which [`rights`](Control::rights) sends.
    #[must_use]
    pub fn with(mut self, level: i32, kind: i32, data: &[u8]) -> Self {
        let is_rights = (level, kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        assert!(!is_rights, "descriptors are sent with `rights`, which keeps them open");
        self.push(level, kind, data);
        self
    }

    /// Sends descriptors over a Unix socket (unix(7), SCM_RIGHTS; at most 253). The receiver gets its own.
    #[must_use]
    pub fn rights(mut self, descriptors: impl IntoIterator<Item = Descriptor>) -> Self {
        let first = self.sending.len();
        self.sending.extend(descriptors);
        let numbers: Vec<u8> = self.sending[first..].iter().flat_map(|one| one.raw().to_ne_bytes()).collect();
        self.push(libc::SOL_SOCKET, libc::SCM_RIGHTS, &numbers);
        self
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        self.bytes.extend((HEAD + data.len()).to_ne_bytes());
        self.bytes.extend(level.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(data);
        self.bytes.resize(aligned(self.bytes.len()), 0);
    }

    /// The messages as level, type and data. Descriptors that came are not among them.
    pub fn iter(&self) -> impl Iterator<Item = (i32, i32, &[u8])> {
        parse(&self.bytes).filter(|(level, kind, _)| !holds_descriptors(*level, *kind))
    }

    /// Takes the descriptors that came with the message.
    pub fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.received)
    }

    /// Takes the descriptor of the process that sent the message, which comes if the option SO_PASSPIDFD is set (Linux
    /// 6.5).
    pub fn take_sender(&mut self) -> Option<OwnedFd> {
        self.sender.take()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The room as the kernel is to fill it.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.may_hold = true;
        // What came with an earlier message is not this one's.
        (self.sender, self.received) = (None, Vec::new());
        let room = self.room.max(self.bytes.len());
        self.bytes.clear();
        self.bytes.resize(room, 0);
        &mut self.bytes
    }

    /// Takes ownership of what the kernel put into the first `len` bytes.
    pub(crate) fn received(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.adopt();
    }

    /// Makes the numbers in the bytes owned descriptors, once.
    fn adopt(&mut self) {
        if !std::mem::take(&mut self.may_hold) {
            return;
        }
        if !parse(&self.bytes).any(|(level, kind, _)| holds_descriptors(level, kind)) {
            return;
        }
        let mut numbers: Vec<(RawFd, i32)> = Vec::new();
        // The rest without the numbers: sent on as they are they would be descriptors of nobody.
        let mut others = Control::new();
        for (level, kind, data) in parse(&self.bytes) {
            if holds_descriptors(level, kind) {
                let words = data.chunks_exact(4).filter_map(|n| n.try_into().ok());
                // In the place of a process that cannot be had there is an error.
                let numbered = words.map(RawFd::from_ne_bytes).filter(|n| *n >= 0);
                numbers.extend(numbered.map(|n| (n, kind)));
            } else {
                others.push(level, kind, data);
            }
        }
        self.bytes = std::mem::take(&mut others.bytes);
        for (number, kind) in numbers {
            // SAFETY: the kernel created it for this message, of which there is one reader; the bytes were zero
            // before it wrote, and this runs once a receive.
            let owned = unsafe { OwnedFd::from_raw_fd(number) };
            match kind {
                SCM_PIDFD => self.sender = Some(owned),
                _ => self.received.push(owned),
            }
        }
    }
}

/// Whether the kernel puts descriptors into control messages of a level and type.
fn holds_descriptors(level: i32, kind: i32) -> bool {
    level == libc::SOL_SOCKET && matches!(kind, libc::SCM_RIGHTS | SCM_PIDFD)
}

/// Goes through control messages. Ends at the first that does not fit: the bytes are the kernel's.
fn parse(bytes: &[u8]) -> impl Iterator<Item = (i32, i32, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = usize::from_ne_bytes(rest.get(..WORD)?.try_into().ok()?);
        let level = i32::from_ne_bytes(rest.get(WORD..WORD + 4)?.try_into().ok()?);
        let kind = i32::from_ne_bytes(rest.get(WORD + 4..HEAD)?.try_into().ok()?);
        let data = rest.get(HEAD..len)?;
        rest = rest.get(aligned(len)..).unwrap_or(&[]);
        Some((level, kind, data))
    })
}

impl Drop for Control {
    fn drop(&mut self) {
        // The message came, and nobody looked.
        self.adopt();
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = self.iter().map(|(level, kind, data)| (level, kind, data.len()));
        f.debug_list().entries(messages).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_survive_the_round_trip_and_garbage_ends_them() {
        let control = Control::new().with(1, 99, b"abc").with(2, 98, b"").with(3, 97, &[7; 9]);
        let seen: Vec<_> = control.iter().map(|(l, k, d)| (l, k, d.to_vec())).collect();
        assert_eq!(seen, [(1, 99, b"abc".to_vec()), (2, 98, vec![]), (3, 97, vec![7; 9])]);

        for len in [0usize, 1, 15, 17, 1 << 40, usize::MAX] {
            let mut bytes = vec![0xff; 16];
            bytes[..WORD].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(parse(&bytes).count(), 0, "length {len}");
        }
    }

    #[test]
    #[should_panic = "rights"]
    fn bare_numbers_of_descriptors_are_not_sent() {
        let _ = Control::new().with(libc::SOL_SOCKET, libc::SCM_RIGHTS, &3i32.to_ne_bytes());
    }
}
