//! Disk priority of a thread.

/// `IOPRIO_WHO_PROCESS` and `IOPRIO_CLASS_IDLE` of ioprio_set(2).
const WHO_PROCESS: libc::c_int = 1;
const CLASS_IDLE: libc::c_int = 3 << 13;

/// What this thread reads and writes from now on waits for what others do, where the kernel's
/// scheduler of the disk knows priorities; elsewhere nothing is different.
pub fn yield_to_others() {
    let this_thread: libc::c_int = 0;
    // SAFETY: the call takes three numbers and changes nothing but this thread's own priority.
    #[allow(unsafe_code)] // no safe wrapper of ioprio_set is among our dependencies
    let done = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, this_thread, CLASS_IDLE) };
    if done != 0 {
        tracing::debug!("a background thread has the disk priority of others");
    }
}
