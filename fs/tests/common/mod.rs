//! What the tests of this package share.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use chainring_runtime::{Builder, Handle, Runtime, yield_now};

/// One test at a time: descriptors are counted for the whole process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The open descriptors of this process.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs a test in a runtime of its own, with a directory of its own, and checks that no descriptor stays open.
pub(crate) fn run<T>(body: impl AsyncFnOnce(&Path) -> T) -> T {
    run_with(&Builder::new(), body)
}

pub(crate) fn run_with<T>(builder: &Builder, body: impl AsyncFnOnce(&Path) -> T) -> T {
    let _alone = alone();
    let temp = Temp::new();
    // Descriptors that stay: the pool of bells, enough for two at once.
    drop((Runtime::new().unwrap(), Runtime::new().unwrap()));
    let before = descriptors();
    let runtime = builder.build().unwrap();
    let result = runtime.block_on(async {
        let result = body(temp.path()).await;
        settle().await;
        result
    });
    drop(runtime);
    assert_eq!(descriptors(), before, "descriptors were left open");
    result
}

/// Lets operations end that nobody waits for.
pub(crate) async fn settle() {
    let begin = Instant::now();
    while Handle::current().metrics().operations > 0 {
        let metrics = Handle::current().metrics();
        assert!(begin.elapsed() < Duration::from_secs(10), "operations never end: {metrics:?}");
        yield_now().await;
    }
}

/// A directory that is gone at the end.
pub(crate) struct Temp(PathBuf);

impl Temp {
    pub(crate) fn new() -> Temp {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("chainring-fs-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Temp(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The errno of a result.
pub(crate) fn errno<T>(result: &io::Result<T>) -> Option<i32> {
    result.as_ref().err().and_then(io::Error::raw_os_error)
}
