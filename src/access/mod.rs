#![doc = include_str!("README.md")]

mod account;
mod audit;
mod claim;
mod code;
mod control;
mod credential;
mod identity;
mod password;
mod right;
mod session;
mod store;
mod token;

pub use account::{Account, AccountError, Role, StreamAccess, check_password, is_account_name};
pub use audit::{Act, AuditEntry, AuditLine, AuditLog, AuditTail};
pub use claim::ClaimError;
pub use code::ClaimCode;
pub use control::{AccessControl, AccessError, AccountChange, ClaimStatus, NewAccount};
pub use credential::{LocalKey, SessionKey};
pub use identity::{Identity, Proof};
pub use right::Right;
pub use session::SessionId;
pub use store::{Store, StoreError};
pub use token::{ApiToken, NewToken, TokenScope};
