//! A task each, as any user would write it.

use std::io;

use chainring_runtime::op::nop::nop;
use chainring_runtime::{Runtime, spawn};

pub(super) fn run(tasks: u32, each: u64) -> io::Result<()> {
    let runtime = Runtime::new().map_err(io::Error::other)?;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..tasks).map(|_| spawn(task(each))).collect();
        for task in tasks {
            task.await??;
        }
        Ok(())
    })
}

async fn task(each: u64) -> io::Result<()> {
    for _ in 0..each {
        nop().await?;
    }
    Ok(())
}
