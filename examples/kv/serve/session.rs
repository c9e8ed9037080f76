//! A connection's requests, from bytes to replies. The same for both ways to serve: it is given what came, and writes into
//! whatever sends.

use std::io;
use std::rc::Rc;

use futures::future::join;

use super::client::Client;
use super::core::{Core, now};
use super::errand::{Answered, Errand, answer, owner};
use crate::engine::table::{Keys, Spec, find};
use crate::engine::{Refusal, SHOWN, shown};
use crate::log::Persist;
use crate::protocol::{Command, Parser, Reply, Sink};

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) core: Rc<Core>,
    pub(crate) client: Client,
    pub(crate) parser: Parser,
    /// What the parser held when the core was last told.
    held: usize,
}

/// Why a session has stopped.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It has seen all bytes.
    Idle,
    /// The replies are to be sent first.
    Full,
    /// Others have to do something first.
    Wait(Box<Wait>),
    /// The replies are to be sent, and then the connection is over.
    End,
}

impl Session {
    pub(crate) fn new(core: Rc<Core>) -> Self {
        let (client, parser) = (Client::new(core.clone()), Parser::new(core.shared.limits));
        Session { core, client, parser, held: 0 }
    }

    /// Bytes of memory that requests may take.
    pub(crate) fn room(&self) -> usize {
        self.core.store.borrow().memory.room()
    }

    /// Tells the core what the parser holds.
    pub(crate) fn weigh(&mut self) {
        let held = self.parser.held();
        if held != self.held {
            self.core.store.borrow_mut().memory.change(self.held, held);
            self.held = held;
        }
    }

    /// Does the commands at the front of `input`. With `alone` it stops behind one after which the client is subscribed to
    /// something.
    pub(crate) fn run<S: Sink>(&mut self, input: &mut &[u8], out: &mut S, alone: bool) -> Turn {
        let room = {
            let mut store = self.core.store.borrow_mut();
            store.tell(now());
            store.memory.room()
        };
        let mut errand = None;
        let mut count = 0;
        let turn = loop {
            if errand.as_ref().map_or(out.is_full(), Errand::is_full) {
                break Turn::Full;
            }
            let (client, core) = (&mut self.client, &self.core);
            match self.parser.parse(input, room) {
                Ok(None) => break Turn::Idle,
                Ok(Some(mut command)) => {
                    count += 1;
                    step(core, client, &mut command, &mut errand, out);
                }
                Err(violation) => {
                    match &mut errand {
                        None => out.error(&violation.to_string()),
                        Some(errand) => {
                            errand.out().error(&violation.to_string());
                            errand.done();
                        }
                    }
                    client.quits = true;
                }
            }
            if client.quits {
                break Turn::End;
            }
            if alone && client.is_subscribed() {
                break Turn::Full;
            }
        };
        self.parser.finish();
        self.weigh();
        self.core.count(|counters| &counters.commands, count);
        self.core.publish_counts(&self.core.store.borrow());
        match (errand, self.core.persist()) {
            (None, None) => turn,
            (errand, persist) => Turn::Wait(Box::new(Wait { core: self.core.clone(), errand, persist })),
        }
    }
}

/// What has to be waited for before replies are sent.
#[derive(Debug)]
pub(crate) struct Wait {
    core: Rc<Core>,
    errand: Option<Errand>,
    persist: Option<Persist>,
}

impl Wait {
    /// Waits for other cores, and for the disk.
    pub(crate) async fn done(self) -> Waited {
        let persist = async {
            match self.persist {
                Some(persist) => persist.wait().await,
                None => Ok(()),
            }
        };
        let errand = async {
            match self.errand {
                Some(errand) => Some(errand.run().await),
                None => None,
            }
        };
        let (persisted, answered) = join(persist, errand).await;
        Waited { core: self.core, persisted, answered }
    }
}

/// What has become of it.
#[derive(Debug)]
pub(crate) struct Waited {
    core: Rc<Core>,
    persisted: io::Result<()>,
    answered: Option<Answered>,
}

impl Waited {
    /// Writes the rest of the replies. If what was done is not on the disk, it is an error instead of all replies, and false.
    pub(crate) fn write<S: Sink>(self, out: &mut S) -> bool {
        if let Err(error) = self.persisted {
            self.core.fail(&error);
            out.forget();
            out.error(&Refusal::ReadOnly(error.to_string()).to_string());
            return false;
        }
        if let Some(answered) = self.answered {
            answered.write(out);
        }
        true
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.core.store.borrow_mut().memory.change(self.held, 0);
    }
}

/// One command: done here, or handed out.
#[inline]
fn step<S: Sink>(
    core: &Rc<Core>,
    client: &mut Client,
    command: &mut Command<'_>,
    errand: &mut Option<Errand>,
    out: &mut S,
) {
    let spec = match known(client, command) {
        Ok(spec) => spec,
        Err(refusal) => return here(errand, out, Refused(refusal)),
    };
    match owner(core, spec, command) {
        Some(owner) if owner == core.place.index => here(errand, out, Run { core, client, spec, command }),
        // Parts of it would be done.
        None if !command.is_whole() => here(errand, out, Refused(Refusal::OutOfMemory)),
        one_or_more => {
            let errand = errand.get_or_insert_with(|| Errand::new(core.clone()));
            match one_or_more {
                Some(owner) => errand.send(owner, command, client.proto),
                None => errand.spread(spec, command, client.proto),
            }
        }
    }
}

fn known(client: &Client, command: &Command<'_>) -> Result<&'static Spec, Refusal> {
    let Some(spec) = find(command.arg(0)) else { return Err(unknown(command)) };
    match client.refuses(spec, command) {
        Some(refusal) => Err(refusal),
        None => Ok(spec),
    }
}

#[cold]
fn unknown(command: &Command<'_>) -> Refusal {
    let mut text = format!("ERR unknown command '{}', with args beginning with: ", shown(command.arg(0)));
    for arg in command.args_from(1) {
        if text.len() > 2 * SHOWN {
            break;
        }
        text.push_str(&format!("'{}' ", shown(arg)));
    }
    Refusal::Text(text)
}

/// Something that writes one reply.
trait Replies {
    fn reply(self, out: &mut impl Sink);
}

struct Refused(Refusal);

impl Replies for Refused {
    fn reply(self, out: &mut impl Sink) {
        out.error(&self.0.to_string());
    }
}

struct Run<'a, 'c> {
    core: &'a Core,
    client: &'a mut Client,
    spec: &'static Spec,
    command: &'a mut Command<'c>,
}

impl Replies for Run<'_, '_> {
    #[inline]
    fn reply(self, out: &mut impl Sink) {
        let Run { core, client, spec, command } = self;
        match spec.keys {
            Keys::None if !command.is_whole() => out.error(&Refusal::OutOfMemory.to_string()),
            Keys::None => client.run(spec, command, out),
            _ => answer(core, spec, command, client.proto, out),
        }
    }
}

/// Writes a reply where those of this core go now.
#[inline]
fn here<S: Sink>(errand: &mut Option<Errand>, out: &mut S, replies: impl Replies) {
    match errand {
        None => replies.reply(out),
        Some(errand) => {
            replies.reply(errand.out());
            errand.done();
        }
    }
}
