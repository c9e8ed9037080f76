//! What of a step the injector can make fail, or come late: the second opinion on which operation a step is.

use super::program::{End, FileStep, Kind};

pub(crate) const SOCKET_VERBS: [&str; 3] = ["recv", "send", "shutdown"];
pub(crate) const WAIT_VERBS: [&str; 2] = ["accept", "poll"];
pub(crate) const FILE_VERBS: [&str; 7] =
    ["read", "write", "fsync", "fallocate", "ftruncate", "openat2", "statx"];

/// Of these verbs: one that nobody makes fail is not compiled.
const fn injected(verb: &'static str) -> Option<&'static str> {
    assert!(
        is_in(&SOCKET_VERBS, verb) || is_in(&WAIT_VERBS, verb) || is_in(&FILE_VERBS, verb),
        "the verb is in none of the lists, and so is never made to fail"
    );
    Some(verb)
}

const fn is_in(verbs: &[&str], verb: &str) -> bool {
    let mut i = 0;
    while i < verbs.len() {
        if is_same(verbs[i].as_bytes(), verb.as_bytes()) {
            return true;
        }
        i += 1;
    }
    false
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

impl Kind {
    /// What the injector calls the operation that it is. `None`: it is none, or one that is never made to fail.
    pub(crate) fn verb(&self) -> Option<&'static str> {
        match self {
            Kind::Recv { .. } | Kind::RecvExact { .. } | Kind::Fill { .. } => const { injected("recv") },
            Kind::Send { .. } | Kind::SendAll { .. } | Kind::SendOutbox { .. } => const { injected("send") },
            Kind::Shutdown { .. } => const { injected("shutdown") },
            Kind::Accept => const { injected("accept") },
            // What is spliced from a socket is polled for first.
            Kind::Poll { .. } | Kind::Splice { from: End::Socket(_), .. } => const { injected("poll") },
            Kind::File(step) => step.verb(),
            Kind::Splice { from: End::File(_), .. } | Kind::Rename { .. } | Kind::Remove { .. } => None,
            Kind::FutexWait { .. } | Kind::FutexWake { .. } | Kind::Nop | Kind::Sleep { .. } => None,
            // The log writes and syncs at times of its own.
            Kind::Commit { .. } => None,
            Kind::Set { .. } | Kind::Store { .. } | Kind::Copy { .. } | Kind::Consume { .. } => None,
            Kind::Append { .. } | Kind::AppendNumber { .. } => None,
            Kind::SetWord { .. } | Kind::FetchAdd { .. } | Kind::Exchange { .. } => None,
            Kind::Notify | Kind::Wait | Kind::Call(_) | Kind::Fetch { .. } => None,
            Kind::Ensure { .. } | Kind::Fail { .. } | Kind::When { .. } | Kind::Repeat { .. } => None,
            Kind::Attempt { .. } | Kind::Serial { .. } | Kind::Within { .. } => None,
            Kind::Fork { .. } | Kind::Pipelined { .. } => None,
            Kind::Again | Kind::Leave | Kind::Finish => None,
        }
    }
}

impl FileStep {
    fn verb(&self) -> Option<&'static str> {
        match self {
            FileStep::Read { .. } => const { injected("read") },
            FileStep::Write { .. } => const { injected("write") },
            FileStep::Sync { .. } => const { injected("fsync") },
            FileStep::Fallocate { .. } => const { injected("fallocate") },
            FileStep::Truncate { .. } => const { injected("ftruncate") },
            FileStep::Open { .. } => const { injected("openat2") },
            FileStep::Statx { .. } => const { injected("statx") },
            FileStep::CloseFile { .. } => None,
        }
    }
}
