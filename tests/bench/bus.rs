//! One publisher and 1, 10 and 100 readers: what a unit costs until all of them have it.
//!
//! `cargo bench --bench bus`.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use holdfast::base::time::BootTime;
use holdfast::stream::{Allowance, Bounds, Bus, Item};

const UNITS: u64 = 250;

struct Unit {
    at: u64,
}

impl Item for Unit {
    fn bytes(&self) -> usize {
        20_000
    }
    fn random_access(&self) -> bool {
        self.at.is_multiple_of(25)
    }
    fn arrived(&self) -> BootTime {
        BootTime::from_millis(self.at * 40)
    }
}

fn main() {
    divan::main();
}

/// Readers that take each unit as it comes, without a runtime: the bus alone.
#[divan::bench(args = [1, 10, 100])]
fn fan_out(bencher: Bencher<'_, '_>, readers: usize) {
    let (publisher, bus) = Bus::<Unit>::new(Bounds::default());
    let mut readers: Vec<_> = (0..readers).map(|_| bus.subscribe(Allowance::Viewer)).collect();
    let mut at = 0;
    bencher.counter(ItemsCount::new(UNITS)).bench_local(|| {
        for _ in 0..UNITS {
            publisher.publish(Arc::new(Unit { at }));
            at += 1;
            for reader in &mut readers {
                while let Some(next) = reader.try_next() {
                    divan::black_box(next);
                }
            }
        }
    });
}

/// The same with each reader in a task of its own that sleeps between units.
#[divan::bench(args = [1, 10, 100])]
fn wake_up(bencher: Bencher<'_, '_>, readers: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (publisher, bus) = Bus::<Unit>::new(Bounds::default());
    for _ in 0..readers {
        let mut reader = bus.subscribe(Allowance::Viewer);
        runtime.spawn(async move {
            loop {
                divan::black_box(reader.next().await);
            }
        });
    }
    let mut at = 0;
    bencher.counter(ItemsCount::new(UNITS)).bench_local(|| {
        runtime.block_on(async {
            for _ in 0..UNITS {
                publisher.publish(Arc::new(Unit { at }));
                at += 1;
                tokio::task::yield_now().await;
            }
        });
    });
}
