//! Every server of this program against well-behaved and ill-behaved peers, and every job of it for a few pieces.
//!
//! A server never returns, so each gets a thread that lasts as long as the test process.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::{ALL, Around, Competitor, Part};
use crate::workload::{self, ECHO, FILES, FRAMED, LARGEST_BODY, PROXY, Protocol, Workload};
use crate::{job, load};

/// Every workload that is served.
fn served() -> impl Iterator<Item = (&'static Workload, &'static Protocol)> {
    workload::ALL.iter().filter_map(|workload| Some((*workload, workload.protocol().ok()?)))
}

/// Starts every server of this program for `workload` and calls `test` with its name and address.
fn each(workload: &Workload, test: impl Fn(&str, SocketAddr)) {
    for competitor in ALL {
        if let Ok(Part::Serve(serve)) = competitor.part(workload) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            std::thread::spawn(move || serve(listener).unwrap());
            test(competitor.name, address);
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Puts a load on a server; the size is the nearest that the workload can carry.
fn load(name: &str, workload: &Workload, address: SocketAddr, size: usize, options: &str) {
    let sizes = &workload.protocol().unwrap().sizes;
    let size = size.clamp(*sizes.start(), *sizes.end()).to_string();
    let target = address.to_string();
    let fixed = [&target, "--workload", workload.name, "--size", &size].into_iter();
    let report = load::measure_with(fixed.chain(options.split(' ')));
    if let Err(error) = report {
        panic!("{name}, {}, {size} bytes, {options}: {error}", workload.name);
    }
}

#[test]
fn every_shape_of_load_is_answered() {
    for (workload, protocol) in served() {
        let deep = |depth: u32| if protocol.renews { 1 } else { depth };
        each(workload, |name, address| {
            let load = |size, options: &str| load(name, workload, address, size, options);
            load(0, "--requests 500");
            load(4096, &format!("--pipeline {} --requests 3000", deep(16)));
            load(100_000, &format!("--connections 8 --pipeline {} --requests 200", deep(3)));
            load(64, "--connections 300 --requests 1500");
        });
    }
}

#[test]
fn what_came_before_the_end_is_answered() {
    for (workload, _) in served() {
        let exchange = workload.build(3000, 7).unwrap();
        each(workload, |name, address| {
            let mut stream = connect(address);
            stream.write_all(&exchange.request).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).unwrap();
            assert!(reply == exchange.reply, "{name}, {}: {} bytes came back", workload.name, reply.len());
        });
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    for (workload, protocol) in served() {
        let small = workload.build((*protocol.sizes.start()).max(1) + 4, 1).unwrap();
        let least = workload.build(*protocol.sizes.start(), 2).unwrap();
        each(workload, |name, address| {
            let mut stream = connect(address);
            for byte in [&small.request[..], &least.request].concat() {
                stream.write_all(&[byte]).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
            let expected = [&small.reply[..], &least.reply].concat();
            let mut reply = vec![0; expected.len()];
            stream.read_exact(&mut reply).unwrap();
            assert_eq!(reply, expected, "{name}, {}", workload.name);
        });
    }
}

/// Starts a server that is told what is around it.
fn around(name: &str, workload: &Workload, around: Around) -> SocketAddr {
    let Part::ServeWith(serve) = Competitor::find(name).unwrap().part(workload).unwrap() else {
        panic!("{name} serves {} by itself", workload.name)
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || serve(listener, &around).unwrap());
    address
}

#[test]
fn files_come_whole_under_every_size() {
    let dir = tempfile::tempdir().unwrap();
    let server = around("hyper", &FILES, Around { dir: dir.path().to_owned(), behind: None });
    for size in [1, 1024, 300_000] {
        FILES.prepare(dir.path(), size).unwrap();
        load("hyper", &FILES, server, size, "--connections 8 --pipeline 3 --requests 200");
    }
}

#[test]
fn a_file_that_is_not_there_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let server = around("hyper", &FILES, Around { dir: dir.path().to_owned(), behind: None }).to_string();
    let arguments = [&server, "--workload", FILES.name, "--size", "77", "--requests", "10"];
    let noticed = load::measure_with(arguments.into_iter()).unwrap_err();
    assert!(noticed.to_string().contains("the server does not send the file: HTTP/1.1 404"), "{noticed}");
}

#[test]
fn a_proxy_passes_on_what_is_asked_and_answered() {
    let Part::Serve(echo) = super::BEHIND.part(&ECHO).unwrap() else { panic!("it serves by itself") };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let behind = Some(listener.local_addr().unwrap());
    std::thread::spawn(move || echo(listener).unwrap());
    let server = around("tokio", &PROXY, Around { behind, ..Around::default() });
    load("tokio", &PROXY, server, 64, "--connections 30 --requests 600");
    load("tokio", &PROXY, server, 100_000, "--connections 4 --pipeline 2 --requests 60");
}

#[test]
fn a_frame_beyond_the_limit_closes_the_connection() {
    each(&FRAMED, |name, address| {
        let mut stream = connect(address);
        stream.write_all(&(LARGEST_BODY as u32 + 1).to_be_bytes()).unwrap();
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0, "{name}");
    });
}

#[test]
fn peers_that_vanish_leave_the_server_working() {
    for (workload, protocol) in served() {
        let message = workload.build(60_000.min(*protocol.sizes.end()), 3).unwrap().request;
        each(workload, |name, address| {
            for round in 0..50 {
                let mut stream = connect(address);
                // A reset in the middle of a request, or with a reply unread.
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                stream.write_all(&message[..if round % 2 == 0 { message.len() } else { 100 }]).unwrap();
            }
            load(name, workload, address, 64, "--requests 200");
        });
    }
}

#[test]
fn a_load_notices_a_server_that_answers_wrongly() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let target = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut message = [0; 64];
        while stream.read_exact(&mut message).is_ok() {
            message[63] ^= 1;
            stream.write_all(&message).unwrap();
        }
    });
    let arguments = [&target, "--workload", ECHO.name, "--connections", "1", "--requests", "10"];
    let noticed = load::measure_with(arguments.into_iter()).unwrap_err();
    assert!(noticed.to_string().contains("wrong bytes in a reply"), "{noticed}");
}

#[test]
fn every_job_is_done_as_often_as_asked_for() {
    for (workload, job) in workload::ALL.iter().filter_map(|workload| Some((workload, workload.job().ok()?)))
    {
        let dir = tempfile::tempdir().unwrap();
        (job.prepare)(dir.path()).unwrap();
        for competitor in ALL {
            let Ok(Part::Work(run)) = competitor.part(workload) else { continue };
            let amounts =
                [(1, 5), (7, 100), (64, 200)].into_iter().filter(|(_, pieces)| *pieces <= job.counted);
            for (workers, pieces) in amounts {
                let done = job::pieces(job, run, dir.path(), workers, workload.size, pieces);
                let name = competitor.name;
                match done {
                    Ok(done) => assert_eq!(done, pieces, "{name}, {}, {workers} workers", workload.name),
                    Err(error) => panic!("{name}, {}, {workers} workers: {error}", workload.name),
                }
            }
        }
    }
}
