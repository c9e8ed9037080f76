//! For every operation: a use that succeeds, one that fails, and one that waits.

#![allow(dead_code, reason = "each test binary uses its part")]

mod files;
mod other;
mod sockets;

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;

use chainring_runtime::buf::{BufferPool, FixedPool, PoolOptions};

use crate::common::Dir;

/// An operation, whatever it gives.
pub(crate) type Act = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// What the operations of one scenario work on.
pub(crate) struct World {
    pub(crate) dir: Dir,
    keep: RefCell<Vec<Box<dyn Any>>>,
    pools: RefCell<Vec<BufferPool>>,
    fixed: RefCell<Vec<FixedPool>>,
}

impl World {
    pub(crate) fn new() -> World {
        World {
            dir: Dir::new(),
            keep: RefCell::default(),
            pools: RefCell::default(),
            fixed: RefCell::default(),
        }
    }

    /// Keeps a value until the scenario ends.
    pub(crate) fn keep<T: Clone + 'static>(&self, value: &T) {
        self.keep.borrow_mut().push(Box::new(value.clone()));
    }

    /// Keeps a value that cannot be shared.
    pub(crate) fn hold(&self, value: impl Any) {
        self.keep.borrow_mut().push(Box::new(value));
    }

    pub(crate) fn pool(&self) -> BufferPool {
        let pool = PoolOptions::new().buffer_size(1024).ready(4).limit(8).build().unwrap();
        self.pools.borrow_mut().push(pool.clone());
        pool
    }

    pub(crate) fn fixed(&self) -> FixedPool {
        let pool = FixedPool::new(4096, 2, 4).unwrap();
        self.fixed.borrow_mut().push(pool.clone());
        pool
    }

    /// How many buffers of the world's pools are out.
    pub(crate) fn usage(&self) -> usize {
        let provided: usize = self.pools.borrow().iter().map(|pool| pool.usage().lent).sum();
        let fixed: usize = self.fixed.borrow().iter().map(|pool| pool.usage().1).sum();
        provided + fixed
    }
}

pub(crate) struct Case {
    /// The name in the operation's facts; with something behind it if there are several cases.
    pub(crate) name: &'static str,
    pub(crate) good: fn(&World) -> Act,
    pub(crate) bad: fn(&World) -> Act,
    pub(crate) errno: i32,
    /// Waits in the kernel for as long as the world lasts.
    pub(crate) stuck: Option<fn(&World) -> Act>,
    /// What can be seen of success afterwards, where it can.
    pub(crate) after: Option<fn(&World) -> bool>,
}

impl Case {
    fn new(name: &'static str, good: fn(&World) -> Act, errno: i32, bad: fn(&World) -> Act) -> Case {
        Case { name, good, bad, errno, stuck: None, after: None }
    }

    fn stuck(mut self, stuck: fn(&World) -> Act) -> Case {
        self.stuck = Some(stuck);
        self
    }

    fn after(mut self, after: fn(&World) -> bool) -> Case {
        self.after = Some(after);
        self
    }

    /// Whether the ring has it, or does without.
    pub(crate) async fn is_offered(&self) -> bool {
        let world = World::new();
        !matches!((self.good)(&world).await, Err(error) if error.kind() == io::ErrorKind::Unsupported)
    }

    pub(crate) fn happened(&self, world: &World) {
        assert!(self.after.is_none_or(|after| after(world)), "{}: did not happen", self.name);
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = files::cases();
    cases.extend(sockets::cases());
    cases.extend(other::cases());
    cases
}

/// Boxes a future.
pub(crate) fn act(future: impl Future<Output = io::Result<()>> + 'static) -> Act {
    Box::pin(future)
}

/// Boxes an operation that gives a result.
pub(crate) fn unit<T: 'static>(future: impl Future<Output = io::Result<T>> + 'static) -> Act {
    Box::pin(async move { future.await.map(drop) })
}

/// Boxes an operation that gives a result and its buffer.
pub(crate) fn buffer<T: 'static, B: 'static>(
    future: impl Future<Output = (io::Result<T>, B)> + 'static,
) -> Act {
    Box::pin(async move { future.await.0.map(drop) })
}

/// Boxes the first item of a stream.
pub(crate) fn first<T: 'static>(stream: impl futures::Stream<Item = io::Result<T>> + Unpin + 'static) -> Act {
    use futures::StreamExt;
    let mut stream = stream;
    Box::pin(async move { stream.next().await.expect("a stream gives something").map(drop) })
}

/// The next operation called `name` fails: for those that cannot be made to.
pub(crate) fn fail(name: &str) {
    chainring_runtime::Handle::current().injector().fail(name, libc::EIO, 1);
}
