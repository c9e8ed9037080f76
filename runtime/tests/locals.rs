//! Values of tasks.

use std::cell::Cell;
use std::rc::Rc;

use chainring_runtime::{Runtime, spawn, task_local, yield_now};
use futures::future::join;

task_local! {
    static NAME: &'static str;
    static OTHER: u32;
}

#[test]
fn each_future_sees_its_own_value_however_they_are_interleaved() {
    Runtime::new().unwrap().block_on(async {
        let one = NAME.scope("one", async {
            for _ in 0..3 {
                yield_now().await;
                assert_eq!(NAME.get(), "one");
            }
        });
        let two = NAME.scope("two", async {
            assert_eq!(NAME.get(), "two");
            let inner = NAME.scope(
                "inner",
                OTHER.scope(7, async {
                    yield_now().await;
                    (NAME.get(), OTHER.get())
                }),
            );
            assert_eq!(inner.await, ("inner", 7));
            assert_eq!(NAME.get(), "two");
            assert!(OTHER.try_with(|_| ()).is_err());
        });
        let task = spawn(NAME.scope("task", async {
            yield_now().await;
            let child = spawn(async { NAME.try_with(|_| ()).is_err() });
            assert!(child.await.unwrap(), "a spawned task inherits nothing");
            NAME.with(|name| name.len())
        }));
        join(one, two).await;
        assert_eq!(task.await.unwrap(), 4);
    });
}

#[test]
fn the_value_is_there_while_the_future_is_dropped_and_gone_after_a_panic() {
    struct Looks(Rc<Cell<u32>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.set(OTHER.get());
        }
    }
    Runtime::new().unwrap().block_on(async {
        let seen = Rc::new(Cell::new(0));
        let looks = Looks(seen.clone());
        let task = spawn(OTHER.scope(5, async move {
            let _looks = looks;
            std::future::pending::<()>().await;
        }));
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(seen.get(), 5);

        let task = spawn(OTHER.scope(6, async { panic!("inside of a scope") }));
        let error: Result<(), _> = task.await;
        assert!(error.unwrap_err().is_panic());
        assert!(OTHER.try_with(|_| ()).is_err());
        assert_eq!(OTHER.sync_scope(8, || OTHER.get()), 8);
    });
}
