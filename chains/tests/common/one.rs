//! One frame of a program, run to its end, and what is seen of it.

use std::net::TcpStream as Client;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use chainring_chains::{Chain, ChainError, Counters, Exit, Flow, Init, Lowering, Program, Reg, value};
use chainring_net::TcpStream;
use chainring_runtime::Runtime;

use super::{pair, soon, watchdog};

/// What the chains here note down, in order.
pub(crate) type Notes = Vec<u64>;

/// A program, and the handles that its maker wants to keep.
pub(crate) fn chain<S: 'static, H>(steps: impl FnOnce(&mut Chain<S>) -> H) -> (Program<S>, H) {
    let mut c = Chain::new("test");
    let handles = steps(&mut c);
    (c.build().unwrap_or_else(|error| panic!("{error}")), handles)
}

/// The same steps as the compiler sees fit, and each by itself.
pub(crate) fn lowered<H>(steps: impl Fn(&mut Chain<Notes>) -> H) -> [(Program<Notes>, H); 2] {
    [Lowering::Chosen, Lowering::Single].map(|lowering| {
        chain(|c| {
            c.lowering(lowering);
            steps(c)
        })
    })
}

/// Adds a step that notes a register down.
pub(crate) fn note(c: &mut Chain<Notes>, reg: Reg) {
    c.call((value(reg),), |notes, (value,)| {
        notes.push(value);
        Flow::Next
    });
}

/// Adds a step that notes a number down.
pub(crate) fn mark(c: &mut Chain<Notes>, number: u64) {
    c.call((), move |notes, ()| {
        notes.push(number);
        Flow::Next
    });
}

/// How a frame has ended.
#[derive(Debug)]
pub(crate) struct Ended<S> {
    pub(crate) session: S,
    pub(crate) result: Result<(), ChainError>,
    pub(crate) counters: Counters,
}

impl<S> Ended<S> {
    /// What is wrong, in words; empty if nothing is.
    pub(crate) fn text(&self) -> String {
        self.result.as_ref().err().map(ToString::to_string).unwrap_or_default()
    }
}

/// Runs a frame to its end. What it still owned is closed.
pub(crate) fn run<S: 'static>(
    program: &Program<S>,
    session: S,
    init: impl FnOnce(&mut Init<'_, '_>),
) -> Ended<S> {
    let _watchdog = watchdog(Duration::from_secs(60));
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let spawner = program.start(1).unwrap_or_else(|error| panic!("{error}"));
        let handle = spawner.spawn(session, init).expect("there is room");
        let Exit { session, result, .. } = soon("the frame to end", handle).await;
        Ended { session, result, counters: spawner.counters() }
    })
}

/// Runs a frame to its end beside a peer on another thread; `init` is given the frame's end of the connection. When it
/// has ended its socket is closed.
pub(crate) fn with_peer<S: 'static, T: Send>(
    program: &Program<S>,
    session: S,
    init: impl FnOnce(&mut Init<'_, '_>, TcpStream),
    peer: impl FnOnce(Client) -> T + Send,
) -> (Ended<S>, T) {
    let (near, far) = pair();
    thread::scope(|scope| {
        let peer = scope.spawn(move || peer(far));
        let ended = run(program, session, |frame| init(frame, near));
        (ended, peer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// One test at a time: descriptors are counted for the whole process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A directory of its own, removed at the end.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = base.join(format!("chains-{}-{next}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        Dir(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A new file with these bytes, open for reading and writing.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> std::fs::File {
        std::fs::write(self.join(name), bytes).expect("a file");
        std::fs::File::options().read(true).write(true).open(self.join(name)).expect("the file")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
