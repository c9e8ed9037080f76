//! The TCP proxy between clients and back ends.

mod common;

use std::hash::{DefaultHasher, Hasher};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::Server;

const PATIENCE: Duration = Duration::from_secs(30);

fn proxy(backends: &[SocketAddr], arguments: &[&str]) -> Server {
    let to: Vec<String> = backends.iter().map(SocketAddr::to_string).collect();
    let to = to.iter().flat_map(|backend| ["--to", backend.as_str()]);
    Server::start("proxy", &to.chain(arguments.iter().copied()).collect::<Vec<_>>())
}

fn listener() -> (TcpListener, SocketAddr) {
    waiting_for(4096)
}

/// A listener for whom so many may wait at a time.
fn waiting_for(backlog: u32) -> (TcpListener, SocketAddr) {
    let builder = chainring::net::TcpListener::builder().backlog(backlog);
    let listener = builder.bind("127.0.0.1:0".parse().unwrap()).unwrap().into_std().unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    listener().1
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn client(proxy: &Server) -> TcpStream {
    patient(TcpStream::connect(proxy.address).unwrap())
}

/// A back end that calls each of its clients by a letter, and sends back what it gets until they have said all.
fn echo(letter: u8) -> SocketAddr {
    let (listener, address) = listener();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = patient(stream.unwrap());
            thread::spawn(move || {
                stream.write_all(&[letter])?;
                let mut bytes = vec![0; 65536];
                loop {
                    match stream.read(&mut bytes)? {
                        0 => return stream.write_all(b"."),
                        n => stream.write_all(&bytes[..n])?,
                    }
                }
            });
        }
    });
    address
}

fn letter(proxy: &Server) -> u8 {
    let mut letter = [0];
    client(proxy).read_exact(&mut letter).unwrap();
    letter[0]
}

/// Asks for the counters until they say what is expected.
fn counters(proxy: &mut Server, expected: &[&str]) {
    let begin = Instant::now();
    loop {
        proxy.signal("USR1");
        let mut lines = String::new();
        while !lines.ends_with("clients found none\n") {
            lines += &proxy.line();
        }
        if expected.iter().all(|words| lines.contains(words)) {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{expected:?}: {lines}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn connections_go_to_the_back_ends_in_turn_and_past_a_dead_one() {
    let dead = nobody();
    let mut proxy = proxy(&[echo(b'a'), dead, echo(b'b')], &["--retry", "60"]);
    let letters: Vec<u8> = (0..30).map(|_| letter(&proxy)).collect();
    for expected in [b'a', b'b'] {
        let count = letters.iter().filter(|letter| **letter == expected).count();
        assert!(count >= 10, "{letters:?}");
    }
    // It was tried once, and then left out.
    counters(
        &mut proxy,
        &[&format!("{dead}: 0 active of 0 connections, 1 failed"), "left out", "0 clients found none"],
    );
}

#[test]
fn a_back_end_that_comes_back_has_its_turn_again() {
    let address = nobody();
    let mut proxy = proxy(&[address], &["--retry", "60"]);
    assert_eq!(client(&proxy).read(&mut [0]).unwrap(), 0, "there is nobody");
    counters(&mut proxy, &["1 clients found none", "1 failed"]);
    let listener = TcpListener::bind(address).unwrap();
    // Left out, but there is nobody else.
    let _client = client(&proxy);
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"x").unwrap();
    counters(&mut proxy, &["1 active of 1 connections, 1 failed, 0 bytes up, 1 bytes down\n"]);
}

#[test]
fn a_back_end_that_does_not_answer_is_given_up_after_the_deadline() {
    // Its queue is full, so the kernel drops who asks.
    let (_silent, address) = waiting_for(1);
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue is never full");
    }
    let proxy = proxy(&[address, echo(b'a')], &["--connect", "0.3"]);
    let begin = Instant::now();
    assert_eq!([letter(&proxy), letter(&proxy)], [b'a', b'a']);
    assert!(begin.elapsed() >= Duration::from_millis(290), "it was its turn");
}

#[test]
fn who_has_said_all_still_gets_an_answer() {
    let proxy = proxy(&[echo(b'a')], &[]);
    for text in [&b""[..], b"hello", &[7; 100_000]] {
        let mut client = client(&proxy);
        let mut sender = client.try_clone().unwrap();
        let sent = text.to_vec();
        let sender = thread::spawn(move || {
            sender.write_all(&sent).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
        });
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        sender.join().unwrap();
        assert!(answer == [b"a", text, b"."].concat(), "{} bytes", answer.len());
    }
}

#[test]
fn a_back_end_may_end_first() {
    let (listener, address) = listener();
    let proxy = proxy(&[address], &[]);
    let mut client = client(&proxy);
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"bye").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "bye");
    // The other direction is still open.
    client.write_all(b"more").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    text.clear();
    patient(server).read_to_string(&mut text).unwrap();
    assert_eq!(text, "more");
}

#[test]
fn connections_that_carry_nothing_are_closed_and_others_not() {
    let proxy = proxy(&[echo(b'a')], &["--idle", "0.5"]);
    let (mut silent, mut busy) = (client(&proxy), client(&proxy));
    let begin = Instant::now();
    let busy = thread::spawn(move || {
        let mut letter = [0];
        busy.read_exact(&mut letter).unwrap();
        while begin.elapsed() < Duration::from_millis(1200) {
            busy.write_all(b"x").unwrap();
            busy.read_exact(&mut letter).unwrap();
            thread::sleep(Duration::from_millis(50));
        }
    });
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"a");
    assert!(begin.elapsed() >= Duration::from_millis(490), "{:?}", begin.elapsed());
    busy.join().unwrap();
}

#[test]
fn a_back_end_that_dies_closes_its_clients_cleanly_and_no_other() {
    let (listener, address) = listener();
    let mut proxy = proxy(&[address, echo(b'a')], &[]);
    // Two of each, in turn.
    let clients: Vec<TcpStream> = (0..4).map(|_| client(&proxy)).collect();
    let mut servers: Vec<TcpStream> = (0..2).map(|_| listener.accept().unwrap().0).collect();
    counters(
        &mut proxy,
        &[
            &format!("{address}: 2 active of 2"),
            ": 2 active of 2 connections, 0 failed, 0 bytes up, 2 bytes down",
        ],
    );
    for server in &mut servers {
        server.write_all(&[b'd'; 50_000]).unwrap();
    }
    let (mut victims, mut others) = (Vec::new(), Vec::new());
    for mut client in clients {
        let mut first = [0];
        client.read_exact(&mut first).unwrap();
        match first[0] {
            b'd' => {
                // Bytes that nobody will read: the back end goes with a reset.
                client.write_all(&[b'u'; 50_000]).unwrap();
                victims.push(client);
            }
            _ => others.push(client),
        }
    }
    assert_eq!((victims.len(), others.len()), (2, 2));
    // What the clients have said is there, and will never be read.
    for server in &servers {
        server.peek(&mut [0]).unwrap();
    }
    drop(servers);
    for mut victim in victims {
        let mut rest = Vec::new();
        victim.read_to_end(&mut rest).expect("an end, and no reset");
        assert_eq!(rest.len(), 49_999);
    }
    for mut client in others {
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello.");
    }
    counters(&mut proxy, &[&format!("{address}: 0 active of 2")]);
}

#[test]
fn clients_that_read_nothing_hold_up_nobody_else() {
    let (listener, address) = listener();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut first = [0];
                stream.read_exact(&mut first)?;
                // Without end for who asks for a flood, and once for others.
                while stream.write_all(&[first[0]; 65536]).is_ok() && first == *b"f" {}
                std::io::Result::Ok(())
            });
        }
    });
    let proxy = proxy(&[address], &["--cores", "1", "--buffers", "2"]);
    let idle: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut client = client(&proxy);
            client.write_all(b"f").unwrap();
            client
        })
        .collect();
    // Until there is no room for more between the back end and them.
    for client in &idle {
        let mut before = 0;
        loop {
            thread::sleep(Duration::from_millis(100));
            let now = client.peek(&mut vec![0; 16 << 20]).unwrap();
            if now > 0 && now == before {
                break;
            }
            before = now;
        }
    }
    let mut other = client(&proxy);
    let begin = Instant::now();
    other.write_all(b"x").unwrap();
    let mut answer = Vec::new();
    other.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.len(), 65536);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn an_answer_in_the_middle_of_an_upload_arrives_whole() {
    const ANSWER: usize = 4 << 20;
    let (listener, address) = listener();
    let mut proxy = proxy(&[address], &[]);
    let client = client(&proxy);
    let (mut server, _) = listener.accept().unwrap();
    let mut upload = client.try_clone().unwrap();
    let uploading = thread::spawn(move || while upload.write_all(&[b'u'; 4096]).is_ok() {});
    server.read_exact(&mut [0; 1024]).unwrap();
    let reading = thread::spawn(move || {
        let (mut client, mut bytes, mut count) = (client, vec![0; 64 << 10], 0);
        loop {
            match client.read(&mut bytes)? {
                0 => break,
                read => count += read,
            }
            thread::sleep(Duration::from_millis(20));
        }
        client.shutdown(Shutdown::Both)?;
        std::io::Result::Ok(count)
    });
    server.write_all(&vec![b'd'; ANSWER]).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    // All of it has left the back end, which goes with a reset, as it has not read all.
    counters(&mut proxy, &[&format!(", {ANSWER} bytes down")]);
    drop(server);
    assert_eq!(reading.join().unwrap().expect("an end, and no reset"), ANSWER);
    uploading.join().unwrap();
}

/// Sends so many bytes, and gives their hash.
fn send(mut stream: TcpStream, len: usize, seed: u64) -> JoinHandle<u64> {
    thread::spawn(move || {
        let (mut hash, mut state) = (DefaultHasher::new(), seed);
        let mut bytes = vec![0; 1 << 20];
        for _ in 0..len >> 20 {
            for word in bytes.chunks_exact_mut(8) {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(seed);
                word.copy_from_slice(&state.to_le_bytes());
            }
            hash.write(&bytes);
            stream.write_all(&bytes).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        hash.finish()
    })
}

/// The hash of so many bytes and an end.
fn receive(mut stream: TcpStream, len: usize) -> JoinHandle<u64> {
    thread::spawn(move || {
        let mut hash = DefaultHasher::new();
        let mut bytes = vec![0; 1 << 20];
        for _ in 0..len >> 20 {
            stream.read_exact(&mut bytes).unwrap();
            hash.write(&bytes);
        }
        assert_eq!(stream.read(&mut bytes).unwrap(), 0);
        hash.finish()
    })
}

#[test]
fn a_great_deal_goes_both_ways_at_once_in_little_memory() {
    // 1 GiB each way if it is asked for, and less where the build is slow.
    let long = std::env::var_os("CHAINRING_LONG").is_some_and(|value| value == "1");
    let len = if long { 1 << 30 } else { 64 << 20 };
    let (listener, address) = listener();
    let proxy = proxy(&[address], &[]);
    let client = client(&proxy);
    let server = patient(listener.accept().unwrap().0);
    let received = [receive(client.try_clone().unwrap(), len), receive(server.try_clone().unwrap(), len)];
    let sent = [send(server, len, 1), send(client, len, 3)];
    let [sent, received] = [sent, received].map(|hashes| hashes.map(|hash| hash.join().unwrap()));
    assert_eq!(sent, received);
    let peak = proxy.status("VmHWM");
    println!("{} MiB both ways, {peak} KiB resident at most", len >> 20);
    assert!(peak < 32 << 10, "{peak} KiB");
}

#[test]
fn a_thousand_silent_connections_take_neither_threads_nor_buffers() {
    let mut proxy = proxy(&[echo(b'a')], &[]);
    let before = proxy.status("VmRSS");
    let clients: Vec<_> = (0..1000).map(|_| client(&proxy)).collect();
    counters(&mut proxy, &["1000 active of 1000 connections, 0 failed, 0 bytes up, 1000 bytes down"]);
    let (threads, after) = (proxy.status("Threads"), proxy.status("VmRSS"));
    println!("{threads} threads, {} KiB for 1000 silent connections", after - before);
    assert!(threads <= 4, "{threads} threads");
    assert!(after - before < 16 << 10, "{} KiB", after - before);
    drop(clients);
    counters(&mut proxy, &["0 active of 1000"]);
}

#[test]
fn without_descriptors_clients_are_turned_away_and_no_back_end_is_blamed() {
    let backends = [echo(b'a'), echo(b'b')];
    let to = backends.map(|address| address.to_string());
    let arguments = ["--to", to[0].as_str(), "--to", to[1].as_str(), "--retry", "1000"];
    let mut proxy = Server::start_with_descriptors("proxy", &arguments, 40);
    // More than there are descriptors for; those that are not taken yet wait in the listener's queue.
    let clients: Vec<_> = (0..60).map(|_| TcpStream::connect(proxy.address).unwrap()).collect();
    clients.iter().for_each(|client| client.set_nonblocking(true).unwrap());
    let (begin, mut connected) = (Instant::now(), 0);
    // How many, depends on who gets the descriptors: clients that are accepted, or connections to back ends.
    while connected == 0 {
        connected += clients.iter().filter(|client| matches!((&**client).read(&mut [0; 1]), Ok(1))).count();
        assert!(begin.elapsed() < PATIENCE, "none of them is served");
        thread::sleep(Duration::from_millis(5));
    }
    drop(clients);
    counters(&mut proxy, &["0 active", " 0 failed"]);
    // Those who waited in the listener's queue are still accepted, and may once more have all descriptors. Who is turned
    // away tries again; a back end that had been blamed would be left out for longer than that.
    let (begin, mut letters) = (Instant::now(), Vec::new());
    while !(letters.contains(&b'a') && letters.contains(&b'b')) {
        let mut letter = [0];
        if client(&proxy).read_exact(&mut letter).is_ok() {
            letters.extend(letter);
        }
        assert!(begin.elapsed() < PATIENCE, "{letters:?}");
    }
}

#[test]
fn what_is_no_back_end_is_refused_in_words() {
    for wrong in ["nonsense", ":80", "host:", "host:0", "host:http"] {
        let output = Command::new(common::program("proxy")).args(["--to", wrong]).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(&format!("invalid value '{wrong}'")), "{told}");
    }
}

#[test]
fn who_is_connected_when_it_is_told_to_end_may_finish() {
    let (listener, address) = listener();
    let mut proxy = proxy(&[address], &["--drain", "10"]);
    let mut client = client(&proxy);
    let mut server = patient(listener.accept().unwrap().0);
    // Who asks whether the proxy still listens finds no back end, and is not waited for.
    drop(listener);
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    proxy.signal("TERM");
    let begin = Instant::now();
    while TcpStream::connect(proxy.address).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(5), "it still accepts");
        thread::sleep(Duration::from_millis(5));
    }
    server.write_all(b"goodbye").unwrap();
    drop(server);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "goodbye");
    drop(client);
    assert_eq!(proxy.ended(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(8), "it has waited for nobody");
}

#[test]
fn signals_end_it_cleanly() {
    for signal in ["INT", "TERM"] {
        let mut proxy = proxy(&[echo(b'a')], &["--cores", "2"]);
        let _held = client(&proxy);
        assert_eq!(letter(&proxy), b'a');
        proxy.signal(signal);
        assert_eq!(proxy.ended(), Some(0));
    }
}
