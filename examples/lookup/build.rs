//! Writing a tree: front to back, with several writes in flight.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chainring::fs::{self, File};

use crate::Error;
use crate::format::{self, Header, PAGE};

/// Bytes of a write, and how many are in flight.
const WRITE: usize = 1 << 20;
const DEPTH: usize = 4;

/// A file that goes unless it is finished.
struct Unfinished(Option<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Builds the tree beside `path`, and puts it there when it is on the disk.
pub(crate) async fn build(path: &Path, pairs: Vec<(u64, u64)>) -> Result<Header, Error> {
    let told = |error: std::io::Error| Error::from(format!("{}: {error}", path.display()));
    let mut beside = OsString::from(path);
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let file = File::create(&beside).await.map_err(told)?;
    let mut unfinished = Unfinished(Some(beside.clone()));
    let mut chunks = vec![Vec::with_capacity(WRITE)];
    let header = format::pages(&pairs, |page| {
        let full = chunks.last().is_none_or(|chunk: &Vec<u8>| chunk.len() + PAGE > WRITE);
        if full {
            chunks.push(Vec::with_capacity(WRITE));
        }
        chunks.last_mut().ok_or("there is a chunk")?.extend_from_slice(page);
        Ok::<_, Error>(())
    })?;
    let mut writer = file.writer(PAGE as u64, DEPTH);
    for chunk in chunks {
        writer.write(chunk).await.map_err(told)?;
    }
    writer.finish().await.map_err(told)?;
    file.write_all_at(header.page(), 0).await.0.map_err(told)?;
    file.sync_all().await.map_err(told)?;
    fs::rename(&beside, path).await.map_err(told)?;
    unfinished.0 = None;
    Ok(header)
}
