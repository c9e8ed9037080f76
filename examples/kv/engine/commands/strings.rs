//! Texts.

use super::Call;
use crate::engine::refusal::Refusal;
use crate::engine::store::New;
use crate::engine::value::{Text, Value};
use crate::protocol::{Reply, Sink};

/// Bytes of a reply beside its text's, more or less.
const HEADER: usize = 16;
/// The longest text.
const LONGEST: usize = 512 << 20;

pub(super) fn get<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    match call.store.text(call.command.arg(1))? {
        Some(text) => text.reply(call.out),
        None => call.out.null(call.proto),
    }
    Ok(())
}

/// Puts argument `value` under the key that is argument `key`. The log is told by the caller, before: what is large is
/// moved, not copied.
pub(super) fn put<S: Sink>(call: &mut Call<'_, '_, S>, key: usize, value: usize, deadline: Option<u64>) {
    match call.command.take_large(value) {
        Some(bytes) => {
            let new = New::Value(Value::Text(Text::new(bytes)));
            call.store.put(call.command.arg(key), deadline, new);
        }
        None => call.store.put(call.command.arg(key), deadline, New::Copy(call.command.arg(value))),
    }
}

pub(super) fn setnx<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let new = call.store.get(call.command.arg(1)).is_none();
    if new {
        call.store.journal.note(&[b"SET", call.command.arg(1), call.command.arg(2)]);
        put(call, 1, 2, Some(0));
    }
    call.out.integer(new.into());
    Ok(())
}

pub(super) fn getset<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    get(call)?;
    call.store.journal.note(&[b"SET", call.command.arg(1), call.command.arg(2)]);
    put(call, 1, 2, Some(0));
    Ok(())
}

pub(super) fn getdel<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    get(call)?;
    let key = call.command.arg(1);
    if call.store.remove(key).is_some() {
        call.store.journal.note(&[b"DEL", key]);
    }
    Ok(())
}

pub(super) fn append<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let (key, more) = (call.command.arg(1), call.command.arg(2));
    let len = call.store.text(key)?.map_or(0, |text| text.bytes().len()) + more.len();
    if len > LONGEST {
        return Err(Refusal::TooLong);
    }
    // A vector that grows may take twice what it has.
    if !call.store.is_loading && len > more.len() && call.store.memory.room() < len {
        return Err(Refusal::OutOfMemory);
    }
    call.store.journal.note(&[b"APPEND", key, more]);
    let empty = || Value::Text(Text::new(Vec::new()));
    call.store.edit(key, empty, |value| {
        if let Value::Text(text) = value {
            text.append(more);
        }
    });
    call.out.integer(len as i64);
    Ok(())
}

pub(super) fn strlen<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let len = call.store.text(call.command.arg(1))?.map_or(0, |text| text.bytes().len());
    call.out.integer(len as i64);
    Ok(())
}

pub(super) fn mget<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    // A key may be asked for a million times: what is copied has nothing to do with what is stored.
    let mut copied = call.out.waiting();
    for key in call.command.args_from(1) {
        copied += call.store.text(key).ok().flatten().map_or(0, Text::copied) + HEADER;
    }
    if copied > call.store.reply_room() {
        return Err(Refusal::OutOfMemory);
    }
    call.out.array(call.command.len() - 1);
    for key in call.command.args_from(1) {
        match call.store.text(key) {
            Ok(Some(text)) => text.reply(call.out),
            // What is no text is nothing here.
            Ok(None) | Err(_) => call.out.null(call.proto),
        }
    }
    Ok(())
}

pub(super) fn mset<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    if call.command.len().is_multiple_of(2) {
        return Err(Refusal::Arity("mset".to_owned()));
    }
    call.store.journal.note_all(b"MSET", call.command.args_from(1));
    for key in (1..call.command.len()).step_by(2) {
        put(call, key, key + 1, Some(0));
    }
    call.out.ok();
    Ok(())
}
