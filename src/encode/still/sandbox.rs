//! What a decoder child may still do once it meets a camera's data: compute.
//!
//! Owns: its bounds. Whoever gets hold of the child through a bug of a decoder has its two pipes,
//! no further file, no new privilege, so much memory and so much time.

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

use super::DecoderJob;
use crate::base::limits::{DECODE_CPU_TIME_MAX, DECODE_MEMORY_BYTES_MAX};

/// For pictures that somebody waits for: behind what records and serves, and not for ever.
const PICTURE_NICENESS: i32 = 10;
/// For sprites, where the kernel does not give what it calls idle.
const SPRITE_NICENESS: i32 = 19;

/// Who goes when the machine has no memory left, from -1000 (never) to 1000 (first).
const OUT_OF_MEMORY_SCORE: &str = "500";

/// Bounds this process for good.
pub(super) fn enter(job: DecoderJob) -> std::io::Result<()> {
    let to = |max: u64| Rlimit { current: Some(max), maximum: Some(max) };
    // Before the daemon, whose own place in this order the child has inherited.
    let _ = std::fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE);
    rustix::thread::set_no_new_privs(true)?;
    end_at_faults();
    setrlimit(Resource::As, to(DECODE_MEMORY_BYTES_MAX))?;
    setrlimit(Resource::Core, to(0))?;
    setrlimit(Resource::Fsize, to(0))?;
    setrlimit(Resource::Nofile, to(3))?;
    // What was not allowed to be lowered stays as it is: that is slower for others, not wrong.
    let _ = match job {
        DecoderJob::Pictures => nice(PICTURE_NICENESS),
        DecoderJob::Sprites => nice(SPRITE_NICENESS),
    };
    if job == DecoderJob::Sprites {
        take_only_idle_time();
    }
    Ok(())
}

/// Grants the processor time of one more picture.
pub(super) fn grant_time() -> std::io::Result<()> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).tv_sec;
    let until = used.unsigned_abs() + 1 + DECODE_CPU_TIME_MAX.as_secs();
    let maximum = getrlimit(Resource::Cpu).maximum;
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(until), maximum })?)
}

/// Lets SIGSEGV and SIGBUS end the process at once: the runtime's own handlers, which look for an
/// overflown stack, swallow the first one that somebody sends.
fn end_at_faults() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the default action is always allowed, and no other thread is there to mind.
        #[allow(unsafe_code)] // no safe wrapper of signal(2) is among our dependencies
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// From now on this process runs when no other wants the processor (`SCHED_IDLE`, sched(7)).
fn take_only_idle_time() {
    let priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads one number and changes nothing but this process's own scheduling.
    #[allow(unsafe_code)] // no safe wrapper of sched_setscheduler is among our dependencies
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const priority) };
}
