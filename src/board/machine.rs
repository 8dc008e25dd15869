//! The thread that looks at the board, and what it saw last.
//!
//! Owns: the thread. A driver that hangs in a read delays nothing else; its readings grow old, and
//! carry their age.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::disk::{self, BoardDisk};
use super::facts::{Board, detect};
use super::heat::{self, Power, Temperature};
use super::ledger::{Ledger, WrittenTotal};
use super::system::{self, Cpu, MemoryUse, Os, Ticks};
use super::tree::SysTree;
use crate::base::boot;
use crate::base::limits::{BOARD_LOOK_PAUSE, BOARD_TEMPERATURES_MAX, STOP_TIME_MAX};
use crate::base::sync::{lock, wait_for};
use crate::base::time::{BootTime, SharedClock};

/// What was seen at one look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MachineReport {
    /// When; `None` before the first look.
    pub at: Option<BootTime>,
    /// Processor.
    pub cpu: Cpu,
    /// Memory.
    pub memory: MemoryUse,
    /// Temperatures.
    pub temperatures: Vec<Temperature>,
    /// Throttling and under-voltage.
    pub power: Power,
    /// The disk that the data directory is on.
    pub disk: Option<BoardDisk>,
    /// What was written to it.
    pub written: Option<WrittenTotal>,
}

/// The machine this runs on. Clones share it.
#[derive(Clone, Debug)]
pub struct Machine(Arc<SharedMachine>);

#[derive(Debug)]
struct SharedMachine {
    board: Board,
    os: Os,
    report: ArcSwap<MachineReport>,
    closing: Mutex<bool>,
    closed: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Machine {
    /// Learns which board the tree below `root` (`/`, or a fixture) belongs to, and begins to look
    /// at it and at the disk that `data_dir` is on.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn open(root: &Path, data_dir: &Path, clock: SharedClock) -> io::Result<Self> {
        let tree = SysTree::new(root);
        let shared = Arc::new(SharedMachine {
            board: detect(root),
            os: system::os(&tree),
            report: ArcSwap::default(),
            closing: Mutex::default(),
            closed: Condvar::new(),
            thread: Mutex::default(),
        });
        let (looking, data_dir) = (Arc::clone(&shared), data_dir.to_owned());
        let thread = std::thread::Builder::new().name("board".into());
        let thread = thread.spawn(move || Look::new(tree, data_dir, clock).run(&looking))?;
        *lock(&shared.thread) = Some(thread);
        Ok(Self(shared))
    }

    /// Which board it is.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.0.board
    }

    /// What runs on it.
    #[must_use]
    pub fn os(&self) -> &Os {
        &self.0.os
    }

    /// What was seen last.
    #[must_use]
    pub fn report(&self) -> Arc<MachineReport> {
        self.0.report.load_full()
    }

    /// Ends the thread, which notes what was written; waits at most [`STOP_TIME_MAX`].
    pub fn close(&self) {
        *self.0.lock() = true;
        self.0.closed.notify_all();
        let thread = lock(&self.0.thread).take();
        let Some(thread) = thread else { return };
        let until = Instant::now() + STOP_TIME_MAX;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl SharedMachine {
    fn lock(&self) -> MutexGuard<'_, bool> {
        lock(&self.closing)
    }

    /// Whether it is to end, after a pause.
    fn is_closing(&self) -> bool {
        let closing = self.lock();
        *closing || *wait_for(&self.closed, closing, BOARD_LOOK_PAUSE)
    }
}

/// The thread's own state.
struct Look {
    tree: SysTree,
    data_dir: PathBuf,
    clock: SharedClock,
    boot: String,
    ledger: Option<Ledger>,
    ticks: Option<Ticks>,
}

impl Look {
    fn new(tree: SysTree, data_dir: PathBuf, clock: SharedClock) -> Self {
        let boot = format!("{:032x}", u128::from_be_bytes(boot::identity()));
        Self { tree, data_dir, clock, boot, ledger: None, ticks: None }
    }

    fn run(mut self, shared: &SharedMachine) {
        loop {
            shared.report.store(Arc::new(self.look()));
            if shared.is_closing() {
                break;
            }
        }
        // A disk that is gone has taken its own count with it.
        let _ = self.ledger.map(|ledger| ledger.note());
    }

    fn look(&mut self) -> MachineReport {
        let mut cpu = system::cpu(&self.tree);
        let ticks = system::ticks(&self.tree);
        cpu.busy_ratio = ticks.zip(self.ticks).and_then(|(now, then)| now.ratio_since(then));
        self.ticks = ticks;
        let mut temperatures = heat::temperatures(&self.tree);
        temperatures.truncate(BOARD_TEMPERATURES_MAX);
        let disk = self.disk();
        let written = disk.as_ref().and_then(|disk| self.count(disk));
        MachineReport {
            at: Some(self.clock.boot()),
            cpu,
            memory: system::memory(&self.tree),
            temperatures,
            power: heat::power(&self.tree),
            disk,
            written,
        }
    }

    fn disk(&self) -> Option<BoardDisk> {
        let device = std::fs::metadata(&self.data_dir).ok()?.dev();
        disk::find(&self.tree, rustix::fs::major(device), rustix::fs::minor(device))
    }

    fn count(&mut self, disk: &BoardDisk) -> Option<WrittenTotal> {
        let ledger = self.ledger.get_or_insert_with(|| Ledger::open(&self.data_dir));
        ledger.count(disk, &self.boot, (self.clock.boot(), self.clock.wall()))
    }
}
