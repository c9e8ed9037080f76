//! What a core keeps for things that threads share: a value for each of them, that only this core sees.
//!
//! A thing is an `Arc`; its value lives as long as both the thing and the runtime do. Values of things that are gone are
//! dropped when the next one is made.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use super::Handle;

/// The weak reference keeps the address from being another's.
type Kept = (Weak<dyn Any + Send + Sync>, Rc<dyn Any>);

/// The values of a core, by the address of the thing that each is kept for.
#[derive(Default)]
pub(super) struct CoreLocals(RefCell<HashMap<usize, Kept>>);

impl CoreLocals {
    fn find(&self, address: usize) -> Option<Rc<dyn Any>> {
        self.0.borrow().get(&address).map(|(_, value)| value.clone())
    }

    fn keep(&self, address: usize, kept: Kept) {
        let mut map = self.0.borrow_mut();
        let is_gone = |_: &usize, (thing, _): &mut Kept| thing.strong_count() == 0;
        let gone: Vec<_> = map.extract_if(is_gone).collect();
        let before = map.insert(address, kept);
        drop(map);
        // Their Drop is foreign code.
        drop((gone, before));
    }

    /// Drops all values.
    pub(super) fn clear(&self) {
        let values = std::mem::take(&mut *self.0.borrow_mut());
        // Their `Drop` is foreign code, which may look for another one.
        drop(values);
    }
}

impl Handle {
    /// What this core keeps for `thing`: the same value on every call, made by `make` on the first. It lives as long as
    /// the runtime and `thing` do.
    ///
    /// # Panics
    /// If the core keeps a value of another type for it, and with the panic of `make`.
    pub fn core_local<K, T>(&self, thing: &Arc<K>, make: impl FnOnce() -> T) -> Rc<T>
    where
        K: Any + Send + Sync,
        T: 'static,
    {
        let locals = &self.core().locals;
        let address = Arc::as_ptr(thing).addr();
        let value = locals.find(address).unwrap_or_else(|| {
            let value: Rc<dyn Any> = Rc::new(make());
            // Made by `make` itself, it stays the one.
            locals.find(address).unwrap_or_else(|| {
                let weak = Arc::downgrade(thing);
                locals.keep(address, (weak, value.clone()));
                value
            })
        });
        value.downcast().unwrap_or_else(|_| panic!("the core keeps a value of another type for this"))
    }
}
