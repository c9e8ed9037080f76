//! Lists.

use super::Call;
use crate::engine::refusal::Refusal;
use crate::engine::value::{End, List, Text, Value};
use crate::protocol::{Reply, Sink};

pub(super) fn push<S: Sink>(call: &mut Call<'_, '_, S>, end: End) -> Result<(), Refusal> {
    call.store.list(call.command.arg(1))?;
    let name: &[u8] = if end == End::Left { b"LPUSH" } else { b"RPUSH" };
    call.store.journal.note_all(name, call.command.args_from(1));
    let items: Vec<_> = (2..call.command.len()).map(|i| Text::new(call.command.take(i))).collect();
    let len = call.store.edit(
        call.command.arg(1),
        || Value::List(List::default()),
        |value| match value {
            Value::List(list) => {
                items.into_iter().for_each(|item| list.push(end, item));
                list.len()
            }
            Value::Text(_) => 0,
        },
    );
    call.out.integer(len as i64);
    Ok(())
}

pub(super) fn pop<S: Sink>(call: &mut Call<'_, '_, S>, end: End) -> Result<(), Refusal> {
    let name = if end == End::Left { "lpop" } else { "rpop" };
    let wanted = match call.command.len() {
        2 => None,
        3 => match call.integer(2) {
            Ok(wanted @ 0..) => Some(wanted as usize),
            _ => return Err(Refusal::NotPositive),
        },
        _ => return Err(Refusal::Arity(name.to_owned())),
    };
    let key = call.command.arg(1);
    let Some(len) = call.store.list(key)?.map(List::len) else {
        match wanted {
            None => call.out.null(call.proto),
            Some(_) => call.out.null_array(call.proto),
        }
        return Ok(());
    };
    let count = wanted.unwrap_or(1).min(len);
    if wanted.is_some() {
        call.out.array(count);
    }
    if count > 0 {
        let upper: &[u8] = if end == End::Left { b"LPOP" } else { b"RPOP" };
        let mut digits = itoa::Buffer::new();
        call.store.journal.note(&[upper, key, digits.format(count).as_bytes()]);
    }
    let out = &mut *call.out;
    let left = call.store.edit(
        key,
        || Value::List(List::default()),
        |value| {
            let Value::List(list) = value else { return 0 };
            for _ in 0..count {
                if let Some(item) = list.pop(end) {
                    item.reply(out);
                }
            }
            list.len()
        },
    );
    if left == 0 {
        drop(call.store.remove(key));
    }
    Ok(())
}

pub(super) fn len<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let len = call.store.list(call.command.arg(1))?.map_or(0, List::len);
    call.out.integer(len as i64);
    Ok(())
}

pub(super) fn range<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let (from, to) = (call.integer(2)?, call.integer(3)?);
    match call.store.list(call.command.arg(1))? {
        Some(list) => {
            let items = list.range(from, to);
            call.out.array(items.len());
            items.for_each(|item| item.reply(call.out));
        }
        None => call.out.array(0),
    }
    Ok(())
}
