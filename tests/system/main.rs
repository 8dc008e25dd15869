//! The daemon as a whole: configuration, signals, systemd, boards, and the documents.

#[path = "../support/door/mod.rs"]
mod door;
#[path = "../support/footage/mod.rs"]
mod footage;
#[path = "../support/harness/mod.rs"]
mod harness;

mod access;
mod api_fuzz;
mod attacks;
mod bad_input;
mod boards;
mod command_source;
mod config_api;
mod credentials;
mod cross;
mod encode;
mod end_to_end;
mod events;
mod floods;
mod http;
mod https;
mod limits;
mod mdns;
mod media_accounts;
mod proxy;
mod readme;
mod reference;
mod siege;
mod systemd;
mod update;
mod webhooks;
