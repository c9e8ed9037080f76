//! The small files, and who reads them whole.

use std::path::{Path, PathBuf};

use super::{Contestant, chainring, raw, standard, tokio};
use crate::Result;

/// So many, that they are not all in the fastest cache.
const COUNT: usize = 4096;

/// Files of 1 to 4096 bytes. A reader is not told the lengths; they are for checking.
pub(super) struct Files {
    pub(super) files: Vec<(PathBuf, usize)>,
    pub(super) in_flight: usize,
}

impl Files {
    pub(super) fn make(dir: &Path, in_flight: usize) -> Result<Files> {
        let dir = dir.join("small");
        std::fs::create_dir(&dir)?;
        // Every length once, in an order without rhyme.
        let files = (0..COUNT).map(|i| (dir.join(format!("file-{i}")), 1 + i * 2741 % 4096));
        let files: Vec<_> = files.collect();
        for (path, len) in &files {
            std::fs::write(path, vec![b'x'; *len])?;
        }
        Ok(Files { files, in_flight })
    }
}

pub(super) fn contestants(files: &Files) -> Vec<Contestant<'_>> {
    vec![
        Contestant::new("chainring", |until| chainring::small(files, until)),
        Contestant::new("raw ring, open-read-close linked", |until| raw::small(files, until)),
        Contestant::new("std::fs::read", |until| standard::small(files, until)),
        Contestant::new("tokio::fs::read, one core", |until| tokio::small(files, until, None)),
        Contestant::new("tokio::fs::read, two workers", |until| tokio::small(files, until, Some(2))),
    ]
}
