//! Brings a camera on USB back that gives no pictures any more: the first two rungs of the ladder.
//!
//! Owns: when a recovery is asked for, and the note of it. The owner of the camera calls
//! [`UsbRecovery::alive`] or [`UsbRecovery::dead`] about once a second from a thread that may block
//! on sysfs; its source notices when a camera comes back.

use std::path::{Path, PathBuf};

use tracing::{info, warn};

use crate::base::fault::chain;
use crate::base::time::SharedClock;
use crate::supervise::recovery::{RecoveryLog, Rung};
use crate::usb::{Ladder, REQUEST_PATH, UsbDevice, UsbError, UsbRequest, UsbStep, UsbTree};

/// The part under which power cycles are filed: they affect the whole board.
const PORTS: &str = "usb";

/// What brings one camera back.
#[derive(Debug)]
pub struct UsbRecovery {
    node: PathBuf,
    part: String,
    recovery: Option<RecoveryLog>,
    clock: SharedClock,
    ladder: Ladder,
    tree: UsbTree,
    request: PathBuf,
    /// The device as last seen, for a camera whose node has gone.
    device: Option<UsbDevice>,
    /// The refusal reported last.
    told: Option<String>,
}

impl UsbRecovery {
    /// For the camera at `node`, whose source is called `part`.
    #[must_use]
    pub fn new(node: &Path, part: &str, recovery: Option<RecoveryLog>, clock: SharedClock) -> Self {
        Self {
            node: node.to_owned(),
            part: part.to_owned(),
            recovery,
            clock,
            ladder: Ladder::default(),
            tree: UsbTree::default(),
            request: PathBuf::from(REQUEST_PATH),
            device: None,
            told: None,
        }
    }

    /// The node that it is for.
    #[must_use]
    pub fn node(&self) -> &Path {
        &self.node
    }

    /// The camera gives pictures.
    pub fn alive(&mut self) {
        self.ladder.alive();
        self.told = None;
        if self.device.is_none() {
            self.device = self.tree.camera(&self.node).ok();
        }
    }

    /// The camera gives no pictures, for whatever reason.
    pub fn dead(&mut self) {
        let now = self.clock.boot();
        let (recovery, part) = (&self.recovery, &self.part);
        let tried = |step: UsbStep| {
            let (rung, part) = noted_as(step, part);
            recovery.as_ref().map_or(0, |log| log.times_within(rung, part, step.window()))
        };
        let Some(step) = self.ladder.dead(now, tried) else { return };
        match self.ask(step) {
            Ok(()) => {
                let (rung, part) = noted_as(step, &self.part);
                let what = format!("{} gave no pictures", self.node.display());
                info!(part, rung = rung.number(), "camera is dead, asked for its USB port");
                if let Some(log) = &self.recovery {
                    log.note(rung, part, &what);
                }
            }
            // A camera that is not on USB is dead all the same; there is nothing to be done here.
            Err(UsbError::NotUsb { .. }) => {}
            Err(error) => self.tell(&error),
        }
    }

    fn ask(&mut self, step: UsbStep) -> Result<(), UsbError> {
        let seen = self.device.clone();
        let device = self.tree.camera(&self.node).or_else(|error| seen.ok_or(error))?;
        self.device = Some(device.clone());
        let neighbours = self.tree.neighbours();
        if step == UsbStep::PowerCycle && !neighbours.is_empty() {
            return Err(UsbError::Shared(neighbours));
        }
        let path = &self.request;
        let refused = |source| UsbError::Sysfs { doing: "ask through", path: path.clone(), source };
        UsbRequest { step, device }.send(path).map_err(refused)
    }

    fn tell(&mut self, error: &UsbError) {
        let text = chain(error);
        if self.told.as_ref() != Some(&text) {
            warn!(part = self.part, error = text, "dead camera cannot be brought back");
            self.told = Some(text);
        }
    }
}

fn noted_as(step: UsbStep, part: &str) -> (Rung, &str) {
    match step {
        UsbStep::Reset => (Rung::InputReset, part),
        UsbStep::PowerCycle => (Rung::PortPower, PORTS),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::base::time::{BootTime, HandClock};

    #[test]
    fn a_dead_camera_is_asked_for_rung_by_rung_and_noted() {
        let dir = tempfile::tempdir().unwrap();
        let camera = dir.path().join("devices/usb1/1-2");
        fs::create_dir_all(camera.join("1-2:1.0/video4linux/video0")).unwrap();
        fs::write(camera.join("authorized"), "1").unwrap();
        fs::create_dir_all(dir.path().join("class/video4linux")).unwrap();
        let node = dir.path().join("class/video4linux/video0");
        symlink(camera.join("1-2:1.0/video4linux/video0"), node).unwrap();

        let hand = Arc::new(HandClock::at(BootTime::default()));
        let clock: SharedClock = Arc::clone(&hand) as _;
        let log = RecoveryLog::open(dir.path(), Arc::clone(&clock)).unwrap();
        let node = Path::new("/dev/video0");
        let mut revival = UsbRecovery::new(node, "yard/source", Some(log.clone()), clock);
        revival.tree = UsbTree::at(dir.path());
        revival.request = dir.path().join("usb-request");
        revival.alive();
        let mut asked = Vec::new();
        for second in 0..400 {
            revival.dead();
            hand.pass(Duration::from_secs(1));
            if let Ok(request) = fs::read_to_string(&revival.request) {
                asked.push((second, request));
                fs::remove_file(&revival.request).unwrap();
            }
            if second == 100 {
                // It falls off its bus altogether.
                fs::remove_dir_all(&camera).unwrap();
            }
        }
        let (reset, power) = ("reset 1-2\n".to_owned(), "power 1-2\n".to_owned());
        let resets = [30, 60, 90].map(|second| (second, reset.clone()));
        assert_eq!(asked, [&resets[..], &[(120, power.clone()), (240, power)]].concat());
        let rungs: Vec<_> =
            log.entries().iter().map(|e| (e.rung.number(), e.part.clone())).collect();
        let (camera, ports) = ((1, "yard/source".to_owned()), (2, "usb".to_owned()));
        assert_eq!(rungs, [camera.clone(), camera.clone(), camera, ports.clone(), ports]);
        log.close();
    }
}
