//! Programs as text, for those who have to find out what is wrong with one: close to what the builder would be told.

use std::fmt;

use super::program::{
    ACCEPTED, Block, Call, Expr, FileStep, Kind, Len, NAMES, Op, Path, Program, Span, Step,
};

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (reg, value) in self.params.iter().enumerate() {
            if let Some(value) = value {
                writeln!(f, "      r{reg} starts as {value}")?;
            }
        }
        print(f, &self.body, 0)
    }
}

fn print(f: &mut fmt::Formatter<'_>, block: &Block, depth: usize) -> fmt::Result {
    let indent = "  ".repeat(depth);
    for Step { number, kind } in block {
        write!(f, "{number:>4}  {indent}")?;
        match kind {
            Kind::When { cond, then, otherwise } => {
                writeln!(f, "when {cond} {{")?;
                print(f, then, depth + 1)?;
                if !otherwise.is_empty() {
                    writeln!(f, "      {indent}}} otherwise {{")?;
                    print(f, otherwise, depth + 1)?;
                }
                writeln!(f, "      {indent}}}")?;
            }
            Kind::Repeat { body } => {
                writeln!(f, "repeat {{")?;
                print(f, body, depth + 1)?;
                writeln!(f, "      {indent}}}")?;
            }
            Kind::Attempt { body, errno, handler } => {
                writeln!(f, "attempt {{")?;
                print(f, body, depth + 1)?;
                if let Some(errno) = errno {
                    writeln!(f, "      {indent}}} on error, r{errno} = errno {{")?;
                    print(f, handler, depth + 1)?;
                }
                writeln!(f, "      {indent}}}")?;
            }
            Kind::Serial { body } | Kind::Within { body, .. } => {
                writeln!(f, "{kind} {{")?;
                print(f, body, depth + 1)?;
                writeln!(f, "      {indent}}}")?;
            }
            Kind::Fork { .. } | Kind::Pipelined { .. } => {
                writeln!(f, "{kind}")?;
                for block in kind.blocks() {
                    writeln!(f, "      {indent}{{")?;
                    print(f, block, depth + 1)?;
                    writeln!(f, "      {indent}}}")?;
                }
            }
            simple => writeln!(f, "{simple}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Recv { socket, span, into, or_finish, .. } => {
                write!(f, "recv(s{socket}, {span}){}", suffix(into, *or_finish))
            }
            Kind::RecvExact { socket, span, into, or_finish } => {
                write!(f, "recv_exact(s{socket}, {span}){}", suffix(into, *or_finish))
            }
            Kind::Send { socket, span, into } => write!(f, "send(s{socket}, {span}).into(r{into})"),
            Kind::SendAll { socket, spans: all, into } => {
                write!(f, "send_all(s{socket}, [{}]){}", spans(all), suffix(into, false))
            }
            Kind::Shutdown { socket } => write!(f, "shutdown(s{socket})"),
            Kind::Fill { socket, or_finish } => write!(f, "fill(s{socket}){}", suffix(&None, *or_finish)),
            Kind::Consume { len } => write!(f, "consume({len})"),
            Kind::File(step) => write!(f, "{step}"),
            Kind::Store { buf, at, width, big, value } => {
                write!(f, "store(b{buf}, {at}, {}{}, {value})", if *big { "be" } else { "le" }, width * 8)
            }
            Kind::Copy { to, from } => write!(f, "copy({to}, {from})"),
            Kind::Append { span } => write!(f, "append({span})"),
            Kind::AppendNumber { width: None, value, .. } => write!(f, "append_decimal({value})"),
            Kind::AppendNumber { width: Some(width), big, value } => {
                write!(f, "append_number({}{}, {value})", if *big { "be" } else { "le" }, width * 8)
            }
            Kind::SendOutbox { socket } => write!(f, "send_outbox(s{socket})"),
            Kind::Sleep { time } => write!(f, "sleep({time})"),
            Kind::Splice { from, to, len, into, or_finish } => {
                write!(f, "splice({from:?}, {to:?}, {len:?}){}", suffix(&Some(*into), *or_finish))
            }
            Kind::Nop => write!(f, "nop"),
            Kind::Accept => write!(f, "accept(s{ACCEPTED})"),
            Kind::Poll { what, events, into } => {
                write!(f, "poll({what:?}, {events:#x}){}", suffix(into, false))
            }
            Kind::Rename { from, to } => write!(f, "rename({from}, {to})"),
            Kind::Remove { path, directory: true } => write!(f, "remove_dir({path})"),
            Kind::Remove { path, directory: false } => write!(f, "unlink({path})"),
            Kind::SetWord { word, value } => write!(f, "set(w{word}, {value})"),
            Kind::FetchAdd { word, value, into } => {
                write!(f, "fetch_add(w{word}, {value}){}", suffix(into, false))
            }
            Kind::Exchange { word, current, new, into } => {
                write!(f, "compare_exchange(w{word}, {current}, {new}){}", suffix(into, false))
            }
            Kind::FutexWait { word, expected } => write!(f, "futex_wait(w{word}, {expected})"),
            Kind::FutexWake { word, count, into } => {
                write!(f, "futex_wake(w{word}, {count}){}", suffix(into, false))
            }
            Kind::Notify => write!(f, "notify"),
            Kind::Wait => write!(f, "wait"),
            Kind::Commit { spans: all, into } => {
                write!(f, "commit([{}]){}", spans(all), suffix(into, false))
            }
            Kind::Fetch { from, to, reg, ready } => {
                write!(f, "call_async, ready {ready:?}: mix {from} and r{reg} into {to} and r{reg}")
            }
            Kind::Serial { .. } => write!(f, "serial"),
            Kind::Within { time, .. } => write!(f, "within {time} ns"),
            Kind::Fork { need, .. } => write!(f, "branches, of which {need:?} must succeed"),
            Kind::Pipelined { depth, .. } => write!(f, "pipelined, {depth} deep: ahead, and in order"),
            Kind::Attempt { .. } => write!(f, "attempt"),
            Kind::Set { reg, value } => write!(f, "set(r{reg}, {value})"),
            Kind::Ensure { cond, code } => write!(f, "ensure({cond}, {code})"),
            Kind::When { cond, .. } => write!(f, "when {cond}"),
            Kind::Repeat { .. } => write!(f, "repeat"),
            Kind::Again => write!(f, "again"),
            Kind::Leave => write!(f, "leave"),
            Kind::Finish => write!(f, "finish"),
            Kind::Fail { errno } => write!(f, "fail({errno})"),
            Kind::Call(call) => match call {
                Call::Log(reg) => write!(f, "call: note that r{reg} bytes came"),
                Call::Observe => write!(f, "call: note all registers"),
                Call::Look(span, reg) => write!(f, "call: note {span} and r{reg}"),
                Call::Fill(span, seed) => write!(f, "call: fill {span} from {seed}"),
                Call::Mix { from, to, reg } => write!(f, "call: mix {from} and r{reg} into {to} and r{reg}"),
                Call::Take(reg) => write!(f, "call: note what the stream holds, and consume r{reg} of it"),
                Call::Decide(reg) => write!(f, "call: finish, fail or go on as r{reg} says"),
            },
        }
    }
}

impl fmt::Display for FileStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileStep::Read { file, span, position, into, exact, or_finish } => {
                let name = if *exact { "read_exact_at" } else { "read_at" };
                write!(f, "{name}(f{file}, {span}, {position}){}", suffix(into, *or_finish))
            }
            FileStep::Write { file, spans: all, position, into } => {
                write!(f, "write_all_at(f{file}, [{}], {position}){}", spans(all), suffix(into, false))
            }
            FileStep::Sync { file, data } => {
                write!(f, "{}(f{file})", if *data { "fdatasync" } else { "fsync" })
            }
            FileStep::Fallocate { file, position, len } => write!(f, "fallocate(f{file}, {position}, {len})"),
            FileStep::Truncate { file, len } => write!(f, "ftruncate(f{file}, {len})"),
            FileStep::Open { file, path, flags } => write!(f, "open(f{file}, {path}, {flags:#o})"),
            FileStep::CloseFile { file } => write!(f, "close_file(f{file})"),
            FileStep::Statx { file, size, mode } => write!(f, "statx(f{file}), size {size:?}, mode {mode:?}"),
        }
    }
}

fn spans(spans: &[Span]) -> String {
    spans.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What is said of a step behind its arguments.
fn suffix(into: &Option<usize>, or_finish: bool) -> String {
    let into = into.map(|reg| format!(".into(r{reg})")).unwrap_or_default();
    into + if or_finish { ".or_finish()" } else { "" }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Name(name) => write!(f, "{:?}", NAMES[*name]),
            Path::Bytes(span) => write!(f, "{span}"),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buf = self.buf;
        match (self.start, self.len) {
            (None, Len::Fixed(len)) => write!(f, "b{buf}[{}..{}]", self.from, self.from + len),
            (None, Len::Reg(reg)) => write!(f, "b{buf}.to(r{reg})"),
            (Some(start), Len::Fixed(len)) => write!(f, "b{buf}.part(r{start}, {len})"),
            (Some(start), Len::Reg(reg)) => write!(f, "b{buf}.part(r{start}, r{reg})"),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Const(value) => write!(f, "{value}"),
            Expr::Reg(reg) => write!(f, "r{reg}"),
            Expr::Word(word) => write!(f, "w{word}"),
            Expr::Load { buf, offset, width, big } => {
                write!(f, "b{buf}.{}{}({offset})", if *big { "be" } else { "le" }, width * 8)
            }
            Expr::LoadAt { buf, index, width, big } => {
                write!(f, "b{buf}.{}{}({index})", if *big { "be" } else { "le" }, width * 8)
            }
            Expr::Find { span, byte } => write!(f, "{span}.find({byte})"),
            Expr::FindBytes(a, b) => write!(f, "{a}.find_bytes({b})"),
            Expr::Partition { span, width, big, stride, key, or_equal } => {
                let (name, order) = (if *or_equal { "le" } else { "lt" }, if *big { "be" } else { "le" });
                write!(f, "{span}.partition_{name}({order}{}, {stride}, {key})", width * 8)
            }
            Expr::Equals(a, b) => write!(f, "{a}.equals({b})"),
            Expr::Hash(span) => write!(f, "{span}.hash()"),
            Expr::Binary(op, operands) => {
                let sign = Op::ALL.iter().find(|(known, _)| known == op).map_or("?", |(_, sign)| *sign);
                write!(f, "({} {sign} {})", operands[0], operands[1])
            }
        }
    }
}
