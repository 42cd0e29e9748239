//! Gives memory that was freed back to the operating system.
//!
//! The allocator of the GNU C library keeps what was freed in the middle of its heap, so that a process which has drained a large backlog
//! still has most of its resident memory. Whoever decides something by that figure has to ask for it first. This is a crate of its own
//! because it takes one call that only C offers.

/// Gives back all pages that hold nothing. Other threads that allocate meanwhile may wait, for milliseconds a gigabyte. True when
/// something was given back; other C libraries than GNU's have no such call, and false is all they say.
pub fn give_back() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: the function takes a number, locks what it works on, and moves nothing that is allocated.
        let released = unsafe { libc::malloc_trim(0) };
        released != 0
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    fn resident_pages() -> u64 {
        let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
        let resident = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        resident.expect("the second number is what is resident")
    }

    #[test]
    fn what_was_freed_between_what_is_kept_goes_back() {
        // Pieces below the size from which each has a mapping of its own, every other one of which stays.
        let mut pieces: Vec<Vec<u8>> = (0..4000).map(|_| vec![1; 16 << 10]).collect();
        let mut index = 0;
        pieces.retain(|_| {
            index += 1;
            index % 64 == 0
        });
        let before = resident_pages();
        assert!(give_back());
        let after = resident_pages();
        assert!(after + 5000 < before, "{before} pages before, {after} after");
        assert!(pieces.iter().all(|piece| piece.iter().all(|&byte| byte == 1)));
    }
}
