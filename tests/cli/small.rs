//! A file system that is soon full. Mounting needs root: without it a test says so.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Gone again when dropped.
pub(crate) struct Small(tempfile::TempDir);

impl Small {
    pub(crate) fn new(mib: u32) -> Option<Self> {
        let point = tempfile::tempdir().unwrap();
        let small = Self(point);
        small.mount(&format!("size={mib}M"), &["tmpfs"]).then_some(small)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn mount(&self, options: &str, what: &[&str]) -> bool {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options]).args(what).arg(self.0.path());
        let mounted = command.output().is_ok_and(|output| output.status.success());
        if !mounted {
            println!("SKIPPED, nothing was checked: cannot mount a small file system");
        }
        mounted
    }

    pub(crate) fn grow(&self, mib: u32) {
        assert!(self.mount(&format!("remount,size={mib}M"), &["tmpfs"]));
    }

    /// Takes all room that is left.
    pub(crate) fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        loop {
            match file.write(&[0; 4 << 10]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Gives it back.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).output();
    }
}
