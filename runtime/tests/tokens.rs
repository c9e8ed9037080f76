//! Cancellation tokens.

use std::future::pending;
use std::thread;
use std::time::Duration;

use chainring_runtime::time::sleep;
use chainring_runtime::{CancellationToken, Runtime, spawn};
use futures::FutureExt;

#[test]
fn cancelling_goes_down_the_tree_and_never_up() {
    let root = CancellationToken::new();
    let (left, right) = (root.child_token(), root.child_token());
    let leaf = left.child_token();
    left.clone().cancel();
    assert!(left.is_cancelled() && leaf.is_cancelled());
    assert!(!root.is_cancelled() && !right.is_cancelled());
    assert!(leaf.child_token().is_cancelled(), "born cancelled");
    // A token whose parent nobody holds any more still hears of its grandparent.
    let grandchild = right.child_token();
    drop(right);
    root.cancel();
    root.cancel();
    assert!(grandchild.is_cancelled());
}

#[test]
fn everybody_who_waits_is_woken_by_a_thread_without_a_ring() {
    Runtime::new().unwrap().block_on(async {
        let token = CancellationToken::new();
        let tasks: Vec<_> = (0..100)
            .map(|i| {
                let token = if i % 2 == 0 { token.clone() } else { token.child_token() };
                spawn(async move { token.cancelled().await })
            })
            .collect();
        sleep(Duration::from_millis(1)).await;
        let thread = thread::spawn(move || token.cancel());
        for task in tasks {
            task.await.unwrap();
        }
        thread.join().unwrap();
    });
}

#[test]
fn what_runs_until_it_is_cancelled_is_dropped_or_gives_its_output() {
    Runtime::new().unwrap().block_on(async {
        let token = CancellationToken::new();
        assert_eq!(token.run_until_cancelled(async { 3 }).await, Some(3));
        let guard = token.clone().drop_guard();
        let task = spawn(async move { token.run_until_cancelled(pending::<u32>()).await });
        drop(guard);
        assert_eq!(task.await.unwrap(), None);
        let token = CancellationToken::new().drop_guard().disarm();
        assert!(token.cancelled().now_or_never().is_none());
        assert!(!token.is_cancelled());
    });
}

#[test]
fn a_long_line_of_descendants_is_cancelled_and_dropped_without_deep_recursion() {
    let root = CancellationToken::new();
    let mut last = root.child_token();
    for _ in 0..100_000 {
        last = last.child_token();
    }
    root.cancel();
    assert!(last.is_cancelled());
    drop(root);
    drop(last);
}
