//! The echo server over TLS, as openssl sees it.

mod common;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Server, have, output};

/// A certificate for localhost, and its key, in a folder of its own.
fn certificate(name: &str) -> (PathBuf, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-batch",
    ]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]);
    output(openssl.arg("-keyout").arg(&key).arg("-out").arg(&cert));
    (cert, key)
}

fn client(server: &Server, cert: &Path, options: &[&str]) -> Child {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-quiet", "-verify_return_error", "-servername", "localhost"]);
    openssl.args(["-connect", &server.address.to_string()]).arg("-CAfile").arg(cert).args(options);
    openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn talks_to_openssl(name: &str, options: &[&str]) {
    if !have("openssl") {
        return;
    }
    let (cert, key) = certificate(name);
    let server =
        Server::start("tls_echo", &["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    let mut client = client(&server, &cert, options);
    let (mut to, mut from) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
    for len in [1, 17, 16 << 10, 300 << 10] {
        let sent: Vec<u8> = (0..len).map(|i| b'a' + (i % 26) as u8).collect();
        let copy = sent.clone();
        let mut received = vec![0; len];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                to.write_all(&copy).unwrap();
                to.flush().unwrap();
            });
            from.read_exact(&mut received).unwrap();
        });
        assert!(received == sent, "{len} bytes came back otherwise");
    }
    drop(to);
    client.kill().unwrap();
    client.wait().unwrap();
    std::fs::remove_dir_all(cert.parent().unwrap()).unwrap();
}

#[test]
fn openssl_gets_back_what_it_sends_over_tls_1_3() {
    talks_to_openssl("13", &["-tls1_3"]);
}

#[test]
fn openssl_gets_back_what_it_sends_over_tls_1_2() {
    talks_to_openssl("12", &["-tls1_2"]);
}

#[test]
fn a_client_without_tls_is_turned_away_and_the_next_is_served() {
    if !have("openssl") {
        return;
    }
    let (cert, key) = certificate("plain");
    let server =
        Server::start("tls_echo", &["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    let mut plain = std::net::TcpStream::connect(server.address).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An alert, and then the end, or a reset because not all was read.
    let _ = plain.read_to_end(&mut answer);
    assert_eq!(answer.first(), Some(&21), "no alert of TLS: {answer:?}");
    let mut client = client(&server, &cert, &[]);
    client.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    let mut back = [0];
    client.stdout.as_mut().unwrap().read_exact(&mut back).unwrap();
    assert_eq!(&back, b"x");
    client.kill().unwrap();
    client.wait().unwrap();
    std::fs::remove_dir_all(cert.parent().unwrap()).unwrap();
}
