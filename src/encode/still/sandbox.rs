//! What a decoder child may still do once it meets a camera's data: compute.
//!
//! Owns: its bounds. An attacker who takes the child over through a bug of a decoder has its two
//! pipes, bounded memory and bounded time, and the few system calls of [`ALLOWED`]: no file, no
//! network, no other process, no new code. Any other call ends the child (SIGSYS, seccomp(2)), and
//! the daemon reports that and starts another. A kernel without seccomp gets no decoder.

use std::collections::BTreeMap;
use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, nice, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::DecoderJob;
use crate::base::limits::{DECODE_CPU_TIME_MAX, DECODE_MEMORY_BYTES_MAX};

/// For pictures that a person is waiting for: lower priority than recording and serving, but not
/// starved.
const PICTURE_NICENESS: i32 = 10;
/// For sprites, where the kernel does not give what it calls idle.
const SPRITE_NICENESS: i32 = 19;

/// Who goes when the machine has no memory left, from -1000 (never) to 1000 (first).
const OUT_OF_MEMORY_SCORE: &str = "500";

/// What computing needs: its pipes, memory that is not executable, time, and an end. `gettid` is
/// what a panic asks for; `restart_syscall` continues a read after a stop.
const ALLOWED: [libc::c_long; 21] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_restart_syscall,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_getpriority,
    libc::SYS_setpriority,
];

/// Bounds this process for good.
pub(super) fn enter(job: DecoderJob) -> io::Result<()> {
    let to = |max: u64| Rlimit { current: Some(max), maximum: Some(max) };
    // Before the daemon, whose own place in this order the child has inherited.
    let _ = std::fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE);
    rustix::thread::set_no_new_privs(true)?;
    end_at_faults();
    setrlimit(Resource::As, to(DECODE_MEMORY_BYTES_MAX))?;
    setrlimit(Resource::Core, to(0))?;
    setrlimit(Resource::Fsize, to(0))?;
    setrlimit(Resource::Nofile, to(3))?;
    // A priority that could not be lowered stays as it is: that is slower for others, not wrong.
    let _ = match job {
        DecoderJob::Pictures => nice(PICTURE_NICENESS),
        DecoderJob::Sprites => nice(SPRITE_NICENESS),
    };
    if job == DecoderJob::Sprites {
        take_only_idle_time();
    }
    Ok(())
}

/// Takes every system call away but those of [`ALLOWED`], for good. What the decoders open, map or
/// ask for once must be done before.
pub(super) fn confine() -> io::Result<()> {
    close_inherited()?;
    // Only root may read this process's memory or trace it (PR_SET_DUMPABLE, prctl(2)).
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    seccompiler::apply_filter(&filter().map_err(io::Error::other)?).map_err(io::Error::other)
}

fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.into_iter().map(|call| (call, Vec::new())).collect();
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    let no_code =
        SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(executable), 0)?;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![no_code.clone()])?]);
    }
    // The processor time of the next picture is granted by the child itself.
    let itself = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, 0)?;
    let time = u64::from(libc::RLIMIT_CPU);
    let time = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, time)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![itself, time])?]);
    let machine = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, machine)?.try_into()
}

/// Closes whatever the daemon left open across the start, but standard input, output and error.
fn close_inherited() -> io::Result<()> {
    // SAFETY: this program's one thread uses no other descriptor from here on.
    #[allow(unsafe_code)] // no safe wrapper of close_range is among our dependencies
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
    match io::Error::last_os_error() {
        _ if done == 0 => Ok(()),
        // Before Linux 5.9; what Rust opens is closed at an exec anyway.
        error if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        error => Err(error),
    }
}

/// Grants the processor time of one more picture.
pub(super) fn grant_time() -> io::Result<()> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).tv_sec;
    let until = used.unsigned_abs() + 1 + DECODE_CPU_TIME_MAX.as_secs();
    let maximum = getrlimit(Resource::Cpu).maximum;
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(until), maximum })?)
}

/// Lets SIGSEGV and SIGBUS end the process at once: the runtime's own handlers, which check for a
/// stack overflow, swallow the first such signal sent from outside.
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

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    /// Names the attempt that this test program, started once more, makes under the confinement.
    const ATTEMPT: &str = "HOLDFAST_TEST_ATTEMPT";

    #[test]
    fn whatever_is_not_computing_ends_the_child() {
        let attempt = |name: &str| {
            let tests = std::env::current_exe().unwrap();
            let mut again = Command::new(tests);
            again.args(["--exact", "encode::still::sandbox::tests::attempt", "--ignored"]);
            again.args(["--nocapture", "--test-threads=1"]).env(ATTEMPT, name);
            again.output().unwrap().status
        };
        let computed = attempt("compute");
        assert_eq!(computed.code(), Some(7), "{computed}");
        for name in [
            "open",
            "write",
            "remove",
            "connect",
            "listen",
            "signal",
            "other",
            "trace",
            "start",
            "code",
            "descriptor",
            "memory",
        ] {
            let ended = attempt(name);
            assert_eq!(ended.signal(), Some(libc::SIGSYS), "{name}: {ended}");
        }
    }

    #[test]
    #[ignore = "started by the test above, in a process of its own"]
    fn attempt() {
        let name = std::env::var(ATTEMPT).unwrap();
        let parent = rustix::process::getppid().unwrap();
        enter(DecoderJob::Pictures).unwrap();
        grant_time().unwrap();
        confine().unwrap();
        match name.as_str() {
            "compute" => {
                let sum: usize = vec![1usize; 1 << 20].iter().sum();
                grant_time().unwrap();
                exit(if sum == 1 << 20 { 7 } else { 1 });
            }
            "open" => drop(std::fs::File::open("/etc/hostname")),
            "write" => drop(std::fs::write("/tmp/holdfast-attempt", "")),
            "remove" => drop(std::fs::remove_file("/tmp/holdfast-attempt")),
            "listen" => drop(std::net::UdpSocket::bind("127.0.0.1:0")),
            // Signal 0 disturbs nobody should the confinement fail.
            "other" => drop(rustix::process::test_kill_process(parent)),
            // SAFETY: asks the kernel to be traced, which changes nothing that this test needs.
            #[allow(unsafe_code)]
            "trace" => unsafe {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            },
            "connect" => drop(TcpStream::connect("127.0.0.1:9")),
            "signal" => {
                let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TERM);
            }
            "start" => drop(Command::new("/bin/true").status()),
            "code" => map(libc::PROT_READ | libc::PROT_EXEC),
            "descriptor" => drop(rustix::io::dup(std::io::stdin())),
            "memory" => {
                let to = Rlimit { current: None, maximum: None };
                let _ = setrlimit(Resource::As, to);
            }
            other => panic!("{other} is no attempt"),
        }
        exit(0);
    }

    /// Ends at once: the test program's own end would need more than is allowed.
    fn exit(code: i32) -> ! {
        // SAFETY: ends this process; nothing of it is needed afterwards.
        #[allow(unsafe_code)]
        unsafe {
            libc::_exit(code)
        }
    }

    fn map(protection: libc::c_int) {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a mapping at an address of the kernel's choice touches nothing that exists.
        #[allow(unsafe_code)]
        let _ = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    }
}
