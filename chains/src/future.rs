//! `call_async`: a future as a step.
//!
//! Who owns what: a [`Work`] owns the future, in a box, and later its output. It is shared by the frame, in its side table,
//! and by the task that polls it. Whoever comes first ends it: the task by bringing the output and calling the frame, the
//! frame (which is cancelled, or whose deadline has struck) by dropping the future on the spot and ending the task.
//! Nothing is borrowed while foreign code runs, and its panics are kept for the frame.
//!
//! ```text
//! fetch -> Running <-> Polled -> Done -> store
//!             \           \        \
//!              `-----------`--------`-> Over: abandoned by the frame, or dropped with its task
//! ```

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use chainring_runtime::frame::Frame;
use chainring_runtime::{AbortHandle, Handle, Key};

use crate::access::{Access, OutOfBounds, lend};
use crate::native::{Flow, quietly};

type Panic = Box<dyn Any + Send>;

/// Why the output of a future could not be stored.
pub(crate) enum Lost {
    /// A span of the storing does not fit.
    OutOfBounds(OutOfBounds),
    /// The future has panicked.
    Panicked(Panic),
    /// The task was dropped before there was any: the runtime ends.
    Cancelled,
}

/// A future that a frame waits for, its type forgotten.
pub(crate) trait Pending<S> {
    /// Whether nothing more is to be waited for.
    fn is_done(&self) -> bool;

    /// Stores the output. May panic.
    fn store(&self, session: &mut S, frame: &mut Frame<'_>) -> Result<Flow, Lost>;

    /// Drops what there is of it, and ends the task.
    fn abandon(&self);
}

type Fetch<S> = dyn Fn(&mut S, &mut Frame<'_>) -> Result<Rc<dyn Pending<S>>, OutOfBounds> + Send + Sync;
type Store<S, T> = dyn Fn(&mut S, &mut Frame<'_>, T) -> Result<Flow, OutOfBounds> + Send + Sync;

/// The step: what makes a future, given a session and views of a frame, and what stores its output.
pub(crate) struct CallAsync<S> {
    fetch: Box<Fetch<S>>,
}

impl<S: 'static> CallAsync<S> {
    pub(crate) fn new<A, F, Fut, B, G>(access: A, fetch: F, outputs: B, store: G) -> Self
    where
        A: Access,
        F: Fn(&mut S, A::Views<'_>) -> Fut + Send + Sync + 'static,
        Fut: Future + 'static,
        B: Access,
        G: Fn(&mut S, B::Views<'_>, Fut::Output) -> Flow + Send + Sync + 'static,
    {
        let store: Arc<Store<S, Fut::Output>> = Arc::new(move |session, frame, output| {
            lend(outputs, frame, |views| store(session, views, output))
        });
        let fetch = move |session: &mut S, frame: &mut Frame<'_>| {
            let future = lend(access, frame, |views| fetch(session, views))?;
            Ok(Work::start(Box::pin(future), frame.key(), store.clone()) as Rc<dyn Pending<S>>)
        };
        CallAsync { fetch: Box::new(fetch) }
    }

    /// Makes the future and starts it. May panic.
    pub(crate) fn fetch(
        &self,
        session: &mut S,
        frame: &mut Frame<'_>,
    ) -> Result<Rc<dyn Pending<S>>, OutOfBounds> {
        (self.fetch)(session, frame)
    }
}

impl<S> fmt::Debug for CallAsync<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallAsync")
    }
}

enum State<T> {
    Running(Pin<Box<dyn Future<Output = T>>>),
    /// The task has it at the moment.
    Polled,
    Done(Result<T, Panic>),
    Over,
}

struct Work<S, T> {
    state: RefCell<State<T>>,
    task: Cell<Option<AbortHandle>>,
    frame: Key,
    store: Arc<Store<S, T>>,
}

impl<S: 'static, T: 'static> Work<S, T> {
    fn start(future: Pin<Box<dyn Future<Output = T>>>, frame: Key, store: Arc<Store<S, T>>) -> Rc<Self> {
        let state = RefCell::new(State::Running(future));
        let work = Rc::new(Work { state, task: Cell::new(None), frame, store });
        // Polled in the next turn, however soon it is ready: the frame is parked by then.
        let task = chainring_runtime::spawn(Task(work.clone()));
        work.task.set(Some(task.abort_handle()));
        work
    }

    /// Replaces what the task has left, unless the frame has abandoned it.
    fn put_back(&self, state: State<T>) {
        let abandoned = match &mut *self.state.borrow_mut() {
            place @ State::Polled => {
                *place = state;
                None
            }
            _ => Some(state),
        };
        quietly(|| drop(abandoned));
    }
}

impl<S, T> Work<S, T> {
    fn call_frame(&self) {
        if let Some(core) = Handle::try_current() {
            core.call_frame(self.frame);
        }
    }
}

impl<S, T> Pending<S> for Work<S, T> {
    fn is_done(&self) -> bool {
        matches!(*self.state.borrow(), State::Done(_) | State::Over)
    }

    fn store(&self, session: &mut S, frame: &mut Frame<'_>) -> Result<Flow, Lost> {
        match self.state.replace(State::Over) {
            State::Done(Ok(output)) => (self.store)(session, frame, output).map_err(Lost::OutOfBounds),
            State::Done(Err(panic)) => Err(Lost::Panicked(panic)),
            _ => Err(Lost::Cancelled),
        }
    }

    fn abandon(&self) {
        let state = self.state.replace(State::Over);
        quietly(|| drop(state));
        // It holds no waker by now that anybody could wake.
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// Polls the future of a work.
struct Task<S, T>(Rc<Work<S, T>>);

impl<S: 'static, T: 'static> Future for Task<S, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let work = &self.0;
        let State::Running(mut future) = work.state.replace(State::Polled) else {
            work.state.replace(State::Over);
            return Poll::Ready(());
        };
        let result = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => {
                work.put_back(State::Running(future));
                return Poll::Pending;
            }
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic),
        };
        let result = match (result, catch_unwind(AssertUnwindSafe(|| drop(future)))) {
            (result, Ok(())) => result,
            // The first panic is the one that is told of.
            (result, Err(panic)) => {
                let (first, other) = match result {
                    Ok(output) => (panic, Ok(output)),
                    Err(first) => (first, Err(panic)),
                };
                quietly(|| drop(other));
                Err(first)
            }
        };
        work.put_back(State::Done(result));
        work.call_frame();
        Poll::Ready(())
    }
}

impl<S, T> Drop for Task<S, T> {
    fn drop(&mut self) {
        let work = &self.0;
        if matches!(*work.state.borrow(), State::Running(_) | State::Polled) {
            // Nobody will poll it any more.
            let state = work.state.replace(State::Over);
            quietly(|| drop(state));
            work.call_frame();
        }
    }
}
