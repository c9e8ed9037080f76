//! What a failure, or a short transfer, does to the next member of a chain, for every operation, on the running
//! kernel.
//!
//! An operation is made to fail in front of a nop that is linked to it. If the link was severed the nop is
//! cancelled; if not, it runs although the operation before it has failed. (Multishot operations have tests of their
//! own.)

mod cases;
mod common;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};

use cases::{Act, Case, World, act, buffer, cases, unit};
use chainring_runtime::buf::FixedPool;
use chainring_runtime::op::close::close;
use chainring_runtime::op::message::Control;
use chainring_runtime::op::nop::nop;
use chainring_runtime::op::poll::poll;
use chainring_runtime::op::raw::{Entry, RawOperation, raw};
use chainring_runtime::op::read::read_at;
use chainring_runtime::op::read_fixed::read_fixed_at;
use chainring_runtime::op::read_vectored::read_vectored_at;
use chainring_runtime::op::recv::recv;
use chainring_runtime::op::recvmsg::recvmsg;
use chainring_runtime::op::send::send;
use chainring_runtime::op::send_zc::send_zc;
use chainring_runtime::op::sendmsg::sendmsg;
use chainring_runtime::op::sendmsg_zc::sendmsg_zc;
use chainring_runtime::op::splice::splice;
use chainring_runtime::op::tee::tee;
use chainring_runtime::op::write::write_at;
use chainring_runtime::op::write_fixed::write_fixed_at;
use chainring_runtime::op::write_vectored::write_vectored_at;
use chainring_runtime::op::{ALL, Completion, Facts, Returns, Severs};
use chainring_runtime::{Builder, Descriptor, Handle};
use common::{errno, own, pipe, poll_once, run, tcp, turns};
use futures::future::join3;

/// Runs `act` between two nops, linked. Says whether the link to the second was severed. That the first ran shows that
/// the kernel did not refuse the whole chain when it was prepared, which would prove nothing.
async fn severs(act: Act) -> (io::Result<()>, bool) {
    Handle::current().injector().link(2);
    let (first, result, next) = join3(nop(), act, nop()).await;
    assert!(first.is_ok(), "{result:?} was found when the chain was prepared");
    Handle::current().injector().clear();
    (result, severed(&next))
}

fn severed(next: &io::Result<()>) -> bool {
    match errno(next) {
        None => false,
        Some(libc::ECANCELED) => true,
        Some(other) => panic!("the nop failed with {other}"),
    }
}

/// An entry that fails once the kernel works on it, for opcodes whose safe form does not.
macro_rules! bad {
    ($type:ident, $opcode:literal) => {
        struct $type(Entry, #[allow(dead_code, reason = "keeps the descriptor open")] Option<Descriptor>);

        // SAFETY: the entries below point to no memory.
        unsafe impl RawOperation for $type {
            type Output = io::Result<()>;
            const FACTS: Facts = Facts {
                name: stringify!($type),
                opcode: $opcode,
                since: (6, 1),
                needs: None,
                returns: Returns::Unit,
                severs: Severs::Always,
                multishot: false,
            };

            fn entry(&mut self) -> Entry {
                self.0
            }

            fn complete(self, completion: Completion) -> Self::Output {
                completion.unit()
            }
        }
    };
}

bad!(BadNop, 0);
bad!(BadMadvise, 25);
bad!(BadMessage, 40);
bad!(BadWake, 52);

/// Lowers a limit of this process until it is dropped.
struct Limit(u32, libc::rlimit);

impl Limit {
    fn new(resource: u32, to: u64) -> Limit {
        let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a structure of this frame.
        assert_eq!(unsafe { libc::getrlimit(resource, &mut before) }, 0);
        let after = libc::rlimit { rlim_cur: to, ..before };
        // SAFETY: as above.
        assert_eq!(unsafe { libc::setrlimit(resource, &after) }, 0);
        Limit(resource, before)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // SAFETY: a structure that `new` filled.
        unsafe { libc::setrlimit(self.0, &self.1) };
    }
}

fn case(name: &str) -> Case {
    let case = cases().into_iter().find(|case| case.name == name);
    case.unwrap_or_else(|| panic!("{name} has no case of its name in tests/cases"))
}

/// Whether the ring takes an operation with these facts. One that falls back to a system call is linked to nothing.
fn is_offered(facts: &Facts) -> bool {
    let capabilities = Handle::current().capabilities();
    facts.needs.is_none_or(|needed| capabilities.has(needed))
}

/// A way to fail in the operation itself, where that of the cases is made up or is found before it starts.
/// `None`: it cannot fail.
fn failing(name: &str, world: &World) -> Option<Act> {
    let full = || own(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let fixed = || {
        let mut bytes = world.fixed().get().unwrap();
        bytes.set_len(10);
        bytes
    };
    Some(match name {
        // IORING_NOP_INJECT_RESULT, 6.10; a nop of older kernels cannot fail.
        "nop" if !Handle::current().capabilities().bundles() => return None,
        "nop" => unit(raw(BadNop(Entry { op_flags: 1, len: -libc::EIO as u32, ..Entry::default() }, None))),
        "madvise" => unit(raw(BadMadvise(Entry { addr: 1, len: 1, ..Entry::default() }, None))),
        "msg_ring" => {
            let file = own(std::fs::File::open("/dev/null").unwrap());
            let fd = file.as_fd().as_raw_fd();
            unit(raw(BadMessage(Entry { fd, ..Entry::default() }, Some(file))))
        }
        // A word that lies across two places.
        "futex_wake" => unit(raw(BadWake(
            Entry { fd: 2 | 128, addr: 1, off: 1, addr3: u32::MAX.into(), ..Entry::default() },
            None,
        ))),
        "close" => {
            let file = std::fs::File::open("/dev/null").unwrap();
            // SAFETY: this is what the test is about. Nobody else opens files meanwhile.
            unsafe { libc::close(file.as_raw_fd()) };
            unit(close(file.into()))
        }
        "write" => buffer(write_at(&full(), "hello", 0)),
        "write_vectored" => buffer(write_vectored_at(&full(), ["hello"], 0)),
        "write_fixed" => buffer(write_fixed_at(&full(), fixed(), 0)),
        "pipe" => {
            world.hold(Limit::new(libc::RLIMIT_NOFILE, 3));
            unit(chainring_runtime::op::pipe::pipe(0))
        }
        "poll" => {
            // It only fails when it is cancelled.
            let (read, write) = pipe();
            world.keep(&write);
            act(async move {
                let mut wait = poll(&read, libc::POLLIN as u32);
                assert!(poll_once(&mut wait).is_pending());
                turns(2).await;
                drop(wait);
                Err(io::Error::from_raw_os_error(libc::ECANCELED))
            })
        }
        _ => (case(name).bad)(world),
    })
}

#[test]
fn a_failure_severs_as_the_facts_say() {
    run(&Builder::new(), async || {
        let mut wrong = Vec::new();
        for facts in ALL.iter().filter(|facts| !facts.multishot) {
            if !is_offered(facts) {
                println!("{:18} not on this kernel", facts.name);
                continue;
            }
            let world = World::new();
            let Some(act) = failing(facts.name, &world) else {
                println!("{:18} cannot fail", facts.name);
                continue;
            };
            let (result, severed) = severs(act).await;
            drop(world);
            assert!(result.is_err(), "{} was to fail", facts.name);
            println!(
                "{:18} {:10} {}",
                facts.name,
                if severed { "severs" } else { "goes on" },
                result.unwrap_err()
            );
            if severed != (facts.severs != Severs::Never) {
                wrong.push(facts.name);
            }
        }
        assert!(wrong.is_empty(), "the facts are wrong about {wrong:?}");
    });
}

/// A socket with five bytes in it and the end of the stream behind them.
fn five() -> Descriptor {
    let (here, mut there) = tcp();
    there.write_all(b"hello").unwrap();
    there.shutdown(Shutdown::Write).unwrap();
    here
}

/// A pipe with five bytes in it and the end behind them, and one to move them to.
fn pipes(world: &World) -> (Descriptor, Descriptor) {
    let (read, mut write) = io::pipe().unwrap();
    write.write_all(b"hello").unwrap();
    let (other, to) = pipe();
    world.keep(&other);
    (own(read), to)
}

const PAGE: usize = 4096;

/// A pipe with room for a page, into which a write does not wait for more.
fn one_page(world: &World) -> Descriptor {
    let (read, write) = pipe();
    world.keep(&read);
    let fd = write.as_fd().as_raw_fd();
    // SAFETY: no pointers.
    let size = unsafe { libc::fcntl(fd, libc::F_SETPIPE_SZ, PAGE) };
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
    assert_eq!((size, flags), (PAGE as i32, 0));
    write
}

/// A transfer that comes short. Its name is that of its facts, with something behind it if it asks for everything.
type Short = (&'static str, fn(&World) -> Act);

/// What asks for everything is called so.
const WAITALL: &str = " with MSG_WAITALL";

const SHORTS: &[Short] = &[
    ("read", |w| buffer(read_at(&w.dir.file("f", b"hello"), vec![0; 10], 0))),
    ("read_vectored", |w| buffer(read_vectored_at(&w.dir.file("f", b"hello"), [[0u8; 5], [0; 5]], 0))),
    ("read_fixed", |w| buffer(read_fixed_at(&w.dir.file("f", b"hello"), w.fixed().get().unwrap(), 0))),
    ("write", |w| buffer(write_at(&one_page(w), vec![0; 2 * PAGE], 0))),
    ("write_vectored", |w| buffer(write_vectored_at(&one_page(w), [[0; PAGE], [0; PAGE]], 0))),
    ("write_fixed", |w| {
        let pool = FixedPool::new(2 * PAGE as u32, 1, 1).unwrap();
        let mut bytes = pool.get().unwrap();
        bytes.set_len(2 * PAGE);
        buffer(write_fixed_at(&one_page(w), bytes, 0))
    }),
    ("recv", |_| buffer(recv(&five(), vec![0; 10], 0))),
    ("recv with MSG_WAITALL", |_| buffer(recv(&five(), vec![0; 10], libc::MSG_WAITALL))),
    ("recvmsg", |_| buffer(recvmsg(&five(), [[0u8; 10]], Control::new(), 0))),
    ("recvmsg with MSG_WAITALL", |_| {
        buffer(recvmsg(&five(), [[0u8; 10]], Control::new(), libc::MSG_WAITALL))
    }),
    ("splice", |w| {
        let (from, to) = pipes(w);
        unit(splice(&from, None, &to, None, 10, 0))
    }),
    ("tee", |w| {
        let (from, to) = pipes(w);
        unit(tee(&from, &to, 10, 0))
    }),
];

/// A send of these bytes, which its peer does not take, with these flags.
type Send = (&'static str, fn(&Descriptor, Vec<u8>, i32) -> Act);

const SENDS: &[Send] = &[
    ("send", |socket, bytes, flags| buffer(send(socket, bytes, flags))),
    ("send_zc", |socket, bytes, flags| buffer(send_zc(socket, bytes, flags))),
    ("sendmsg", |socket, bytes, flags| buffer(sendmsg(socket, [bytes], None, Control::new(), flags))),
    ("sendmsg_zc", |socket, bytes, flags| buffer(sendmsg_zc(socket, [bytes], None, Control::new(), flags))),
];

/// Those whose count is none of bytes that can be fewer than were asked for.
const NOT_SHORT: &[(&str, &str)] = &[
    ("epoll_wait", "fewer events than there is room for are all that there are"),
    ("files_update", "it stops at a descriptor that is refused, and the failure is tested above"),
    ("futex_waitv", "the index of the word that was woken"),
    ("futex_wake", "fewer than were to be woken are all that wait"),
    ("getsockopt", "an int, whole"),
    ("poll", "a mask of events"),
];

fn facts(name: &str) -> &'static Facts {
    let found = ALL.iter().find(|facts| facts.name == name);
    found.unwrap_or_else(|| panic!("no operation is called {name}"))
}

#[test]
fn every_transfer_that_can_come_short_is_made_to() {
    let shorts = SHORTS.iter().map(|(name, _)| name.trim_end_matches(WAITALL));
    let names = shorts.chain(SENDS.iter().map(|(name, _)| *name));
    // Operations of one opcode are one to the kernel.
    let tried: Vec<u8> = names.map(|name| facts(name).opcode).collect();
    let severing = ALL.iter().filter(|facts| !facts.multishot && facts.severs != Severs::Never);
    let counting = severing.filter(|facts| matches!(facts.returns, Returns::Count | Returns::Notified));
    let untried = counting.filter(|facts| !tried.contains(&facts.opcode)).map(|facts| facts.name);
    let (untried, excused) =
        (untried.collect::<BTreeSet<_>>(), NOT_SHORT.iter().map(|(name, _)| *name).collect());
    assert_eq!(untried, excused, "what counts and is not made to come short, and what need not be");
}

#[test]
fn a_short_transfer_severs_as_the_facts_say() {
    run(&Builder::new(), async || {
        for (name, short) in SHORTS {
            let facts = facts(name.trim_end_matches(WAITALL));
            if !is_offered(facts) {
                println!("{name:26} not on this kernel");
                continue;
            }
            let world = World::new();
            let (result, severed) = severs(short(&world)).await;
            assert!(result.is_ok(), "{name}: {result:?}");
            println!("{name:26} {}", if severed { "severs" } else { "goes on" });
            let expected = match facts.severs {
                Severs::Always => true,
                Severs::WithWaitall => name.ends_with(WAITALL),
                Severs::Never => false,
            };
            assert_eq!(severed, expected, "{name}");
        }
    });
}

#[test]
fn a_send_that_is_cut_off_severs_only_with_msg_waitall() {
    run(&Builder::new(), async || {
        for ((name, send), flags) in
            SENDS.iter().flat_map(|send| [0, libc::MSG_WAITALL].map(|flags| (send, flags)))
        {
            let facts = facts(name);
            if !is_offered(facts) {
                println!("{name:12} not on this kernel");
                continue;
            }
            let (here, there) = tcp();
            // Takes nothing out.
            let closing = std::thread::spawn(move || {
                there.peek(&mut [0]).expect("something comes");
                std::thread::sleep(std::time::Duration::from_millis(30));
                drop(there);
            });
            let (result, severed) = severs(send(&here, vec![0; 64 << 20], flags)).await;
            closing.join().unwrap();
            println!("{name:12} {flags:5x} {}: {result:?}", if severed { "severs" } else { "goes on" });
            assert!(result.is_ok(), "{name}: {result:?}");
            assert_eq!(facts.severs, Severs::WithWaitall, "{name}");
            assert_eq!(severed, flags == libc::MSG_WAITALL, "{name}");
        }
    });
}

#[test]
fn a_success_severs_nothing() {
    run(&Builder::new(), async || {
        for facts in ALL.iter().filter(|facts| !facts.multishot) {
            let case = case(facts.name);
            // Not those whose success is short, and not those that take several operations.
            let others = ["read", "read_vectored", "read_fixed", "futex_wait", "futex_waitv"];
            if !case.is_offered().await || others.contains(&facts.name) {
                continue;
            }
            let world = World::new();
            let (result, severed) = severs((case.good)(&world)).await;
            assert!(result.is_ok() && !severed, "{}: {result:?}", facts.name);
        }
    });
}
