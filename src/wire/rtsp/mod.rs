#![doc = include_str!("README.md")]

pub mod auth;
mod channel;
mod frame;
mod live;
mod method;
mod offer;
mod range;
mod refusal;
mod reply;
mod sdp;
mod session;
mod target;
mod transcript;
mod transport;
pub mod tunnel;
mod wish;

pub use channel::{Channel, Channels};
pub use live::{Medium, Routed};
pub use offer::{Offer, OfferError, OfferedMedium};
pub use range::{Span, Unreadable, any_date};
pub use refusal::Refusal;
pub use sdp::Details;
pub use session::{Command, Event, Flowing, Session, Start, Step, View};
pub use target::Target;
pub use transcript::Failure;
pub use transport::{Group, Route};
pub use wish::{Frames, Onvif, Scale, What, Wish};
