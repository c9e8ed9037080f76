//! When keys end.

use super::Call;
use crate::engine::refusal::{Refusal, shown, upper};
use crate::engine::store::Store;
use crate::protocol::{Reply, Sink};

/// How a time is given.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    pub(super) milliseconds: i64,
    /// Since 1970, and not from now.
    pub(super) absolute: bool,
}

/// A time in milliseconds since 1970, at least 1.
pub(super) fn absolute(store: &Store, given: i64, unit: Unit, command: &'static str) -> Result<u64, Refusal> {
    let from = if unit.absolute { 0 } else { store.now() as i64 };
    let at = given.checked_mul(unit.milliseconds).and_then(|given| given.checked_add(from));
    at.map(|at| at.max(1) as u64).ok_or(Refusal::InvalidExpire(command))
}

#[derive(Default)]
struct Conditions {
    /// Only without a deadline.
    nx: bool,
    /// Only with one.
    xx: bool,
    /// Only if later.
    gt: bool,
    /// Only if earlier.
    lt: bool,
}

impl Conditions {
    fn of<S: Sink>(call: &Call<'_, '_, S>) -> Result<Self, Refusal> {
        let mut conditions = Conditions::default();
        for word in call.command.args_from(3) {
            match upper(word).as_slice() {
                b"NX" => conditions.nx = true,
                b"XX" => conditions.xx = true,
                b"GT" => conditions.gt = true,
                b"LT" => conditions.lt = true,
                _ => {
                    let text = format!("ERR Unsupported option {}", shown(word));
                    return Err(Refusal::Text(text));
                }
            }
        }
        let Conditions { nx, xx, gt, lt } = conditions;
        if nx && (xx || gt || lt) {
            let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(Refusal::Text(text.to_owned()));
        }
        if gt && lt {
            let text = "ERR GT and LT options at the same time are not compatible";
            return Err(Refusal::Text(text.to_owned()));
        }
        Ok(conditions)
    }

    /// Whether a key that ends at `old`, 0 for never, may end at `new`.
    fn permit(&self, old: u64, new: u64) -> bool {
        // Never is later than any time.
        let later = |a: u64, b: u64| a.wrapping_sub(1) > b.wrapping_sub(1);
        !(self.nx && old != 0
            || self.xx && old == 0
            || self.gt && !later(new, old)
            || self.lt && !later(old, new))
    }
}

pub(super) fn expire<S: Sink>(
    call: &mut Call<'_, '_, S>,
    milliseconds: i64,
    is_absolute: bool,
) -> Result<(), Refusal> {
    let given = call.integer(2)?;
    let conditions = Conditions::of(call)?;
    let name = match (milliseconds, is_absolute) {
        (1, false) => "pexpire",
        (1, true) => "pexpireat",
        (_, false) => "expire",
        (_, true) => "expireat",
    };
    let at = absolute(call.store, given, Unit { milliseconds, absolute: is_absolute }, name)?;
    let key = call.command.arg(1);
    let old = call.store.get(key).map(|entry| entry.deadline);
    let done = old.is_some_and(|old| conditions.permit(old, at));
    if done && at <= call.store.now() {
        call.store.journal.note(&[b"DEL", key]);
        drop(call.store.remove(key));
    } else if done {
        let mut digits = itoa::Buffer::new();
        call.store.journal.note(&[b"PEXPIREAT", key, digits.format(at).as_bytes()]);
        call.store.set_deadline(key, at);
    }
    call.out.integer(done.into());
    Ok(())
}

/// How long a key has, in units of as many milliseconds; -1 is for ever, -2 that there is none.
pub(super) fn left<S: Sink>(call: &mut Call<'_, '_, S>, milliseconds: u64) -> Result<(), Refusal> {
    let now = call.store.now();
    let left = match call.store.get(call.command.arg(1)).map(|entry| entry.deadline) {
        None => -2,
        Some(0) => -1,
        Some(at) => (at.saturating_sub(now) + milliseconds / 2).div_euclid(milliseconds) as i64,
    };
    call.out.integer(left);
    Ok(())
}

pub(super) fn persist<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let key = call.command.arg(1);
    let done = call.store.get(key).is_some_and(|entry| entry.deadline != 0);
    if done {
        call.store.journal.note(&[b"PERSIST", key]);
        call.store.set_deadline(key, 0);
    }
    call.out.integer(done.into());
    Ok(())
}
