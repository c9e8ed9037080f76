//! Values that the kernel reads and writes as they are.

/// A type without padding worth hiding, of which every bit pattern is a value, laid out as in the kernel's
/// headers.
///
/// # Safety
/// All of that: the kernel may write any bytes into it, at any time while an operation lends it.
pub(crate) unsafe trait Plain: Copy + 'static {}

// SAFETY: integers.
unsafe impl Plain for u8 {}
// SAFETY: integers.
unsafe impl Plain for i32 {}
// SAFETY: integers.
unsafe impl Plain for [i32; 2] {}
// SAFETY: integers, `struct epoll_event` as libc lays it out for the kernel.
unsafe impl Plain for libc::epoll_event {}
// SAFETY: integers, `repr(C)` in the order of `<linux/stat.h>`, all padding named.
unsafe impl Plain for crate::op::statx::Statx {}
// SAFETY: three integers, `struct open_how` of `<linux/openat2.h>`.
unsafe impl Plain for crate::op::openat2::OpenHow {}
// SAFETY: integers, `struct futex_waitv` of `<linux/futex.h>`.
unsafe impl Plain for crate::op::futex::Waiter {}
// SAFETY: integers, the part of `siginfo_t` that waitid fills and the rest of its 128 bytes.
unsafe impl Plain for crate::op::waitid::SigInfo {}
