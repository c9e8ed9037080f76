//! How large a pool's buffers are, and how many there can be.

use std::io;

use super::{BufferPool, Shared};

/// Sizes and wishes for a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolOptions {
    /// The bytes of a buffer, 1 to 2^30; 4096 by default.
    pub buffer_size: u32,
    /// The buffers that are kept ready for the kernel, rounded up to a power of two, at most 32768; 64 by default.
    /// More than this cannot be filled between two looks at the ring: what arrives then waits in its socket.
    pub ready: u16,
    /// The buffers that there can be, at most 65535, lent ones included; 4096 by default.
    pub limit: u16,
    /// Have the kernel fill a buffer with several receives, one behind the other, where it can
    /// ([`incremental_buffers`](crate::Capabilities::incremental_buffers)). For one stream of many small
    /// messages: such a pool serves one receive at a time.
    pub incremental: bool,
}

impl Default for PoolOptions {
    fn default() -> Self {
        PoolOptions { buffer_size: 4096, ready: 64, limit: 4096, incremental: false }
    }
}

impl PoolOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`buffer_size`](PoolOptions::buffer_size).
    #[must_use]
    pub fn buffer_size(mut self, bytes: u32) -> Self {
        self.buffer_size = bytes;
        self
    }

    /// Sets [`ready`](PoolOptions::ready).
    #[must_use]
    pub fn ready(mut self, buffers: u16) -> Self {
        self.ready = buffers;
        self
    }

    /// Sets [`limit`](PoolOptions::limit).
    #[must_use]
    pub fn limit(mut self, buffers: u16) -> Self {
        self.limit = buffers;
        self
    }

    /// Sets [`incremental`](PoolOptions::incremental).
    #[must_use]
    pub fn incremental(mut self, incremental: bool) -> Self {
        self.incremental = incremental;
        self
    }

    /// Makes the pool for the core that runs the caller. Memory is mapped in steps and taken when it is touched.
    ///
    /// # Errors
    /// If the sizes are out of range, the system has no memory, or the ring has 65536 pools already.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn build(self) -> io::Result<BufferPool> {
        Shared::new(self).map(BufferPool)
    }
}
