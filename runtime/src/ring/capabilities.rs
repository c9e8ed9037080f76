//! What this kernel can do beyond the 6.1 baseline, found out once per ring and named.
//!
//! A capability is read off the ring's feature bits and the opcode probe, or tried; never off the version.
//! Each can be masked: a masked capability behaves in every way as on a kernel that lacks it, which is how
//! the fallbacks are tested on a kernel that has everything.

use std::fmt;
use std::str::FromStr;

macro_rules! capabilities {
    ($($(#[doc = $doc:literal])+ $variant:ident, $method:ident, $name:literal;)+) => {
        /// A feature of the kernel that chainring uses where it is there.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Capability { $($(#[doc = $doc])+ $variant,)+ }

        impl Capability {
            /// Every capability, for reports and for masking each in turn.
            pub const ALL: &[Capability] = &[$(Capability::$variant,)+];

            /// The name under which the capability is printed and parsed.
            pub fn name(self) -> &'static str {
                match self { $(Capability::$variant => $name,)+ }
            }
        }

        impl FromStr for Capability {
            type Err = UnknownCapability;

            fn from_str(name: &str) -> Result<Self, UnknownCapability> {
                match name {
                    $($name => Ok(Capability::$variant),)+
                    _ => Err(UnknownCapability(name.to_owned())),
                }
            }
        }

        impl Capabilities {
            $($(#[doc = $doc])+
            #[inline]
            pub fn $method(&self) -> bool { self.has(Capability::$variant) })+
        }
    };
}

capabilities! {
    /// Completions of the successful members of a linked list can be skipped without losing any. The flag
    /// is from 5.17, but LINK + SKIP + DEFER_TASKRUN lost completions before 6.12 (liburing issue 1235):
    /// below that every member of a chain posts its completion.
    SkipSuccess, skip_success, "skip-success";
    /// `IORING_SETUP_NO_SQARRAY` (6.6): one indirection less a submission.
    NoSqArray, no_sq_array, "no-sqarray";
    /// The ring's descriptor is registered (`IORING_REGISTER_RING_FDS`, 5.18): no table look-up an enter.
    RegisteredRing, registered_ring, "registered-ring";
    /// `IORING_ENTER_NO_IOWAIT` (6.15): a waiting ring does not count as I/O wait.
    NoIowait, no_iowait, "no-iowait";
    /// `IORING_OP_MSG_RING` (5.18): a core wakes another with its next submission, without a system call of
    /// its own.
    MessageRing, message_ring, "msg-ring";
    /// Socket options are set and read through the ring (`IORING_OP_URING_CMD`, 6.7). Without it
    /// [`op::sockopt`](crate::op::sockopt) makes the system call, which never waits.
    SocketOptions, socket_options, "socket-options";
    /// Reading again and again with one submission (`IORING_OP_READ_MULTISHOT`, 6.7). Without it
    /// [`op::read_multi`](crate::op::read_multi) refuses: read once more for every buffer.
    ReadMulti, read_multi, "read-multi";
    /// Waiting for, and waking, futexes (`IORING_OP_FUTEX_*`, 6.7). Without it
    /// [`op::futex`](crate::op::futex) refuses.
    Futex, futex, "futex";
    /// Waiting for child processes (`IORING_OP_WAITID`, 6.7). Without it [`op::waitid`](crate::op::waitid)
    /// refuses: poll a pidfd instead.
    WaitId, wait_id, "waitid";
    /// Making a descriptor of a direct descriptor (`IORING_OP_FIXED_FD_INSTALL`, 6.8). Without it
    /// [`op::fixed_fd_install`](crate::op::fixed_fd_install) refuses.
    FixedFdInstall, fixed_fd_install, "fixed-fd-install";
    /// Truncating through the ring (`IORING_OP_FTRUNCATE`, 6.9). Without it
    /// [`op::ftruncate`](crate::op::ftruncate) makes the system call, which may wait for the disk, and no frames are made
    /// of a plan that truncates.
    Ftruncate, ftruncate, "ftruncate";
    /// One completion of a receive can span several buffers of a pool (`IORING_RECVSEND_BUNDLE`, 6.10). Without
    /// it each buffer has its own.
    Bundles, bundles, "bundles";
    /// Binding and listening through the ring (`IORING_OP_BIND`, `IORING_OP_LISTEN`, 6.11). Without it
    /// [`op::bind`](crate::op::bind) and [`op::listen`](crate::op::listen) make the system calls, which
    /// never wait.
    BindListen, bind_listen, "bind-listen";
    /// A pool's buffer can be filled by several receives, one behind the other (`IOU_PBUF_RING_INC`, 6.12).
    /// Without it each receive takes a whole buffer.
    IncrementalBuffers, incremental_buffers, "incremental-buffers";
    /// Waiting on an epoll instance (`IORING_OP_EPOLL_WAIT`, 6.15). Without it
    /// [`op::epoll_wait`](crate::op::epoll_wait) refuses: poll the instance's descriptor instead.
    EpollWait, epoll_wait, "epoll-wait";
    /// Making pipes through the ring (`IORING_OP_PIPE`, 6.16). Without it [`op::pipe`](crate::op::pipe) makes the
    /// system call, which never waits.
    Pipe, pipe, "pipe";
}

/// A name that is no capability's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCapability(String);

impl fmt::Display for UnknownCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no capability is called {:?}; there are:", self.0)?;
        for capability in Capability::ALL {
            write!(f, " {}", capability.name())?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownCapability {}

/// A set of capabilities.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities(u32);

impl Capabilities {
    /// Whether `capability` is in the set.
    #[inline]
    pub fn has(&self, capability: Capability) -> bool {
        self.0 & (1 << capability as u32) != 0
    }

    /// The set with `capability`.
    #[must_use]
    pub fn with(self, capability: Capability) -> Self {
        Capabilities(self.0 | 1 << capability as u32)
    }

    /// The set without `capability`.
    #[must_use]
    pub fn without(self, capability: Capability) -> Self {
        Capabilities(self.0 & !(1 << capability as u32))
    }

    /// What is in either set.
    #[must_use]
    pub fn union(self, other: Capabilities) -> Self {
        Capabilities(self.0 | other.0)
    }

    /// The capabilities of the set, in the order of [`Capability::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |c| self.has(*c))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Capabilities::default(), Capabilities::with)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Capability::name)).finish()
    }
}

/// The opcodes that a kernel has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opcodes([u64; 4]);

impl Opcodes {
    pub(super) fn of(probe: &io_uring::Probe) -> Self {
        let mut opcodes = Opcodes::default();
        for opcode in (0..=u8::MAX).filter(|opcode| probe.is_supported(*opcode)) {
            opcodes.0[usize::from(opcode / 64)] |= 1 << (opcode % 64);
        }
        opcodes
    }

    #[inline]
    pub(super) fn has(&self, opcode: u8) -> bool {
        self.0[usize::from(opcode / 64)] & 1 << (opcode % 64) != 0
    }
}

/// The running kernel's release, as `(major, minor)`.
pub(crate) fn kernel_release() -> (u32, u32) {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    parse_release(&text).unwrap_or((6, 1))
}

fn parse_release(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_with_and_without_a_suffix() {
        assert_eq!(parse_release("6.1.0-49-amd64\n"), Some((6, 1)));
        assert_eq!(parse_release("6.18"), Some((6, 18)));
        assert_eq!(parse_release("7.0-rc1"), Some((7, 0)));
        assert_eq!(parse_release("weird"), None);
    }

    #[test]
    fn a_masked_capability_is_gone_and_the_others_stay() {
        let all = Capability::ALL.iter().copied().collect::<Capabilities>();
        for &one in Capability::ALL {
            let rest = all.without(one);
            assert!(!rest.has(one));
            assert_eq!(rest.iter().count(), Capability::ALL.len() - 1);
            assert_eq!(one.name().parse(), Ok(one));
        }
        assert!("skip".parse::<Capability>().is_err());
    }
}
