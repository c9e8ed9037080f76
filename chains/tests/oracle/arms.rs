//! Steps that are seldom met, so that it is counted how often they were.

use super::program::{End, FileStep, Kind, POOLED, Polled, SHORT, SIGNAL, Span};

/// Those that the kernel may have none of.
pub(crate) const FUTEXES: [&str; 3] = ["futex_wait, until woken", "futex_wait", "futex_wake"];

impl Kind {
    /// What it is called where steps are counted that are seldom met.
    pub(crate) fn arm(&self) -> Option<&'static str> {
        let held = |span: &Span| span.buf >= POOLED;
        Some(match self {
            Kind::Splice { from: End::File(_), to: End::Socket(_), .. } => "splice, file to socket",
            Kind::Splice { .. } => "splice",
            Kind::Accept => "accept",
            Kind::Poll { what: Polled::Silent, .. } => "poll, in vain",
            Kind::Poll { .. } => "poll",
            Kind::FutexWait { word: SIGNAL, .. } => FUTEXES[0],
            Kind::FutexWait { .. } => FUTEXES[1],
            Kind::FutexWake { .. } => FUTEXES[2],
            Kind::Rename { .. } | Kind::Remove { .. } => "names",
            Kind::SetWord { .. } | Kind::FetchAdd { .. } | Kind::Exchange { .. } => "words",
            Kind::Wait => "events",
            Kind::Commit { .. } => "commit",
            Kind::Serial { .. } => "serial",
            Kind::Within { time: SHORT, .. } => "within, struck",
            Kind::Within { .. } => "within",
            Kind::Fork { need: None, .. } => "all",
            Kind::Fork { .. } => "quorum",
            Kind::Pipelined { .. } => "pipelined",
            Kind::Fetch { .. } => "call_async",
            Kind::Recv { span, .. }
            | Kind::RecvExact { span, .. }
            | Kind::File(FileStep::Read { span, .. })
                if held(span) =>
            {
                "pooled or owned"
            }
            Kind::Recv { .. } | Kind::RecvExact { .. } | Kind::Fill { .. } | Kind::Consume { .. } => {
                return None;
            }
            Kind::Send { .. } | Kind::SendAll { .. } | Kind::SendOutbox { .. } => return None,
            Kind::File(_) | Kind::Shutdown { .. } | Kind::Nop | Kind::Sleep { .. } => return None,
            Kind::Set { .. } | Kind::Store { .. } | Kind::Copy { .. } => return None,
            Kind::Append { .. } | Kind::AppendNumber { .. } | Kind::Call(_) => return None,
            // Each stands in front of a wait.
            Kind::Notify => return None,
            Kind::Ensure { .. } | Kind::Fail { .. } | Kind::When { .. } => return None,
            Kind::Repeat { .. } | Kind::Attempt { .. } => return None,
            Kind::Again | Kind::Leave | Kind::Finish => return None,
        })
    }

    /// Those that it can be called.
    pub(crate) const ARMS: [&str; 17] = [
        "splice, file to socket",
        "splice",
        "accept",
        "poll, in vain",
        "poll",
        "names",
        "words",
        "events",
        "commit",
        "serial",
        "within, struck",
        "within",
        "all",
        "quorum",
        "pipelined",
        "call_async",
        "pooled or owned",
    ];
}
