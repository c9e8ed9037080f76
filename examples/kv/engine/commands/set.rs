//! SET, which has options.

use super::Call;
use super::deadlines::{Unit, absolute};
use super::strings::{get, put};
use crate::engine::refusal::{Refusal, upper};
use crate::protocol::{Reply, Sink};

#[derive(Default)]
struct Options {
    only_new: bool,
    only_old: bool,
    get: bool,
    keep: bool,
    /// Which argument says when, and how it is to be read.
    deadline: Option<(usize, Unit)>,
}

impl Options {
    fn of<S: Sink>(call: &Call<'_, '_, S>) -> Result<Self, Refusal> {
        let mut options = Options::default();
        let mut i = 3;
        while i < call.command.len() {
            let word = upper(call.command.arg(i));
            let unit = match word.as_slice() {
                b"NX" if !options.only_old => {
                    options.only_new = true;
                    None
                }
                b"XX" if !options.only_new => {
                    options.only_old = true;
                    None
                }
                b"GET" => {
                    options.get = true;
                    None
                }
                b"KEEPTTL" if options.deadline.is_none() => {
                    options.keep = true;
                    None
                }
                b"EX" => Some(Unit { milliseconds: 1000, absolute: false }),
                b"PX" => Some(Unit { milliseconds: 1, absolute: false }),
                b"EXAT" => Some(Unit { milliseconds: 1000, absolute: true }),
                b"PXAT" => Some(Unit { milliseconds: 1, absolute: true }),
                _ => return Err(Refusal::Syntax),
            };
            if let Some(unit) = unit {
                i += 1;
                if i >= call.command.len() || options.keep || options.deadline.is_some() {
                    return Err(Refusal::Syntax);
                }
                options.deadline = Some((i, unit));
            }
            i += 1;
        }
        Ok(options)
    }
}

pub(super) fn set<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    if call.command.len() == 3 {
        call.store.journal.note(&[b"SET", call.command.arg(1), call.command.arg(2)]);
        put(call, 1, 2, Some(0));
        call.out.ok();
        return Ok(());
    }
    let options = Options::of(call)?;
    let deadline = match options.deadline {
        Some((i, unit)) => {
            let given = call.integer(i)?;
            if given <= 0 {
                return Err(Refusal::InvalidExpire("set"));
            }
            Some(absolute(call.store, given, unit, "set")?)
        }
        None if options.keep => None,
        None => Some(0),
    };
    let exists = call.store.get(call.command.arg(1)).is_some();
    // With GET the reply is what was there, or that it is no text, and then nothing is done.
    if options.get {
        get(call)?;
    }
    if exists && options.only_new || !exists && options.only_old {
        if !options.get {
            call.out.null(call.proto);
        }
        return Ok(());
    }
    let (key, value) = (call.command.arg(1), call.command.arg(2));
    match deadline {
        None => call.store.journal.note(&[b"SET", key, value, b"KEEPTTL"]),
        Some(0) => call.store.journal.note(&[b"SET", key, value]),
        Some(at) => {
            let mut digits = itoa::Buffer::new();
            call.store.journal.note(&[b"SET", key, value, b"PXAT", digits.format(at).as_bytes()]);
        }
    }
    put(call, 1, 2, deadline);
    if !options.get {
        call.out.ok();
    }
    Ok(())
}
