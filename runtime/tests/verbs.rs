//! What a frame submits for a verb is what the awaited operation submits for the same arguments: an entry that differs
//! from it would be another operation, and might succeed.

mod common;

use std::collections::BTreeSet;
use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;

use chainring_runtime::frame::{
    Directory, Extra, Frame, Frames, Interrupt, Layout, Len, Plan, Plans, Resume, Stop, Target, Transfer,
    Verb,
};
use chainring_runtime::op::accept::accept;
use chainring_runtime::op::close::close;
use chainring_runtime::op::connect::connect;
use chainring_runtime::op::fallocate::fallocate;
use chainring_runtime::op::fsync::{fdatasync, fsync};
use chainring_runtime::op::ftruncate::ftruncate;
use chainring_runtime::op::nop::nop;
use chainring_runtime::op::openat2::{OpenHow, openat2};
use chainring_runtime::op::poll::poll;
use chainring_runtime::op::read::read_at;
use chainring_runtime::op::recv::recv;
use chainring_runtime::op::rename::rename;
use chainring_runtime::op::send::send;
use chainring_runtime::op::shutdown::shutdown;
use chainring_runtime::op::socket::socket;
use chainring_runtime::op::splice::splice;
use chainring_runtime::op::statx::statx;
use chainring_runtime::op::unlink::unlink;
use chainring_runtime::op::write::write_at;
use chainring_runtime::{Builder, Descriptor, Handle};
use common::{run, settle};
use socket2::SockAddr;

struct Ends;

impl Resume for Ends {
    fn advanced(&self, frame: Frame<'_>, _: u16) {
        frame.free();
    }

    fn interrupted(&self, frame: Frame<'_>, _: Interrupt) {
        frame.free();
    }

    fn stopped(&self, frame: Frame<'_>, _: Stop) {
        frame.free();
    }

    fn unparked(&self, frame: Frame<'_>) {
        frame.free();
    }
}

type Act = Pin<Box<dyn Future<Output = ()>>>;

fn act<T: 'static>(operation: impl Future<Output = T> + 'static) -> Act {
    Box::pin(async move { drop(operation.await) })
}

/// The two descriptors that both have.
const PLACES: usize = 2;
/// The place that a frame's descriptor goes into.
const VACANT: u16 = 2;
/// What both work with.
const LEN: u32 = 8;
const BYTES: usize = LEN as usize;
const POSITION: u64 = 0x1_2345_6789;
const AMOUNT: u64 = 0x9_8765_4321;

/// The words of an entry that hold addresses.
const NONE: &[usize] = &[];
const FIRST: &[usize] = &[2];
const BOTH: &[usize] = &[1, 2];

struct Case {
    transfer: Transfer,
    addresses: &'static [usize],
    awaited: fn([&Descriptor; PLACES]) -> Act,
}

fn cases() -> Vec<Case> {
    let case = |verb: Verb, len, addresses, awaited| {
        let place = if verb.opens() { VACANT } else { 0 };
        Case { transfer: Transfer::new(verb, place, 0, Len::Fixed(len)), addresses, awaited }
    };
    let with = |extra, case: Case| Case { transfer: Transfer { extra, ..case.transfer }, ..case };
    let none = Extra::default();
    let at = Extra { position: Some(0), ..none };
    let from = Extra { second: Some(1), ..none };
    let here = Extra { directory: Some(Directory::Working), ..none };
    let target = Target { directory: Directory::Working, offset: 0, len: 1, constant: false };
    vec![
        case(Verb::Nop, 0, NONE, |_| act(nop())),
        case(Verb::Recv, LEN, FIRST, |[a, _]| act(recv(a, vec![0; BYTES], 0))),
        case(Verb::RecvExact, LEN, FIRST, |[a, _]| act(recv(a, vec![0; BYTES], libc::MSG_WAITALL))),
        case(Verb::Send, LEN, FIRST, |[a, _]| act(send(a, [0; BYTES], 0))),
        case(Verb::SendAll, LEN, FIRST, |[a, _]| act(send(a, [0; BYTES], libc::MSG_WAITALL))),
        with(
            Extra { outbox: Some(0), ..none },
            case(Verb::SendOutbox, 0, FIRST, |[a, _]| act(send(a, [0; BYTES], libc::MSG_WAITALL))),
        ),
        case(Verb::Shutdown, 0, NONE, |[a, _]| act(shutdown(a, std::net::Shutdown::Write))),
        with(at, case(Verb::ReadAt, LEN, FIRST, |[a, _]| act(read_at(a, vec![0; BYTES], POSITION)))),
        with(at, case(Verb::ReadSomeAt, LEN, FIRST, |[a, _]| act(read_at(a, vec![0; BYTES], POSITION)))),
        with(at, case(Verb::ReadExactAt, LEN, FIRST, |[a, _]| act(read_at(a, vec![0; BYTES], POSITION)))),
        with(at, case(Verb::WriteAllAt, LEN, FIRST, |[a, _]| act(write_at(a, [0; BYTES], POSITION)))),
        case(Verb::Fsync, 0, NONE, |[a, _]| act(fsync(a))),
        case(Verb::Fdatasync, 0, NONE, |[a, _]| act(fdatasync(a))),
        with(
            Extra { amount: Some(1), ..at },
            case(Verb::Fallocate, 0, NONE, |[a, _]| act(fallocate(a, 0, POSITION, AMOUNT))),
        ),
        with(at, case(Verb::Ftruncate, 0, NONE, |[a, _]| act(ftruncate(a, POSITION)))),
        with(
            Extra { open: Some((Directory::Descriptor(1), 0)), ..none },
            case(Verb::Open, 1, BOTH, |[_, b]| act(openat2(Some(b), c"".into(), OpenHow::default()))),
        ),
        case(Verb::Statx, size_of::<libc::statx>() as u32, BOTH, |[a, _]| {
            let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
            act(statx(Some(a), c"".into(), libc::AT_EMPTY_PATH, mask))
        }),
        case(Verb::Socket(libc::AF_INET6), 0, NONE, |_| act(socket(libc::AF_INET6, libc::SOCK_STREAM, 0))),
        case(Verb::Connect, size_of::<libc::sockaddr_in>() as u32, FIRST, |[a, _]| {
            act(connect(a, SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 1)))))
        }),
        case(Verb::Poll(libc::POLLPRI as u32), 0, NONE, |[a, _]| act(poll(a, libc::POLLPRI as u32))),
        with(from, case(Verb::Accept, 0, NONE, |[_, b]| act(accept(b)))),
        with(from, case(Verb::Splice, LEN, NONE, |[a, b]| act(splice(b, None, a, None, LEN, 0)))),
        with(from, case(Verb::SpliceAll, LEN, NONE, |[a, b]| act(splice(b, None, a, None, LEN, 0)))),
        with(
            Extra { target: Some(target), ..here },
            case(Verb::Rename, 1, BOTH, |_| act(rename(None, c"".into(), None, c"".into(), 0))),
        ),
        with(here, case(Verb::Unlink, 1, FIRST, |_| act(unlink(None, c"".into(), 0)))),
        with(here, case(Verb::RemoveDir, 1, FIRST, |_| act(unlink(None, c"".into(), libc::AT_REMOVEDIR)))),
        case(Verb::Close, 0, NONE, |[a, _]| {
            act(close(a.as_fd().try_clone_to_owned().expect("a descriptor")))
        }),
    ]
}

/// From now on entries are kept. The operation of `name` fails, and nothing of it happens, unless it does no harm.
fn keep(name: &str) {
    let core = Handle::current();
    if !["nop", "close"].contains(&name) {
        core.injector().fail(name, libc::EIO, 1);
    }
    core.injector().record();
}

/// The entry that was kept, with the numbers of `fds` replaced by their places, and of addresses only that they are there.
async fn entry(case: &Case, fds: [i32; PLACES]) -> [u64; 8] {
    settle().await;
    let verb = case.transfer.verb;
    let mut entries = Handle::current().injector().recorded();
    entries.retain(|entry| entry[0] as u8 == verb.facts().opcode);
    // A frame that has ended closes what it has left.
    assert!(entries.len() == 1 || verb == Verb::Close, "{verb:?}: {entries:x?}");
    let mut words = entries[0];
    let place = |fd: u64| {
        let place = fds.iter().position(|known| *known as u64 == fd);
        place.map_or(fd, |place| 0x1000 + place as u64)
    };
    // The descriptor, and that of `splice_fd_in`.
    for word in [0, 5] {
        words[word] = words[word] & 0xffff_ffff | place(words[word] >> 32) << 32;
    }
    if verb == Verb::Close {
        // What is closed by awaiting is no other's.
        words[0] &= 0xffff_ffff;
    }
    case.addresses.iter().for_each(|word| words[*word] = u64::from(words[*word] != 0));
    // The `user_data`.
    words[4] = 0;
    words
}

fn null() -> OwnedFd {
    std::fs::File::options().read(true).write(true).open("/dev/null").expect("it is there").into()
}

async fn awaited(case: &Case) -> [u64; 8] {
    let [a, b] = [null(), null()].map(Descriptor::new);
    keep(case.transfer.verb.facts().name);
    (case.awaited)([&a, &b]).await;
    entry(case, [&a, &b].map(|descriptor| descriptor.as_fd().as_raw_fd())).await
}

async fn framed(case: &Case) -> [u64; 8] {
    let layout = Layout { registers: 2, descriptors: 3, bytes: 256 };
    let segments = vec![Plan { members: vec![case.transfer], ..Plan::default() }];
    let plans = Plans { segments, constants: vec![0; 24].into(), outboxes: 1, ..Plans::default() };
    let frames = Frames::new(layout, plans, 1, Ends).unwrap_or_else(|error| panic!("{error}"));
    let (a, b) = (null(), null());
    let fds = [a.as_raw_fd(), b.as_raw_fd()];
    let mut frame = frames.allocate().expect("there is room");
    frame.put_descriptor(0, a);
    frame.put_descriptor(1, b);
    let (mut views, registers) = frame.parts();
    registers.set(0, POSITION);
    registers.set(1, AMOUNT);
    views.outbox(0).copy(&[0; BYTES]);
    keep(case.transfer.verb.facts().name);
    frame.submit(0).map_err(|(_, refused)| refused).expect("it is submitted");
    let entry = entry(case, fds).await;
    frames.retire();
    entry
}

#[test]
fn a_frame_submits_for_a_verb_what_the_awaited_operation_submits() {
    run(&Builder::new(), async || {
        for case in cases() {
            let verb = case.transfer.verb;
            let offered = |needed| Handle::current().capabilities().has(needed);
            if !verb.facts().needs.is_none_or(offered) {
                println!("{verb:?}: not on this kernel");
                continue;
            }
            let (awaited, framed) = (awaited(&case).await, framed(&case).await);
            println!("{verb:?}: {framed:x?}");
            assert_eq!(framed, awaited, "{verb:?}: {framed:x?} and {awaited:x?}");
            settle().await;
        }
    });
}

#[test]
fn every_verb_is_compared() {
    let text = include_str!("../src/frame/verb.rs");
    let from = text.find("pub enum Verb {").expect("the verbs");
    let lines = text[from..].lines().skip(1).take_while(|line| *line != "}").map(str::trim);
    let variants = lines.filter(|line| !line.starts_with("//"));
    let name = |text: &str| text.split(['(', ',']).next().unwrap_or_default().to_owned();
    let verbs: BTreeSet<_> = variants.map(name).collect();
    let compared = cases().iter().map(|case| name(&format!("{:?}", case.transfer.verb))).collect();
    assert_eq!(verbs, compared);
}
