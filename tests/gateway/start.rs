//! What is wrong with a node's settings is said at once, and before its data is touched.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mknodat};

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
