//! Chains that are awaited by tasks, and tasks that are woken by chains.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chainring_chains::{Chain, Flow, Spawner, reg, value};
use chainring_runtime::{Runtime, spawn, time};
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};

use super::MS;
use crate::common::one::chain;
use crate::common::{held, soon, watchdog};

#[test]
fn chains_are_awaited_by_tasks_and_by_the_futures_of_chains() {
    let (_watchdog, runtime) = held();
    // A chain that starts as many of its kind as its depth allows, one in the other.
    type Shared<T> = Rc<RefCell<Option<T>>>;
    #[derive(Clone)]
    struct Nest(Shared<Spawner<(Nest, u64)>>);
    let (program, depth) = chain(|c: &mut Chain<(Nest, u64)>| {
        let depth = c.param();
        c.sleep(MS);
        c.when(depth.gt(0), |c| {
            c.call_async(
                (value(depth),),
                move |(nest, _), (depth_now,)| {
                    let spawner = nest.0.borrow().clone().expect("it was put there");
                    let inner = spawner.spawn((nest.clone(), 0), |frame| {
                        frame.set(depth, depth_now - 1);
                    });
                    let inner = inner.expect("there is room");
                    async move { inner.await.session.1 }
                },
                (),
                |(_, count), (), inner| {
                    *count = inner + 1;
                    Flow::Next
                },
            );
        });
        depth
    });
    runtime.block_on(async {
        let nest = Nest(Rc::default());
        let spawner = program.start(10).expect("it starts");
        nest.0.replace(Some(spawner.clone()));
        let handle = spawner.spawn((nest.clone(), 0), |frame| {
            frame.set(depth, 7);
        });
        let task = spawn(async { handle.expect("there is room").await.session.1 });
        time::advance(20 * MS).await;
        assert_eq!(task.await.expect("it is not aborted"), 7);
        nest.0.take();
    });
}

#[test]
fn tasks_are_woken_by_chains() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let runtime = Runtime::new().expect("a ring");
    struct Session {
        numbers: mpsc::Sender<u64>,
        done: Option<oneshot::Sender<&'static str>>,
    }
    let (program, ()) = chain(|c: &mut Chain<Session>| {
        let (turn, sent) = (c.reg(), c.reg());
        c.set(turn, 0);
        c.repeat(|c| {
            // What does not fit now is tried again: the frame parks meanwhile, and the task runs.
            c.call((value(turn), reg(sent)), |session, (turn, sent)| {
                *sent = u64::from(session.numbers.try_send(turn).is_ok());
                Flow::Next
            });
            c.when(sent.eq(0), |c| {
                c.sleep(100_000);
                c.again();
            });
            c.set(turn, turn + 1);
            c.when(turn.eq(1000), |c| c.leave());
        });
        c.call((), |session, ()| {
            session.done.take().expect("once").send("done").expect("somebody listens");
            Flow::Next
        });
    });
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let ((numbers, received), (done, end)) = (mpsc::channel(10), oneshot::channel());
        let task = spawn(received.collect::<Vec<u64>>());
        let handle = spawner.spawn(Session { numbers, done: Some(done) }, |_| {}).expect("there is room");
        assert_eq!(soon("the end", end).await, Ok("done"));
        handle.await.result.expect("it ends");
        assert_eq!(task.await.expect("it is not aborted"), (0..1000).collect::<Vec<_>>());
    });
}
