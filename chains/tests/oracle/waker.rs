//! A thread that looks at the word on which a program waits to be woken, and wakes it.
//!
//! What it does may come late, when the program has gone on: it touches no word but that one, and whoever waits there looks
//! at the word again, or does not mind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::program::{ANSWERED, WOKEN};

pub(crate) struct Waker {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Waker {
    pub(crate) fn start(word: Arc<AtomicU32>) -> Waker {
        let done = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let done = done.clone();
            move || {
                while !done.load(Ordering::Relaxed) {
                    look(&word);
                    thread::sleep(Duration::from_micros(100));
                }
            }
        });
        Waker { done, thread: Some(thread) }
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.take().into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    }
}

fn look(word: &AtomicU32) {
    let (answered, woken) = (ANSWERED as u32, WOKEN as u32);
    let order = Ordering::SeqCst;
    if word.compare_exchange(answered, answered + 1, order, order).is_ok() || word.load(order) == woken {
        wake(word);
    }
}

/// futex(2): wakes all that wait.
fn wake(word: &AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word is there for as long as the call, and the others are numbers.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, i32::MAX) };
}
