//! Settings, certificates, lists of users and tokens: small files that are read whole, now. What
//! never comes to its end, as a pipe or a device may, is refused and not waited for.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// No file that people or tools write for a node is larger.
pub const BYTES_MAX: u64 = 1 << 20;

/// A file's bytes, and who may read and write it.
#[derive(Debug)]
pub struct SmallFile {
    /// All of them.
    pub bytes: Vec<u8>,
    /// The bits of its permissions.
    pub mode: u32,
}

impl SmallFile {
    /// Reads a regular file of at most [`BYTES_MAX`].
    pub fn read(path: &Path) -> Result<Self> {
        // To open a pipe would wait for whoever writes into it.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            let why = "it is no regular file (a directory, a pipe or a device): write it to one";
            return Err(Error::new(ErrorKind::InvalidInput, why));
        }
        Ok(Self { bytes: read(file)?, mode: about.permissions().mode() & 0o777 })
    }

    /// The bytes as a text.
    pub fn text(self) -> Result<String> {
        String::from_utf8(self.bytes)
            .map_err(|_| Error::new(ErrorKind::InvalidData, "it is no text in UTF-8"))
    }
}

/// What a file says of its length need not be so.
fn read(file: File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        let why = format!("it has more than {BYTES_MAX} bytes, which no such file has");
        return Err(Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        SmallFile::read(path).unwrap_err().to_string()
    }

    #[test]
    fn a_regular_file_is_read_up_to_a_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let most = vec![b'a'; BYTES_MAX as usize];
        std::fs::write(&path, &most).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let file = SmallFile::read(&path).unwrap();
        assert!(file.mode == 0o640 && file.bytes == most);
        std::fs::write(&path, [&most[..], b"a"].concat()).unwrap();
        assert!(refused(&path).contains("more than 1048576 bytes"));
        std::fs::write(&path, [0xFF]).unwrap();
        let text = SmallFile::read(&path).unwrap().text();
        assert!(text.unwrap_err().to_string().contains("no text in UTF-8"));
        let missing = SmallFile::read(&directory.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn nothing_else_is_read_and_none_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path(), Path::new("/dev/null"), Path::new("/proc/self/fd")] {
            assert!(refused(path).contains("no regular file"), "{}", path.display());
        }
        // What claims to be empty may have no end.
        let (reader, mut writer) = std::io::pipe().unwrap();
        let feeding = std::io::Write::write_all(&mut writer, &[0; 4096]);
        feeding.unwrap();
        drop(writer);
        let pipe = File::from(std::os::fd::OwnedFd::from(reader));
        assert_eq!(read(pipe).unwrap().len(), 4096);
    }
}
