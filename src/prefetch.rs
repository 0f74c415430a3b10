//! Asks the processor to load what will be read soon. A hint: it changes nothing but time.

/// Starts loading the cache line in which `value` begins.
#[inline]
#[expect(unsafe_code, reason = "the only way to say it; a prefetch never faults")]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program can see, and the address is a live
    // reference's.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
