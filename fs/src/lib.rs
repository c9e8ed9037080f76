//! Files and directories for [chainring](https://docs.rs/chainring).
//!
//! # Who owns what
//!
//! A [`File`] or [`Dir`] owns its descriptor together with the operations on it that are in flight: it is closed,
//! through the ring and without waiting, when the last of them is done. Buffers and paths belong to the operation
//! from its first poll until the kernel has finished with them; a buffer comes back with the result
//! ([`BufResult`](chainring_runtime::buf::BufResult)). Everything stays on the core that it was made on.
//!
//! # Dropping a future
//!
//! Dropping the future of an operation asks the kernel to cancel it and never waits. What it was about to do may
//! happen all the same, wholly, in part or not at all; whoever drops the future of a write does not know what
//! has been written. A file that was opened meanwhile is closed. The functions below say where there is more to it.
//!
//! # What does not go through the ring
//!
//! io_uring has no opcode to list a directory, resolve or read a link, change permissions, owner or times, list
//! or remove extended attributes, or copy inside the kernel. [`read_dir`], [`canonicalize`], [`read_link`],
//! [`set_permissions`], [`set_owner`], [`set_symlink_times`], [`list_xattr`], [`remove_xattr`], [`copy`],
//! [`remove_dir_all`] and those methods that say so use the blocking pool
//! ([`spawn_blocking`](chainring_runtime::spawn_blocking)). If their future is dropped, work that has begun goes on to its
//! end, and work that has not is not begun.
//!
//! # Errors
//!
//! Those of the system call named in the documentation, as [`std::io::Error`]s with its errno. A path with a NUL
//! byte is [`InvalidInput`](std::io::ErrorKind::InvalidInput), as in the standard library.
//!
//! ```
//! # chainring_runtime::Runtime::new()?.block_on(async {
//! use chainring_fs::{self as fs, File};
//!
//! # let dir = std::env::temp_dir().join(format!("chainring-fs-doc-{}", std::process::id()));
//! fs::create_dir_all(&dir).await?;
//! let path = dir.join("greeting");
//! fs::write(&path, "hello, ring").await.0?;
//!
//! let file = File::open(&path).await?;
//! let (result, bytes) = file.read_exact_at(Vec::with_capacity(4), 7).await;
//! result?;
//! assert_eq!(bytes, b"ring");
//! fs::remove_dir_all(&dir).await?;
//! # std::io::Result::Ok(())
//! # })?;
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

mod blocking;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
pub mod compat;
mod copy;
mod create_dir;
mod dir;
mod file;
mod link;
mod metadata;
mod options;
mod path;
mod permissions;
mod read;
mod read_dir;
mod remove;
mod rename;
mod write;
mod write_atomic;
mod xattr;

pub use chainring_runtime::buf::{DirectAlignment, DirectBuf};
pub use copy::copy;
pub use create_dir::{create_dir, create_dir_all};
pub use dir::Dir;
pub use file::{Advice, File, ReadStream, Writer};
pub use link::{canonicalize, hard_link, read_link, symlink};
pub use metadata::{FileType, Metadata, exists, metadata, symlink_metadata};
pub use options::OpenOptions;
pub use permissions::{set_owner, set_permissions, set_symlink_owner, set_symlink_times};
pub use read::{read, read_to_string};
pub use read_dir::{DirEntry, ReadDir, read_dir};
pub use remove::{remove_dir, remove_dir_all, remove_file};
pub use rename::rename;
pub use write::write;
pub use write_atomic::write_atomic;
pub use xattr::{get_xattr, list_xattr, remove_xattr, set_xattr};
