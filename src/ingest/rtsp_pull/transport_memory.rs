//! Which of TCP and UDP a camera is asked for first, by what came of either.
//!
//! Owns: what silence taught. Some cameras agree to a transport and send nothing by it, and some
//! networks let only one of them through. Multicast is for cameras that refuse both: it would load
//! the network of everybody. Reads no clock.

use std::time::Duration;

use crate::base::limits::{PULL_SILENT_LIVES_MAX, PULL_TRANSPORT_MEMORY};
use crate::base::time::BootTime;
use crate::wire::rtsp::client::ClientTransport::{self, Tcp, Udp};

/// What is known of a camera's transports. Outlives connections.
#[derive(Debug, Default)]
pub(super) struct TransportMemory {
    /// UDP is asked for first, since TCP was silent.
    udp_first: Option<BootTime>,
    /// What brought media last.
    proven: Option<ClientTransport>,
    /// Lives in a row that brought nothing, by TCP and by UDP.
    silent: [u32; 2],
}

/// What follows from a life that brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterSilence {
    /// The next life asks for this.
    Try(ClientTransport),
    /// The same again: it brought media before.
    Again,
    /// Neither brought anything; they take turns.
    Neither,
}

impl TransportMemory {
    /// What to ask for at `now`, the first choice first.
    pub(super) fn order(&mut self, now: BootTime) -> [ClientTransport; 2] {
        // A camera that was starting may have been silent by what is better.
        self.udp_first.take_if(|taught| now.since(*taught) >= PULL_TRANSPORT_MEMORY);
        if self.udp_first.is_some() { [Udp, Tcp] } else { [Tcp, Udp] }
    }

    /// How long to wait for the first media by `used`: `short` where the other one is worth a try,
    /// `long` otherwise.
    pub(super) fn patience(
        &self,
        used: ClientTransport,
        short: Duration,
        long: Duration,
    ) -> Duration {
        let is_open = self.proven != Some(used) && self.silent == [0, 0] && self.is_first(used);
        if is_open { short } else { long }
    }

    /// Media came by `used`.
    pub(super) fn heard(&mut self, used: ClientTransport) {
        (self.proven, self.silent) = (Some(used), [0, 0]);
    }

    /// A life by `used` ended at `now`, and brought nothing.
    pub(super) fn silent(&mut self, used: ClientTransport, now: BootTime) -> AfterSilence {
        let (own, other) = if used == Udp { (1, Tcp) } else { (0, Udp) };
        self.silent[own] += 1;
        // The other one was refused.
        if !self.is_first(used) {
            return AfterSilence::Neither;
        }
        if self.proven == Some(used) && self.silent[own] < PULL_SILENT_LIVES_MAX {
            return AfterSilence::Again;
        }
        self.udp_first = (used == Tcp).then_some(now);
        if self.silent[1 - own] == 0 { AfterSilence::Try(other) } else { AfterSilence::Neither }
    }

    fn is_first(&self, used: ClientTransport) -> bool {
        used == if self.udp_first.is_some() { Udp } else { Tcp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_secs(5);
    const LONG: Duration = Duration::from_secs(15);

    fn at(secs: u64) -> BootTime {
        BootTime::from_millis(secs * 1_000)
    }

    #[test]
    fn what_is_silent_gives_way_and_what_works_is_kept() {
        let mut memory = TransportMemory::default();
        assert_eq!(memory.order(at(0)), [Tcp, Udp]);
        assert_eq!(memory.patience(Tcp, SHORT, LONG), SHORT);
        assert_eq!(memory.silent(Tcp, at(5)), AfterSilence::Try(Udp));
        assert_eq!(memory.order(at(6)), [Udp, Tcp]);
        assert_eq!(memory.patience(Udp, SHORT, LONG), LONG, "the last choice has all the time");
        memory.heard(Udp);
        // It breaks off a hundred times and is asked for the same each time.
        for life in 1..100 {
            assert_eq!(memory.order(at(6 + life)), [Udp, Tcp]);
            memory.heard(Udp);
        }
        assert_eq!(memory.silent(Udp, at(200)), AfterSilence::Again, "it is starting");
        assert_eq!(memory.order(at(201)), [Udp, Tcp]);
        assert_eq!(memory.silent(Udp, at(220)), AfterSilence::Try(Tcp), "a firewall was put up");
        assert_eq!(memory.order(at(221)), [Tcp, Udp]);
        memory.heard(Tcp);
        assert_eq!(memory.silent(Tcp, at(300)), AfterSilence::Again);
    }

    #[test]
    fn silence_by_both_lets_them_take_turns_and_reads_the_same_each_time() {
        let mut memory = TransportMemory::default();
        assert_eq!(memory.silent(Tcp, at(5)), AfterSilence::Try(Udp));
        for turn in 1..10 {
            let first = memory.order(at(turn * 20))[0];
            assert_eq!(first, if turn % 2 == 1 { Udp } else { Tcp });
            assert_eq!(memory.silent(first, at(turn * 20)), AfterSilence::Neither);
        }
    }

    #[test]
    fn one_that_is_refused_is_not_waited_for() {
        let mut memory = TransportMemory::default();
        assert_eq!(memory.patience(Udp, SHORT, LONG), LONG, "TCP was refused");
        assert_eq!(memory.silent(Udp, at(15)), AfterSilence::Neither);
        assert_eq!(memory.order(at(16)), [Tcp, Udp]);
    }

    #[test]
    fn a_lesson_is_forgotten_after_a_day() {
        let mut memory = TransportMemory::default();
        memory.silent(Tcp, at(5));
        memory.heard(Udp);
        assert_eq!(memory.order(at(80_000)), [Udp, Tcp]);
        assert_eq!(memory.order(at(90_000)), [Tcp, Udp]);
    }
}
