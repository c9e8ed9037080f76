//! Which outcomes of a frame are right.
//!
//! The twin has run the same program against the same scripts, in which resets are replaced by an end of the stream,
//! and nothing was injected. Without resets and failures injected, the frame must be equal to it in everything: how it
//! ended and at which step, what its calls have seen, what each peer got and what was left unread.
//!
//! An injected failure strikes the operation that is submitted then, and nothing of that is done; an error handler may
//! go on from there. Which operation it was is one of a few: so many were let through before, some of which may never
//! have been done because one in front of them failed. The twin is run again with each of them failing
//! ([`Strike`](super::report::Strike)), and the frame must be equal to one of those runs, or to the one in which none
//! fails if an entry that was never done can have taken the failure with it.
//!
//! In an endless echo at the end of a program the number of operations is not the same on both sides, so such a frame
//! may also have been struck in the way of the next paragraph.
//!
//! A reset arrives when it arrives, so programs with error handlers have no peers that reset. Another frame may have been
//! *struck* by a reset, or there by an injected failure. That is right if
//!
//! 1. it ended with an error at a step that the twin came to, with the same calls behind it (a [`Visit`]);
//! 2. what its calls have seen is the beginning of what the twin's have;
//! 3. the cause fits. Injected: the verb is the failing one and the errno the injected one. Reset: the socket is the
//!    one whose peer resets, and the error is
//!    - of a recv, recv_exact or send: ECONNRESET, or EPIPE if the peer's end had come before;
//!    - of a recv_exact: also Short after some of its bytes, for the kernel hands an error out once, and may do so to
//!      the part of a transfer that it then reports as short;
//!    - of a shutdown: ENOTCONN, or one of the above;
//! 4. each peer has got the beginning of what the twin has sent to it: at least what was sent before that step (unless it
//!    resets, for then it need not have read), at most what was sent when the step was done;
//! 5. the files hold what they do when the twin comes to that step.
//!
//! It must have been struck if the twin has ended because a stream did that is here reset, or if the failure was
//! injected and no step was to fail of itself.

use super::disk::Contents;
use super::peer::{Ending, Received, Script};
use super::program::{ACCEPTED, SOCKETS};
use super::report::{ANY, Ended, Failure, Report, Verb, Visit};
use super::runner::{Fault, Outcome};

/// The twin's run.
pub(crate) struct TwinRun<'k> {
    pub(crate) ended: &'k Ended,
    pub(crate) report: &'k Report,
    pub(crate) left: &'k [Vec<u8>; SOCKETS],
    pub(crate) callers: &'k [Received],
    pub(crate) files: &'k Contents,
    pub(crate) scripts: &'k [Script; SOCKETS],
}

/// What a frame that was judged right was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    Equal,
    Struck,
}

impl TwinRun<'_> {
    fn resets(&self, socket: usize) -> bool {
        matches!(self.scripts[socket].ending, Ending::Reset(_))
    }

    /// Judges a frame. `spent`: all that was injected has been used up.
    pub(crate) fn judge(&self, ours: &Outcome, fault: Fault, spent: bool) -> Result<Verdict, String> {
        let Err(unequal) = self.equal(ours, fault, spent) else { return Ok(Verdict::Equal) };
        let can_be_struck = (0..SOCKETS).any(|socket| self.resets(socket))
            || (spent && matches!(fault, Fault::Fail { .. } | Fault::Refuse { .. }));
        if !can_be_struck {
            return Err(unequal);
        }
        match self.struck(ours, fault) {
            Ok(()) => Ok(Verdict::Struck),
            Err(not_struck) => Err(format!("{unequal}; nor was it struck as it may be: {not_struck}")),
        }
    }

    pub(crate) fn equal(&self, ours: &Outcome, fault: Fault, spent: bool) -> Result<(), String> {
        let TwinRun { ended, report, left, files, .. } = self;
        if !same_end(&ours.ended, ended) {
            return Err("the ends differ".to_owned());
        }
        if ours.trace != report.trace {
            let at = ours.trace.iter().zip(&report.trace).take_while(|(a, b)| a == b).count();
            let (a, b) = (ours.trace.get(at), report.trace.get(at));
            return Err(format!("call number {at} has seen {a:?}, the twin's {b:?}"));
        }
        if report.met_end.is_some_and(|socket| self.resets(socket)) {
            return Err("a stream that was reset has ended well".to_owned());
        }
        if ours.files != **files {
            return Err(format!("the files hold {:?} instead of {files:?}", ours.files));
        }
        if matches!(fault, Fault::Fail { .. }) && spent && !report.failed {
            return Err("the injected failure has got lost".to_owned());
        }
        for socket in 0..SOCKETS {
            let (got, sent) = (&ours.settled.received[socket], &report.sent[socket]);
            let least = if self.resets(socket) { 0 } else { sent.len() };
            let fits = self.report.sent[socket].starts_with(got) && got.len() >= least
                || socket == ACCEPTED && self.callers_lack_what_was_cut(ours);
            if !fits {
                return Err(differ(&format!("the peer of s{socket} has got"), got, sent));
            }
            if !report.loose && !self.resets(socket) && ours.settled.left[socket] != left[socket] {
                return Err(differ(
                    &format!("s{socket} leaves unread"),
                    &ours.settled.left[socket],
                    &left[socket],
                ));
            }
        }
        Ok(())
    }

    /// Whether each caller has got what the twin's has, and lacks its end only if its connection gave way to another with bytes
    /// unread: that resets it, and the kernel drops what it has not sent yet.
    fn callers_lack_what_was_cut(&self, ours: &Outcome) -> bool {
        let (ours, twins) = (&ours.settled.callers, self.callers);
        let same = |(got, sent): (&Received, &Received)| {
            got.bytes == sent.bytes || got.is_cut && sent.bytes.starts_with(&got.bytes)
        };
        ours.len() == twins.len() && ours.iter().zip(twins).all(same)
    }

    fn struck(&self, ours: &Outcome, fault: Fault) -> Result<(), String> {
        let Err((step, failure)) = &ours.ended else { return Err("it has not failed".to_owned()) };
        if !self.report.trace.starts_with(&ours.trace) {
            return Err("its calls have seen something else".to_owned());
        }
        let mut here = self.report.visits.iter().filter(|visit| {
            visit.step == *step && visit.events == ours.trace.len() && self.causes(visit, failure, fault)
        });
        let fits = |visit: &Visit| {
            visit.files == ours.files
                && (0..SOCKETS).all(|socket| {
                    let got = &ours.settled.received[socket];
                    let least = if self.resets(socket) { 0 } else { visit.before[socket] };
                    self.report.sent[socket].starts_with(got)
                        && (least..=visit.after[socket]).contains(&got.len())
                })
        };
        if here.clone().next().is_none() {
            return Err("the twin does not come to that step, or it cannot fail so".to_owned());
        }
        if here.any(fits) { Ok(()) } else { Err("the peers have got what was not sent then".to_owned()) }
    }

    /// Whether the step may have failed so, by a reset or by the injector.
    fn causes(&self, visit: &Visit, failure: &Failure, fault: Fault) -> bool {
        if let (Some(injected), Failure::Errno(errno)) = (fault.errno(visit.verb), failure)
            && injected == *errno
        {
            return true;
        }
        self.resets(visit.socket)
            && match failure {
                Failure::Errno(libc::ECONNRESET | libc::EPIPE) => true,
                Failure::Errno(libc::ENOTCONN) => visit.verb == Verb::Shutdown,
                Failure::Short { done, want } => visit.verb == Verb::RecvExact && (1..*want).contains(done),
                _ => false,
            }
    }
}

fn same_end(ours: &Ended, twins: &Ended) -> bool {
    match (ours, twins) {
        (Ok(()), Ok(())) => true,
        (Err((step, Failure::Bounds { .. })), Err((twins_step, Failure::Bounds { max: ANY, .. }))) => {
            step == twins_step
        }
        (
            Err((step, Failure::Bounds { len, max, .. })),
            Err((twins_step, Failure::Bounds { len: twins_len, max: twins_max, plus })),
        ) => {
            let with_fixed = (twins_len.saturating_add(u64::from(*plus)), twins_max + plus);
            step == twins_step && [(*twins_len, *twins_max), with_fixed].contains(&(*len, *max))
        }
        (Err(ours), Err(twins)) => ours == twins,
        _ => false,
    }
}

fn differ(what: &str, ours: &[u8], twins: &[u8]) -> String {
    let at = ours.iter().zip(twins).take_while(|(a, b)| a == b).count();
    format!("{what} {} bytes instead of {}, the same up to {at}", ours.len(), twins.len())
}
