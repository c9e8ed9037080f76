//! Steps on files, and which steps need files to be there.

use super::program::{Expr, Kind, Path, Span, Step};

/// A step on a file that is open, or that it opens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FileStep {
    Read { file: usize, span: Span, position: Expr, into: Option<usize>, exact: bool, or_finish: bool },
    Write { file: usize, spans: Vec<Span>, position: Expr, into: Option<usize> },
    Sync { file: usize, data: bool },
    Fallocate { file: usize, position: Expr, len: Expr },
    Truncate { file: usize, len: Expr },
    Open { file: usize, path: Path, flags: i32 },
    CloseFile { file: usize },
    Statx { file: usize, size: Option<usize>, mode: Option<usize> },
}

impl FileStep {
    pub(crate) fn step(self) -> Step {
        Kind::File(self).step()
    }
}

impl Kind {
    /// Whether files must be there for it: those that are given, the directory, the log.
    pub(crate) fn needs_files(&self) -> bool {
        match self {
            Kind::File(_) | Kind::Rename { .. } | Kind::Remove { .. } => true,
            Kind::Commit { .. } | Kind::Splice { .. } | Kind::Pipelined { .. } => true,
            Kind::Recv { .. } | Kind::RecvExact { .. } | Kind::Send { .. } | Kind::SendAll { .. } => false,
            Kind::Fill { .. } | Kind::Consume { .. } | Kind::SendOutbox { .. } | Kind::Shutdown { .. } => {
                false
            }
            Kind::Accept | Kind::Poll { .. } | Kind::Nop | Kind::Sleep { .. } => false,
            Kind::Set { .. } | Kind::Store { .. } | Kind::Copy { .. } => false,
            Kind::Append { .. } | Kind::AppendNumber { .. } => false,
            Kind::SetWord { .. } | Kind::FetchAdd { .. } | Kind::Exchange { .. } => false,
            Kind::FutexWait { .. } | Kind::FutexWake { .. } | Kind::Notify | Kind::Wait => false,
            Kind::Call(_) | Kind::Fetch { .. } | Kind::Ensure { .. } | Kind::Fail { .. } => false,
            Kind::When { .. } | Kind::Repeat { .. } | Kind::Attempt { .. } => false,
            Kind::Serial { .. } | Kind::Within { .. } | Kind::Fork { .. } => false,
            Kind::Again | Kind::Leave | Kind::Finish => false,
        }
    }
}
