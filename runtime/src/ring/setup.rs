//! Setting a ring up, and saying in plain words why it could not be.

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::{IoUring, Probe, opcode};

use super::Ring;
use super::capabilities::{Capabilities, Capability, Opcodes, kernel_release};
use super::enter::EnterAs;
use crate::op;

/// The oldest kernel release that chainring runs on.
const BASELINE: (u32, u32) = (6, 1);

/// The name of an opcode of the baseline that the kernel does not offer, which takes a kernel that was cut down.
fn missing(probe: &Probe) -> Option<&'static str> {
    let cancel = (opcode::AsyncCancel::CODE, "async_cancel");
    let operations =
        op::ALL.iter().filter(|facts| facts.is_baseline()).map(|facts| (facts.opcode, facts.name));
    operations.chain([cancel]).find(|(code, _)| !probe.is_supported(*code)).map(|(_, name)| name)
}

/// Sizes and wishes for a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingConfig {
    /// SQEs; rounded up to a power of two.
    pub(crate) sq_entries: u32,
    /// CQEs; rounded up to a power of two, at least twice the SQEs.
    pub(crate) cq_entries: u32,
    /// Capabilities to do without although the kernel has them.
    pub(crate) mask: Capabilities,
    /// A kernel thread of its own that takes the submissions.
    pub(crate) poller: Option<Poller>,
}

/// The kernel thread of a ring with SQPOLL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poller {
    /// How long it spins without work before it sleeps.
    pub(crate) idle: Duration,
    /// The CPU that it stays on.
    pub(crate) cpu: Option<u32>,
}

impl Ring {
    /// Sets up a ring for the calling thread.
    pub(crate) fn setup(config: RingConfig) -> Result<Ring, SetupError> {
        let release = kernel_release();
        let explain = |error| SetupError::explain(error, release);
        let allowed = |capability| !config.mask.has(capability);

        let (io, no_sq_array) = build(config, allowed(Capability::NoSqArray)).map_err(explain)?;
        let mut probe = Probe::new();
        io.submitter().register_probe(&mut probe).map_err(explain)?;
        if let Some(name) = missing(&probe) {
            return Err(SetupError::missing(name, release));
        }

        let wanted = allowed(Capability::RegisteredRing);
        let enter_as = if wanted { EnterAs::registered(io.as_raw_fd()) } else { None };
        let is_there = |capability| match capability {
            Capability::NoSqArray => no_sq_array,
            Capability::RegisteredRing => enter_as.is_some(),
            other => has(other, io.params(), &probe),
        };
        let found = Capability::ALL.iter().copied().filter(|c| allowed(*c) && is_there(*c));
        let capabilities = found.collect();
        Ring::new(io, enter_as, capabilities, config.poller.is_some(), Opcodes::of(&probe)).map_err(explain)
    }
}

/// Whether the kernel has a capability that is read off its features and opcodes. What has neither is read off
/// something else that came with the same release.
fn has(capability: Capability, params: &io_uring::Parameters, probe: &Probe) -> bool {
    match capability {
        // Found out by trying.
        Capability::NoSqArray | Capability::RegisteredRing => false,
        // MIN_TIMEOUT came with 6.12, as did the mend of LINK + SKIP + DEFER_TASKRUN.
        Capability::SkipSuccess => params.is_feature_min_timeout(),
        Capability::MessageRing => probe.is_supported(opcode::MsgRingData::CODE),
        Capability::NoIowait => params.is_feature_no_iowait(),
        // The commands came with the multishot read, 6.7.
        Capability::SocketOptions => probe.is_supported(opcode::ReadMulti::CODE),
        Capability::ReadMulti => probe.is_supported(opcode::ReadMulti::CODE),
        Capability::Futex => probe.is_supported(opcode::FutexWait::CODE),
        Capability::WaitId => probe.is_supported(opcode::WaitId::CODE),
        Capability::FixedFdInstall => probe.is_supported(opcode::FixedFdInstall::CODE),
        Capability::Ftruncate => probe.is_supported(opcode::Ftruncate::CODE),
        Capability::Bundles => params.is_feature_recvsend_bundle(),
        Capability::BindListen => probe.is_supported(opcode::Listen::CODE),
        // 6.12 as well.
        Capability::IncrementalBuffers => params.is_feature_min_timeout(),
        Capability::EpollWait => probe.is_supported(opcode::EpollWait::CODE),
        Capability::Pipe => probe.is_supported(opcode::Pipe::CODE),
    }
}

/// Builds the ring, without an SQ array where the kernel can do without (it refuses flags it does not know
/// with EINVAL). Says which of the two it is.
fn build(config: RingConfig, try_no_sq_array: bool) -> io::Result<(IoUring, bool)> {
    let mut builder = IoUring::builder();
    builder
        .dontfork()
        .setup_single_issuer()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(config.cq_entries.max(2 * config.sq_entries));
    match config.poller {
        // The kernel refuses the two together: with a poller, completions are not left to the enter.
        None => builder.setup_defer_taskrun().setup_taskrun_flag(),
        Some(poller) => {
            let idle = u32::try_from(poller.idle.as_millis()).unwrap_or(u32::MAX).max(1);
            poller
                .cpu
                .into_iter()
                .fold(builder.setup_sqpoll(idle), |builder, cpu| builder.setup_sqpoll_cpu(cpu))
        }
    };
    if try_no_sq_array {
        match builder.clone().setup_no_sqarray().build(config.sq_entries) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            built => return built.map(|io| (io, true)),
        }
    }
    builder.build(config.sq_entries).map(|io| (io, false))
}

/// Why no ring could be set up: what the kernel answered, what that means here, and what to do about it.
pub struct SetupError {
    source: Option<io::Error>,
    cause: String,
    remedy: &'static str,
}

impl SetupError {
    fn missing(opcode: &str, release: (u32, u32)) -> Self {
        SetupError {
            source: None,
            cause: format!("this kernel ({}.{}) does not offer the opcode {opcode}", release.0, release.1),
            remedy: "run Linux 6.1 or later, with io_uring not restricted",
        }
    }

    /// The bell of a core could not be made.
    pub(crate) fn eventfd(error: io::Error) -> Self {
        SetupError::explain(error, kernel_release())
    }

    /// The table of direct descriptors could not be made.
    pub(crate) fn direct_descriptors(error: io::Error) -> Self {
        SetupError {
            source: Some(error),
            cause: "the ring's table of direct descriptors was refused".to_owned(),
            remedy: "ask for fewer direct descriptors, or raise the soft limit of open files (ulimit -n)",
        }
    }

    /// Reads the reason out of the error of io_uring_setup(2) and of what the system says of itself.
    fn explain(error: io::Error, release: (u32, u32)) -> Self {
        let (major, minor) = release;
        let (cause, remedy) = match error.raw_os_error() {
            Some(libc::ENOSYS) => (
                format!("this kernel ({major}.{minor}) has no io_uring, or a seccomp filter hides it"),
                "run Linux 6.1 or later with CONFIG_IO_URING; in a container, allow io_uring_setup, \
                 io_uring_enter and io_uring_register in its seccomp profile",
            ),
            Some(libc::EPERM | libc::EACCES) => match disabled_by_sysctl() {
                Some(value) => (
                    format!("io_uring is disabled by the sysctl kernel.io_uring_disabled = {value}"),
                    "set kernel.io_uring_disabled to 0, or put the process into the group that \
                     kernel.io_uring_group names",
                ),
                None => (
                    "io_uring is forbidden to this process, most likely by a seccomp filter".to_owned(),
                    "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile \
                     (Docker's default profile forbids them)",
                ),
            },
            Some(libc::ENOMEM) => (
                format!("the rings do not fit into the locked-memory limit (RLIMIT_MEMLOCK = {})", memlock()),
                "raise the limit (ulimit -l, LimitMEMLOCK= in systemd), or make the rings smaller",
            ),
            Some(libc::EMFILE | libc::ENFILE) => (
                "no file descriptor is left for the ring (RLIMIT_NOFILE, or the system's file-max)"
                    .to_owned(),
                "raise the limit (ulimit -n, LimitNOFILE= in systemd), or close descriptors",
            ),
            Some(libc::EINVAL) if release < BASELINE => (
                format!("this kernel ({major}.{minor}) is older than 6.1"),
                "run Linux 6.1 or later: chainring needs SINGLE_ISSUER and DEFER_TASKRUN",
            ),
            _ => ("the kernel refused to set up a ring".to_owned(), "see io_uring_setup(2) for this error"),
        };
        SetupError { source: Some(error), cause, remedy }
    }

    /// What to change so that it works.
    pub fn remedy(&self) -> &str {
        self.remedy
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot set up io_uring: {}", self.cause)?;
        if let Some(error) = &self.source {
            write!(f, " ({error})")?;
        }
        write!(f, "; remedy: {}", self.remedy)
    }
}

/// The text, because it is what `main` prints of an error that it returns.
impl fmt::Debug for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SetupError({self})")
    }
}

impl std::error::Error for SetupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

impl From<SetupError> for io::Error {
    fn from(error: SetupError) -> Self {
        let kind = error.source.as_ref().map_or(io::ErrorKind::Unsupported, io::Error::kind);
        io::Error::new(kind, error)
    }
}

fn disabled_by_sysctl() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    text.trim().parse().ok().filter(|value| *value > 0)
}

/// The soft limit of locked memory, in words.
fn memlock() -> String {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max locked memory"));
    match line.and_then(|line| line.split_whitespace().nth(3)) {
        Some("unlimited") => "unlimited".to_owned(),
        Some(bytes) => format!("{bytes} bytes"),
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_main_that_returns_the_error_prints_its_text() {
        let error = SetupError::missing("accept", (6, 1));
        assert_eq!(format!("{error:?}"), format!("SetupError({error})"));
    }

    #[test]
    fn a_kernel_without_a_needed_opcode_is_refused_by_its_name() {
        let error = SetupError::missing("accept", (6, 1));
        let text = error.to_string();
        assert!(text.contains("does not offer the opcode accept"), "{text}");
        assert!(text.contains("remedy: run Linux 6.1 or later"), "{text}");
    }

    #[test]
    fn an_old_kernel_is_told_from_a_bad_argument() {
        let einval = || io::Error::from_raw_os_error(libc::EINVAL);
        let old = SetupError::explain(einval(), (5, 15)).to_string();
        assert!(old.contains("this kernel (5.15) is older than 6.1"), "{old}");
        let new = SetupError::explain(einval(), (6, 18)).to_string();
        assert!(new.contains("refused to set up a ring"), "{new}");
    }
}
