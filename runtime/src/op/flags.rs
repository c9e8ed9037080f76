//! Flags of messages and splices, as far as an operation can have them.
//!
//! Whoever uses an operation chooses its flags, from a number. A few of them change who owns what, or how the kernel
//! reads what it is given; these are taken out.

/// The pages of the buffer are sent and not copied (Linux 6.5). The kernel takes it from itself alone.
const MSG_SPLICE_PAGES: i32 = 0x800_0000;
/// Structures are those of a process of 32 bits.
const MSG_CMSG_COMPAT: i32 = i32::MIN;
/// The number of the input is that of a direct descriptor.
const SPLICE_F_FD_IN_FIXED: u32 = 1 << 31;

/// Flags of a send. With `MSG_ZEROCOPY`, on a socket with SO_ZEROCOPY, the kernel would go on reading the buffer after it
/// was given back; `send_zc` waits for it.
pub(crate) const fn sending(flags: i32) -> u32 {
    (flags & !(libc::MSG_ZEROCOPY | MSG_SPLICE_PAGES | MSG_CMSG_COMPAT) | libc::MSG_NOSIGNAL) as u32
}

/// Flags of a receive. With MSG_TRUNC the result would be the length of a datagram, or count bytes of a stream that were
/// thrown away, and not what was written.
pub(crate) const fn receiving(flags: i32) -> u32 {
    (flags & !(libc::MSG_TRUNC | MSG_CMSG_COMPAT)) as u32
}

/// Flags of a splice, whose input is a descriptor of the process.
pub(crate) const fn splicing(flags: u32) -> u32 {
    flags & !SPLICE_F_FD_IN_FIXED
}
