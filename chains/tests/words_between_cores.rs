//! A word of all threads as a place for one message: whoever waits for it to be filled or emptied is woken by whoever does
//! that, on the other core. Each message is as many chances to lose a wake-up as somebody waits.

mod common;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chainring_chains::{Chain, Flow, Init, Program, Reg, Word, value};
use chainring_runtime::{Runtime, cores};
use common::one::chain;
use common::{scaled, watchdog};

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// The number of a message, and above it who has sent it.
const NUMBER: u32 = 28;

/// Waits until the word is empty, and fills it.
fn fill(c: &mut Chain<()>, word: Word, message: Reg) {
    let was = c.reg();
    c.repeat(|c| {
        c.compare_exchange(word, 0, message).into(was);
        c.when(was.eq(0), |c| c.leave());
        c.futex_wait(word, was);
    });
    // Another that fills it may be woken in place of the one that empties it: all are.
    c.futex_wake(word, u64::from(u32::MAX));
}

/// Sends so many messages, numbered from 1, as the one of this number.
fn sender(place: &Arc<AtomicU32>) -> (Program<()>, [Reg; 2]) {
    chain(|c: &mut Chain<()>| {
        let (who, left, message) = (c.param(), c.param(), c.reg());
        let word = c.atomic(place.clone());
        c.set(message, who * (1 << NUMBER));
        c.repeat(|c| {
            c.when(left.eq(0), |c| c.leave());
            c.set(message, message + 1);
            fill(c, word, message);
            c.set(left, left - 1);
        });
        [who, left]
    })
}

/// Takes so many messages, and keeps the last number of each sender.
fn receiver(place: &Arc<AtomicU32>) -> (Program<Vec<u32>>, Reg) {
    chain(|c: &mut Chain<Vec<u32>>| {
        let (left, message) = (c.param(), c.reg());
        let word = c.atomic(place.clone());
        c.repeat(|c| {
            c.when(left.eq(0), |c| c.leave());
            c.repeat(|c| {
                c.set(message, word);
                c.when(message.ne(0), |c| c.leave());
                c.futex_wait(word, 0);
            });
            // Nobody else empties it.
            c.set(word, 0);
            c.futex_wake(word, u64::from(u32::MAX));
            c.call((value(message),), |last: &mut Vec<u32>, (message,)| {
                let (who, number) = (message as u32 >> NUMBER, message as u32 & ((1 << NUMBER) - 1));
                let last = &mut last[who as usize];
                // Neither lost nor doubled, nor overtaken.
                if number != *last + 1 {
                    return Flow::fail(format!("{number} of {who} behind {last}"));
                }
                *last = number;
                Flow::Next
            });
            c.set(left, left - 1);
        });
        left
    })
}

/// Has so many frames on one core send so many messages each to a frame on the other.
fn pass(senders: u32, each: u32) {
    let place = Arc::new(AtomicU32::new(0));
    let (from, to) = (sender(&place), receiver(&place));
    let ended = cores(TWO).run(|core| {
        let (from, to) = (&from, &to);
        async move {
            if core.index() == 1 {
                let spawner = to.0.start(1).expect("it starts");
                let init = |frame: &mut Init<'_, '_>| {
                    frame.set(to.1, u64::from(senders * each));
                };
                let last = vec![0; senders as usize];
                let exit = spawner.spawn(last, init).expect("there is room").await;
                exit.result.expect("each message comes once, and in its order");
                return exit.session;
            }
            let spawner = from.0.start(senders).expect("it starts");
            let spawn = |who| {
                let init = |frame: &mut Init<'_, '_>| {
                    frame.set(from.1[0], u64::from(who)).set(from.1[1], u64::from(each));
                };
                spawner.spawn((), init).expect("there is room")
            };
            let frames: Vec<_> = (0..senders).map(spawn).collect();
            for frame in frames {
                frame.await.result.expect("nothing fails");
            }
            Vec::new()
        }
    });
    assert_eq!(ended.expect("two cores")[1], vec![each; senders as usize]);
    assert_eq!(place.load(Ordering::Relaxed), 0, "none is left");
}

#[test]
fn a_million_messages_through_one_word_come_once_each_and_nobody_sleeps_on() {
    if !Runtime::new().expect("a ring").handle().capabilities().futex() {
        return;
    }
    let messages = scaled(10_000, 1_000_000) as u32;
    // Every message is a sleep and a wake-up, or two, on both cores.
    let _watchdog = watchdog(Duration::from_secs(scaled(120, 7200) as u64));
    pass(1, messages);
    pass(4, messages / 40);
}
