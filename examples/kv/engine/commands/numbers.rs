//! Texts that are numbers.

use super::Call;
use crate::engine::refusal::Refusal;
use crate::engine::store::New;
use crate::protocol::{Reply, Sink};

pub(super) fn add_given<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let given = call.integer(2)?;
    add(call, given)
}

pub(super) fn subtract_given<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let given = call.integer(2)?.checked_neg().ok_or(Refusal::DecrementOverflow)?;
    add(call, given)
}

pub(super) fn add<S: Sink>(call: &mut Call<'_, '_, S>, by: i64) -> Result<(), Refusal> {
    let key = call.command.arg(1);
    let before = match call.store.text(key)? {
        Some(text) => crate::engine::number::parse(text.bytes()).ok_or(Refusal::NotAnInteger)?,
        None => 0,
    };
    let after = before.checked_add(by).ok_or(Refusal::Overflow)?;
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(after).as_bytes();
    call.store.journal.note(&[b"SET", key, digits, b"KEEPTTL"]);
    call.store.put(key, None, New::Copy(digits));
    call.out.integer(after);
    Ok(())
}
