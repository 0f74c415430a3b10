//! The allocator that the program runs on: what is large begins on a huge page, is zeroed where it
//! must be, and keeps its bytes as it grows and shrinks across the border of small and large.

use ringframe::memory::HugePages;

#[global_allocator]
static MEMORY: HugePages = HugePages;

const HUGE: usize = 2 << 20;

#[test]
fn what_is_large_begins_on_a_huge_page_and_is_zeroed() {
    for bytes in [HUGE, HUGE + 1, 3 * HUGE, 40 * HUGE - 7] {
        // Twice, so that the second may get what the first gave back, dirty.
        for _ in 0..2 {
            let mut block = vec![0_u8; bytes];
            assert_eq!(block.as_ptr() as usize % HUGE, 0, "{bytes} bytes");
            assert!(block.iter().all(|&byte| byte == 0), "{bytes} bytes");
            block.fill(0xA5);
            std::hint::black_box(&mut block);
        }
    }
}

#[test]
fn bytes_stay_as_blocks_grow_and_shrink() {
    let mut block: Vec<u32> = Vec::new();
    let sizes = [10, 1_000, HUGE / 4 - 1, HUGE / 4, HUGE / 4 + 1, HUGE, 5 * HUGE, HUGE, 3, HUGE];
    for size in sizes {
        block.truncate(size);
        block.shrink_to(size);
        while block.len() < size {
            block.push(block.len() as u32);
        }
        assert!(block.iter().zip(0..).all(|(&word, place)| word == place), "at {size} words");
    }
}
