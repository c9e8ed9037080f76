//! Every server of this program against well-behaved and ill-behaved peers.
//!
//! A server never returns, so each gets a thread that lasts as long as the test process.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::{ALL, Server};
use crate::load;
use crate::workload::{ECHO, FRAMED, LARGEST_BODY, Workload};

/// Starts every server of this program for `workload` and calls `test` with its name and address.
fn each(workload: &Workload, test: impl Fn(&str, SocketAddr)) {
    for competitor in ALL {
        if let Ok(Server::Here(serve)) = competitor.server(workload) {
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

fn load(name: &str, workload: &Workload, address: SocketAddr, options: &str) {
    let target = address.to_string();
    let fixed = [&target, "--workload", workload.name].into_iter();
    let report = load::measure_with(fixed.chain(options.split(' ')));
    if let Err(error) = report {
        panic!("{name}, {}, {options}: {error}", workload.name);
    }
}

#[test]
fn every_shape_of_load_is_answered() {
    each(&ECHO, |name, address| {
        load(name, &ECHO, address, "--size 1 --requests 500");
        load(name, &ECHO, address, "--size 4096 --pipeline 16 --requests 3000");
        load(name, &ECHO, address, "--size 100000 --connections 8 --pipeline 3 --requests 200");
        load(name, &ECHO, address, "--size 64 --connections 300 --requests 3000");
    });
    each(&FRAMED, |name, address| {
        load(name, &FRAMED, address, "--size 0 --requests 500");
        load(name, &FRAMED, address, "--size 700 --pipeline 16 --requests 3000");
        load(name, &FRAMED, address, "--size 65536 --connections 8 --pipeline 3 --requests 200");
        load(name, &FRAMED, address, "--size 64 --connections 300 --requests 3000");
    });
}

#[test]
fn what_came_before_the_end_is_answered() {
    let message = FRAMED.build(3000, 7).unwrap().request;
    for workload in [&ECHO, &FRAMED] {
        each(workload, |name, address| {
            let mut stream = connect(address);
            stream.write_all(&message).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).unwrap();
            assert!(reply == message, "{name}, {}: {} bytes came back", workload.name, reply.len());
        });
    }
}

#[test]
fn a_frame_may_come_byte_by_byte() {
    let messages = [FRAMED.build(5, 1).unwrap().request, FRAMED.build(0, 2).unwrap().request].concat();
    each(&FRAMED, |name, address| {
        let mut stream = connect(address);
        for byte in &messages {
            stream.write_all(&[*byte]).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut reply = vec![0; messages.len()];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(reply, messages, "{name}");
    });
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
    for workload in [&ECHO, &FRAMED] {
        let message = workload.build(60_000, 3).unwrap().request;
        each(workload, |name, address| {
            for round in 0..50 {
                let mut stream = connect(address);
                // A reset in the middle of a request, or with a reply unread.
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                stream.write_all(&message[..if round % 2 == 0 { message.len() } else { 100 }]).unwrap();
            }
            load(name, workload, address, "--requests 200");
        });
    }
}
