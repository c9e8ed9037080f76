//! Values: texts and lists of texts.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::protocol::{LARGE, Reply, Shared, Sink};

/// Bytes. Small ones are copied into replies; large ones are shared with those that are being sent.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Small(Vec<u8>),
    Large(Shared),
}

impl Text {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        if bytes.len() < LARGE { Text::Small(bytes) } else { Text::Large(Arc::new(bytes)) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Text::Small(bytes) => bytes,
            Text::Large(bytes) => bytes,
        }
    }

    /// Appends, in place unless the bytes are being sent.
    pub(crate) fn append(&mut self, more: &[u8]) {
        match self {
            Text::Small(bytes) => {
                bytes.extend_from_slice(more);
                if bytes.len() >= LARGE {
                    *self = Text::new(std::mem::take(bytes));
                }
            }
            Text::Large(bytes) => Arc::make_mut(bytes).extend_from_slice(more),
        }
    }

    /// Becomes other bytes, in the same memory if they are small.
    pub(crate) fn assign(&mut self, new: &[u8]) {
        match self {
            Text::Small(bytes) if new.len() < LARGE && bytes.capacity() <= 2 * new.len() + 16 => {
                bytes.clear();
                bytes.extend_from_slice(new);
            }
            _ => *self = Text::new(new.to_vec()),
        }
    }

    /// Sends it as a reply.
    #[inline]
    pub(crate) fn reply(&self, out: &mut impl Sink) {
        match self {
            Text::Small(bytes) => out.bulk(bytes),
            Text::Large(bytes) => out.blob(bytes.clone()),
        }
    }

    /// Bytes that are copied for its reply.
    pub(crate) fn copied(&self) -> usize {
        match self {
            Text::Small(bytes) => bytes.len(),
            Text::Large(_) => 0,
        }
    }

    /// The memory it takes.
    fn weight(&self) -> usize {
        match self {
            Text::Small(bytes) => bytes.capacity(),
            Text::Large(bytes) => bytes.capacity() + size_of::<Vec<u8>>(),
        }
    }
}

/// A list, never empty while it is in a store.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    items: VecDeque<Text>,
    /// The memory that the items take, besides their places.
    weight: usize,
}

/// One of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Left,
    Right,
}

impl List {
    pub(crate) fn push(&mut self, end: End, item: Text) {
        self.weight += item.weight();
        match end {
            End::Left => self.items.push_front(item),
            End::Right => self.items.push_back(item),
        }
    }

    pub(crate) fn pop(&mut self, end: End) -> Option<Text> {
        let item = match end {
            End::Left => self.items.pop_front(),
            End::Right => self.items.pop_back(),
        }?;
        self.weight -= item.weight();
        // What a long list has taken is given back bit by bit.
        if self.items.len() < self.items.capacity() / 4 {
            self.items.shrink_to(self.items.capacity() / 2);
        }
        Some(item)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Items from one index to another, both included, counted from the end if negative.
    pub(crate) fn range(&self, from: i64, to: i64) -> impl ExactSizeIterator<Item = &Text> {
        let len = self.len() as i64;
        let absolute = |index: i64| if index < 0 { len.saturating_add(index) } else { index };
        let from = absolute(from).max(0).min(len);
        let to = absolute(to).saturating_add(1).clamp(from, len);
        self.items.range(from as usize..to as usize)
    }
}

/// What a key has.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Text),
    List(List),
}

impl Value {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "string",
            Value::List(_) => "list",
        }
    }

    pub(crate) fn weight(&self) -> usize {
        match self {
            Value::Text(text) => text.weight(),
            Value::List(list) => list.weight + list.items.capacity() * size_of::<Text>(),
        }
    }
}
