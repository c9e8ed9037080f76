//! The same random sequence of sends, receives, half-closes, resets and options on sockets of the standard library and
//! on ours gives the same bytes, counts and errnos.
//!
//! Two TCP connections see the same steps, one after the other: an oracle of two blocking std streams, and a pair of
//! ours. A step that would wait forever is not taken: the model below knows how many bytes are on their way, and that
//! they have arrived (it waits until the kernel says so) before the next step. `CHAINRING_SEED` runs one sequence alone,
//! as the message of a failure says; `CHAINRING_LONG` many more than usual.

mod common;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::Duration;

use chainring_net::{TcpListener, TcpStream};
use chainring_runtime::time::{sleep, timeout};
use common::{Random, run, settle};
use socket2::SockRef;

/// One thing that one side does.
#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    SendVectored(Vec<Vec<u8>>),
    SendAll(Vec<u8>),
    Recv(usize),
    RecvVectored(usize, usize),
    RecvExact(usize),
    Peek(usize),
    Shutdown(Shutdown),
    /// Closes with SO_LINGER of zero.
    Reset,
    Close,
    Nodelay(bool),
    Ttl(u32),
    Linger(Option<u64>),
    Buffer(usize),
    TakeError,
    Addresses,
}

/// What came of it, to be compared.
#[derive(Debug, PartialEq)]
enum Outcome {
    Count(Result<usize, i32>),
    Bytes(Result<Vec<u8>, i32>),
    /// All the bytes or none; of a failed exact read the contents are nobody's business.
    Exact(Result<Vec<u8>, String>),
    Unit(Result<(), i32>),
    Value(Result<u64, i32>),
    Connected(bool, bool),
}

fn code(error: io::Error) -> i32 {
    error.raw_os_error().unwrap_or_else(|| panic!("not the kernel's: {error}"))
}

fn exact(result: io::Result<Vec<u8>>) -> Outcome {
    Outcome::Exact(result.map_err(|error| match error.raw_os_error() {
        Some(code) => format!("errno {code}"),
        None => format!("{:?}", error.kind()),
    }))
}

/// The standard library's way.
fn by_std(stream: &mut Option<std::net::TcpStream>, step: &Step) -> Outcome {
    if matches!(step, Step::Reset | Step::Close) {
        let closing = stream.take().unwrap();
        if matches!(step, Step::Reset) {
            SockRef::from(&closing).set_linger(Some(Duration::ZERO)).unwrap();
        }
        return Outcome::Unit(Ok(()));
    }
    let stream = stream.as_mut().unwrap();
    match step {
        Step::Send(bytes) => Outcome::Count(stream.write(bytes).map_err(code)),
        Step::SendVectored(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| io::IoSlice::new(part)).collect();
            // Of no bytes at all writev(2) gives 0 without looking at the socket, sendmsg(2) an error if there is one.
            let sent = match parts.iter().all(|part| part.is_empty()) {
                true => SockRef::from(&*stream).send_vectored(&parts),
                false => stream.write_vectored(&parts),
            };
            Outcome::Count(sent.map_err(code))
        }
        Step::SendAll(bytes) => Outcome::Unit(stream.write_all(bytes).map_err(code)),
        Step::Recv(room) => {
            let mut buffer = vec![0; *room];
            Outcome::Bytes(stream.read(&mut buffer).map(|n| buffer[..n].to_vec()).map_err(code))
        }
        Step::RecvVectored(one, other) => {
            let (mut one, mut other) = (vec![0; *one], vec![0; *other]);
            let parts = &mut [io::IoSliceMut::new(&mut one), io::IoSliceMut::new(&mut other)];
            let count = stream.read_vectored(parts);
            one.extend(other);
            Outcome::Bytes(count.map(|n| one[..n].to_vec()).map_err(code))
        }
        Step::RecvExact(room) => {
            let mut buffer = vec![0; *room];
            exact(stream.read_exact(&mut buffer).map(|()| buffer))
        }
        Step::Peek(room) => {
            let mut buffer = vec![0; *room];
            Outcome::Bytes(stream.peek(&mut buffer).map(|n| buffer[..n].to_vec()).map_err(code))
        }
        Step::Shutdown(how) => Outcome::Unit(stream.shutdown(*how).map_err(code)),
        Step::Nodelay(on) => {
            let set = stream.set_nodelay(*on).and_then(|()| stream.nodelay());
            Outcome::Value(set.map(u64::from).map_err(code))
        }
        Step::Ttl(hops) => {
            let set = stream.set_ttl(*hops).and_then(|()| stream.ttl());
            Outcome::Value(set.map(u64::from).map_err(code))
        }
        Step::Linger(seconds) => {
            let socket = SockRef::from(&*stream);
            let set = socket.set_linger(seconds.map(Duration::from_secs)).and_then(|()| socket.linger());
            Outcome::Value(set.map(|set| set.map_or(u64::MAX, |linger| linger.as_secs())).map_err(code))
        }
        Step::Buffer(bytes) => {
            let socket = SockRef::from(&*stream);
            let set = socket.set_send_buffer_size(*bytes).and_then(|()| socket.send_buffer_size());
            Outcome::Value(set.map(|bytes| bytes as u64).map_err(code))
        }
        Step::TakeError => {
            let error = stream.take_error().unwrap();
            Outcome::Value(Ok(error.map_or(0, |error| code(error) as u64)))
        }
        Step::Addresses => Outcome::Connected(stream.peer_addr().is_ok(), stream.local_addr().is_ok()),
        Step::Reset | Step::Close => unreachable!("handled above"),
    }
}

/// Ours.
async fn by_ring(stream: &mut Option<TcpStream>, step: &Step) -> Outcome {
    if matches!(step, Step::Reset | Step::Close) {
        let closing = stream.take().unwrap();
        if matches!(step, Step::Reset) {
            closing.set_linger(Some(Duration::ZERO)).unwrap();
        } else if closing.linger().unwrap().is_some_and(|time| !time.is_zero()) {
            // One that lingers is closed by a thread of the kernel, which does not tell when: the steps behind this would
            // see a connection or none. Here nothing is left to be waited for.
            closing.set_linger(None).unwrap();
        }
        drop(closing);
        settle().await;
        return Outcome::Unit(Ok(()));
    }
    let stream = stream.as_mut().unwrap();
    match step.clone() {
        Step::Send(bytes) => Outcome::Count(stream.write(bytes).await.0.map_err(code)),
        Step::SendVectored(parts) => Outcome::Count(stream.write_vectored(parts).await.0.map_err(code)),
        Step::SendAll(bytes) => Outcome::Unit(stream.write_all(bytes).await.0.map_err(code)),
        Step::Recv(room) => {
            let (result, buffer) = stream.read(vec![0; room]).await;
            Outcome::Bytes(result.map(|n| buffer[..n].to_vec()).map_err(code))
        }
        Step::RecvVectored(one, other) => {
            let boxed = |len| vec![0; len].into_boxed_slice();
            let (result, (one, other)) = stream.read_vectored((boxed(one), boxed(other))).await;
            let all = [one, other].concat();
            Outcome::Bytes(result.map(|n| all[..n].to_vec()).map_err(code))
        }
        Step::RecvExact(room) => {
            let (result, buffer) = stream.read_exact(vec![0; room].into_boxed_slice()).await;
            exact(result.map(|()| buffer.into_vec()))
        }
        Step::Peek(room) => {
            let (result, buffer) = stream.peek(vec![0; room]).await;
            Outcome::Bytes(result.map(|n| buffer[..n].to_vec()).map_err(code))
        }
        Step::Shutdown(how) => Outcome::Unit(stream.shutdown(how).await.map_err(code)),
        Step::Nodelay(on) => {
            let set = stream.set_nodelay(on).and_then(|()| stream.nodelay());
            Outcome::Value(set.map(u64::from).map_err(code))
        }
        Step::Ttl(hops) => {
            let set = stream.set_ttl(hops).and_then(|()| stream.ttl());
            Outcome::Value(set.map(u64::from).map_err(code))
        }
        Step::Linger(seconds) => {
            let set = stream.set_linger(seconds.map(Duration::from_secs)).and_then(|()| stream.linger());
            Outcome::Value(set.map(|set| set.map_or(u64::MAX, |linger| linger.as_secs())).map_err(code))
        }
        Step::Buffer(bytes) => {
            let set = stream.set_send_buffer_size(bytes).and_then(|()| stream.send_buffer_size());
            Outcome::Value(set.map(|bytes| bytes as u64).map_err(code))
        }
        Step::TakeError => {
            let error = stream.take_error().unwrap();
            Outcome::Value(Ok(error.map_or(0, |error| code(error) as u64)))
        }
        Step::Addresses => Outcome::Connected(stream.peer_addr().is_ok(), stream.local_addr().is_ok()),
        Step::Reset | Step::Close => unreachable!("handled above"),
    }
}

/// What one side may do without waiting forever.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    gone: bool,
    /// Bytes on their way to it.
    unread: usize,
    /// Whether a receive returns although nothing is on its way: an end, or an error.
    ended: bool,
    /// It has ended its receiving direction, after which bytes that come are kept or not as the kernel likes.
    deaf: bool,
    mute: bool,
}

struct Model {
    random: Random,
    sides: [Side; 2],
}

impl Model {
    /// A step for a side that can take one.
    fn next(&mut self) -> Option<(usize, Step)> {
        let here = self.random.below(2);
        let here = if self.sides[here].gone { 1 - here } else { here };
        if self.sides[here].gone {
            return None;
        }
        loop {
            if let Some(step) = self.step(here) {
                return Some((here, step));
            }
        }
    }

    fn step(&mut self, here: usize) -> Option<Step> {
        let Side { unread, ended, .. } = self.sides[here];
        let random = &mut self.random;
        // What is on its way at most stays far below the size of the buffers.
        let room = 60_000usize.saturating_sub(self.sides[1 - here].unread);
        let bytes = |random: &mut Random, limit: usize| -> Vec<u8> {
            let scale = [3, 60, 3000, 20_000][random.below(4)];
            let len = random.below(scale).min(limit);
            (0..len).map(|_| random.next() as u8).collect()
        };
        let can_receive = unread > 0 || ended;
        let len = [0, 1, 7, 500, 5000, 70_000][random.below(6)];
        let step = match random.below(24) {
            0..=4 => Step::Send(bytes(random, room)),
            5 | 6 => {
                let count = random.below(5);
                Step::SendVectored((0..count).map(|_| bytes(random, room / 5)).collect())
            }
            7 => Step::SendAll(bytes(random, room)),
            8..=12 if can_receive => Step::Recv(len),
            13 if can_receive => Step::RecvVectored(len, random.below(3000) + 1),
            14 if ended || unread >= len => Step::RecvExact(len),
            15 if can_receive => Step::Peek(len),
            16 => Step::Nodelay(random.below(8) > 0),
            17 => Step::Ttl([0, 1, 64, 255, 256][random.below(5)] as u32),
            18 => Step::Linger([None, Some(0), Some(1), Some(77)][random.below(4)]),
            19 => Step::Buffer([100_000, 150_000, 200_000][random.below(3)]),
            20 => Step::Addresses,
            21 => Step::TakeError,
            22 if random.below(3) == 0 => Step::Shutdown(
                [Shutdown::Read, Shutdown::Write, Shutdown::Write, Shutdown::Both][random.below(4)],
            ),
            23 if random.below(6) == 0 => [Step::Reset, Step::Close][random.below(2)].clone(),
            _ => return None,
        };
        Some(step)
    }

    /// Follows what a step has changed.
    fn follow(&mut self, here: usize, step: &Step, outcome: &Outcome) {
        let there = 1 - here;
        match (step, outcome) {
            (Step::Send(_) | Step::SendVectored(_), Outcome::Count(Ok(sent))) => self.sends(here, *sent),
            (Step::SendAll(bytes), Outcome::Unit(Ok(()))) => self.sends(here, bytes.len()),
            (Step::Recv(_) | Step::RecvVectored(..), Outcome::Bytes(Ok(bytes))) => {
                self.sides[here].unread = self.sides[here].unread.saturating_sub(bytes.len());
            }
            (Step::RecvExact(_), Outcome::Exact(Ok(bytes))) => {
                self.sides[here].unread = self.sides[here].unread.saturating_sub(bytes.len());
            }
            (Step::RecvExact(_), Outcome::Exact(Err(_))) => self.sides[here].unread = 0,
            (Step::Shutdown(how), Outcome::Unit(Ok(()))) => {
                if matches!(how, Shutdown::Read | Shutdown::Both) {
                    (self.sides[here].ended, self.sides[here].deaf) = (true, true);
                }
                if matches!(how, Shutdown::Write | Shutdown::Both) {
                    self.sides[there].ended = true;
                    self.sides[here].mute = true;
                }
            }
            (Step::Reset | Step::Close, _) => {
                self.sides[here].gone = true;
                self.sides[there].ended = true;
                // Without bytes of ours unread, and not reset, all that we sent still arrives.
                if matches!(step, Step::Reset) || self.sides[here].unread > 0 {
                    self.sides[there].unread = 0;
                }
            }
            _ => {}
        }
    }

    fn sends(&mut self, here: usize, bytes: usize) {
        let there = &mut self.sides[1 - here];
        if there.gone {
            // It answers with a reset.
            self.sides[here].ended = true;
            self.sides[here].unread = 0;
        } else {
            there.unread += bytes;
        }
    }
}

/// Waits until everything that was sent, and every end and reset, has arrived: loopback delivers at once, or as soon
/// as an acknowledgement comes back.
fn arrived(streams: [&Option<impl AsFd>; 2], sides: &[Side; 2]) -> bool {
    streams.iter().zip(sides).all(|(stream, side)| {
        let Some(stream) = stream else { return true };
        if side.deaf || side.ended {
            return true;
        }
        let mut buffer = vec![std::mem::MaybeUninit::uninit(); side.unread + 1];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        match SockRef::from(stream).recv_with_flags(&mut buffer, flags) {
            Ok(there) => there >= side.unread,
            Err(_) => side.unread == 0,
        }
    })
}

/// Without TCP_NODELAY a small send may wait for an acknowledgement, which the peer delays by what its clock says. If it
/// is answered with a reset, the steps until then see a connection, and those behind it none: on the one pair of
/// sockets earlier than on the other.
fn send_at_once(stream: &impl AsFd) {
    SockRef::from(stream).set_tcp_nodelay(true).unwrap();
}

async fn sequence(seed: u64, steps: usize) -> usize {
    let oracle_listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let one = std::net::TcpStream::connect(oracle_listener.local_addr().unwrap()).unwrap();
    let mut oracle = [Some(one), Some(oracle_listener.accept().unwrap().0)];
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut ours = [Some(one), Some(listener.accept().await.unwrap())];
    for stream in oracle.iter().flatten() {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        send_at_once(stream);
    }
    ours.iter().flatten().for_each(send_at_once);

    let mut model = Model { random: Random(seed), sides: [Side::default(); 2] };
    let mut history = Vec::new();
    for _ in 0..steps {
        let Some((side, step)) = model.next() else { break };
        let expected = by_std(&mut oracle[side], &step);
        history.push(format!("{side} {step:?}").chars().take(60).collect::<String>());
        let Ok(found) = timeout(Duration::from_secs(2), by_ring(&mut ours[side], &step)).await else {
            panic!(
                "CHAINRING_SEED={seed}: after {history:#?}\nours hangs\nstd's {expected:?}\n{:?}",
                model.sides
            )
        };
        assert!(
            found == expected,
            "CHAINRING_SEED={seed}: after {history:#?}\nours {found:?}\nstd's {expected:?}\n{:?}",
            model.sides
        );
        model.follow(side, &step, &found);
        if matches!(step, Step::Nodelay(false)) {
            oracle[side].iter().for_each(send_at_once);
            ours[side].iter().for_each(send_at_once);
        }
        for attempt in 0.. {
            assert!(
                attempt < 500,
                "CHAINRING_SEED={seed}: after {history:#?}\nnever arrived: {:?}",
                model.sides
            );
            let ours_there = arrived([&ours[0], &ours[1]], &model.sides);
            if ours_there && arrived([&oracle[0], &oracle[1]], &model.sides) {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
    history.len()
}

#[test]
fn the_same_steps_give_the_same_bytes_and_errnos_as_the_standard_library() {
    let seeds = match std::env::var("CHAINRING_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) if std::env::var_os("CHAINRING_LONG").is_some() => (1..=3000).collect(),
        Err(_) => (1..=100).collect(),
    };
    let steps: usize = seeds.iter().map(|seed| run(async || sequence(*seed, 80).await)).sum();
    println!("{} sequences, {steps} steps", seeds.len());
}
