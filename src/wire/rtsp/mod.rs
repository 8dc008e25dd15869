#![doc = include_str!("README.md")]

pub mod auth;
mod channel;
pub mod client;
mod description;
mod frame;
mod live;
mod message;
mod method;
mod play_options;
mod range;
mod refusal;
mod reply;
mod sdp;
mod session;
mod state;
mod target;
#[cfg(test)]
mod tests;
mod transcript;
mod transport;
pub mod tunnel;

pub use channel::{Channel, Channels};
pub use description::{DescriptionError, MediaDescription, SessionDescription};
pub use live::{Medium, Routed};
pub use message::{Command, Event, Start, Step};
pub use play_options::{Frames, Onvif, PlayOptions, Scale, StartPoint};
pub use range::{Span, Unreadable, any_date};
pub use refusal::Refusal;
pub use sdp::Details;
pub use session::{Flowing, Session, View};
pub use target::Target;
pub use transcript::Failure;
pub use transport::{Group, Route};
