//! The executor beside its peers: tokio (current_thread), monoio and compio.
//!
//!     cargo bench -p chainring-bench --bench executor
//!
//! spawn and join, yield, a round trip between two cores (two pinned threads, for the peers), timers that are started and
//! dropped, timers that fire.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use chainring::{CoreHandle, Runtime, cores};
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};

const TASKS: u64 = 1000;
const TIMERS: u64 = 100_000;
const TICK: Duration = Duration::from_millis(1);

type Group<'c> = BenchmarkGroup<'c, WallTime>;
type Benchmark = fn(&mut Group<'_>);

/// Runs one body on each runtime, and on each of its own.
macro_rules! on_each {
    ($group:expr, $body:ident) => {
        $group.bench_function("chainring", |b| {
            use chainring::{spawn, time::sleep, yield_now};
            let runtime = Runtime::new().unwrap();
            b.iter(|| runtime.block_on($body!(spawn, yield_now, sleep)));
        });
        $group.bench_function("tokio", |b| {
            use tokio::task::{spawn_local as spawn, yield_now};
            use tokio::time::sleep;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = tokio::task::LocalSet::new();
            b.iter(|| local.block_on(&runtime, $body!(spawn, yield_now, sleep)));
        });
        $group.bench_function("monoio", |b| {
            use monoio::{spawn, time::sleep};
            let mut runtime =
                monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().enable_timer().build().unwrap();
            b.iter(|| runtime.block_on($body!(spawn, yield_once, sleep)));
        });
        $group.bench_function("compio", |b| {
            use compio::{runtime::spawn, time::sleep};
            let runtime = compio::runtime::Runtime::new().unwrap();
            b.iter(|| runtime.block_on($body!(spawn, yield_once, sleep)));
        });
    };
}

/// For those that have none of their own.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await
}

fn spawn_and_join(group: &mut Group<'_>) {
    group.throughput(Throughput::Elements(TASKS));
    macro_rules! body {
        ($spawn:ident, $yield:ident, $sleep:ident) => {
            async {
                let tasks: Vec<_> = (0..TASKS).map(|i| $spawn(async move { black_box(i) })).collect();
                for task in tasks {
                    let _ = black_box(task.await);
                }
                let _ = ($yield, $sleep);
            }
        };
    }
    on_each!(group, body);
}

fn yields(group: &mut Group<'_>) {
    group.throughput(Throughput::Elements(10 * TASKS));
    macro_rules! body {
        ($spawn:ident, $yield:ident, $sleep:ident) => {
            async {
                let tasks: Vec<_> = (0..10)
                    .map(|_| {
                        $spawn(async {
                            for _ in 0..TASKS {
                                $yield().await;
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    let _ = task.await;
                }
                let _ = $sleep;
            }
        };
    }
    on_each!(group, body);
}

fn timers_dropped(group: &mut Group<'_>) {
    group.throughput(Throughput::Elements(TIMERS));
    macro_rules! body {
        ($spawn:ident, $yield:ident, $sleep:ident) => {
            async {
                std::future::poll_fn(|cx| {
                    for i in 0..TIMERS {
                        let nap = std::pin::pin!($sleep(TICK * (1 + i as u32 % 1000)));
                        let _ = black_box(nap.poll(cx));
                    }
                    std::task::Poll::Ready(())
                })
                .await;
                let _ = ($spawn(async {}), $yield);
            }
        };
    }
    on_each!(group, body);
}

fn timers_fired(group: &mut Group<'_>) {
    group.throughput(Throughput::Elements(TIMERS));
    macro_rules! body {
        ($spawn:ident, $yield:ident, $sleep:ident) => {
            async {
                // A hundred a task: tokio's budget lets one task see no more than 128 at once.
                let tasks: Vec<_> = (0..TIMERS / 100)
                    .map(|_| {
                        $spawn(async {
                            let naps = (0..100).map(|i| $sleep(TICK * (i % 4)));
                            futures::future::join_all(naps).await;
                        })
                    })
                    .collect();
                for task in tasks {
                    let _ = task.await;
                }
                let _ = $yield;
            }
        };
    }
    on_each!(group, body);
}

/// Time for `n` round trips from core 0 to core 1 and back.
fn between_cores(n: u64) -> Duration {
    let stop = chainring::CancellationToken::new();
    let body = |core: CoreHandle| {
        let stop = stop.clone();
        async move {
            if core.index() == 1 {
                stop.cancelled().await;
                return Duration::ZERO;
            }
            let _stop = stop.drop_guard();
            let other = core.core(1);
            let start = Instant::now();
            for _ in 0..n {
                other.spawn(|| async {}).await.unwrap();
            }
            start.elapsed()
        }
    };
    cores(NonZeroUsize::new(2).unwrap()).run(body).unwrap()[0]
}

/// Puts this thread on the CPU of that number, as `cores()` does. Two threads on one CPU hand over faster, but that is
/// not what a core is for, and the scheduler would decide which of the two is measured.
fn pin(core: usize) {
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(cpu) = cpus.get(core) {
        assert!(core_affinity::set_for_current(*cpu), "a thread could not be pinned");
    }
}

/// The same for a peer: two threads with a runtime each, and a channel each way, as their users do it.
macro_rules! between_threads {
    ($n:expr, $runtime:expr) => {{
        use futures::StreamExt;
        let n = $n;
        let (to, mut from) = futures::channel::mpsc::unbounded::<futures::channel::oneshot::Sender<()>>();
        let other = std::thread::spawn(move || {
            pin(1);
            $runtime.block_on(async move {
                while let Some(answer) = from.next().await {
                    let _ = answer.send(());
                }
            })
        });
        // A thread of its own here too: whoever has pinned itself stays there.
        let took = std::thread::spawn(move || {
            pin(0);
            $runtime.block_on(async move {
                let start = Instant::now();
                for _ in 0..n {
                    let (answer, answered) = futures::channel::oneshot::channel();
                    to.unbounded_send(answer).unwrap();
                    answered.await.unwrap();
                }
                start.elapsed()
            })
        });
        let took = took.join().unwrap();
        other.join().unwrap();
        took
    }};
}

fn round_trips(group: &mut Group<'_>) {
    group.throughput(Throughput::Elements(1));
    group.bench_function("chainring", |b| b.iter_custom(between_cores));
    group.bench_function("chainring, channels", |b| {
        b.iter_custom(|n| between_threads!(n, Runtime::new().unwrap()));
    });
    group.bench_function("tokio", |b| {
        b.iter_custom(|n| {
            between_threads!(n, tokio::runtime::Builder::new_current_thread().build().unwrap())
        });
    });
    group.bench_function("monoio", |b| {
        b.iter_custom(|n| {
            between_threads!(n, monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build().unwrap())
        });
    });
    group.bench_function("compio", |b| {
        b.iter_custom(|n| between_threads!(n, compio::runtime::Runtime::new().unwrap()));
    });
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots()
        .configure_from_args();
    let benchmarks: [(&str, Benchmark); 5] = [
        ("spawn and join", spawn_and_join),
        ("yield", yields),
        ("core to core and back", round_trips),
        ("timer started and dropped", timers_dropped),
        ("timer fired", timers_fired),
    ];
    for (name, run) in benchmarks {
        let mut group = criterion.benchmark_group(name);
        run(&mut group);
        group.finish();
    }
    criterion.final_summary();
}
