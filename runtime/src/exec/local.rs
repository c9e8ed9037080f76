//! Values that belong to a task, or to any other future: set for as long as it is polled.
//!
//! The value lives in the [`TaskLocalFuture`] and is swapped into a thread-local slot around each poll, so it
//! follows the future wherever it is polled, `block_on` and `join!` included, and is dropped with it. Tasks
//! that the future spawns do not inherit it.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::LocalKey;

use pin_project_lite::pin_project;

/// Declares task-local keys.
///
/// ```
/// chainring_runtime::task_local! {
///     /// The request that is being served.
///     pub static REQUEST: u64;
/// }
///
/// # chainring_runtime::Runtime::new()?.block_on(async {
/// let double = REQUEST.scope(21, async { 2 * REQUEST.get() }).await;
/// assert_eq!(double, 42);
/// assert!(REQUEST.try_with(|_| ()).is_err());
/// # });
/// # Ok::<(), chainring_runtime::SetupError>(())
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty; $($rest:tt)*) => {
        $crate::task_local!($(#[$attribute])* $visibility static $name: $type);
        $crate::task_local!($($rest)*);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty) => {
        $(#[$attribute])*
        $visibility static $name: $crate::TaskLocal<$type> = {
            ::std::thread_local! {
                static SLOT: ::std::cell::RefCell<::std::option::Option<$type>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }
            $crate::TaskLocal::new(&SLOT)
        };
    };
}

/// A key that [`task_local!`](crate::task_local) declares.
pub struct TaskLocal<T: 'static> {
    slot: &'static LocalKey<RefCell<Option<T>>>,
}

impl<T: 'static> TaskLocal<T> {
    #[doc(hidden)]
    pub const fn new(slot: &'static LocalKey<RefCell<Option<T>>>) -> Self {
        TaskLocal { slot }
    }

    /// Runs a future with this value. Dropping it drops the future, with the value set, and then the value.
    pub fn scope<F>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F>
    where
        F: Future,
    {
        TaskLocalFuture { key: self, value: Some(value), future: Some(future) }
    }

    /// Runs a closure with this value.
    ///
    /// # Panics
    /// If it is called from inside of [`with`](TaskLocal::with) of the same key; and with the panic of the closure.
    pub fn sync_scope<R>(&'static self, value: T, run: impl FnOnce() -> R) -> R {
        let mut value = Some(value);
        let _set = Set::new(self, &mut value);
        run()
    }

    /// Shows the value of the innermost scope that is being polled.
    ///
    /// # Panics
    /// Outside of every scope.
    pub fn with<R>(&'static self, show: impl FnOnce(&T) -> R) -> R {
        self.try_with(show).expect("a task-local value is only there inside of its scope")
    }

    /// As [`with`](TaskLocal::with), without the panic.
    pub fn try_with<R>(&'static self, show: impl FnOnce(&T) -> R) -> Result<R, OutOfScope> {
        self.slot
            .try_with(|slot| slot.try_borrow().ok()?.as_ref().map(show))
            .ok()
            .flatten()
            .ok_or(OutOfScope(()))
    }

    /// A clone of the value.
    ///
    /// # Panics
    /// Outside of every scope.
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }
}

impl<T: 'static> fmt::Debug for TaskLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocal").finish_non_exhaustive()
    }
}

/// There is no value, because no scope of its key is being polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfScope(());

impl fmt::Display for OutOfScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no scope of this task-local key is being polled")
    }
}

impl std::error::Error for OutOfScope {}

/// While it lives, the value is in the key's slot, and what was there is in its place.
struct Set<'v, T: 'static> {
    key: &'static TaskLocal<T>,
    value: &'v mut Option<T>,
}

impl<'v, T> Set<'v, T> {
    fn new(key: &'static TaskLocal<T>, value: &'v mut Option<T>) -> Self {
        key.slot.with(|slot| swap(slot.borrow_mut(), value));
        Set { key, value }
    }
}

impl<T> Drop for Set<'_, T> {
    fn drop(&mut self) {
        // The borrows of `with` end before the poll does.
        self.key.slot.with(|slot| swap(slot.borrow_mut(), self.value));
    }
}

fn swap<T>(mut slot: RefMut<'_, Option<T>>, value: &mut Option<T>) {
    std::mem::swap(&mut *slot, value);
}

pin_project! {
    /// A future with a task-local value, made by [`TaskLocal::scope`].
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct TaskLocalFuture<T: 'static, F> {
        key: &'static TaskLocal<T>,
        value: Option<T>,
        #[pin]
        future: Option<F>,
    }

    impl<T: 'static, F> PinnedDrop for TaskLocalFuture<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let _set = Set::new(this.key, this.value);
                this.future.set(None);
            }
        }
    }
}

impl<T, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let _set = Set::new(this.key, this.value);
        let future = this.future.as_mut().as_pin_mut().expect("polled after it had ended");
        let output = std::task::ready!(future.poll(cx));
        this.future.set(None);
        Poll::Ready(output)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocalFuture").field("value", &self.value).finish_non_exhaustive()
    }
}
