//! The runtime's protocols between threads, run through every interleaving and every value that the memory model allows
//! an atomic to be read as, by loom:
//!
//! ```sh
//! cargo test -p chainring-models
//! ```
//!
//! The code under test is the runtime's own: each file of `tests/` takes it in by its path, and gives it loom's atomics. A
//! package of its own, since loom runs threads on stacks of its own making, of which the sanitizers know nothing. (The queue
//! between the threads is that of `concurrent-queue`, which comes with models of its own.)
