//! raw: any other opcode, vouched for by an `unsafe` implementation (io_uring_enter(2)); `IORING_OP_URING_CMD` among
//! them.
//!
//! ```
//! use chainring_runtime::op::raw::{Entry, RawOperation, raw};
//! use chainring_runtime::op::{Completion, Facts, Returns, Severs};
//!
//! /// sync_file_range(2), as if [`op::sync_file_range`](super::sync_file_range) were not there: no memory, one
//! /// completion.
//! struct SyncFileRange(chainring_runtime::Descriptor, u32);
//!
//! // SAFETY: the entry points to no memory, and the descriptor is open as long as the operation owns it.
//! unsafe impl RawOperation for SyncFileRange {
//!     type Output = std::io::Result<()>;
//!     const FACTS: Facts = Facts {
//!         name: "sync_file_range",
//!         opcode: 8,
//!         since: (5, 2),
//!         needs: None,
//!         returns: Returns::Unit,
//!         severs: Severs::Never,
//!         multishot: false,
//!     };
//!
//!     fn entry(&mut self) -> Entry {
//!         use std::os::fd::{AsFd, AsRawFd};
//!         Entry { fd: self.0.as_fd().as_raw_fd(), op_flags: self.1, ..Entry::default() }
//!     }
//!
//!     fn complete(self, completion: Completion) -> Self::Output {
//!         completion.unit()
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let runtime = chainring_runtime::Runtime::new()?;
//! runtime.block_on(async {
//!     let file = chainring_runtime::Descriptor::new(std::fs::File::create("/dev/null")?.into());
//!     // The device has nothing to sync, and says so.
//!     let refused = raw(SyncFileRange(file, 0)).await.unwrap_err();
//!     assert_eq!(refused.raw_os_error(), Some(libc::ESPIPE));
//!     Ok(())
//! })
//! # }
//! ```
//!
//! ```compile_fail,E0200
//! # use chainring_runtime::op::raw::{Entry, RawOperation};
//! # use chainring_runtime::op::{Completion, Facts};
//! struct Any;
//!
//! // Whoever hands addresses to the kernel has to answer for them.
//! impl RawOperation for Any {
//!     type Output = ();
//!     const FACTS: Facts = unimplemented!();
//!     fn entry(&mut self) -> Entry { Entry::default() }
//!     fn complete(self, _: Completion) {}
//! }
//! ```

use super::{Completion, Facts, Op, Operation, Returns};
use crate::ring::sqe::{BUFFER_SELECT, FIXED_FILE};
use crate::ring::{Prepared, Sqe};

/// Punt to a worker thread at once (`IOSQE_ASYNC`).
const ASYNC: u8 = 1 << 4;

/// A submission queue entry: the fields of `struct io_uring_sqe` that an operation may choose. The rest belongs to
/// the runtime: `opcode` comes from the facts, `user_data` is the slot's, and flags that link or silence are
/// those of chains.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the fields are named and explained by io_uring_enter(2)")]
pub struct Entry {
    /// Of these the runtime passes on `IOSQE_FIXED_FILE`, `IOSQE_ASYNC` and `IOSQE_BUFFER_SELECT`.
    pub flags: u8,
    pub ioprio: u16,
    pub fd: i32,
    /// `off`, `addr2` or `cmd_op`.
    pub off: u64,
    /// `addr`, `splice_off_in`, or `level` and `optname`.
    pub addr: u64,
    pub len: u32,
    /// `rw_flags`, `msg_flags`, ..., `uring_cmd_flags`.
    pub op_flags: u32,
    /// `buf_index` or `buf_group`.
    pub buf_index: u16,
    pub personality: u16,
    /// `file_index`, `splice_fd_in` or `optlen`.
    pub file_index: u32,
    /// `addr3`, `optval`, or the first eight bytes of `cmd`.
    pub addr3: u64,
    /// The other eight bytes of `cmd`.
    pub pad: u64,
}

/// An operation of any opcode.
///
/// # Safety
/// - Whatever the kernel may touch because of [`entry`](RawOperation::entry) (buffers, structures, paths) must be
///   owned by the value (or be static): valid for what the kernel does with it, and touched by nobody else,
///   from `entry` until the value is given to [`complete`](RawOperation::complete) or dropped. The value is not
///   moved in between, so the memory may be inside of it.
/// - [`FACTS`](RawOperation::FACTS) must say truly what the opcode returns: a descriptor if and only if it is
///   [`Returns::Descriptor`], and a notification after the result if and only if it is [`Returns::Notified`].
/// - The opcode must complete once (and notify once), and must not complete, cancel or send messages to
///   operations of others.
pub unsafe trait RawOperation: Sized + 'static {
    /// What awaiting the operation gives.
    type Output;
    /// The facts of its opcode. If the kernel's probe does not have it, or what it [needs](Facts::needs) is masked, the
    /// operation fails with [`Unsupported`](std::io::ErrorKind::Unsupported) and the name and release that are said here.
    const FACTS: Facts;

    /// Describes the submission. Called again if the queue was too full to take it.
    fn entry(&mut self) -> Entry;

    /// Reads the result. What the kernel reports is not to be trusted to be in range.
    fn complete(self, completion: Completion) -> Self::Output;
}

/// See [`raw`].
#[derive(Debug)]
pub struct Raw<T>(T);

/// Submits an operation of any opcode.
///
/// Dropping the future cancels; the operation is dropped when the kernel is done with it.
///
/// # Panics
/// If it is said to return a pool's buffer: pools belong to the operations of this crate.
pub fn raw<T: RawOperation>(operation: T) -> Op<Raw<T>> {
    assert!(T::FACTS.returns != Returns::Buffer, "pools belong to the operations of this crate");
    Op::new(Raw(operation))
}

impl<T: RawOperation> Operation for Raw<T> {
    type Output = T::Output;
    const FACTS: Facts = T::FACTS;
    /// Whatever release its facts name: no ring was asked for it when it was set up.
    const IS_BASELINE: bool = false;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let entry = self.0.entry();
        let sqe = Sqe {
            opcode: T::FACTS.opcode,
            flags: entry.flags & (FIXED_FILE | ASYNC | BUFFER_SELECT),
            ioprio: entry.ioprio,
            fd: entry.fd,
            off: entry.off,
            addr: entry.addr,
            len: entry.len,
            op_flags: entry.op_flags,
            user_data: 0,
            buf_index: entry.buf_index,
            personality: entry.personality,
            file_index: entry.file_index,
            addr3: entry.addr3,
            pad: entry.pad,
        };
        // SAFETY: the implementation of the trait vouches for the memory.
        unsafe { Prepared::vouched(sqe) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        self.0.complete(completion)
    }
}
