//! What a step reads and writes, and whether it can fail: the second opinion on `effects` of the compiler.

use super::check::{Known, Refusal};
use super::program::{
    ALL_REGS, Call, End, Expr, FileStep, HELD, HELD_FROM, Kind, Len, OUT, OWNED, POOLED, Path, Polled, REGS,
    Span,
};

/// Whether a step itself may fail, its blocks apart.
pub(super) fn can_fail(kind: &Kind) -> bool {
    match kind {
        Kind::Set { value: expr, .. } | Kind::When { cond: expr, .. } | Kind::Sleep { time: expr } => {
            expr.can_trap()
        }
        Kind::SetWord { value, .. } | Kind::FetchAdd { value, .. } => value.can_trap(),
        Kind::Exchange { current, new, .. } => current.can_trap() || new.can_trap(),
        Kind::FutexWait { .. } | Kind::FutexWake { .. } | Kind::Accept | Kind::Poll { .. } => true,
        Kind::Repeat { .. } | Kind::Attempt { .. } | Kind::Again | Kind::Leave | Kind::Finish => false,
        Kind::Serial { .. } | Kind::Within { .. } | Kind::Fork { .. } | Kind::Pipelined { .. } => false,
        Kind::Notify | Kind::Wait => false,
        Kind::Recv { .. } | Kind::RecvExact { .. } | Kind::Fill { .. } | Kind::Consume { .. } => true,
        Kind::Send { .. } | Kind::SendAll { .. } | Kind::SendOutbox { .. } | Kind::Shutdown { .. } => true,
        Kind::File(_) | Kind::Rename { .. } | Kind::Remove { .. } | Kind::Splice { .. } => true,
        Kind::Store { .. } | Kind::Copy { .. } | Kind::Append { .. } | Kind::AppendNumber { .. } => true,
        Kind::Commit { .. } | Kind::Fetch { .. } | Kind::Call(_) | Kind::Nop => true,
        Kind::Ensure { .. } | Kind::Fail { .. } => true,
    }
}

/// Gathers what a step reads and must not.
struct Reads<'k> {
    known: &'k Known,
    refusals: Vec<Refusal>,
}

impl Reads<'_> {
    fn reg(&mut self, reg: usize) {
        if !self.known.regs[reg] {
            self.refusals.push(Refusal::Reg(reg));
        }
    }

    fn buf(&mut self, buf: usize) {
        if !self.known.bufs[buf] {
            self.refusals.push(Refusal::Buf(buf));
        }
    }

    /// The registers of a span.
    fn place(&mut self, span: &Span) {
        span.start.into_iter().for_each(|reg| self.reg(reg));
        if let Len::Reg(reg) = span.len {
            self.reg(reg);
        }
    }

    fn bytes(&mut self, span: &Span) {
        self.place(span);
        self.buf(span.buf);
    }

    /// What is written is there; but for what comes into its front, one that is not a frame's own at all times is only
    /// when something has come.
    fn room(&mut self, span: &Span, fills: bool) {
        self.place(span);
        if [POOLED, OWNED].contains(&span.buf) && !(fills && span.is_from_front()) {
            self.buf(span.buf);
        }
    }

    fn path(&mut self, path: &Path) {
        if let Path::Bytes(span) = path {
            self.bytes(span);
        }
    }

    fn file(&mut self, file: usize) {
        if self.known.vacant[file] {
            self.refusals.push(Refusal::Closed(file));
        }
    }

    fn sends(&mut self, socket: usize) {
        if self.known.shut[socket] {
            self.refusals.push(Refusal::ShutDown(socket));
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Const(_) | Expr::Word(_) => {}
            Expr::Reg(reg) => self.reg(*reg),
            Expr::Load { buf, .. } => self.buf(*buf),
            Expr::LoadAt { buf, index, .. } => {
                self.buf(*buf);
                self.expr(index);
            }
            Expr::Find { span, byte } => {
                self.bytes(span);
                self.expr(byte);
            }
            Expr::Partition { span, key, .. } => {
                self.bytes(span);
                self.expr(key);
            }
            Expr::Equals(a, b) | Expr::FindBytes(a, b) => {
                [a, b].into_iter().for_each(|span| self.bytes(span))
            }
            Expr::Hash(span) => self.bytes(span),
            Expr::Binary(_, operands) => operands.iter().for_each(|operand| self.expr(operand)),
        }
    }

    fn call(&mut self, call: &Call) {
        match call {
            Call::Log(reg) | Call::Decide(reg) | Call::Take(reg) => self.reg(*reg),
            Call::Observe => {}
            Call::Look(span, reg) => {
                self.bytes(span);
                self.reg(*reg);
            }
            Call::Fill(span, _) => self.room(span, false),
            Call::Mix { from, to, .. } => {
                self.bytes(from);
                self.room(to, false);
            }
        }
    }
}

pub(super) fn reads(kind: &Kind, known: &Known) -> Vec<Refusal> {
    let mut reads = Reads { known, refusals: Vec::new() };
    match kind {
        Kind::Recv { span, .. } | Kind::RecvExact { span, .. } => reads.room(span, true),
        Kind::Send { socket, span, .. } => {
            reads.sends(*socket);
            reads.bytes(span);
        }
        Kind::SendAll { socket, spans, .. } => {
            reads.sends(*socket);
            spans.iter().for_each(|span| reads.bytes(span));
        }
        Kind::Append { span } => reads.bytes(span),
        Kind::SendOutbox { socket } => reads.sends(*socket),
        Kind::Shutdown { socket } => {
            reads.sends(*socket);
            if reads.refusals.is_empty() && known.may_be_shut[*socket] {
                reads.refusals.push(Refusal::MayBeShutDown);
            }
        }
        Kind::File(FileStep::Read { file, span, position, .. }) => {
            reads.expr(position);
            reads.room(span, true);
            reads.file(*file);
        }
        Kind::File(FileStep::Write { file, spans, position, .. }) => {
            reads.expr(position);
            reads.file(*file);
            spans.iter().for_each(|span| reads.bytes(span));
        }
        Kind::File(FileStep::Sync { file, .. })
        | Kind::File(FileStep::CloseFile { file })
        | Kind::File(FileStep::Statx { file, .. }) => reads.file(*file),
        Kind::File(FileStep::Fallocate { file, position, len }) => {
            reads.expr(position);
            reads.expr(len);
            reads.file(*file);
        }
        Kind::File(FileStep::Truncate { file, len }) => {
            reads.expr(len);
            reads.file(*file);
        }
        Kind::File(FileStep::Open { path, .. }) | Kind::Remove { path, .. } => reads.path(path),
        Kind::Rename { from, to } => {
            reads.path(from);
            reads.path(to);
        }
        Kind::Splice { from, to, len, .. } => {
            if let Len::Reg(reg) = len {
                reads.reg(*reg);
            }
            for end in [from, to] {
                if let End::File(file) = end {
                    reads.file(*file);
                }
            }
            if let End::Socket(socket) = to {
                reads.sends(*socket);
            }
        }
        Kind::SetWord { value, .. } | Kind::FetchAdd { value, .. } => reads.expr(value),
        Kind::FutexWait { expected: value, .. } | Kind::FutexWake { count: value, .. } => reads.expr(value),
        // What has no end to send into any more is hung up, sooner or later.
        Kind::Poll { what: Polled::Socket(socket), events, .. } => {
            if *events == OUT && known.may_be_shut[*socket] {
                reads.refusals.push(Refusal::MayBeShutDown);
            }
        }
        Kind::Exchange { current, new, .. } => {
            reads.expr(current);
            reads.expr(new);
        }
        Kind::Commit { spans, .. } => spans.iter().for_each(|span| reads.bytes(span)),
        Kind::Fetch { from, to, reg, .. } => {
            reads.bytes(from);
            reads.reg(*reg);
            reads.room(to, false);
        }
        Kind::Set { value: expr, .. }
        | Kind::Ensure { cond: expr, .. }
        | Kind::When { cond: expr, .. }
        | Kind::Consume { len: expr }
        | Kind::AppendNumber { value: expr, .. }
        | Kind::Fail { errno: expr }
        | Kind::Sleep { time: expr } => reads.expr(expr),
        Kind::Store { buf, at, value, .. } => {
            reads.expr(at);
            reads.expr(value);
            reads.room(&Span::all(*buf), false);
        }
        Kind::Copy { to, from } => {
            reads.room(to, false);
            reads.bytes(from);
        }
        Kind::Call(call) => reads.call(call),
        Kind::Fill { .. } | Kind::Nop | Kind::Notify | Kind::Wait | Kind::Accept | Kind::Poll { .. } => {}
        Kind::Serial { .. } | Kind::Within { .. } | Kind::Fork { .. } | Kind::Pipelined { .. } => {}
        Kind::Attempt { .. } | Kind::Repeat { .. } | Kind::Again | Kind::Leave | Kind::Finish => {}
    }
    reads.refusals
}

pub(super) fn writes(kind: &Kind, known: &mut Known) {
    match kind {
        Kind::Recv { span, into, .. }
        | Kind::RecvExact { span, into, .. }
        | Kind::File(FileStep::Read { span, into, .. }) => {
            known.bufs[span.buf] = true;
            into.iter().for_each(|reg| known.regs[*reg] = true);
        }
        Kind::Send { into, .. } => known.regs[*into] = true,
        Kind::SendAll { into, .. } | Kind::File(FileStep::Write { into, .. }) => {
            into.iter().for_each(|reg| known.regs[*reg] = true);
        }
        Kind::Shutdown { socket } => (known.shut[*socket], known.may_be_shut[*socket]) = (true, true),
        Kind::File(FileStep::Statx { size, mode, .. }) => {
            size.iter().chain(mode).for_each(|reg| known.regs[*reg] = true);
        }
        Kind::File(FileStep::Open { file, .. }) => known.vacant[*file] = false,
        Kind::File(FileStep::CloseFile { file }) => known.vacant[*file] = true,
        Kind::Set { reg, .. } | Kind::Splice { into: reg, .. } => known.regs[*reg] = true,
        Kind::FutexWake { into, .. } | Kind::Poll { into, .. } => {
            into.iter().for_each(|reg| known.regs[*reg] = true);
        }
        Kind::FetchAdd { into, .. } | Kind::Exchange { into, .. } | Kind::Commit { into, .. } => {
            into.iter().for_each(|reg| known.regs[*reg] = true);
        }
        Kind::Fetch { to, reg, .. } => {
            known.bufs[to.buf] = true;
            known.regs[*reg] = true;
        }
        Kind::Store { buf, .. } => known.bufs[*buf] = true,
        Kind::Copy { to, .. } => known.bufs[to.buf] = true,
        Kind::Call(Call::Observe) => known.regs = [true; ALL_REGS],
        Kind::Call(Call::Fill(span, _)) => known.bufs[span.buf] = true,
        Kind::Call(Call::Mix { to, reg, .. }) => {
            known.bufs[to.buf] = true;
            known.regs[*reg] = true;
        }
        Kind::Call(Call::Log(_) | Call::Look(..) | Call::Take(_) | Call::Decide(_)) => {}
        Kind::File(FileStep::Sync { .. } | FileStep::Fallocate { .. } | FileStep::Truncate { .. }) => {}
        Kind::Rename { .. } | Kind::Remove { .. } | Kind::Accept | Kind::Nop | Kind::Sleep { .. } => {}
        Kind::Fill { .. } | Kind::Consume { .. } => {}
        Kind::Append { .. } | Kind::AppendNumber { .. } | Kind::SendOutbox { .. } => {}
        Kind::SetWord { .. } | Kind::FutexWait { .. } | Kind::Notify | Kind::Wait => {}
        Kind::Ensure { .. } | Kind::Fail { .. } | Kind::When { .. } => {}
        Kind::Serial { .. } | Kind::Within { .. } | Kind::Fork { .. } | Kind::Pipelined { .. } => {}
        Kind::Attempt { .. } | Kind::Repeat { .. } | Kind::Again | Kind::Leave | Kind::Finish => {}
    }
}

/// Registers that only the stream buffer's spans and expressions name are always written.
const _: () = assert!(HELD >= REGS && HELD_FROM >= REGS);
