//! Keys, whatever is under them.

use super::Call;
use crate::engine::glob::matches;
use crate::engine::refusal::{Refusal, upper};
use crate::protocol::{Reply, Sink};

pub(super) fn del<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let mut count = 0;
    for key in call.command.args_from(1) {
        if call.store.remove(key).is_some() {
            call.store.journal.note(&[b"DEL", key]);
            count += 1;
        }
    }
    call.out.integer(count);
    Ok(())
}

pub(super) fn exists<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let count = call.command.args_from(1).filter(|key| call.store.get(key).is_some()).count();
    call.out.integer(count as i64);
    Ok(())
}

pub(super) fn kind<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let kind = call.store.get(call.command.arg(1)).map_or("none", |entry| entry.value.kind());
    call.out.simple(kind);
    Ok(())
}

pub(super) fn dbsize<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    while call.store.expire(1000) {}
    call.out.integer(call.store.len() as i64);
    Ok(())
}

pub(super) fn flush<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let mut words = call.command.args_from(1);
    let known = |word: &[u8]| word.eq_ignore_ascii_case(b"ASYNC") || word.eq_ignore_ascii_case(b"SYNC");
    if words.len() > 1 || !words.all(known) {
        return Err(Refusal::Syntax);
    }
    call.store.journal.note(&[b"FLUSHALL"]);
    call.store.clear();
    call.out.ok();
    Ok(())
}

pub(super) fn keys<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let pattern = call.command.arg(1);
    let mut found = Vec::new();
    call.store.scan(0, usize::MAX, |key, _| {
        if matches(pattern, key) {
            found.push(key.to_vec());
        }
    });
    call.out.array(found.len());
    found.iter().for_each(|key| call.out.bulk(key));
    Ok(())
}

/// Which store a cursor is one of, where there are `count`; they are gone through one after the other.
pub(crate) fn store_of(cursor: &[u8], count: usize) -> Option<usize> {
    Some(cursor_of(cursor)? % count)
}

fn cursor_of(text: &[u8]) -> Option<usize> {
    crate::engine::number::parse(text).and_then(|cursor| cursor.try_into().ok())
}

pub(super) fn scan<S: Sink>(call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    let place = call.store.place;
    let cursor = cursor_of(call.key()).ok_or(Refusal::InvalidCursor)? / place.count;
    let (mut pattern, mut kind, mut count) = (None, None, 10);
    let mut i = 2;
    while i < call.command.len() {
        if i + 1 == call.command.len() {
            return Err(Refusal::Syntax);
        }
        match upper(call.command.arg(i)).as_slice() {
            b"MATCH" => pattern = Some(call.command.arg(i + 1)),
            b"TYPE" => kind = Some(call.command.arg(i + 1)),
            b"COUNT" => match call.integer(i + 1)? {
                wanted @ 1.. => count = wanted as usize,
                _ => return Err(Refusal::Syntax),
            },
            _ => return Err(Refusal::Syntax),
        }
        i += 2;
    }
    let mut found = Vec::new();
    let next = call.store.scan(cursor, count, |key, entry| {
        let wanted = pattern.is_none_or(|pattern| matches(pattern, key))
            && kind.is_none_or(|kind| kind.eq_ignore_ascii_case(entry.value.kind().as_bytes()));
        if wanted {
            found.push(key.to_vec());
        }
    });
    // Behind the last key of a store comes the beginning of the next one.
    let next = match next {
        0 if place.index + 1 < place.count => place.index + 1,
        0 => 0,
        next => next * place.count + place.index,
    };
    call.out.array(2);
    call.out.bulk(itoa::Buffer::new().format(next).as_bytes());
    call.out.array(found.len());
    found.iter().for_each(|key| call.out.bulk(key));
    Ok(())
}
