//! The task that feeds a stream into segments.
//!
//! Owns: the segmenter while it lives. A life that ends leaves the list; the next one goes on
//! behind it with a discontinuity.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::Shared;
use crate::base::fault::{Class, Fault};
use crate::base::time::BootTime;
use crate::bus::{Allowance, Stream};
use crate::sink::web_reader::{WebNext, WebReader};
use crate::supervise::TaskContext;
use crate::wire::hls::{Cut, Segmenter};
use crate::wire::web::WebFormat;

/// The open segment ends when nothing came for so long, so that what was seen last can be seen.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// How often the task beats, and lets old segments go, while no unit comes.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// Why the cutting task ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum CutterError {
    /// The stream was taken out of the configuration.
    #[error("the stream has ended")]
    Ended,
}

impl Fault for CutterError {
    fn class(&self) -> Class {
        Class::Config
    }
}

/// Cuts `stream` into segments until it ends.
pub(super) async fn run(
    stream: Arc<Stream>,
    shared: Arc<Shared>,
    context: TaskContext,
) -> Result<Infallible, CutterError> {
    let restarted = shared.playlist().has_begun();
    if restarted {
        shared.meter.restarted();
    }
    let mut cutter = Cutter {
        segmenter: Segmenter::new(restarted),
        format: None,
        newest: context.clock.boot(),
        stream: Arc::clone(&stream),
        shared,
        context,
    };
    let mut units = WebReader::new(&stream, Allowance::Window);
    let mut idle = tokio::time::interval(IDLE_INTERVAL);
    loop {
        tokio::select! {
            biased;
            () = cutter.context.stop.cancelled() => return Err(CutterError::Ended),
            _ = idle.tick() => cutter.idle(),
            next = units.next() => cutter.take(next)?,
        }
    }
}

struct Cutter {
    segmenter: Segmenter,
    /// The format told last, so that a left-out track is told once.
    format: Option<Arc<WebFormat>>,
    /// When the newest unit was taken.
    newest: BootTime,
    stream: Arc<Stream>,
    shared: Arc<Shared>,
    context: TaskContext,
}

impl Cutter {
    fn idle(&mut self) {
        self.context.heartbeat.beat();
        let now = self.context.clock.boot();
        if now.since(self.newest) > SILENCE_MAX {
            let cut = self.segmenter.interrupt();
            self.list(cut);
        }
        self.shared.playlist().sweep(now);
    }

    fn take(&mut self, next: WebNext) -> Result<(), CutterError> {
        match next {
            WebNext::Unit(unit, format) => {
                self.tell(&format);
                self.newest = self.context.clock.boot();
                let target = self.shared.playlist().target();
                let cut = self.segmenter.push(&unit, &format, target);
                self.shared.meter.unit(unit.data.len());
                self.list(cut);
            }
            WebNext::Lagged(units) => {
                warn!(stream = %self.stream.name(), part = "hls", units, "reader lagged, resuming at next key frame");
                self.shared.meter.lost(units);
                let cut = self.segmenter.interrupt();
                self.list(cut);
            }
            WebNext::Ended => return Err(CutterError::Ended),
        }
        Ok(())
    }

    fn tell(&mut self, format: &Arc<WebFormat>) {
        if self.format.as_ref().is_some_and(|told| Arc::ptr_eq(told, format)) {
            return;
        }
        let told_before = self.format.as_ref().and_then(|told| told.audio_dropped.as_ref());
        if let Some(reason) = &format.audio_dropped
            && told_before != Some(reason)
        {
            info!(stream = %self.stream.name(), part = "hls", reason, "sound is left out");
        }
        self.format = Some(Arc::clone(format));
    }

    fn list(&self, cut: Option<Cut>) {
        let Some(cut) = cut else { return };
        self.shared.playlist().push(self.context.clock.boot(), cut);
        self.shared.grown.send_modify(|segments| *segments += 1);
    }
}
