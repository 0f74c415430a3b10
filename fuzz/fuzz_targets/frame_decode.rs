//! Any bytes at any alignment: no panic, and a frame that is accepted is exactly the frame that its
//! fields encode to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringframe_journal::frame::{Decoded, FRAME_BYTES_MAX, HEADER_BYTES, decode};

fuzz_target!(|bytes: &[u8]| {
    for start in 0..bytes.len().min(8) {
        check(&bytes[start..]);
    }
    // A random checksum is never right: the same bytes with a good one.
    if bytes.len() >= HEADER_BYTES {
        let mut whole = bytes.to_vec();
        let total = (bytes.len().min(FRAME_BYTES_MAX)) as u32;
        let stored = total.next_multiple_of(8) as usize;
        whole[4..8].copy_from_slice(&total.to_le_bytes());
        whole.truncate(total as usize);
        let crc = crc32c(&whole[4..]);
        whole[..4].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(decode(&whole), Decoded::Frame(_)) == (stored == whole.len()));
        whole.resize(stored, 0);
        assert!(matches!(decode(&whole), Decoded::Frame(_)), "a good frame is refused");
        check(&whole);
    }
});

fn check(bytes: &[u8]) {
    match decode(bytes) {
        Decoded::Frame(frame) => {
            let mut again = Vec::new();
            frame.frame().encode(&mut again);
            assert_eq!(again, frame.bytes());
            assert_eq!(again, &bytes[..again.len()]);
        }
        Decoded::Short { needed } => assert!(needed > bytes.len()),
        Decoded::Blank | Decoded::Bad(_) => {}
    }
}

/// Castagnoli's polynomial, bit by bit: an oracle that shares nothing with the crate under test.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 }
        })
    })
}
