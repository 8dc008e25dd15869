//! How the allocator of the process keeps memory.

/// Arenas of the allocator at most.
const ARENAS_MAX: libc::c_int = 2;

/// Lets all threads share a few arenas: by default each thread soon has one of its own, up to eight
/// for each core, and each keeps what was freed in it. To be called before the first thread is made.
pub fn share_arenas() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: the call takes two numbers; no other thread exists that might allocate meanwhile.
        #[allow(unsafe_code)] // no safe wrapper of mallopt is among our dependencies
        let done = unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX) };
        if done == 0 {
            tracing::debug!("the allocator takes no limit of arenas");
        }
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_takes_the_limit() {
        // SAFETY: as above; threads that have an arena keep it.
        #[allow(unsafe_code)]
        let done = unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX) };
        assert_eq!(done, 1);
    }
}
