//! The other runtimes, which have nothing of their own for it: a channel to the other thread, and one back for each answer.

use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::channel::oneshot;

use super::on_two_cores;
use crate::Result;
use crate::job::{Work, Worker, joined};

type Question = oneshot::Sender<()>;

async fn ask(mut worker: Worker, to: UnboundedSender<Question>) -> Result<Worker> {
    while worker.next() {
        let (answer, answered) = oneshot::channel();
        to.unbounded_send(answer)?;
        answered.await?;
    }
    Ok(worker)
}

async fn answer(mut from: UnboundedReceiver<Question>) -> Result<()> {
    while let Some(answer) = from.next().await {
        // Whoever has gone need not know.
        let _ = answer.send(());
    }
    Ok(())
}

pub(crate) fn tokio(work: &Work) -> Result<Vec<Worker>> {
    use tokio::sync::{mpsc, oneshot};
    async fn ask(mut worker: Worker, to: mpsc::UnboundedSender<oneshot::Sender<()>>) -> Result<Worker> {
        while worker.next() {
            let (answer, answered) = oneshot::channel();
            to.send(answer)?;
            answered.await?;
        }
        Ok(worker)
    }
    let runtime = || tokio::runtime::Builder::new_current_thread().build();
    let (to, mut from) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
    on_two_cores(
        move || runtime()?.block_on(work.each(|worker| joined(tokio::spawn(ask(worker, to.clone()))))),
        move || {
            runtime()?.block_on(async {
                while let Some(answer) = from.recv().await {
                    let _ = answer.send(());
                }
                Ok(())
            })
        },
    )
}

pub(crate) fn monoio(work: &Work) -> Result<Vec<Worker>> {
    let runtime = || monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build();
    let (to, from) = unbounded();
    on_two_cores(
        move || runtime()?.block_on(work.each(|worker| monoio::spawn(ask(worker, to.clone())))),
        move || runtime()?.block_on(answer(from)),
    )
}

pub(crate) fn compio(work: &Work) -> Result<Vec<Worker>> {
    use compio::runtime::{Runtime, spawn};
    let (to, from) = unbounded();
    on_two_cores(
        move || Runtime::new()?.block_on(work.each(|worker| joined(spawn(ask(worker, to.clone()))))),
        move || Runtime::new()?.block_on(answer(from)),
    )
}
