//! Where logs go: the journal when the service is connected to it, else standard error.
//!
//! Owns: that choice and the filter. `HOLDFAST_LOG` changes the filter, in the form of
//! tracing's `EnvFilter`.

mod legible;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use legible::Legible;

/// sled and retina tell every operation below warnings; that is not for a healthy journal.
const FILTER: &str = "info,sled=warn,retina=warn";

/// Begins logging; called once.
pub(super) fn init() {
    let filter = EnvFilter::try_from_env("HOLDFAST_LOG").unwrap_or_else(|_| EnvFilter::new(FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    // systemd sets JOURNAL_STREAM when standard error goes to the journal, systemd.exec(5).
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    if let Some(journal) = journal {
        let named = journal.with_syslog_identifier("holdfast".into()).with_field_prefix(None);
        registry.with(Legible(named)).init();
    } else {
        let plain = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        registry.with(plain).init();
    }
}
