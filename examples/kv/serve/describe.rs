//! COMMAND: what commands there are.

use super::client::unknown_subcommand;
use crate::engine::table::{COMMANDS, Effect, Keys, Spec, find};
use crate::engine::{Refusal, upper};
use crate::protocol::{Command, Proto, Reply, Sink};

/// All of them, or those that are named.
pub(super) fn all(proto: Proto, command: &Command<'_>, out: &mut impl Sink) -> Result<(), Refusal> {
    if command.len() == 1 {
        out.array(COMMANDS.len());
        COMMANDS.iter().for_each(|spec| one(spec, out));
        return Ok(());
    }
    match (upper(command.arg(1)).as_slice(), command.len()) {
        (b"COUNT", 2) => out.integer(COMMANDS.len() as i64),
        (b"LIST", 2) => {
            out.array(COMMANDS.len());
            COMMANDS.iter().for_each(|spec| out.bulk(spec.text.as_bytes()));
        }
        (b"INFO", _) => {
            out.array(command.len() - 2);
            for name in command.args_from(2) {
                match find(name) {
                    Some(spec) => one(spec, out),
                    None => out.null_array(proto),
                }
            }
        }
        // A person's hints: none.
        (b"DOCS", _) => out.map(proto, 0),
        (word, _) => return Err(unknown_subcommand("COMMAND", word)),
    }
    Ok(())
}

fn one(spec: &Spec, out: &mut impl Sink) {
    let (first, last, step) = match spec.keys {
        Keys::First => (1, 1, 1),
        Keys::Each(beside) => (1, -1, 1 + beside as i64),
        Keys::None | Keys::Cursor | Keys::All => (0, 0, 0),
    };
    out.array(6);
    out.bulk(spec.text.as_bytes());
    out.integer(spec.arity.into());
    out.array(1);
    out.simple(match spec.effect {
        Effect::Reads => "readonly",
        Effect::Writes | Effect::Grows => "write",
    });
    out.integer(first);
    out.integer(last);
    out.integer(step);
}
