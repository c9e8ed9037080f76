//! Channels: who of this core's clients has subscribed to what.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use chainring::CancellationToken;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use crate::protocol::{Proto, Reply, Shared, Sink};

/// What a subscriber may leave unread; with more it is dropped.
const UNREAD: usize = 32 << 20;

/// What a subscription takes beyond the channel's name: an entry of the client's set, and one of two maps, which have
/// room for more.
const PER_SUBSCRIPTION: usize = 512;

/// The memory that a subscription takes, the name of its channel twice.
pub(super) fn weight(channel: &[u8]) -> usize {
    2 * channel.len() + PER_SUBSCRIPTION
}

/// A message of a channel.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    channel: Shared,
    text: Shared,
}

impl Message {
    pub(crate) fn new(channel: &[u8], text: Vec<u8>) -> Self {
        Message { channel: Shared::new(channel.to_vec()), text: Shared::new(text) }
    }

    fn len(&self) -> usize {
        self.channel.len() + self.text.len() + size_of::<Message>()
    }

    pub(crate) fn write(&self, proto: Proto, out: &mut impl Sink) {
        out.message(proto, 3);
        out.bulk(b"message");
        out.bulk(&self.channel);
        match self.text.len() {
            crate::protocol::LARGE.. => out.blob(self.text.clone()),
            _ => out.bulk(&self.text),
        }
    }
}

/// Where the messages of a client go.
#[derive(Clone, Debug)]
struct Mailbox {
    sender: UnboundedSender<Message>,
    unread: Rc<Cell<usize>>,
    /// Cancelled when it has left too much unread.
    dropped: CancellationToken,
}

/// What a client has subscribed to, and the messages of that. Dropping it ends all of it once the hub is told.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    pub(crate) channels: HashSet<Vec<u8>>,
    pub(crate) messages: UnboundedReceiver<Message>,
    mailbox: Mailbox,
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        let (sender, messages) = unbounded();
        let mailbox = Mailbox { sender, unread: Rc::default(), dropped: CancellationToken::new() };
        Subscriptions { channels: HashSet::new(), messages, mailbox }
    }

    /// Cancelled when the client is dropped, who may be stuck in being sent something.
    pub(crate) fn dropped(&self) -> &CancellationToken {
        &self.mailbox.dropped
    }

    /// A message was taken.
    pub(crate) fn read(&self, message: &Message) {
        self.mailbox.unread.set(self.mailbox.unread.get().saturating_sub(message.len()));
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    channels: HashMap<Vec<u8>, HashMap<u64, Mailbox>>,
}

impl Hub {
    /// False if it was subscribed to already.
    pub(crate) fn subscribe(
        &mut self,
        client: u64,
        subscriptions: &mut Subscriptions,
        channel: &[u8],
    ) -> bool {
        let new = subscriptions.channels.insert(channel.to_vec());
        if new {
            let subscribers = self.channels.entry(channel.to_vec()).or_default();
            subscribers.insert(client, subscriptions.mailbox.clone());
        }
        new
    }

    /// False if it was not subscribed to.
    pub(crate) fn unsubscribe(
        &mut self,
        client: u64,
        subscriptions: &mut Subscriptions,
        channel: &[u8],
    ) -> bool {
        let old = subscriptions.channels.remove(channel);
        if old {
            self.remove(client, channel);
        }
        old
    }

    /// A client has gone.
    pub(crate) fn leave(&mut self, client: u64, subscriptions: &Subscriptions) {
        subscriptions.channels.iter().for_each(|channel| self.remove(client, channel));
    }

    fn remove(&mut self, client: u64, channel: &[u8]) {
        if let Some(subscribers) = self.channels.get_mut(channel) {
            subscribers.remove(&client);
            if subscribers.is_empty() {
                self.channels.remove(channel);
            }
        }
    }

    /// Sends to all subscribers of a channel, and says how many there are.
    pub(crate) fn publish(&self, channel: &[u8], text: impl FnOnce() -> Vec<u8>) -> usize {
        let Some(subscribers) = self.channels.get(channel) else { return 0 };
        let message = Message::new(channel, text());
        for mailbox in subscribers.values() {
            let unread = mailbox.unread.get() + message.len();
            if unread > UNREAD {
                mailbox.sender.close_channel();
                mailbox.dropped.cancel();
            } else if mailbox.sender.unbounded_send(message.clone()).is_ok() {
                mailbox.unread.set(unread);
            }
        }
        subscribers.len()
    }
}
