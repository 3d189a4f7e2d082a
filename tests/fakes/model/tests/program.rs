//! The binary: one line, then it serves until it is told to stop.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

#[test]
fn it_prints_its_address_and_stops_on_sigterm() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fake-model"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    let address = line
        .trim()
        .strip_prefix("fake-model ready url=http://")
        .expect(&line)
        .to_owned();
    std::net::TcpStream::connect(address).expect("it listens");
    let told = Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .expect("kill");
    assert!(told.success());
    assert!(child.wait().expect("its end").success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "");
}
