//! State and serde records as bytes: pinned, refused by name, upcast and migrated.

use ringframe::codec::{SerdeRecord, StateError, decode, load, save, state_digest, upcast};
use ringframe::logic::{Emit, Logic, Moment};
use ringframe::record::{Record, RecordError, Upcast};
use serde::{Deserialize, Serialize};

/// A guest book: every shape that serde has an opinion on.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Book {
    guests: Vec<(u32, String)>,
    last: Option<u64>,
    #[serde(with = "serde_bytes")]
    photo: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Entry {
    Signed { id: u64, name: String },
    Left(u16),
}

impl SerdeRecord for Entry {
    const NAME: &'static str = "guest book entry";
    const VERSION: u16 = 3;
    const BYTES_MAX: usize = 64;
    const OLDER: &'static [Upcast<Self>] = &[upcast::<Entry1, _>(1), upcast::<Entry2, _>(2)];
}

/// Version 1 knew names alone.
#[derive(Deserialize)]
struct Entry1(String);

impl From<Entry1> for Entry {
    fn from(Entry1(name): Entry1) -> Self {
        Self::Signed { id: 0, name }
    }
}

/// Version 2 had narrow ids.
#[derive(Deserialize)]
enum Entry2 {
    Signed { id: u32, name: String },
}

impl From<Entry2> for Entry {
    fn from(Entry2::Signed { id, name }: Entry2) -> Self {
        Self::Signed { id: id.into(), name }
    }
}

impl Logic for Book {
    const NAME: &'static str = "guest book";
    const VERSION: u32 = 7;
    const SCHEMA: u32 = 2;
    type Command = Entry;
    type Event = Entry;
    type Reject = Entry;
    type Checked = Entry;

    fn check(&self, command: &Entry, _at: &Moment) -> Result<Entry, Entry> {
        Ok(command.clone())
    }

    fn apply(&mut self, checked: Entry, _at: &Moment, emit: &mut Emit<'_, Entry>) {
        emit.event(&checked);
    }

    /// Schema 1 had neither the last guest nor photos.
    fn migrate(version: u32, schema: u32, bytes: &[u8]) -> Option<Self> {
        let guests = decode(bytes).filter(|_| (version, schema) == (7, 1))?;
        Some(Self { guests, ..Self::default() })
    }
}

fn book() -> Book {
    Book {
        guests: vec![(1, "Ada".into()), (258, "Émilie".into())],
        last: Some(9),
        photo: vec![7; 3],
    }
}

fn saved<L: Logic>(logic: &L) -> Vec<u8> {
    let mut bytes = Vec::new();
    save(logic, &mut bytes).expect("a vector takes everything");
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect()
}

/// Written by hand from `docs/FORMATS.md`, so that it pins the format and not the code.
const STATE: &str = "
    52494e4753544154 07000000 02000000
    677565737420626f6f6b00000000000000000000000000000000
    00000000000000000000000000000000000000000000
    0200000000000000
        01000000 0300000000000000 416461
        02010000 0700000000000000 c3896d696c6965
    01 0900000000000000
    0300000000000000 070707";

#[test]
fn a_state_is_these_bytes() {
    assert_eq!(hex(&saved(&book())), hex(&unhex(STATE)));
    assert_eq!(load::<Book>(&unhex(STATE)), Ok(book()));
}

#[test]
fn the_digest_is_of_the_saved_bytes() {
    // Longer than the buffer, so that it is passed on in pieces.
    let large = Book { photo: (0..1_000_000).map(|at| at as u8).collect(), ..book() };
    for book in [Book::default(), book(), large] {
        assert_eq!(state_digest(&book), *blake3::hash(&saved(&book)).as_bytes());
    }
}

#[test]
fn an_older_schema_is_migrated_or_refused_with_advice() {
    let mut bytes = saved(&Book::default());
    bytes.truncate(64);
    bytes.extend(unhex("0100000000000000 05000000 0100000000000000 41"));
    bytes[12] = 1;
    let migrated = Book { guests: vec![(5, "A".into())], ..Book::default() };
    assert_eq!(load::<Book>(&bytes), Ok(migrated));
    bytes[8] = 6;
    let error = load::<Book>(&bytes).expect_err("version 6 is unknown");
    assert_eq!(
        error.to_string(),
        "the state of 'guest book' has version 6, schema 1; this build has version 7, schema 2, \
         and no migration from there: use the build that wrote it, teach `Logic::migrate`, or, \
         where the version is the same, replay the journal from its start"
    );
}

#[test]
fn what_is_no_state_of_this_logic_is_refused() {
    let good = saved(&book());
    for length in 0..good.len() {
        let error = load::<Book>(&good[..length]).expect_err("too short");
        let no_state = matches!(error, StateError::NoState { bytes, .. } if bytes == length);
        let malformed =
            matches!(error, StateError::Malformed { bytes, .. } if bytes + 64 == length);
        assert!(if length < 64 { no_state } else { malformed }, "{length}: {error}");
    }
    let longer = [&good[..], &[0]].concat();
    let error = load::<Book>(&longer).expect_err("too long").to_string();
    assert!(error.contains("1 bytes too many"), "{error}");
    let mut other = good.clone();
    other[16] = b'G';
    let error = load::<Book>(&other).expect_err("another logic");
    assert_eq!(error, StateError::OtherLogic { found: "Guest book".into(), wanted: "guest book" });
    other[0] = 0;
    assert!(matches!(load::<Book>(&other), Err(StateError::NoState { .. })));
}

#[test]
fn what_cannot_be_written_is_an_error() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let large = Book { photo: vec![0; 1_000_000], ..book() };
    for book in [book(), large] {
        let error = save(&book, Full).expect_err("the disk is full");
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
}

#[test]
fn a_serde_record_is_these_bytes_in_every_version() {
    let signed = |id| Entry::Signed { id, name: "Ada".into() };
    let mut bytes = [0xEE; 64];
    let length = signed(258).encode(&mut bytes);
    let version3 = "00000000 0201000000000000 0300000000000000 416461";
    assert_eq!(hex(&bytes[..length]), hex(&unhex(version3)));
    let read = |version, text| Entry::decode(signed(0).kind(), version, &unhex(text));
    assert_eq!(read(3, version3), Ok(signed(258)));
    assert_eq!(read(3, "01000000 0300"), Ok(Entry::Left(3)));
    assert_eq!(read(2, "00000000 02010000 0300000000000000 416461"), Ok(signed(258)));
    assert_eq!(read(1, "0300000000000000 416461"), Ok(signed(0)));
}

#[test]
fn unknown_versions_and_other_bytes_are_refused_by_name() {
    let (name, kind) = ("guest book entry", Entry::Left(0).kind());
    let left = [1, 0, 0, 0, 3, 0];
    let error = Entry::decode(kind, 4, &left).expect_err("version 4 is of a newer build");
    assert_eq!(error, RecordError::UnknownVersion { name, version: 4, newest: 3 });
    assert_eq!(
        error.to_string(),
        "guest book entry of schema version 4: this build reads up to 3; \
         use the build that wrote it, or a newer one"
    );
    // Too short, too long, no such variant, a length that no memory holds, another kind.
    let endless = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 127];
    for bytes in [&left[..5], &[1, 0, 0, 0, 3, 0, 0], &[2, 0, 0, 0, 3, 0], &endless] {
        let malformed = RecordError::Malformed { name, kind, version: 3, bytes: bytes.len() };
        assert_eq!(Entry::decode(kind, 3, bytes), Err(malformed));
    }
    assert!(matches!(Entry::decode(kind + 1, 3, &left), Err(RecordError::Malformed { .. })));
    assert!(matches!(Entry::decode(kind, 2, &left), Err(RecordError::Malformed { .. })));
}

#[test]
#[should_panic(expected = "a guest book entry longer than the 64 bytes it may have")]
fn a_record_longer_than_it_says_is_a_fault_of_its_type() {
    Entry::Signed { id: 1, name: "x".repeat(60) }.encode(&mut [0; 64]);
}
