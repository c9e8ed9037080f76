//! Steps that go several ways at once.

use super::super::Chain;
use crate::handle::Reg;
use crate::tree::{Block, Kind, Step, Turn};

impl<S: 'static> Chain<S> {
    /// Runs branches side by side, and goes on when all of them have succeeded. When the first one fails, the others are
    /// cancelled, their completions awaited, and its error is that of the block: it leads where an error of a step here
    /// would lead.
    ///
    /// ```
    /// # use chainring_chains::Chain;
    /// # let mut c = Chain::<()>::new("both");
    /// # let (left, right, data) = (c.socket(), c.socket(), c.buffer(64));
    /// c.all(|b| {
    ///     b.branch(|c| {
    ///         c.recv_exact(left, data.range(..32));
    ///     });
    ///     b.branch(|c| {
    ///         c.recv_exact(right, data.range(32..));
    ///     });
    /// });
    /// # c.build()?;
    /// # Ok::<(), chainring_chains::BuildError>(())
    /// ```
    ///
    /// A branch does I/O, computes, loops, sleeps and attempts. It does not call native code, finish the frame, branch
    /// again, or wait in a group, for an event or a log; a deadline stands around the branches, and strikes all of them. What one branch writes (a register, bytes, an outbox), opens or closes, no other one touches, and two of
    /// them do not send, or receive, on the same socket: `build()` refuses that. Files are shared, as they are with
    /// everybody else.
    pub fn all(&mut self, branches: impl FnOnce(&mut Branches<'_, S>)) {
        self.fork("all", None, branches);
    }

    /// As [`all`](Chain::all), but goes on when `need` branches have succeeded. The others are cancelled at once, and
    /// their completions awaited, so that what they have read into can be used again; a peer that is slow need not answer.
    /// When so many have failed that the rest is too few, the block fails with the error of the last of them. A connection
    /// whose branch was given up is in the middle of an exchange: what its peer still answers is for whoever receives there
    /// next.
    ///
    /// Which branches have succeeded nobody knows beforehand. So what a branch reads into a buffer counts as unwritten
    /// behind the block, and a register that it writes has what the branch wrote, or what it had before, which it must
    /// have been given. Whether a branch has come to its end it can say as its last step:
    ///
    /// ```
    /// # use chainring_chains::Chain;
    /// # let mut c = Chain::<()>::new("two of three");
    /// # let replicas = [c.socket(), c.socket(), c.socket()];
    /// # let record = c.constant(b"a record");
    /// let acknowledged = [c.reg(), c.reg(), c.reg()];
    /// acknowledged.map(|reg| c.set(reg, 0));
    /// c.quorum(2, |b| {
    ///     for (replica, acknowledged) in replicas.into_iter().zip(acknowledged) {
    ///         b.branch(|c| {
    ///             let answer = c.buffer(1);
    ///             c.send_all(replica, record.all());
    ///             c.recv_exact(replica, answer.all());
    ///             c.set(acknowledged, 1);
    ///         });
    ///     }
    /// });
    /// # c.build()?;
    /// # Ok::<(), chainring_chains::BuildError>(())
    /// ```
    pub fn quorum(&mut self, need: usize, branches: impl FnOnce(&mut Branches<'_, S>)) {
        self.fork("quorum", Some(need), branches);
    }

    fn fork(&mut self, name: &'static str, need: Option<usize>, branches: impl FnOnce(&mut Branches<'_, S>)) {
        let number = self.push(name, Kind::Finish).number;
        let mut blocks = Branches { chain: self, blocks: Vec::new() };
        branches(&mut blocks);
        let kind = Kind::Fork { need, branches: blocks.blocks };
        *self.last_step() = Step { number, name, kind };
    }

    /// Repeats a block with up to `depth` turns of it in flight. What `ahead` adds runs in the turns side by side, in any
    /// order; what `in_order` adds runs in the order of the turns, one at a time, each when its own `ahead` is done. Both
    /// are given the register with the number of the turn, from 0 on, and `in_order` what `ahead` has returned.
    ///
    /// The closures are called once for each of the turns that can be in flight, and must add the same each time: handles
    /// that they make are the turn's own.
    ///
    /// `leave` ends the block, and `again` the turn, when those before it are done; in `ahead` they do so without the
    /// turn's part in order. The turns behind one that leaves, or fails, count as never begun: what they have in flight is
    /// cancelled, and its completion awaited. The error is that of the first turn that fails, in their order.
    ///
    /// ```
    /// # use chainring_chains::Chain;
    /// # let mut c = Chain::<()>::new("copy");
    /// # let (from, to, size) = (c.file(), c.file(), c.param());
    /// const BLOCK: u32 = 64 << 10;
    /// c.pipelined(
    ///     32,
    ///     |c, turn| {
    ///         let (block, at, len) = (c.buffer(BLOCK), c.reg(), c.reg());
    ///         c.set(at, turn * BLOCK);
    ///         c.when(at.ge(size), |c| c.leave());
    ///         c.set(len, size - at);
    ///         c.when(len.gt(BLOCK), |c| c.set(len, BLOCK));
    ///         c.read_exact_at(from, block.to(len), at);
    ///         (block, at, len)
    ///     },
    ///     |c, _, (block, at, len)| {
    ///         c.write_all_at(to, block.to(len), at);
    ///     },
    /// );
    /// # c.build()?;
    /// # Ok::<(), chainring_chains::BuildError>(())
    /// ```
    ///
    /// As for [`all`](Chain::all), a turn calls no native code, does not finish the frame and does not branch; and what a
    /// turn writes no other one touches, except that the parts in order may share registers, and halves of sockets.
    pub fn pipelined<H>(
        &mut self,
        depth: usize,
        ahead: impl Fn(&mut Self, Reg) -> H,
        in_order: impl Fn(&mut Self, Reg, H),
    ) {
        let name = "pipelined";
        let number = self.push(name, Kind::Finish).number;
        let mut turns = Vec::new();
        // One more than there can be is refused, and as many as that need not be made for it.
        for _ in 0..depth.min(MOST + 1) {
            // The steps of every turn are the same to whoever reads their numbers.
            self.steps = number;
            let (statx, turn) = (self.statx.take(), self.reg());
            let mut handles = None;
            let ahead = self.block(|c| handles = Some(ahead(c, turn)));
            let handles = handles.expect("the block was recorded");
            let in_order = self.block(|c| in_order(c, turn, handles));
            self.statx = statx;
            turns.push(Turn { number: turn, ahead, in_order });
        }
        *self.last_step() = Step { number, name, kind: Kind::Pipelined(turns) };
    }
}

/// Branches side by side, at most, and turns in flight.
pub(crate) const MOST: usize = 64;

/// The branches of an [`all`](Chain::all) or [`quorum`](Chain::quorum), to be added to.
pub struct Branches<'c, S> {
    chain: &'c mut Chain<S>,
    blocks: Vec<Block>,
}

impl<S: 'static> Branches<'_, S> {
    /// Adds a branch.
    pub fn branch(&mut self, body: impl FnOnce(&mut Chain<S>)) {
        // What a statx answers into is written by this branch, and so not for another one.
        let statx = self.chain.statx.take();
        self.blocks.push(self.chain.block(body));
        self.chain.statx = statx;
    }
}

impl<S> std::fmt::Debug for Branches<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Branches").field("branches", &self.blocks.len()).finish_non_exhaustive()
    }
}
