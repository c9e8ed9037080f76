//! Timers that call frames.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chainring_runtime::frame::{Frame, Frames, Interrupt, Layout, Resume, Stop};
use chainring_runtime::time::{self, Alarm};
use chainring_runtime::{Builder, Handle, yield_now};

const MS: Duration = Duration::from_millis(1);

/// Notes when its frames are called.
struct Notes(Rc<RefCell<Vec<u32>>>);

impl Resume for Notes {
    fn unparked(&self, frame: Frame<'_>) {
        self.0.borrow_mut().push(frame.key().index());
        if frame.is_cancelled() {
            frame.free();
        } else {
            frame.park();
        }
    }

    fn advanced(&self, _: Frame<'_>, _: u16) {
        unreachable!("nothing is submitted");
    }

    fn interrupted(&self, _: Frame<'_>, _: Interrupt) {
        unreachable!("nothing is submitted");
    }

    fn stopped(&self, _: Frame<'_>, _: Stop) {
        unreachable!("nothing is submitted");
    }
}

#[test]
fn an_alarm_is_plain_bits_and_names_nothing_once_it_is_over() {
    let runtime = Builder::new().hold_clock(true).build().unwrap();
    runtime.block_on(async {
        let core = Handle::current();
        let notes = Rc::new(RefCell::new(Vec::new()));
        let layout = Layout { registers: 1, descriptors: 0, bytes: 0 };
        let frames = Frames::new(layout, &[], 4, Notes(notes)).unwrap();
        let frame = frames.allocate().unwrap();
        let key = frame.key();

        let start = time::now();
        assert_eq!(core.start_alarm(start, key), None, "that has passed");
        let alarm = core.start_alarm(start + 5 * MS, key).unwrap();
        assert_ne!(alarm.to_bits(), 0);
        assert_eq!(Alarm::from_bits(alarm.to_bits()), alarm);
        assert_eq!(core.metrics().timers, 1);
        assert!(core.stop_alarm(alarm));
        assert!(!core.stop_alarm(alarm));

        // One that has called, of whose entry another makes use.
        let first = core.start_alarm(start + MS, key).unwrap();
        time::advance(MS).await;
        assert_eq!(core.metrics().timers_fired, 1);
        let second = core.start_alarm(start + 9 * MS, key).unwrap();
        assert!(!core.stop_alarm(first));
        assert!(!core.stop_alarm(Alarm::from_bits(0)));
        assert!(core.stop_alarm(second));
        frame.free();

        // And a call for a frame that has ended reaches nobody.
        assert!(core.start_alarm(time::now() + MS, key).is_some());
        time::advance(MS).await;
        yield_now().await;
        assert_eq!(core.metrics().timers_fired, 2);
    });
}
