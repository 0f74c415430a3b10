//! A disk that fills up, on real file systems made for the purpose: no SIGBUS, a clear error,
//! nothing lost, and appending goes on once there is room again.
//!
//! Mounting needs root. Without it these tests say so and check nothing.
#![expect(clippy::disallowed_methods, reason = "a test may wait and look at the clock")]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ringframe_journal::{
    Append, Error, Frame, Helpers, Journal, MappedStorage, Options, Reader, Writer,
};

const MIB: u64 = 1 << 20;
const SEGMENT_BYTES: u64 = MIB;
const PATIENCE: Duration = Duration::from_secs(30);

/// A file system of its own, gone again when dropped. The loop device is attached by `mount` and
/// so detached by `umount`.
struct Mounted {
    point: PathBuf,
    /// Dropped after the unmount: holds the mount point and the image.
    _home: tempfile::TempDir,
}

impl Mounted {
    fn tmpfs(bytes: u64) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        Self::mount(home, &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
    }

    fn ext4(bytes: u64) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let image = home.path().join("image");
        std::fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        let image = image.to_str().unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-m", "0", image]).output();
        match made {
            Ok(output) if output.status.success() => {}
            other => return skip(&format!("mkfs.ext4: {other:?}")),
        }
        Self::mount(home, &["-t", "ext4", "-o", "loop", image])
    }

    fn mount(home: tempfile::TempDir, arguments: &[&str]) -> Option<Self> {
        let point = home.path().join("mounted");
        std::fs::create_dir(&point).unwrap();
        match Command::new("mount").args(arguments).arg(&point).output() {
            Ok(output) if output.status.success() => Some(Self { point, _home: home }),
            other => skip(&format!("mount {arguments:?}: {other:?}")),
        }
    }

    fn remount_read_only(&self) {
        let status = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.point).status();
        assert!(status.unwrap().success());
    }

    fn directory(&self) -> PathBuf {
        self.point.join("journal")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A failing test may still have files open here: lazily then, it goes with them.
        for arguments in [&[][..], &["--lazy"][..]] {
            let status = Command::new("umount").args(arguments).arg(&self.point).status();
            if status.is_ok_and(|status| status.success()) {
                return;
            }
        }
        eprintln!("{} is still mounted: unmount it by hand", self.point.display());
    }
}

fn skip<T>(why: &str) -> Option<T> {
    // Past the test harness, which swallows what `eprintln!` says in a test that passes.
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("SKIPPED, nothing was checked: cannot make a small file system: {why}\n")
            .as_bytes(),
    );
    None
}

fn options() -> Options {
    Options { segment_bytes: SEGMENT_BYTES, ..Options::new("test", 1) }
}

fn payload(sequence: u64) -> Vec<u8> {
    vec![sequence as u8; 1000 + (sequence * 37 % 3000) as usize]
}

fn open(directory: &Path) -> (Writer<MappedStorage>, Helpers<MappedStorage>) {
    let journal = Journal::open(MappedStorage::new(directory), options()).unwrap();
    let Journal { writer, syncer, keeper, .. } = journal;
    (writer, Helpers::spawn(syncer, keeper).unwrap())
}

/// Appends until the journal has no room or `most` is reached; the error that said so.
fn append_until_refused(writer: &mut Writer<MappedStorage>, most: u64) -> Option<Error> {
    let begun = Instant::now();
    while writer.next_sequence() <= most {
        let sequence = writer.next_sequence();
        let payload = payload(sequence);
        let (timestamp, epoch, kind, schema) = (sequence, 1, 1, 1);
        let frame = Frame { sequence, timestamp, epoch, kind, schema, payload: &payload };
        match writer.append(&frame) {
            Ok(Append::Done) => {
                writer.publish().unwrap();
            }
            Ok(Append::Wait) => {
                assert!(begun.elapsed() < PATIENCE, "waits at {sequence}, and nobody says why");
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Some(error),
        }
    }
    None
}

fn wait_until_synced(writer: &Writer<MappedStorage>) -> u64 {
    let positions = writer.positions();
    let begun = Instant::now();
    while positions.synced() < positions.journaled() {
        assert!(positions.fault().is_none(), "{:?}", positions.fault());
        assert!(begun.elapsed() < PATIENCE, "never synced");
        std::thread::sleep(Duration::from_millis(1));
    }
    positions.synced()
}

fn check(directory: &Path, last: u64) {
    let mut reader = Reader::open(MappedStorage::new(directory), 1).unwrap();
    for sequence in 1..=last {
        let frame = reader.next_frame().unwrap().expect("a frame that was reported synced");
        assert_eq!((frame.sequence(), frame.payload()), (sequence, &payload(sequence)[..]));
    }
    assert!(reader.next_frame().unwrap().is_none());
}

fn assert_names_the_shortage(error: &Error, directory: &Path) {
    let Error::NoSpace { path, needed, free } = error else { panic!("not about space: {error}") };
    assert!(path.starts_with(directory), "{}", path.display());
    assert_eq!(*needed, SEGMENT_BYTES);
    assert!(*free < SEGMENT_BYTES, "{free} bytes are free");
    let message = error.to_string();
    for part in [&directory.display().to_string(), "1048576 bytes needed", "free some space"] {
        assert!(message.contains(part), "'{part}' is not in '{message}'");
    }
}

fn fills_up_and_goes_on(mounted: &Mounted) {
    let directory = mounted.directory();
    let filler = mounted.point.join("filler");
    std::fs::write(&filler, vec![1; 4 * MIB as usize]).unwrap();
    let (mut writer, helpers) = open(&directory);
    let error = append_until_refused(&mut writer, u64::MAX).unwrap();
    assert_names_the_shortage(&error, &directory);
    let synced = wait_until_synced(&writer);
    assert_eq!(synced, writer.next_sequence() - 1, "what was taken is durable");
    check(&directory, synced);

    // Room again: the same open journal goes on.
    std::fs::remove_file(&filler).unwrap();
    let begun = Instant::now();
    while append_until_refused(&mut writer, synced + 500).is_some() {
        assert!(begun.elapsed() < PATIENCE, "there is room again, and it is not used");
        std::thread::sleep(Duration::from_millis(20));
    }
    let synced = wait_until_synced(&writer);
    helpers.close(writer).unwrap();
    check(&directory, synced);
    let reopened = Journal::open(MappedStorage::new(&directory), options()).unwrap();
    assert_eq!((reopened.recovery.next, &reopened.recovery.cut), (synced + 1, &None));
}

#[test]
fn a_full_tmpfs_is_an_error_and_not_a_signal() {
    let Some(mounted) = Mounted::tmpfs(12 * MIB) else { return };
    fills_up_and_goes_on(&mounted);
}

#[test]
fn a_full_ext4_is_an_error_and_not_a_signal() {
    let Some(mounted) = Mounted::ext4(24 * MIB) else { return };
    fills_up_and_goes_on(&mounted);
}

#[test]
fn another_process_may_fill_the_disk_at_any_moment() {
    let Some(mounted) = Mounted::ext4(24 * MIB) else { return };
    let directory = mounted.directory();
    let (mut writer, helpers) = open(&directory);
    assert!(append_until_refused(&mut writer, 100).is_none());

    let filler = mounted.point.join("filler");
    let output = format!("of={}", filler.display());
    let dd = Command::new("dd").args(["if=/dev/zero", &output, "bs=64k"]).output().unwrap();
    assert!(!dd.status.success(), "dd stops at the full disk");

    // What is prepared is reserved: it still takes frames, all of which become durable.
    let error = append_until_refused(&mut writer, u64::MAX).unwrap();
    assert_names_the_shortage(&error, &directory);
    let synced = wait_until_synced(&writer);
    assert!(synced >= 300, "the segment being written has room for more than {synced} frames");
    helpers.close(writer).unwrap();

    // And a start on the full disk recovers everything, too.
    let (writer, helpers) = open(&directory);
    assert_eq!(writer.next_sequence(), synced + 1);
    helpers.close(writer).unwrap();
    check(&directory, synced);
}

#[test]
fn a_new_journal_on_a_full_disk_is_refused() {
    let Some(mounted) = Mounted::tmpfs(MIB / 2) else { return };
    let directory = mounted.directory();
    let error = Journal::open(MappedStorage::new(&directory), options()).err().unwrap();
    assert_names_the_shortage(&error, &directory);
    let left: Vec<_> = std::fs::read_dir(&directory).unwrap().collect();
    assert_eq!(left.len(), 1, "only the lock file is left: {left:?}");
}

#[test]
fn a_read_only_disk_is_named_and_can_still_be_read() {
    let Some(mounted) = Mounted::ext4(24 * MIB) else { return };
    let directory = mounted.directory();
    let (mut writer, helpers) = open(&directory);
    assert!(append_until_refused(&mut writer, 500).is_none());
    helpers.close(writer).unwrap();

    mounted.remount_read_only();
    let error = Journal::open(MappedStorage::new(&directory), options()).err().unwrap();
    let message = error.to_string();
    assert!(message.contains(&directory.display().to_string()), "{message}");
    assert!(message.contains("Read-only file system"), "{message}");
    assert!(message.contains("mount it for writing"), "{message}");
    check(&directory, 500);
}

/// Set for the child process that runs without the rights of root.
const UNPRIVILEGED: &str = "RINGFRAME_TEST_READ_ONLY";

/// Root may write anywhere, so another user tries: this test again, as `nobody`.
#[test]
fn a_directory_without_the_right_to_write_is_named_and_can_be_read() {
    if let Some(directory) = std::env::var_os(UNPRIVILEGED) {
        return meets_a_read_only_directory(Path::new(&directory));
    }
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("journal");
    let (mut writer, helpers) = open(&directory);
    assert!(append_until_refused(&mut writer, 500).is_none());
    helpers.close(writer).unwrap();
    std::fs::create_dir(home.path().join("empty")).unwrap();
    let mode = |bits| std::fs::Permissions::from_mode(bits);
    std::fs::set_permissions(home.path(), mode(0o555)).unwrap();
    for entry in std::fs::read_dir(&directory).unwrap() {
        std::fs::set_permissions(entry.unwrap().path(), mode(0o444)).unwrap();
    }
    for locked in [directory.clone(), home.path().join("empty")] {
        std::fs::set_permissions(locked, mode(0o555)).unwrap();
    }
    // A copy, because the build directory may be closed to others.
    let reachable = tempfile::tempdir().unwrap();
    std::fs::set_permissions(reachable.path(), mode(0o755)).unwrap();
    let program = reachable.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut child = Command::new(program);
    child.args([
        "--exact",
        "full_disk::a_directory_without_the_right_to_write_is_named_and_can_be_read",
    ]);
    child.env(UNPRIVILEGED, &directory).current_dir(reachable.path());
    if reachable.path().metadata().unwrap().uid() == 0 {
        child.uid(65_534).gid(65_534);
    }
    let output = child.output().unwrap();
    std::fs::set_permissions(&directory, mode(0o755)).unwrap();
    std::fs::set_permissions(home.path(), mode(0o755)).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

fn meets_a_read_only_directory(directory: &Path) {
    let home = directory.parent().unwrap();
    for refused in [directory.to_owned(), home.join("empty"), home.join("new")] {
        let error = Journal::open(MappedStorage::new(&refused), options()).err().unwrap();
        let message = error.to_string();
        for part in [refused.to_str().unwrap(), "ermission denied", "run as their owner"] {
            assert!(message.contains(part), "'{part}' is not in '{message}'");
        }
    }
    check(directory, 500);
}
