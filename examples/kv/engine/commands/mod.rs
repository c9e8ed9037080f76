//! The commands on keys, each as a function on a store, in the words and with the replies of Redis.

mod deadlines;
pub(super) mod keys;
mod lists;
mod numbers;
mod set;
mod strings;

use super::refusal::Refusal;
use super::store::Store;
use super::table::{Effect, Name, Spec};
use super::value::End;
use crate::protocol::{Command, Proto, Reply, Sink};

/// A command being done.
pub(crate) struct Call<'a, 'c, S> {
    pub(crate) store: &'a mut Store,
    pub(crate) command: &'a mut Command<'c>,
    pub(crate) proto: Proto,
    pub(crate) out: &'a mut S,
}

impl<'c, S: Sink> Call<'_, 'c, S> {
    /// The first argument of nearly all.
    fn key(&self) -> &[u8] {
        self.command.arg(1)
    }

    fn integer(&self, i: usize) -> Result<i64, Refusal> {
        super::number::parse(self.command.arg(i)).ok_or(Refusal::NotAnInteger)
    }
}

/// Runs a command on keys, of whose arguments there are as many as its spec says, and writes its reply: all of it, or an
/// error.
pub(crate) fn run<S: Sink>(spec: &Spec, mut call: Call<'_, '_, S>) {
    if let Err(refusal) = permitted(spec, &call).and_then(|()| dispatch(spec.name, &mut call)) {
        call.out.error(&refusal.to_string());
    }
}

fn permitted<S: Sink>(spec: &Spec, call: &Call<'_, '_, S>) -> Result<(), Refusal> {
    if !call.command.is_whole() {
        return Err(Refusal::OutOfMemory);
    }
    if spec.effect == Effect::Reads || call.store.is_loading {
        return Ok(());
    }
    if let Some(error) = &call.store.read_only {
        return Err(Refusal::ReadOnly(error.clone()));
    }
    if spec.effect == Effect::Grows && call.store.memory.room() < call.command.copied() {
        return Err(Refusal::OutOfMemory);
    }
    Ok(())
}

fn dispatch<S: Sink>(name: Name, call: &mut Call<'_, '_, S>) -> Result<(), Refusal> {
    match name {
        Name::Get => strings::get(call),
        Name::Set => set::set(call),
        Name::Setnx => strings::setnx(call),
        Name::Getset => strings::getset(call),
        Name::Getdel => strings::getdel(call),
        Name::Append => strings::append(call),
        Name::Strlen => strings::strlen(call),
        Name::Mget => strings::mget(call),
        Name::Mset => strings::mset(call),
        Name::Incr => numbers::add(call, 1),
        Name::Decr => numbers::add(call, -1),
        Name::Incrby => numbers::add_given(call),
        Name::Decrby => numbers::subtract_given(call),
        Name::Del | Name::Unlink => keys::del(call),
        Name::Exists => keys::exists(call),
        Name::Type => keys::kind(call),
        Name::Keys => keys::keys(call),
        Name::Scan => keys::scan(call),
        Name::Dbsize => keys::dbsize(call),
        Name::Flushall | Name::Flushdb => keys::flush(call),
        Name::Expire => deadlines::expire(call, 1000, false),
        Name::Pexpire => deadlines::expire(call, 1, false),
        Name::Expireat => deadlines::expire(call, 1000, true),
        Name::Pexpireat => deadlines::expire(call, 1, true),
        Name::Ttl => deadlines::left(call, 1000),
        Name::Pttl => deadlines::left(call, 1),
        Name::Persist => deadlines::persist(call),
        Name::Lpush => lists::push(call, End::Left),
        Name::Rpush => lists::push(call, End::Right),
        Name::Lpop => lists::pop(call, End::Left),
        Name::Rpop => lists::pop(call, End::Right),
        Name::Llen => lists::len(call),
        Name::Lrange => lists::range(call),
        Name::Ping
        | Name::Echo
        | Name::Select
        | Name::Quit
        | Name::Hello
        | Name::Info
        | Name::Config
        | Name::Command
        | Name::Client
        | Name::Publish
        | Name::Subscribe
        | Name::Unsubscribe => Err(Refusal::Text("ERR the command is not about keys".to_owned())),
    }
}
