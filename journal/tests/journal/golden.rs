//! Format version 1, pinned: today's code writes these bytes for these frames, and reads them.
//!
//! The files are hex dumps, so that a change shows in a review. `RINGFRAME_BLESS=1 cargo test -p
//! ringframe-journal --test journal golden` writes them anew: only ever right for a new format
//! version, in a directory of its own, because journals written before must stay readable.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ringframe_journal::segment::{BLOCK_BYTES, FORMAT, SEAL_OFFSET};
use ringframe_journal::storage::{Storage, StorageFile};
use ringframe_journal::{
    Append, Frame, Journal, Mark, MarkReader, Options, Reader, SimulatedStorage, frame, segment,
    survey,
};

fn options() -> Options {
    Options { segment_bytes: Options::SEGMENT_BYTES_MIN, ..Options::new("golden", 7) }
}

/// Sequence, timestamp, epoch, kind, schema and payload of every frame: all payload lengths around
/// the alignment, the largest one, a rising epoch, and enough to roll once.
fn frames() -> Vec<(u64, u64, u32, u16, u16, Vec<u8>)> {
    let time = 1_700_000_000_000_000_000;
    let mut frames = Vec::new();
    for (index, length) in [0, 1, 7, 8, 9, 60_000, 33, frame::PAYLOAD_BYTES_MAX].iter().enumerate()
    {
        let sequence = index as u64 + 1;
        let epoch = 1 + index as u32 / 3;
        let payload = vec![0xA0 + index as u8; *length];
        frames.push((sequence, time + sequence, epoch, 100 + index as u16, 2, payload));
    }
    frames
}

/// Writes the frames, one sync for each: no clock and no thread, so the bytes are always the same.
fn write() -> SimulatedStorage {
    let storage = SimulatedStorage::new();
    let mut journal = Journal::open(storage.clone(), options()).unwrap();
    for (sequence, timestamp, epoch, kind, schema, payload) in &frames() {
        let (sequence, timestamp, epoch) = (*sequence, *timestamp, *epoch);
        let frame = Frame { sequence, timestamp, epoch, kind: *kind, schema: *schema, payload };
        while journal.writer.append(&frame).unwrap() == Append::Wait {
            journal.syncer.poll(0).unwrap();
            journal.keeper.poll(0).unwrap();
        }
        journal.writer.publish().unwrap();
        journal.syncer.poll(0).unwrap();
        while journal.keeper.poll(0).unwrap() > 0 {}
    }
    journal.close(0).unwrap();
    storage
}

fn golden(name: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    home.join(format!("format-{FORMAT}")).join(name)
}

/// Like `hexdump`: an offset and 16 bytes a line, `*` for lines that repeat, the length at the end.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut before: Option<&[u8]> = None;
    for (index, line) in bytes.chunks(16).enumerate() {
        if before == Some(line) {
            if !text.ends_with("*\n") {
                text.push_str("*\n");
            }
            continue;
        }
        before = Some(line);
        let _ = write!(text, "{:08x}", index * 16);
        for byte in line {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{:08x}", bytes.len());
    text
}

fn undump(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for line in text.lines().filter(|line| *line != "*") {
        let mut fields = line.split(' ');
        let offset = usize::from_str_radix(fields.next().unwrap(), 16).unwrap();
        while bytes.len() < offset {
            bytes.push(bytes[bytes.len() - 16]);
        }
        bytes.extend(fields.map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    bytes
}

fn describe(storage: &SimulatedStorage) -> String {
    let mut text = String::new();
    let mut reader = Reader::open_first(storage.clone()).unwrap();
    while let Some(frame) = reader.next_frame().unwrap() {
        let payload = frame.payload();
        let _ = writeln!(
            text,
            "sequence {} timestamp {} epoch {} kind {} schema {} payload {} x {:02x}",
            frame.sequence(),
            frame.timestamp(),
            frame.epoch(),
            frame.kind(),
            frame.schema(),
            payload.len(),
            payload.first().unwrap_or(&0)
        );
    }
    text
}

const FILES: [&str; 4] =
    ["0000000001.segment", "0000000002.segment", "0000000003.segment", "synced"];

#[test]
fn todays_code_writes_the_golden_bytes() {
    let storage = write();
    let mut texts: Vec<(String, String)> = FILES
        .iter()
        .map(|name| (format!("{name}.hex"), dump(&storage.contents(name).expect(name))))
        .collect();
    texts.push(("frames.txt".to_owned(), describe(&storage)));
    let mut names = storage.list().unwrap();
    names.retain(|name| !FILES.contains(&name.as_str()));
    assert!(names.is_empty(), "files that are not pinned: {names:?}");
    for (name, text) in texts {
        let path = golden(&name);
        if std::env::var_os("RINGFRAME_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap();
        let differs = text.lines().zip(expected.lines()).find(|(one, two)| one != two);
        assert_eq!(differs, None, "{name}: now and pinned");
        assert_eq!(text.len(), expected.len(), "{name}");
    }
}

#[test]
fn todays_code_reads_the_golden_bytes() {
    let storage = SimulatedStorage::new();
    for name in FILES {
        let text = std::fs::read_to_string(golden(&format!("{name}.hex"))).unwrap();
        storage.create(name).unwrap().write_at(0, &undump(&text)).unwrap();
    }
    assert_eq!(describe(&storage), std::fs::read_to_string(golden("frames.txt")).unwrap());
    let segments = survey(&storage).unwrap();
    assert_eq!(segments.len(), 3);
    let seal = segments[0].seal.good().expect("the first segment is sealed");
    assert_eq!((seal.last_sequence, seal.previous), (7, segment::DIGEST_NONE));
    let mark = MarkReader::open(&storage).unwrap().read().unwrap().unwrap();
    let offset = BLOCK_BYTES + frame::FRAME_BYTES_MAX as u64;
    assert_eq!(mark, Mark { sequence: 8, number: 2, offset });
    let journal = Journal::open(storage, options()).unwrap();
    assert_eq!((journal.recovery.next, journal.recovery.cut), (9, None));
}

/// Every table of `docs/FORMATS.md` that lists offsets is free of gaps and as long as the code.
#[test]
fn the_documented_offsets_add_up() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/FORMATS.md");
    let text = std::fs::read_to_string(document).unwrap();
    let mut sums = Vec::new();
    let mut next = None;
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells[..] {
            ["", "offset", "bytes", ..] => next = Some(0),
            ["", offset, bytes, ..] if next.is_some() && !offset.starts_with('-') => {
                assert_eq!(offset.parse().ok(), next, "the offset of '{line}'");
                next = bytes.parse().ok().map(|bytes: u64| bytes + next.unwrap_or(0));
                assert!(next.is_some(), "the length of '{line}'");
            }
            ["", ..] => {}
            _ => sums.extend(next.take()),
        }
    }
    let head = frame::HEADER_BYTES as u64;
    let block = segment::HEADER_BYTES as u64;
    assert_eq!(sums, [head, block, block, 48], "frame, header, seal, mark");
    for needed in [format!("offset {SEAL_OFFSET}"), format!("offset {BLOCK_BYTES}")] {
        assert!(text.contains(&needed), "{needed}");
    }
}
