//! How a node starts and ends: what is wrong with its settings is said at once, before its data is
//! touched, and nobody who does not read holds up its end.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, mknodat};
use rustix::process::{Pid, Signal, kill_process};

use crate::peer::PATIENCE;
use crate::program::{Done, PROGRAM, Serving, ringframe};

/// A pipe that nobody ever writes into.
pub(crate) fn make_pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// Serves with these settings, which ends it.
fn serve(settings: &[&str], data: &Path) -> Done {
    Serving::spawn(&mut ringframe(&[&["serve"], settings].concat(), data)).end()
}

#[test]
fn a_file_that_never_ends_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (pipe, data) = (directory.path().join("pipe"), directory.path().join("data"));
    make_pipe(&pipe);
    for endless in [pipe.to_str().unwrap(), "/dev/zero"] {
        for settings in [
            &["--config", endless][..],
            &["--users", endless],
            &["--tls-certificate", endless, "--tls-key", endless],
            &["--admin-tokens", endless],
        ] {
            serve(settings, &data).expect(2, &["no regular file", endless]);
        }
        let mut check = Command::new(PROGRAM);
        let check = Serving::spawn(check.args(["check-config", "--config", endless]));
        check.end().expect(2, &["no regular file", endless]);
    }
    assert!(!data.exists(), "it was made for nothing");
}

#[test]
fn what_cannot_be_used_is_known_before_the_data_is_touched() {
    let directory = tempfile::tempdir().unwrap();
    let (file, data) = (directory.path().join("file"), directory.path().join("data"));
    fs::write(&file, "no certificate").unwrap();
    let file = file.to_str().unwrap();
    for (settings, said) in [
        (&["--tls-certificate", file, "--tls-key", file][..], "no private key in PEM"),
        (&["--users", "none"], "cannot read the users in none"),
        (&["--users", "/"], "cannot read the users in /"),
        (&["--admin-tokens", "none"], "cannot read the tokens in none"),
    ] {
        serve(settings, &data).expect(2, &[said]);
    }
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0"));
    let taken = tcp.local_addr().unwrap().to_string();
    let taken_by_udp = udp.as_ref().unwrap().local_addr().unwrap().to_string();
    let any = "127.0.0.1:0";
    for wrong in ["--listen", "--market-data", "--glimpse", "--admin"] {
        let at = |name| [name, if name == wrong { taken.as_str() } else { any }];
        let settings = ["--listen", "--market-data", "--glimpse", "--admin"].map(at).concat();
        serve(&settings, &data).expect(3, &[&format!("cannot listen on {taken}"), wrong]);
    }
    let settings = ["--mold", &taken_by_udp, "--mold-requests", &taken_by_udp];
    serve(&settings, &data).expect(3, &["cannot send market data", "mold_requests choose other"]);
    assert!(!data.exists(), "it was made for nothing");
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_up_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut command = ringframe(&["serve", "--release", "journaled"], directory.path());
    let log = || writer.try_clone().unwrap();
    let mut child = command.stdout(log()).stderr(log()).spawn().unwrap();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "it ended");
    }
    // From here on nobody reads, and the pipe is full.
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let begun = Instant::now();
    let ended = loop {
        match child.try_wait().unwrap() {
            None if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(10)),
            ended => break ended,
        }
    };
    let _ = child.kill();
    assert_eq!(ended.and_then(|ended| ended.code()), Some(0), "{ended:?}");
}
