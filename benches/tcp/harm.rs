//! One try of each kind of harm that a client can do.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ringframe::wire::layout::Alpha;
use ringframe::wire::ouch::{self, time_in_force};
use ringframe::wire::soup::{FromClient, LoginRequest, Session};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use zerocopy::IntoBytes;

/// Does it once, or until it is told to stop.
type Harm = fn(&str, &AtomicBool) -> io::Result<()>;

pub(crate) const HARMS: [(&str, Harm); 7] = [
    ("garbage", garbage),
    ("wrong passwords", wrong_password),
    ("truncated logins", truncated_login),
    ("lengths of 64 KiB", long_length),
    ("half-open sockets", half_open),
    ("floods that are never read", flood),
    ("floods of heartbeats", beat),
];

/// None of the load's: one that gets in only to flood with orders, or tries to …
const USER: &str = "TRDR99";
/// … and one that floods with heartbeats.
const BEATS: &str = "TRDR98";
const HALF_OPEN: usize = 200;
const LOOK: Duration = Duration::from_millis(20);

/// Where wrong passwords come from: an address is locked out with all who come from there.
const ELSEWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 2), 0);

fn open(address: &str) -> io::Result<TcpStream> {
    patient(TcpStream::connect(address)?)
}

fn open_elsewhere(address: &str) -> io::Result<TcpStream> {
    let to: SocketAddr = address.parse().map_err(io::Error::other)?;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &ELSEWHERE)?;
    connect(&socket, &to)?;
    patient(socket.into())
}

fn patient(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(LOOK))?;
    stream.set_write_timeout(Some(LOOK))?;
    Ok(stream)
}

/// Says it, and waits for the end, not for long.
fn say(mut stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut heard = [0; 1024];
    while stream.read(&mut heard)? > 0 {}
    Ok(())
}

fn login(user: &str, password: &str) -> Vec<u8> {
    let request = LoginRequest {
        username: Alpha::new(user).expect("6 letters"),
        password: Alpha::new(password).expect("10 letters at most"),
        session: Session::BLANK,
        sequence: 0,
        timeout: None,
    };
    let mut bytes = [0; 64];
    let length = FromClient::Login(request).encode(&mut bytes).expect("a login has 49 bytes");
    bytes[..length].to_vec()
}

fn garbage(address: &str, _: &AtomicBool) -> io::Result<()> {
    let bytes: Vec<u8> = (0..4096).map(|_| fastrand::u8(..)).collect();
    say(open(address)?, &bytes)
}

fn wrong_password(address: &str, _: &AtomicBool) -> io::Result<()> {
    say(open_elsewhere(address)?, &login(USER, "wrong"))
}

fn truncated_login(address: &str, _: &AtomicBool) -> io::Result<()> {
    let login = login(USER, "secret");
    say(open(address)?, &login[..fastrand::usize(1..login.len())])
}

fn long_length(address: &str, _: &AtomicBool) -> io::Result<()> {
    say(open(address)?, &[0xFF; 64])
}

/// Says nothing, on many connections.
fn half_open(address: &str, stop: &AtomicBool) -> io::Result<()> {
    let open: io::Result<Vec<TcpStream>> = (0..HALF_OPEN).map(|_| open(address)).collect();
    let _open = open?;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Gets in, enters orders as fast as the socket takes them, and never reads an answer.
fn flood(address: &str, stop: &AtomicBool) -> io::Result<()> {
    let mut stream = open(address)?;
    stream.write_all(&login(USER, "secret"))?;
    // Used ones would get no answer.
    let mut number = fastrand::u64(..1 << 60);
    while !stop.load(Ordering::Relaxed) {
        let orders: Vec<u8> = (number..number + 64).flat_map(order).collect();
        number += 64;
        match stream.write_all(&orders) {
            // What is half said is lost, and what follows is garbage: all the better.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => written?,
        }
    }
    Ok(())
}

/// Gets in and says that it is there as fast as the socket takes it: that costs it next to nothing.
fn beat(address: &str, stop: &AtomicBool) -> io::Result<()> {
    let mut stream = open(address)?;
    stream.write_all(&login(BEATS, "secret"))?;
    let beats = [0, 1, b'R'].repeat(1 << 14);
    let mut said = 0;
    while !stop.load(Ordering::Relaxed) {
        match stream.write(&beats[said..]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => said = (said + written?) % beats.len(),
        }
    }
    Ok(())
}

/// One that can neither trade nor rest.
fn order(number: u64) -> Vec<u8> {
    let enter = ouch::Enter {
        token: Alpha::new(&format!("{:014}", number % 100_000_000_000_000)).expect("14 letters"),
        side: ouch::Side::BUY,
        shares: 1.into(),
        stock: Alpha::new("AAPL").expect("8 letters at most"),
        price: 100.into(),
        time_in_force: time_in_force::IMMEDIATE.into(),
        firm: ouch::Firm::BLANK,
        display: ouch::Display::ANONYMOUS,
        capacity: ouch::Capacity::AGENCY,
        sweep: ouch::Sweep::NO,
        minimum: 0.into(),
        cross: ouch::Cross::NONE,
        customer: ouch::Customer::DEFAULT,
    };
    let body = enter.as_bytes();
    let [high, low] = (body.len() as u16 + 2).to_be_bytes();
    [&[high, low, b'U', b'O'], body].concat()
}
