//! Huge pages for what is large: a book's memory is visited at random, and with pages of 4 KiB
//! every visit first costs a walk through the page tables.
//!
//! Logic does not know of it: the program that wants it says
//! `#[global_allocator] static MEMORY: HugePages = HugePages;`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// The system's allocator, but allocations of a huge page and more begin on one, and ask for more.
/// Where the kernel has none to give, they are as good as before.
#[derive(Clone, Copy, Debug, Default)]
pub struct HugePages;

const HUGE: usize = 2 << 20;

/// How much is mapped for a large allocation; `None` when that is not one.
fn mapped_bytes(layout: Layout) -> Option<usize> {
    if layout.size() < HUGE || layout.align() > HUGE {
        return None;
    }
    layout.size().checked_next_multiple_of(HUGE)
}

/// Zeroed memory of `bytes`, a multiple of [`HUGE`], at a multiple of it.
#[expect(unsafe_code, reason = "it is an allocator")]
fn map(bytes: usize) -> Option<NonNull<u8>> {
    let all = bytes.checked_add(HUGE)?;
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nobody's memory.
    let start =
        unsafe { mmap_anonymous(null_mut(), all, ProtFlags::READ | ProtFlags::WRITE, flags) }
            .ok()?;
    let start = start.cast::<u8>();
    let before = start.align_offset(HUGE);
    let wanted = start.wrapping_add(before);
    // SAFETY: all three parts lie in the new mapping; the two that are given back are page-aligned,
    // for `before` and `bytes` are, and nobody has heard of them. What `madvise` says is a hint.
    unsafe {
        if before > 0 {
            let _ = munmap(start.cast::<c_void>(), before);
        }
        if before < HUGE {
            let _ = munmap(wanted.wrapping_add(bytes).cast::<c_void>(), HUGE - before);
        }
        let _ = madvise(wanted.cast::<c_void>(), bytes, Advice::LinuxHugepage);
    }
    NonNull::new(wanted)
}

// SAFETY: small layouts go to the system's allocator, all four methods agree on which are small by
// `mapped_bytes`, and large ones are mappings of their own, aligned, zeroed and at least as long.
#[expect(unsafe_code, reason = "it is an allocator")]
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match mapped_bytes(layout) {
            Some(bytes) => map(bytes).map_or(null_mut(), NonNull::as_ptr),
            // SAFETY: the caller's promise about the layout is the one that the system asks for.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match mapped_bytes(layout) {
            Some(bytes) => map(bytes).map_or(null_mut(), NonNull::as_ptr),
            // SAFETY: as above.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match mapped_bytes(layout) {
            // SAFETY: `map` mapped so many bytes for this layout, and the caller is done with them.
            Some(bytes) => unsafe {
                let _ = munmap(pointer.cast(), bytes);
            },
            // SAFETY: as above.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `size`, rounded up to the alignment, does not overflow.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (mapped_bytes(layout), mapped_bytes(new)) {
            // SAFETY: as above; both are small.
            (None, None) => unsafe { System.realloc(pointer, layout, size) },
            (old, wanted) if old == wanted => pointer,
            // SAFETY: `pointer` has the old size and the new allocation the new one, they do not
            // overlap, and the old one is given back only when its bytes were copied.
            _ => unsafe {
                let moved = self.alloc(new);
                if !moved.is_null() {
                    moved.copy_from_nonoverlapping(pointer, layout.size().min(size));
                    self.dealloc(pointer, layout);
                }
                moved
            },
        }
    }
}
