//! What is wrong with a node's settings is said at once, and before its data is touched.

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
