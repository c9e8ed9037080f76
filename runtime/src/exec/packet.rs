//! A result on its way from another thread: written once there, awaited here.
//!
//! The packet is shared by its sender and its receiver, and holds on its way out what is to be done for the result: so
//! whatever is sent is one allocation, and nothing that the receiver has made is freed elsewhere as long as it awaits the
//! result. Locks are held for a few moves and never while foreign code (wakers, values) runs.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures::FutureExt as _;

use super::Handle;
use super::quietly::quietly;
use super::remote::Message;
use super::task::{AbortHandle, JoinError};

pub(super) struct Packet<T, W = ()>(Mutex<State<T, W>>);

struct State<T, W> {
    result: Option<Result<T, JoinError>>,
    /// The result was there; it may be taken already.
    finished: bool,
    work: Work<W>,
    waker: Option<Waker>,
    /// Whether that is a task's of the core whose queue `home` leads to. Any other is woken where the result is: whoever waits
    /// by it may keep that core from taking its queue.
    at_home: bool,
    /// The core that awaits the result, by its number in the group of the one that has it, if it is one of that group; with
    /// the rest, so that little memory goes from core to core.
    home: Option<u16>,
}

enum Work<W> {
    Waiting(W),
    /// Cannot be ended from here.
    Begun,
    /// Ends when this task does.
    Task(AbortHandle),
}

/// What can be aborted whatever its type.
pub(super) trait Abort: Send + Sync {
    fn abort(&self);
    fn is_finished(&self) -> bool;
    /// Wakes whoever waits.
    fn wake(&self);
}

/// What can be awaited, however it is made.
pub(super) trait Awaited<T>: Abort {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>>;
}

impl<T, W> Packet<T, W> {
    /// A packet with work to be done.
    pub(super) fn new(work: W, home: Option<u16>) -> Arc<Packet<T, W>> {
        let state = State {
            result: None,
            finished: false,
            work: Work::Waiting(work),
            waker: None,
            at_home: false,
            home,
        };
        Arc::new(Packet(Mutex::new(state)))
    }

    /// The right to fill it, to be taken once.
    pub(super) fn sender(self: Arc<Self>) -> Sender<T, W>
    where
        T: Send,
        W: Send,
    {
        Sender(Some(self))
    }

    fn lock(&self) -> MutexGuard<'_, State<T, W>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes the work out, unless it was aborted; it is what `to` says from now on.
    fn take(&self, to: Work<W>) -> Option<W> {
        let mut state = self.lock();
        let work = std::mem::replace(&mut state.work, to);
        let aborted = state.finished;
        drop(state);
        match work {
            Work::Waiting(work) if !aborted => Some(work),
            aborted => {
                quietly(|| drop(aborted));
                None
            }
        }
    }
}

impl<T: Send, W: Send> Awaited<T> for Packet<T, W> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let waker = cx.waker().clone();
        let at_home =
            Handle::try_with_current(|core| core.is_some_and(|core| core.polled_with(cx.waker()).is_some()));
        let mut state = self.lock();
        if state.finished {
            let result = state.result.take();
            drop(state);
            return Poll::Ready(result.expect("a JoinHandle was polled after it had given the result"));
        }
        let old = state.waker.replace(waker);
        state.at_home = at_home;
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl<T: Send, W: Send> Abort for Packet<T, W> {
    fn abort(&self) {
        let mut state = self.lock();
        match &state.work {
            Work::Waiting(_) if !state.finished => {
                // The work is left to whoever would have done it.
                state.finished = true;
                state.result = Some(Err(JoinError::cancelled()));
                let waker = state.waker.take();
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Work::Waiting(_) | Work::Begun => {}
            Work::Task(handle) => {
                let handle = handle.clone();
                drop(state);
                handle.abort();
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.lock().finished
    }

    fn wake(&self) {
        let waker = self.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The right to fill a packet, and to take the work out of it. Dropped without, the receiver gets a cancelled error.
pub(super) struct Sender<T: Send + 'static, W: Send + 'static = ()>(Option<Arc<Packet<T, W>>>);

impl<T: Send, W: Send> Sender<T, W> {
    fn packet(&self) -> &Packet<T, W> {
        self.0.as_ref().expect("a sender is only empty once it has sent")
    }

    /// The work begins; `None` if it was aborted before.
    pub(super) fn begin(&self) -> Option<W> {
        self.packet().take(Work::Begun)
    }

    /// The same; and the work is this task from now on, which can be aborted.
    pub(super) fn begin_as(&self, task: AbortHandle) -> Option<W> {
        self.packet().take(Work::Task(task))
    }

    pub(super) fn send(mut self, result: Result<T, JoinError>) {
        self.fill(result);
    }

    fn fill(&mut self, result: Result<T, JoinError>) {
        let Some(packet) = self.0.take() else { return };
        let mut state = packet.lock();
        let unwanted = if state.finished { Some(result) } else { state.result.replace(result) };
        state.finished = true;
        let work = std::mem::replace(&mut state.work, Work::Begun);
        let (waits, home) = (state.waker.is_some(), state.home.filter(|_| state.at_home));
        let waker = if home.is_none() { state.waker.take() } else { None };
        drop(state);
        // Nobody will have it, and whoever drops it here is not to be hurt by it.
        quietly(|| drop((unwanted, work)));
        match home {
            Some(home) if waits => Answer(packet).send(home),
            // Before the receiver knows of the result: so it is usually the receiver who frees what it has allocated.
            _ => drop(quietly(|| drop(packet))),
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A packet with its result, on its way home. Wherever it is dropped, it wakes whoever waits: at home no other thread's
/// memory is touched for that.
pub(super) struct Answer(Arc<dyn Abort>);

impl Answer {
    /// Sends it to a core of the group of which this thread's is one.
    fn send(self, home: u16) {
        Handle::try_with_current(|core| {
            let group = core.and_then(|core| core.group.get());
            if let Some(home) = group.and_then(|group| group.other(home.into())) {
                // If that core has ended, it is dropped here.
                let _ = home.send(Message::Answer(self));
            }
        });
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.wake();
    }
}

impl<T: Send, W: Send> Drop for Sender<T, W> {
    fn drop(&mut self) {
        self.fill(Err(JoinError::cancelled()));
    }
}

/// Of what a task is made on another core, whatever its type.
pub(super) trait Start: Send + Sync {
    /// Starts it on `core`, on its thread.
    fn start(self: Arc<Self>, core: &Handle);
    /// Nobody will.
    fn lose(self: Arc<Self>);
}

/// A packet on its way to the core that is to do the work. Dropped on the way, the receiver gets a cancelled error.
pub(super) struct Parcel(Option<Arc<dyn Start>>);

impl Parcel {
    pub(super) fn new(packet: Arc<dyn Start>) -> Parcel {
        Parcel(Some(packet))
    }

    pub(super) fn start(mut self, core: &Handle) {
        if let Some(packet) = self.0.take() {
            packet.start(core);
        }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Some(packet) = self.0.take() {
            packet.lose();
        }
    }
}

impl<F, Fut> Start for Packet<Fut::Output, F>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future + 'static,
    Fut::Output: Send + 'static,
{
    fn start(self: Arc<Self>, core: &Handle) {
        let sender = self.sender();
        drop(core.spawn(async move {
            let task = poll_fn(|cx| Poll::Ready(AbortHandle::of_current(cx))).await;
            // Aborted before its first turn, or it begins now.
            let Some(start) = sender.begin_as(task) else { return };
            let result = AssertUnwindSafe(async { start().await }).catch_unwind().await;
            sender.send(result.map_err(JoinError::panicked));
        }));
    }

    fn lose(self: Arc<Self>) {
        drop(self.sender());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What becomes of a result of which the way home is this.
    fn sent(home: Option<u16>) {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let packet = Packet::new((), home);
        let sender = packet.clone().sender();
        assert!(packet.poll(&mut Context::from_waker(&waker)).is_pending());
        sender.send(Ok(5));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let Poll::Ready(Ok(5)) = packet.poll(&mut Context::from_waker(&waker)) else { panic!("it was sent") };
        assert_eq!(Arc::strong_count(&packet), 1);
    }

    #[test]
    fn a_result_without_a_core_to_go_to_wakes_at_once() {
        sent(None);
    }

    #[test]
    fn a_result_that_cannot_go_home_wakes_all_the_same() {
        sent(Some(7));
    }

    #[test]
    fn a_parcel_that_is_lost_cancels() {
        let packet = Packet::new(|| std::future::ready(()), None);
        drop(Parcel::new(packet.clone()));
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Err(error)) = packet.poll(&mut cx) else { panic!("nobody will send it") };
        assert!(error.is_cancelled());
    }
}
