//! Everything else: pipes, waiting, messages, the ring's own tables.

use std::cell::RefCell;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child as Process, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use chainring_runtime::op::close::close;
use chainring_runtime::op::epoll_wait::epoll_wait;
use chainring_runtime::op::files_update::{DirectFiles, files_update};
use chainring_runtime::op::fixed_fd_install::fixed_fd_install;
use chainring_runtime::op::futex::{futex_wait, futex_waitv, futex_wake};
use chainring_runtime::op::msg_ring::{Doorbell, msg_ring};
use chainring_runtime::op::nop::nop;
use chainring_runtime::op::pipe::pipe as make_pipe;
use chainring_runtime::op::poll::{poll, poll_multi};
use chainring_runtime::op::read_multi::read_multi;
use chainring_runtime::op::splice::splice;
use chainring_runtime::op::tee::tee;
use chainring_runtime::op::waitid::{Child, waitid};
use chainring_runtime::{Descriptor, Handle};
use futures::StreamExt;

use super::{Case, World, act, buffer, fail, first, unit};
use crate::common::{own, pipe, poll_once};

/// A pipe with `hello` in it, and one to move it to.
fn pipes(world: &World) -> (Descriptor, Descriptor) {
    let (read, mut write) = std::io::pipe().unwrap();
    write.write_all(b"hello").unwrap();
    world.hold(write);
    let (other, to) = pipe();
    world.keep(&other);
    (own(read), to)
}

/// An empty pipe, and one to move to.
fn silent(world: &World) -> (Descriptor, Descriptor) {
    let ((read, write), (other, to)) = (pipe(), pipe());
    world.keep(&write);
    world.keep(&other);
    (read, to)
}

/// An epoll instance that watches the end of a pipe to read from.
fn epoll(world: &World, watched: &Descriptor) -> Descriptor {
    use std::os::fd::AsFd;
    // SAFETY: no pointers; the result is a new descriptor.
    let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 7 };
    let fd = watched.as_fd().as_raw_fd();
    // SAFETY: an event of this frame, and two open descriptors.
    assert_eq!(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) }, 0);
    world.keep(watched);
    own(epoll)
}

const NOTHING: libc::epoll_event = libc::epoll_event { events: 0, u64: 0 };

/// A child that is killed at the end.
struct Killed(Process);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn child(command: &str) -> Process {
    Command::new("/bin/sh").args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

/// The ring's table, of which there is one a runtime: made by the first that asks.
fn table() -> DirectFiles {
    thread_local! {
        static TABLE: RefCell<Option<DirectFiles>> = const { RefCell::new(None) };
    }
    if let Ok(table) = DirectFiles::register(8) {
        TABLE.set(Some(table));
    }
    TABLE.with_borrow(|table| table.clone().expect("a table"))
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "nop",
            |_| unit(nop()),
            libc::EIO,
            |_| {
                fail("nop");
                unit(nop())
            },
        ),
        Case::new(
            "close",
            |_| unit(close(std::fs::File::open("/dev/null").unwrap().into())),
            libc::EIO,
            |_| {
                fail("close");
                let file = std::fs::File::open("/dev/null").unwrap();
                let number = file.as_raw_fd();
                act(async move {
                    let result = close(file.into()).await;
                    // SAFETY: the kernel was never told to close it.
                    drop(unsafe { OwnedFd::from_raw_fd(number) });
                    result
                })
            },
        ),
        Case::new(
            "poll",
            |w| {
                act({
                    let (read, _) = pipes(w);
                    async move {
                        assert_eq!(poll(&read, libc::POLLIN as u32).await?, libc::POLLIN as u32);
                        Ok(())
                    }
                })
            },
            libc::EIO,
            |w| {
                fail("poll");
                unit(poll(&pipes(w).0, libc::POLLIN as u32))
            },
        )
        .stuck(|w| unit(poll(&silent(w).0, libc::POLLIN as u32))),
        Case::new(
            "poll multi",
            |w| {
                act({
                    let (read, mut write) = std::io::pipe().unwrap();
                    let read = own(read);
                    write.write_all(b"x").unwrap();
                    let _ = w;
                    async move {
                        use futures::StreamExt;
                        let mut events = poll_multi(&read, libc::POLLIN as u32);
                        for _ in 0..3 {
                            assert_ne!(events.next().await.unwrap()? & libc::POLLIN as u32, 0);
                            write.write_all(b"x")?;
                        }
                        Ok(())
                    }
                })
            },
            libc::EIO,
            |w| {
                fail("poll");
                first(poll_multi(&pipes(w).0, libc::POLLIN as u32))
            },
        )
        .stuck(|w| first(poll_multi(&silent(w).0, libc::POLLIN as u32))),
        Case::new(
            "pipe",
            |_| {
                act(async {
                    let (read, write) = make_pipe(libc::O_NONBLOCK).await?;
                    let mut bytes = [0; 5];
                    std::fs::File::from(write).write_all(b"hello")?;
                    std::io::Read::read_exact(&mut std::fs::File::from(read), &mut bytes)?;
                    assert_eq!(&bytes, b"hello");
                    Ok(())
                })
            },
            libc::EINVAL,
            |_| unit(make_pipe(1 << 30)),
        ),
        Case::new(
            "read_multi",
            |w| {
                act({
                    let mut stream = read_multi(&pipes(w).0, &w.pool());
                    async move {
                        assert_eq!(&stream.next().await.expect("a stream gives something")?[..], b"hello");
                        Ok(())
                    }
                })
            },
            libc::EBADFD,
            |w| first(read_multi(&w.dir.file("f", b"not to be polled"), &w.pool())),
        )
        .stuck(|w| first(read_multi(&silent(w).0, &w.pool()))),
        Case::new(
            "splice",
            |w| {
                act({
                    let (from, to) = pipes(w);
                    async move {
                        assert_eq!(splice(&from, None, &to, None, 5, 0).await?, 5);
                        Ok(())
                    }
                })
            },
            libc::EINVAL,
            |w| {
                let (a, b) = (w.dir.file("a", b"aa"), w.dir.file("b", b"bb"));
                unit(splice(&a, Some(0), &b, Some(0), 2, 0))
            },
        )
        .stuck(|w| {
            let (from, to) = silent(w);
            unit(splice(&from, None, &to, None, 5, 0))
        }),
        Case::new(
            "tee",
            |w| {
                act({
                    let (from, to) = pipes(w);
                    async move {
                        assert_eq!(tee(&from, &to, 5, 0).await?, 5);
                        Ok(())
                    }
                })
            },
            libc::EINVAL,
            |w| {
                let (a, b) = (w.dir.file("a", b"aa"), w.dir.file("b", b"bb"));
                unit(tee(&a, &b, 2, 0))
            },
        )
        .stuck(|w| {
            let (from, to) = silent(w);
            unit(tee(&from, &to, 5, 0))
        }),
        Case::new(
            "epoll_wait",
            |w| {
                act({
                    let epoll = epoll(w, &pipes(w).0);
                    async move {
                        let (events, list) = epoll_wait(&epoll, vec![NOTHING; 4]).await;
                        assert_eq!((events?, { list[0].u64 }), (1, 7));
                        Ok(())
                    }
                })
            },
            libc::EINVAL,
            |w| buffer(epoll_wait(&pipes(w).0, vec![NOTHING; 4])),
        )
        .stuck(|w| buffer(epoll_wait(&epoll(w, &silent(w).0), vec![NOTHING; 4]))),
        Case::new(
            "futex_wait",
            |w| {
                act({
                    let word = Arc::new(AtomicU32::new(1));
                    let _ = w;
                    async move {
                        let mut wait = futex_wait(word.clone(), 1);
                        assert!(poll_once(&mut wait).is_pending() || wait_refused());
                        if wait_refused() {
                            return futex_wait(word, 1).await;
                        }
                        assert_eq!(futex_wake(word.clone(), 1).await?, 1);
                        wait.await
                    }
                })
            },
            libc::EAGAIN,
            |_| unit(futex_wait(Box::new(AtomicU32::new(1)), 2)),
        )
        .stuck(|_| unit(futex_wait(Arc::new(AtomicU32::new(1)), 1))),
        Case::new(
            "futex_wake",
            |_| {
                act(async {
                    static WORD: AtomicU32 = AtomicU32::new(0);
                    assert_eq!(futex_wake(&WORD, 1).await?, 0);
                    Ok(())
                })
            },
            libc::EIO,
            |_| {
                fail("futex_wake");
                unit(futex_wake(Arc::new(AtomicU32::new(0)), 1))
            },
        ),
        Case::new(
            "futex_waitv",
            |_| {
                act(async {
                    let words: Vec<_> = (0..3).map(|_| Arc::new(AtomicU32::new(1))).collect();
                    let list = || words.iter().map(|word| (word.clone(), 1)).collect();
                    if wait_refused() {
                        return futex_waitv::<Arc<AtomicU32>>(list()).await.map(drop);
                    }
                    let mut wait = futex_waitv(list());
                    assert!(poll_once(&mut wait).is_pending());
                    assert_eq!(futex_wake(words[2].clone(), 9).await?, 1);
                    assert_eq!(wait.await?, 2);
                    Ok(())
                })
            },
            libc::EAGAIN,
            |_| unit(futex_waitv(vec![(Arc::new(AtomicU32::new(1)), 2)])),
        )
        .stuck(|_| unit(futex_waitv(vec![(Arc::new(AtomicU32::new(1)), 1); 2]))),
        Case::new(
            "waitid",
            |w| {
                act({
                    let child = child("exit 3");
                    let pid = child.id();
                    w.hold(Killed(child));
                    async move {
                        let change = waitid(Child::Pid(pid), libc::WEXITED | libc::WNOWAIT).await?;
                        assert_eq!(
                            (change.pid, change.code, change.status),
                            (pid as i32, libc::CLD_EXITED, 3)
                        );
                        Ok(())
                    }
                })
            },
            libc::ECHILD,
            |_| unit(waitid(Child::Pid(1), libc::WEXITED)),
        )
        .stuck(|w| {
            let child = child("exec sleep 1000");
            let pid = child.id();
            w.hold(Killed(child));
            unit(waitid(Child::Pid(pid), libc::WEXITED))
        }),
        Case::new(
            "msg_ring",
            |_| {
                act(async {
                    // To itself: it arrives, and says nothing.
                    let bell = Doorbell::of(&Handle::current())?;
                    msg_ring(&bell).await
                })
            },
            libc::EIO,
            |_| {
                fail("msg_ring");
                let bell = Doorbell::of(&Handle::current()).unwrap();
                unit(msg_ring(&bell))
            },
        ),
        Case::new(
            "files_update",
            |w| {
                act({
                    let (table, file) = (table(), w.dir.file("a", b"aa"));
                    async move {
                        assert_eq!(files_update(&table, 0, vec![None, Some(file)]).await?, 2);
                        assert_eq!(files_update(&table, 1, vec![None]).await?, 1);
                        Ok(())
                    }
                })
            },
            libc::EINVAL,
            |_| unit(files_update(&table(), 7, vec![None, None])),
        ),
        Case::new(
            "fixed_fd_install",
            |w| {
                act({
                    let (table, file) = (table(), w.dir.file("a", b"aa"));
                    async move {
                        files_update(&table, 0, vec![Some(file)]).await?;
                        let fd = fixed_fd_install(&table, 0).await;
                        files_update(&table, 0, vec![None]).await?;
                        assert_eq!(std::io::read_to_string(std::fs::File::from(fd?))?, "aa");
                        Ok(())
                    }
                })
            },
            libc::EBADF,
            |_| unit(fixed_fd_install(&table(), 5)),
        ),
    ]
}

fn wait_refused() -> bool {
    !Handle::current().capabilities().futex()
}
