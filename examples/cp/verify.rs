//! Reading back what was written.

use std::io;

use chainring::fs::{Advice, File};
use futures::StreamExt;

use crate::Job;

/// Compares a copy with what it was made from: every byte, those in holes included, and read from the disk as far as the
/// kernel can be brought to it.
pub(crate) async fn compare(job: &Job, source: &File, target: &File, len: u64) -> io::Result<()> {
    target.sync_data().await?;
    target.advise(0, 0, Advice::DontNeed).await?;
    let depth = job.args.depth.get();
    let block = job.block(len);
    let mut original = source.stream_range(0..len, depth, || Ok(Vec::with_capacity(block)));
    let mut copy = target.stream_range(0..len, depth, || Ok(Vec::with_capacity(block)));
    let mut compared = 0;
    while let Some(expected) = original.next().await {
        let expected = expected?;
        let found = copy.next().await.transpose()?.unwrap_or_default();
        if found != expected {
            let same = expected.iter().zip(&found).take_while(|(a, b)| a == b).count() as u64;
            return Err(io::Error::other(format!("the copy differs at byte {}", compared + same)));
        }
        compared += found.len() as u64;
    }
    let size = target.metadata().await?.len();
    if compared != len || size != len {
        return Err(io::Error::other(format!(
            "the copy has {size} bytes of {len}, of which {compared} are right"
        )));
    }
    Ok(())
}
