//! Futures as steps, chains that are awaited by tasks, and tasks that are woken by chains.

#[path = "../common/mod.rs"]
mod common;

mod dropped;
mod panics;
mod stored;
mod tasks;

use std::future::Future;
use std::time::Duration;

use chainring_chains::{Chain, Flow};
use common::one::Notes;

const MS: Duration = Duration::from_millis(1);

/// Adds a step that waits for a future and notes its output.
fn noting<Fut: Future<Output = u64> + 'static>(
    c: &mut Chain<Notes>,
    fetch: impl Fn() -> Fut + Send + Sync + 'static,
) {
    let store = |notes: &mut Notes, (), output| {
        notes.push(output);
        Flow::Next
    };
    c.call_async((), move |_, ()| fetch(), (), store);
}
