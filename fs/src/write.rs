//! A whole file, written.

use std::path::Path;

use chainring_runtime::buf::{BufResult, IoBuf};

use crate::File;

/// Creates a file with these contents, or replaces those of an existing one. Not at once: a reader may find it empty
/// or with a part, and after a crash it may be so for good; see [`write_atomic`](crate::write_atomic).
///
/// Dropping the future leaves the file as far as it was written.
///
/// # Errors
/// Those of openat2(2) and write(2).
pub async fn write<B: IoBuf>(path: impl AsRef<Path>, contents: B) -> BufResult<(), B> {
    match File::create(path).await {
        Ok(file) => file.write_all_at(contents, 0).await,
        Err(error) => (Err(error), contents),
    }
}
