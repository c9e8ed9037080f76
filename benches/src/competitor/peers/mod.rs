//! The other runtimes, each in a file of its own and written as its guide and examples teach: the buffers it wants, the
//! calls its users make, its defaults. All of them serve on one core.

pub(super) mod compio;
pub(super) mod glommio;
pub(super) mod hyper;
pub(super) mod monoio;
pub(super) mod tokio;
pub(super) mod tokio_multi;
pub(super) mod tokio_uring;
