//! Requests out of bytes that arrive in any pieces.
//!
//! ```text
//! Start --"*n"--> Header --"$len"--> Body --> Header ... --> a command, and Start again
//!   \--any other line: its words are a command
//! ```
//!
//! A piece is always taken whole: what a command that is not complete has in it is kept by the parser, once, so that
//! bytes are looked at once however they arrive. Arguments of [`LARGE`] bytes or more get a vector of their own, which
//! grows with what arrives and not with what is announced, and which can be received into directly
//! ([`Parser::take_target`]).

use super::command::{Arg, Command};
use super::inline;
use super::line::{integer, short};
use super::violation::Violation;

/// From how many bytes on an argument has memory of its own.
pub(crate) const LARGE: usize = 16 << 10;
/// What the vector of a large argument begins with.
const FIRST: usize = 64 << 10;
/// Bytes of a line, at most: of a length, or of a command of words.
const LINE: usize = 64 << 10;
/// Places of arguments that there is always room for.
const USUAL: usize = 8;
/// What a parser without a command keeps.
const KEPT: usize = 4096;

/// What a client may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of an argument.
    pub(crate) bulk: usize,
    /// Arguments of a command.
    pub(crate) args: usize,
    /// Bytes that a command may take up in memory.
    pub(crate) command: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bulk: 512 << 20, args: 1 << 20, command: 1 << 30 }
    }
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Between commands.
    Start,
    /// As many arguments to come.
    Header { left: usize },
    /// As many bytes of an argument of which `begun` are kept already, and as many arguments behind it.
    Body { len: usize, begun: bool, left: usize },
    /// As many bytes of an argument that there is no memory for.
    Skip { len: usize, left: usize },
    /// The line end of an argument, of which as many bytes were seen.
    End { seen: usize, left: usize },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Parser {
    stage: Stage,
    args: Vec<Arg>,
    kept: Vec<u8>,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Bytes of the large arguments.
    large: usize,
    limits: Limits,
    /// The arguments are those of a command that was lent.
    lent: bool,
}

impl Parser {
    pub(crate) fn new(limits: Limits) -> Self {
        let (args, kept, line) = Default::default();
        Parser { stage: Stage::Start, args, kept, line, large: 0, limits, lent: false }
    }

    /// Takes bytes off the front of `input` up to the end of a command, which is lent then; all of them if there is none.
    /// Large arguments may take `room` more bytes of memory; those that cannot are refused.
    pub(crate) fn parse<'c, 'i: 'c>(
        &'c mut self,
        input: &mut &'i [u8],
        room: usize,
    ) -> Result<Option<Command<'c>>, Violation> {
        self.finish();
        let fed = *input;
        if matches!(self.stage, Stage::Start) && self.line.is_empty() {
            if fed.is_empty() {
                return Ok(None);
            }
            if let Some(len) = self.usual(fed) {
                *input = &fed[len..];
                self.lent = true;
                return Ok(Some(Command { fed, kept: &self.kept, args: &mut self.args }));
            }
        }
        let mut at = 0;
        let whole = self.advance(fed, &mut at, room);
        *input = &fed[at..];
        if whole? {
            self.lent = true;
            return Ok(Some(Command { fed, kept: &self.kept, args: &mut self.args }));
        }
        self.keep(fed, room);
        // Each argument costs a little beyond its bytes.
        if self.held() > self.limits.command {
            return Err(Violation::LongCommand);
        }
        Ok(None)
    }

    /// The bytes of memory that it holds, more or less.
    pub(crate) fn held(&self) -> usize {
        self.kept.capacity() + self.large + self.args.capacity() * size_of::<Arg>() + self.line.capacity()
    }

    /// The vector of the large argument that is arriving, to receive behind its bytes as many as are said, for which there
    /// is capacity. To be given back to [`put_target`](Parser::put_target).
    pub(crate) fn take_target(&mut self, room: usize) -> Option<(Vec<u8>, usize)> {
        let Stage::Body { len, begun: true, left } = self.stage else { return None };
        if len == 0 {
            return None;
        }
        let Some(Arg::Large(target)) = self.args.last_mut() else { return None };
        if target.len() == target.capacity() && !grow(target, len, room, &mut self.large) {
            self.refuse(len, left);
            return None;
        }
        let Some(Arg::Large(target)) = self.args.last_mut() else { return None };
        let spare = len.min(target.capacity() - target.len());
        Some((std::mem::take(target), spare))
    }

    /// Takes a target back with `received` more bytes in it.
    pub(crate) fn put_target(&mut self, target: Vec<u8>, received: usize) {
        if let (Stage::Body { len, .. }, Some(arg)) = (&mut self.stage, self.args.last_mut()) {
            *len -= received;
            *arg = Arg::Large(target);
        }
    }

    /// Forgets the command that was lent, if any; as the next one does.
    pub(crate) fn finish(&mut self) {
        if !std::mem::take(&mut self.lent) {
            return;
        }
        self.args.clear();
        self.kept.clear();
        self.large = 0;
        if self.args.capacity() > KEPT / size_of::<Arg>() || self.kept.capacity() > KEPT {
            self.args.shrink_to(KEPT / size_of::<Arg>());
            self.kept.shrink_to(KEPT);
        }
    }

    /// The usual case in one go: at the front of `fed` is a whole command of few and small arguments, of so many bytes. What
    /// is anything else is left to [`advance`](Parser::advance), from its first byte on.
    #[inline]
    fn usual(&mut self, fed: &[u8]) -> Option<usize> {
        let mut at = 0;
        let line = |kind: u8, at: &mut usize| {
            let rest = &fed[*at..];
            let (number, len) = if rest.first() == Some(&kind) { short(rest)? } else { return None };
            *at += len;
            Some(number as usize)
        };
        let count = line(b'*', &mut at)?;
        // None is no command; and for these there are places.
        if count == 0 || count > self.args.capacity().max(USUAL).min(self.limits.args) {
            return None;
        }
        self.args.reserve(count);
        for _ in 0..count {
            let len = line(b'$', &mut at).filter(|len| *len < LARGE && *len <= self.limits.bulk);
            let Some(end) = len.map(|len| at + len).filter(|end| fed.get(*end..*end + 2) == Some(b"\r\n"))
            else {
                self.args.clear();
                return None;
            };
            self.args.push(Arg::Fed(at..end));
            at = end + 2;
        }
        Some(at)
    }

    /// Goes on to the end of a command, or of the bytes.
    fn advance(&mut self, fed: &[u8], at: &mut usize, room: usize) -> Result<bool, Violation> {
        loop {
            match self.stage {
                Stage::Start => {
                    let Some(&first) = self.line.first().or(fed.get(*at)) else { return Ok(false) };
                    if first != b'*' {
                        match self.words(fed, at)? {
                            Some(true) => return Ok(true),
                            Some(false) => continue,
                            None => return Ok(false),
                        }
                    }
                    let refused = (Violation::LongCount, Violation::MultibulkLength);
                    let Some(count) = self.number(fed, at, refused)? else { return Ok(false) };
                    if count > self.limits.args as i64 {
                        return Err(Violation::MultibulkLength);
                    }
                    // None, or fewer, is no command.
                    if count > 0 {
                        self.stage = Stage::Header { left: count as usize };
                    }
                }
                Stage::Header { left: 0 } => {
                    self.stage = Stage::Start;
                    return Ok(true);
                }
                Stage::Header { left } => {
                    let Some(&first) = self.line.first().or(fed.get(*at)) else { return Ok(false) };
                    if first != b'$' {
                        return Err(Violation::ExpectedDollar(first));
                    }
                    let refused = (Violation::LongLength, Violation::BulkLength);
                    let Some(len) = self.number(fed, at, refused)? else { return Ok(false) };
                    let len = usize::try_from(len).ok().filter(|len| *len <= self.limits.bulk);
                    let len = len.ok_or(Violation::BulkLength)?;
                    // The usual case in one step: all of a small argument is there.
                    if len < LARGE && fed[*at..].get(len..len + 2) == Some(b"\r\n") {
                        self.push(Arg::Fed(*at..*at + len), fed, room);
                        *at += len + 2;
                        self.stage = Stage::Header { left: left - 1 };
                    } else {
                        self.stage = Stage::Body { len, begun: false, left: left - 1 };
                    }
                }
                Stage::Body { len, begun, left } => {
                    if !begun {
                        self.keep(fed, room);
                        let arg = match len {
                            LARGE.. => Arg::Large(Vec::new()),
                            _ => Arg::Kept(self.kept.len()..self.kept.len()),
                        };
                        self.push(arg, fed, room);
                    }
                    self.stage = Stage::Body { len, begun: true, left };
                    let now = len.min(fed.len() - *at);
                    if !self.append(&fed[*at..*at + now], len, room) {
                        self.refuse(len, left);
                        continue;
                    }
                    *at += now;
                    if now < len {
                        self.stage = Stage::Body { len: len - now, begun: true, left };
                        return Ok(false);
                    }
                    self.stage = Stage::End { seen: 0, left };
                }
                Stage::Skip { len, left } => {
                    let now = len.min(fed.len() - *at);
                    *at += now;
                    if now < len {
                        self.stage = Stage::Skip { len: len - now, left };
                        return Ok(false);
                    }
                    self.stage = Stage::End { seen: 0, left };
                }
                Stage::End { seen: 2, left } => self.stage = Stage::Header { left },
                Stage::End { seen, left } => match fed.get(*at) {
                    None => return Ok(false),
                    Some(byte) if *byte == b"\r\n"[seen] => {
                        *at += 1;
                        self.stage = Stage::End { seen: seen + 1, left };
                    }
                    Some(_) => return Err(Violation::NoLineEnd),
                },
            }
        }
    }

    /// Appends to the last argument, of which `len` bytes are to come. False if there is no memory for them.
    fn append(&mut self, bytes: &[u8], len: usize, room: usize) -> bool {
        match self.args.last_mut() {
            Some(Arg::Large(target)) => {
                while target.capacity() - target.len() < bytes.len() {
                    if !grow(target, len, room, &mut self.large) {
                        return false;
                    }
                }
                target.extend_from_slice(bytes);
            }
            Some(Arg::Kept(range)) => {
                if !fits(&self.kept, bytes.len(), room) {
                    return false;
                }
                self.kept.extend_from_slice(bytes);
                range.end = self.kept.len();
            }
            _ => {}
        }
        true
    }

    /// Appends an argument; or, if there is no room for its place, gives up the last one, and this one with it.
    #[inline]
    fn push(&mut self, arg: Arg, fed: &[u8], room: usize) {
        if self.args.len() == self.args.capacity() && self.is_crowded(room) {
            return self.crowd_out(fed, room);
        }
        self.args.push(arg);
    }

    /// Whether the places of arguments take so much that they may not be twice as many. Those of a command that is handed
    /// out to other cores are needed there as well, and again for the replies.
    fn is_crowded(&self, room: usize) -> bool {
        let held = self.args.capacity() * size_of::<Arg>();
        held > FIRST && held > room / 4
    }

    #[cold]
    fn crowd_out(&mut self, fed: &[u8], room: usize) {
        // As if something else followed those that lie in `fed`.
        self.keep(fed, room);
        self.refuse_last();
    }

    /// Gives up the last argument, of which `len` bytes are to come.
    fn refuse(&mut self, len: usize, left: usize) {
        self.refuse_last();
        self.stage = Stage::Skip { len, left };
    }

    fn refuse_last(&mut self) {
        if let Some(last) = self.args.last_mut() {
            if let Arg::Large(bytes) = last {
                self.large -= bytes.capacity();
            }
            *last = Arg::Refused;
        }
    }

    /// Keeps the bytes of all arguments that lie in `fed`.
    fn keep(&mut self, fed: &[u8], room: usize) {
        // They are the last ones: whatever is kept otherwise, or large, was preceded by a call of this.
        for arg in self.args.iter_mut().rev() {
            let Arg::Fed(range) = arg else { break };
            let bytes = &fed[range.clone()];
            if fits(&self.kept, bytes.len(), room) {
                let start = self.kept.len();
                self.kept.extend_from_slice(bytes);
                *arg = Arg::Kept(start..self.kept.len());
            } else {
                *arg = Arg::Refused;
            }
        }
    }

    /// The number on a line behind its first byte. None if the end of the line is not there.
    fn number(
        &mut self,
        fed: &[u8],
        at: &mut usize,
        (long, wrong): (Violation, Violation),
    ) -> Result<Option<i64>, Violation> {
        let rest = &fed[*at..];
        if self.line.is_empty()
            && let Some((number, len)) = short(rest)
        {
            *at += len;
            return Ok(Some(number));
        }
        let Some(end) = memchr::memchr(b'\n', &rest[..rest.len().min(LINE)]) else {
            self.line.extend_from_slice(rest);
            *at = fed.len();
            return if self.line.len() > LINE { Err(long) } else { Ok(None) };
        };
        *at += end + 1;
        let number = if self.line.is_empty() {
            integer(&rest[1..end])
        } else {
            self.line.extend_from_slice(&rest[..end]);
            let number = integer(&self.line[1..]);
            self.line = Vec::new();
            number
        };
        number.map(Some).ok_or(wrong)
    }

    /// A command of words: whether there was any, or none if the end of the line is not there.
    fn words(&mut self, fed: &[u8], at: &mut usize) -> Result<Option<bool>, Violation> {
        let rest = &fed[*at..];
        let end = memchr::memchr(b'\n', &rest[..rest.len().min(LINE)]);
        self.line.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
        *at += end.map_or(rest.len(), |end| end + 1);
        if self.line.len() > LINE {
            return Err(Violation::LongInline);
        }
        if end.is_none() {
            return Ok(None);
        }
        let line = std::mem::take(&mut self.line);
        inline::split(&line, |word| {
            let start = self.kept.len();
            self.kept.extend_from_slice(word);
            self.args.push(Arg::Kept(start..self.kept.len()));
        })?;
        Ok(Some(!self.args.is_empty()))
    }
}

/// Gives a vector for large bytes, of which `len` are to come, twice the room, but not more than they need. False if
/// that is more than there is.
fn grow(target: &mut Vec<u8>, len: usize, room: usize, large: &mut usize) -> bool {
    let before = target.capacity();
    let more = before.max(FIRST).min((target.len() + len).saturating_sub(before));
    if more > room {
        return false;
    }
    target.reserve_exact(before + more - target.len());
    *large += target.capacity() - before;
    true
}

/// Whether there is room for a few bytes more among those that are kept.
fn fits(kept: &Vec<u8>, more: usize, room: usize) -> bool {
    // A vector that grows takes as much again.
    kept.capacity() - kept.len() >= more || kept.capacity() <= FIRST || kept.capacity() <= room
}
