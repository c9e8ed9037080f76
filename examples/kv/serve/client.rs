//! The commands that are about the connection or the server, not about keys.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::core::Core;
use super::describe;
use super::hub::{self, Subscriptions};
use super::info;
use crate::engine::table::{Name, Spec};
use crate::engine::{Refusal, number, shown, upper};
use crate::protocol::{Command, Proto, Reply, Sink};

/// Bytes of the name of a client, or of a channel: each is kept as long as the client is there.
const LONGEST_NAME: usize = 64 << 10;

/// A client, as the server sees it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) name: Vec<u8>,
    pub(crate) proto: Proto,
    /// It has asked for the end.
    pub(crate) quits: bool,
    pub(crate) subscriptions: Option<Box<Subscriptions>>,
    core: Rc<Core>,
}

impl Client {
    pub(crate) fn new(core: Rc<Core>) -> Self {
        let id = core.shared.next_client.fetch_add(1, Ordering::Relaxed) + 1;
        core.count(|counters| &counters.clients, 1);
        Client { id, name: Vec::new(), proto: Proto::Resp2, quits: false, subscriptions: None, core }
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscriptions.as_ref().is_some_and(|subscriptions| !subscriptions.channels.is_empty())
    }

    /// Why a command, that is known, cannot be done at all.
    pub(crate) fn refuses(&self, spec: &Spec, command: &Command<'_>) -> Option<Refusal> {
        if !spec.takes(command.len()) {
            return Some(Refusal::Arity(spec.text.to_owned()));
        }
        let allowed = matches!(spec.name, Name::Subscribe | Name::Unsubscribe | Name::Ping | Name::Quit);
        if self.proto == Proto::Resp2 && self.is_subscribed() && !allowed {
            let text =
                "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
            return Some(Refusal::Text(format!("ERR Can't execute '{}': {text}", spec.text)));
        }
        None
    }

    /// Runs a command that is about no key.
    pub(crate) fn run<S: Sink>(&mut self, spec: &Spec, command: &Command<'_>, out: &mut S) {
        let result = match spec.name {
            Name::Ping => self.ping(command, out),
            Name::Echo => {
                out.bulk(command.arg(1));
                Ok(())
            }
            Name::Select => select(command, out),
            Name::Quit => {
                self.quits = true;
                out.ok();
                Ok(())
            }
            Name::Hello => self.hello(command, out),
            Name::Info => {
                out.bulk(info::text(&self.core, command).as_bytes());
                Ok(())
            }
            Name::Config => info::config(&self.core, self.proto, command, out),
            Name::Command => describe::all(self.proto, command, out),
            Name::Client => self.client(command, out),
            Name::Subscribe => self.subscribe(command, out),
            Name::Unsubscribe => {
                self.unsubscribe(command, out);
                Ok(())
            }
            _ => Err(Refusal::Text(format!("ERR '{}' is not for here", spec.text))),
        };
        if let Err(refusal) = result {
            out.error(&refusal.to_string());
        }
    }

    fn ping(&self, command: &Command<'_>, out: &mut impl Sink) -> Result<(), Refusal> {
        let text = match command.len() {
            1 => None,
            2 => Some(command.arg(1)),
            _ => return Err(Refusal::Arity("ping".to_owned())),
        };
        match text {
            // A subscriber of the old protocol expects nothing but messages.
            _ if self.is_subscribed() && self.proto == Proto::Resp2 => {
                out.array(2);
                out.bulk(b"pong");
                out.bulk(text.unwrap_or_default());
            }
            Some(text) => out.bulk(text),
            None => out.simple("PONG"),
        }
        Ok(())
    }

    fn hello(&mut self, command: &Command<'_>, out: &mut impl Sink) -> Result<(), Refusal> {
        let mut proto = self.proto;
        if command.len() > 1 {
            proto = match number(command.arg(1)) {
                Some(2) => Proto::Resp2,
                Some(3) => Proto::Resp3,
                None => {
                    let text = "ERR Protocol version is not an integer or out of range";
                    return Err(Refusal::Text(text.to_owned()));
                }
                Some(_) => return Err(Refusal::Text("NOPROTO unsupported protocol version".to_owned())),
            };
        }
        let mut name = None;
        let mut i = 2;
        while i < command.len() {
            let option = command.arg(i);
            if option.eq_ignore_ascii_case(b"SETNAME") && i + 1 < command.len() {
                name = Some(valid_name(command.arg(i + 1))?);
                i += 2;
            } else if option.eq_ignore_ascii_case(b"AUTH") && i + 2 < command.len() {
                // There are no passwords: whoever comes is the default user.
                if command.arg(i + 1) != b"default" {
                    let text = "WRONGPASS invalid username-password pair or user is disabled.";
                    return Err(Refusal::Text(text.to_owned()));
                }
                i += 3;
            } else {
                let option = shown(option);
                return Err(Refusal::Text(format!("ERR Syntax error in HELLO option '{option}'")));
            }
        }
        self.proto = proto;
        if let Some(name) = name {
            self.rename(name);
        }
        out.map(proto, 7);
        for (key, value) in
            [("server", "redis"), ("version", info::VERSION), ("mode", "standalone"), ("role", "master")]
        {
            out.bulk(key.as_bytes());
            out.bulk(value.as_bytes());
        }
        out.bulk(b"proto");
        out.integer(if proto == Proto::Resp3 { 3 } else { 2 });
        out.bulk(b"id");
        out.integer(self.id as i64);
        out.bulk(b"modules");
        out.array(0);
        Ok(())
    }

    fn rename(&mut self, name: Vec<u8>) {
        self.core.store.borrow_mut().memory.change(self.name.len(), name.len());
        self.name = name;
    }

    fn client(&mut self, command: &Command<'_>, out: &mut impl Sink) -> Result<(), Refusal> {
        match (upper(command.arg(1)).as_slice(), command.len()) {
            (b"ID", 2) => out.integer(self.id as i64),
            (b"GETNAME", 2) if self.name.is_empty() => out.null(self.proto),
            (b"GETNAME", 2) => out.bulk(&self.name),
            (b"SETNAME", 3) => {
                self.rename(valid_name(command.arg(2))?);
                out.ok();
            }
            (b"SETINFO", 4) => out.ok(),
            (b"NO-EVICT" | b"NO-TOUCH", 3) => out.ok(),
            (b"INFO", 2) | (b"LIST", 2..) => out.bulk(self.describe().as_bytes()),
            (word, _) => return Err(unknown_subcommand("CLIENT", word)),
        }
        Ok(())
    }

    /// The line of CLIENT INFO. CLIENT LIST gives this one alone: no core knows the clients of the others.
    fn describe(&self) -> String {
        let (id, name) = (self.id, String::from_utf8_lossy(&self.name));
        let channels = self.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.channels.len());
        let resp = if self.proto == Proto::Resp3 { 3 } else { 2 };
        format!("id={id} name={name} db=0 sub={channels} psub=0 core={} resp={resp}\n", self.core.place.index)
    }

    fn subscribe(&mut self, command: &Command<'_>, out: &mut impl Sink) -> Result<(), Refusal> {
        if command.args_from(1).any(|channel| channel.len() > LONGEST_NAME) {
            return Err(long_name());
        }
        let wanted = command.args_from(1).map(hub::weight).sum::<usize>();
        if wanted > self.core.store.borrow().memory.room() {
            return Err(Refusal::OutOfMemory);
        }
        let subscriptions = self.subscriptions.get_or_insert_with(|| Box::new(Subscriptions::new()));
        for channel in command.args_from(1) {
            if self.core.hub.borrow_mut().subscribe(self.id, subscriptions, channel) {
                self.core.store.borrow_mut().memory.change(0, hub::weight(channel));
            }
            out.message(self.proto, 3);
            out.bulk(b"subscribe");
            out.bulk(channel);
            out.integer(subscriptions.channels.len() as i64);
        }
        Ok(())
    }

    fn unsubscribe(&mut self, command: &Command<'_>, out: &mut impl Sink) {
        let mut channels: Vec<Vec<u8>> = command.args_from(1).map(<[u8]>::to_vec).collect();
        if channels.is_empty() {
            channels = self.subscriptions.iter().flat_map(|all| all.channels.iter().cloned()).collect();
        }
        if channels.is_empty() {
            out.message(self.proto, 3);
            out.bulk(b"unsubscribe");
            out.null(self.proto);
            return out.integer(0);
        }
        for channel in channels {
            let mut left = 0;
            if let Some(subscriptions) = &mut self.subscriptions {
                if self.core.hub.borrow_mut().unsubscribe(self.id, subscriptions, &channel) {
                    self.core.store.borrow_mut().memory.change(hub::weight(&channel), 0);
                }
                left = subscriptions.channels.len();
            }
            out.message(self.proto, 3);
            out.bulk(b"unsubscribe");
            out.bulk(&channel);
            out.integer(left as i64);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut held = self.name.len();
        if let Some(subscriptions) = &self.subscriptions {
            self.core.hub.borrow_mut().leave(self.id, subscriptions);
            held += subscriptions.channels.iter().map(|channel| hub::weight(channel)).sum::<usize>();
        }
        self.core.store.borrow_mut().memory.change(held, 0);
        self.core.count(|counters| &counters.clients, -1);
    }
}

fn long_name() -> Refusal {
    Refusal::Text(format!("ERR a name cannot have more than {LONGEST_NAME} bytes"))
}

fn valid_name(name: &[u8]) -> Result<Vec<u8>, Refusal> {
    if name.len() > LONGEST_NAME {
        return Err(long_name());
    }
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(name.to_vec());
    }
    let text = "ERR Client names cannot contain spaces, newlines or special characters.";
    Err(Refusal::Text(text.to_owned()))
}

fn select(command: &Command<'_>, out: &mut impl Sink) -> Result<(), Refusal> {
    match number(command.arg(1)) {
        Some(0) => out.ok(),
        Some(_) => return Err(Refusal::Text("ERR DB index is out of range".to_owned())),
        None => return Err(Refusal::NotAnInteger),
    }
    Ok(())
}

pub(super) fn unknown_subcommand(command: &str, word: &[u8]) -> Refusal {
    let word = shown(word);
    Refusal::Text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{word}'. Try {command} HELP."
    ))
}
