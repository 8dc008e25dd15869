//! A bounded window of the newest items and the cursors that read it.
//!
//! Units that are no longer needed leave at once: a window whose readers keep up holds the newest
//! GOP, for joiners, and grows towards its bounds only while a reader lags.
//!
//! Owns: trimming, joining and the jump of a reader that lags. Generic, because the RTP fan-out
//! is the same thing one step later: packets instead of units.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use crate::base::limits::{BUS_BYTES_MAX, BUS_SPAN_MAX, BUS_UNITS_MAX, VIEWER_LAG_MAX};
use crate::base::sync::lock;
use crate::base::time::BootTime;

/// What a window can hold.
pub trait Item: Send + Sync + 'static {
    /// Bytes it keeps in memory.
    fn bytes(&self) -> usize;
    /// Whether a reader can begin here.
    fn random_access(&self) -> bool;
    /// When it came to be.
    fn arrived(&self) -> BootTime;
    /// After how many further items what begins here is whole.
    fn settles_after(&self) -> u64 {
        0
    }
}

impl Item for crate::media::AccessUnit {
    fn bytes(&self) -> usize {
        self.data.len()
    }
    fn random_access(&self) -> bool {
        self.random_access()
    }
    fn arrived(&self) -> BootTime {
        self.arrived
    }
    fn settles_after(&self) -> u64 {
        match self.entry {
            Some(crate::media::Entry::Gradual(pictures)) => pictures.into(),
            _ => 0,
        }
    }
}

/// The bounds of one window.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes over all items.
    pub bytes_max: usize,
    /// Number of items.
    pub units_max: usize,
    /// Age of the oldest item against the newest.
    pub span_max: Duration,
    /// Bytes that one [`Allowance::Viewer`] may leave unread before it is moved on.
    pub lag_bytes_max: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        let (bytes_max, units_max) = (BUS_BYTES_MAX, BUS_UNITS_MAX);
        Self { bytes_max, units_max, span_max: BUS_SPAN_MAX, lag_bytes_max: u64::MAX }
    }
}

/// How far a reader may fall behind before it is moved to the newest key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// As far as the window reaches: the recorder.
    Window,
    /// [`VIEWER_LAG_MAX`] and [`Bounds::lag_bytes_max`]: for live viewers.
    Viewer,
}

/// What a reader gets.
#[derive(Clone, Debug)]
pub enum Next<T> {
    /// The next item.
    Item(Arc<T>),
    /// So many items were skipped; what comes next is a place to begin.
    Lagged(u64),
    /// The publisher is gone for good.
    Ended,
}

#[derive(Debug)]
struct Window<T> {
    items: VecDeque<WindowItem<T>>,
    /// Sequence number of `items[0]`.
    first: u64,
    bytes: usize,
    /// Bytes of all items that ever came.
    came_bytes: u64,
    /// Sequence numbers of the places to begin that are in `items`, oldest first.
    starts: VecDeque<u64>,
    /// An entry point left while there was no newer one.
    start_lost: bool,
    readers: BTreeMap<u64, Cursor>,
    /// Names the next reader.
    reader_next: u64,
    ended: bool,
}

#[derive(Debug)]
struct WindowItem<T> {
    item: Arc<T>,
    /// Bytes of all items that came before it.
    before_bytes: u64,
}

/// How far one reader has come.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    /// The next item wanted; `None` while no place to begin has come yet.
    next: Option<u64>,
    allowance: Allowance,
    /// When an item must have arrived to wake the reader, while it waits in
    /// [`Subscriber::rested`].
    wakes_at: Option<BootTime>,
}

#[derive(Debug)]
struct SharedWindow<T> {
    window: Mutex<Window<T>>,
    bounds: Bounds,
    grown: Notify,
    /// An item came for which a resting reader waits.
    rested: Notify,
}

impl<T> SharedWindow<T> {
    fn lock(&self) -> MutexGuard<'_, Window<T>> {
        // No code that can panic runs under this lock; a poisoned window is still a window.
        lock(&self.window)
    }
}

/// The reading end, from which subscribers are made.
#[derive(Debug)]
pub struct Bus<T>(Arc<SharedWindow<T>>);

impl<T> Clone for Bus<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The writing end. There is one, and when it is dropped its readers get [`Next::Ended`].
#[derive(Debug)]
pub struct Publisher<T>(Arc<SharedWindow<T>>);

impl<T: Item> Bus<T> {
    /// Makes an empty window and its two ends.
    #[must_use]
    pub fn new(bounds: Bounds) -> (Publisher<T>, Self) {
        let shared = Arc::new(SharedWindow {
            window: Mutex::new(Window {
                items: VecDeque::new(),
                first: 0,
                bytes: 0,
                came_bytes: 0,
                starts: VecDeque::new(),
                start_lost: false,
                readers: BTreeMap::new(),
                reader_next: 0,
                ended: false,
            }),
            bounds,
            grown: Notify::new(),
            rested: Notify::new(),
        });
        (Publisher(Arc::clone(&shared)), Self(shared))
    }

    /// Begins reading at the newest place to begin, or at the next one to come. Where the window
    /// has outgrown its only such place, the oldest item that it holds is better than nothing.
    #[must_use]
    pub fn subscribe(&self, allowance: Allowance) -> Subscriber<T> {
        let mut window = self.0.lock();
        let id = window.reader_next;
        window.reader_next += 1;
        let next = window.start();
        window.readers.insert(id, Cursor { next, allowance, wakes_at: None });
        drop(window);
        Subscriber { shared: Arc::clone(&self.0), id, seen: 0, read_at: BootTime::default() }
    }

    /// The newest item at which a reader can begin.
    #[must_use]
    pub fn newest_start(&self) -> Option<Arc<T>> {
        let window = self.0.lock();
        let at = *window.starts.back()?;
        window.get(at).cloned()
    }

    /// What a reader that begins now gets at once.
    #[must_use]
    pub fn since_start(&self) -> Vec<Arc<T>> {
        let window = self.0.lock();
        let from = window.start().unwrap_or(window.end());
        (from..window.end()).filter_map(|at| window.get(at).cloned()).collect()
    }

    /// The newest item.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<T>> {
        self.0.lock().items.back().map(|held| Arc::clone(&held.item))
    }

    /// Bytes that the window holds now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes
    }

    /// Subscribers alive now.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.0.lock().readers.len()
    }
}

impl<T: Item> Window<T> {
    fn get(&self, at: u64) -> Option<&Arc<T>> {
        self.held(at).map(|held| &held.item)
    }

    fn held(&self, at: u64) -> Option<&WindowItem<T>> {
        let index = usize::try_from(at.checked_sub(self.first)?).ok()?;
        self.items.get(index)
    }

    /// Where a joiner begins: at the newest place, or the one before it while what begins at the newest
    /// is not whole yet.
    fn start(&self) -> Option<u64> {
        let oldest = (self.start_lost && !self.items.is_empty()).then_some(self.first);
        self.settled_start().or(oldest)
    }

    fn settled_start(&self) -> Option<u64> {
        let settled =
            |&&at: &&u64| self.get(at).is_some_and(|item| self.end() - at > item.settles_after());
        let newest = self.starts.back();
        self.starts.iter().rev().take(2).find(settled).or(newest).copied()
    }

    fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    fn push(&mut self, item: Arc<T>, bounds: &Bounds) {
        if item.random_access() {
            self.starts.push_back(self.end());
            self.start_lost = false;
        }
        let (bytes, newest) = (item.bytes(), item.arrived());
        self.items.push_back(WindowItem { item, before_bytes: self.came_bytes });
        self.bytes += bytes;
        self.came_bytes += bytes as u64;
        let needed_from = self.needed_from(bounds);
        while self.first < needed_from || self.is_over(bounds, newest) {
            self.pop();
        }
    }

    /// The oldest item still needed: the entry point for a joiner, the next item of each reader
    /// unless it is about to be moved on anyway, and always the newest item.
    fn needed_from(&self, bounds: &Bounds) -> u64 {
        let last = self.end().saturating_sub(1);
        let start = self.settled_start().unwrap_or(last);
        let wanted = self.readers.values().filter(|cursor| !self.is_too_far_behind(cursor, bounds));
        // One that has fallen out already is moved on at its next look.
        let wanted = wanted.filter_map(|cursor| cursor.next).filter(|&next| next >= self.first);
        wanted.fold(start.min(last), u64::min)
    }

    /// Whether a reader has used up its allowance, and a jump would bring it forward.
    fn is_too_far_behind(&self, cursor: &Cursor, bounds: &Bounds) -> bool {
        let Some(next) = cursor.next.filter(|_| cursor.allowance == Allowance::Viewer) else {
            return false;
        };
        let (Some(wanted), Some(newest)) = (self.held(next), self.items.back()) else {
            return false;
        };
        let late = newest.item.arrived().since(wanted.item.arrived()) > VIEWER_LAG_MAX
            || self.came_bytes - wanted.before_bytes > bounds.lag_bytes_max;
        late && self.starts.back().is_some_and(|&start| start > next)
    }

    fn is_over(&self, bounds: &Bounds, newest: BootTime) -> bool {
        let Some(oldest) = self.items.front() else { return false };
        if self.items.len() > bounds.units_max || self.bytes > bounds.bytes_max {
            return true;
        }
        // The newest GOP stays however old it is, so that a joiner can begin at once.
        newest.since(oldest.item.arrived()) > bounds.span_max
            && self.starts.back().is_none_or(|&start| start > self.first)
    }

    fn pop(&mut self) {
        if let Some(held) = self.items.pop_front() {
            self.bytes -= held.item.bytes();
        }
        if self.starts.front() == Some(&self.first) {
            self.starts.pop_front();
            self.start_lost = self.starts.is_empty();
        }
        self.first += 1;
    }
}

impl<T: Item> Publisher<T> {
    /// Adds `item` and wakes the readers. Called once per unit; never waits for a reader.
    pub fn publish(&self, item: Arc<T>) {
        let at = item.arrived();
        let mut window = self.0.lock();
        window.push(item, &self.0.bounds);
        let mut resting = window.readers.values().filter_map(|cursor| cursor.wakes_at);
        let wakes = resting.any(|wakes_at| wakes_at <= at);
        drop(window);
        self.0.grown.notify_waiters();
        if wakes {
            self.0.rested.notify_waiters();
        }
    }

    /// Drops all items; readers resume at the next entry point.
    pub fn clear(&self) {
        let mut window = self.0.lock();
        while !window.items.is_empty() {
            window.pop();
        }
        window.start_lost = false;
    }

    /// Another reading end.
    #[must_use]
    pub fn bus(&self) -> Bus<T> {
        Bus(Arc::clone(&self.0))
    }
}

impl<T> Drop for Publisher<T> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.grown.notify_waiters();
        self.0.rested.notify_waiters();
    }
}

/// One reader's place in the window.
#[derive(Debug)]
pub struct Subscriber<T> {
    shared: Arc<SharedWindow<T>>,
    /// Names its cursor in the window.
    id: u64,
    /// The end of the window as last seen: where to look for a place to begin.
    seen: u64,
    /// When the item arrived that was read last.
    read_at: BootTime,
}

impl<T: Item> Subscriber<T> {
    /// Waits for the next item. Cancel safe.
    pub async fn next(&mut self) -> Next<T> {
        let shared = Arc::clone(&self.shared);
        loop {
            let grown = shared.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            if let Some(next) = self.try_next() {
                return next;
            }
            grown.await;
        }
    }

    /// Waits until an item is there that arrived `rest` after the one read last, or the first one to
    /// begin at may have come, or there will be no more: for a reader that takes many at once and
    /// needs no timer for it. Cancel safe.
    pub async fn rested(&self, rest: Duration) {
        let _waiting = Waiting(self);
        loop {
            let rested = self.shared.rested.notified();
            tokio::pin!(rested);
            rested.as_mut().enable();
            if self.is_rested(rest) {
                return;
            }
            rested.await;
        }
    }

    /// Whether the wait is over; notes what it is for.
    fn is_rested(&self, rest: Duration) -> bool {
        let mut window = self.shared.lock();
        let (ended, end) = (window.ended, window.end());
        let newest = window.items.back().map_or(BootTime::default(), |held| held.item.arrived());
        let Some(cursor) = window.readers.get_mut(&self.id) else { return true };
        let (unread, wakes_at) = match cursor.next {
            None => (end > self.seen, BootTime::default()),
            Some(next) => (end > next, self.read_at.after(rest)),
        };
        cursor.wakes_at = Some(wakes_at);
        ended || unread && newest >= wakes_at
    }

    /// The next item if there is one now.
    pub fn try_next(&mut self) -> Option<Next<T>> {
        let got = self.take_next();
        if let Some(Next::Item(item)) = &got {
            self.read_at = item.arrived();
        }
        got
    }

    fn take_next(&mut self) -> Option<Next<T>> {
        let Self { shared, id, seen, .. } = self;
        let mut window = shared.lock();
        let mut cursor = *window.readers.get(id)?;
        let got = match cursor.next {
            None => begin(&window, &mut cursor, seen),
            Some(next)
                if next < window.first || window.is_too_far_behind(&cursor, &shared.bounds) =>
            {
                Some(jump(&window, &mut cursor, next, seen))
            }
            Some(next) => read(&window, &mut cursor, next),
        };
        window.readers.insert(*id, cursor);
        got
    }
}

fn begin<T: Item>(window: &Window<T>, cursor: &mut Cursor, seen: &mut u64) -> Option<Next<T>> {
    let start = window.start().filter(|start| start >= seen);
    *seen = window.end();
    match start {
        Some(start) => read(window, cursor, start),
        None => window.ended.then_some(Next::Ended),
    }
}

fn jump<T: Item>(window: &Window<T>, cursor: &mut Cursor, from: u64, seen: &mut u64) -> Next<T> {
    cursor.next = window.start().filter(|&start| start >= from);
    *seen = window.end();
    Next::Lagged(cursor.next.unwrap_or(window.end()) - from)
}

fn read<T: Item>(window: &Window<T>, cursor: &mut Cursor, next: u64) -> Option<Next<T>> {
    match window.get(next) {
        Some(item) => {
            cursor.next = Some(next + 1);
            Some(Next::Item(Arc::clone(item)))
        }
        None => window.ended.then_some(Next::Ended),
    }
}

/// A reader that rests, until this is dropped.
struct Waiting<'a, T>(&'a Subscriber<T>);

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        if let Some(cursor) = self.0.shared.lock().readers.get_mut(&self.0.id) {
            cursor.wakes_at = None;
        }
    }
}

impl<T> Drop for Subscriber<T> {
    fn drop(&mut self) {
        self.shared.lock().readers.remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
