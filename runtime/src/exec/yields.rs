//! Letting others have a turn.

use std::future::poll_fn;
use std::task::Poll;

use super::Handle;

/// Lets every other task that is ready, and every completion that is there, have a turn.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Lets the tasks of a core run until none but the caller is ready, or a number of turns has passed.
pub(crate) async fn settle(core: &Handle) {
    const TURNS: u32 = 256;
    for _ in 0..TURNS {
        yield_now().await;
        if !core.core().has_ready() {
            return;
        }
    }
}
