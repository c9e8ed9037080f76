//! Where a cleanup is linked so that it runs in any case: a close directly behind a read of the same file.
//!
//! How much a `read_at` brings is not known before, and what severs its link is anything less than its span. A *hard* link
//! is severed by nothing: the close is submitted together with the read, and runs though that comes short or fails. The read
//! reports by itself, and so does the close: two completions, one submission.
//!
//! That is right only if whoever handles an error of the read has no more use for the file; a frame that ends would close
//! it, or give it back with its `Exit`, and so `close_file` says that it may be closed. Reads that are exact do not need it: they are taken up again where they came short, for which the file must
//! still be open, and their ordinary link keeps the close from running before. Nor do reads into a buffer of a pool, which
//! come again when there was none. Nor does an `open` before the read join them:
//! its descriptor's number is in no entry that is made before it is known. (With a direct descriptor it could be. But a frame
//! would have to own a slot of the ring's table for as long as the file may be open, and everything that works on a file
//! would need a second form of each entry. What is saved is one round trip through the loop a file.)

use chainring_runtime::frame::Verb;

use super::effects::{Effect, effects};
use super::flow::{Flow, Pc, io, successors};
use crate::handle::Place;

/// Whether the close at `next` may be linked to the read at `pc` so that it runs in any case.
pub(super) fn follows(flow: &Flow, pc: Pc, next: Pc) -> bool {
    let (Some(read), Some(close)) = (io(flow, pc), io(flow, next)) else { return false };
    matches!(read.verb, Verb::ReadAt | Verb::ReadSomeAt)
        && read.selects().is_none()
        && close.verb == Verb::Close
        && close.place == read.place
        && flow.handlers(pc).all(|handler| !is_used(flow, handler.to, read.place))
}

/// Whether the descriptor in a place is used on some path from a line on, before another takes its place.
fn is_used(flow: &Flow, from: Pc, place: Place) -> bool {
    let (mut seen, mut work) = (vec![false; flow.lines.len()], vec![from]);
    while let Some(pc) = work.pop() {
        if std::mem::replace(&mut seen[pc], true) {
            continue;
        }
        let (mut used, mut opened) = (false, false);
        effects(&flow.lines[pc].inst, &mut |effect| match effect {
            Effect::Uses(of) => used |= of == place,
            Effect::Opens(of) => opened |= of == place,
            _ => {}
        });
        if used {
            return true;
        }
        // What fails has opened nothing.
        work.extend(flow.handlers(pc).map(|handler| handler.to));
        if !opened {
            work.extend(successors(&flow.lines[pc].inst, pc).into_iter().flatten());
        }
    }
    false
}
