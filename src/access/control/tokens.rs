//! API tokens: making and revoking them, and who presents one.
//!
//! Owns: what ends when a token is over, gone, or its maker is not what they were.

use super::{AccessControl, AccessError, AccessState};
use crate::access::identity::Identity;
use crate::access::store::{Accounts, Stored};
use crate::access::token::{ApiToken, NewToken, shown_hash};
use crate::base::Stop;
use crate::base::limits::{API_TOKENS_MAX, TOKEN_LABEL_BYTES_MAX};
use crate::base::random;
use crate::base::secret::Secret;
use crate::base::time::WallTime;

impl AccessControl {
    /// Who shows an API token.
    #[must_use]
    pub fn by_token(&self, shown: &str) -> Option<Identity> {
        let hash = shown_hash(shown)?;
        let mut state = self.lock();
        let now = self.clock.wall();
        let accounts = state.accounts()?;
        let token = accounts.tokens.values().find(|token| token.hash == hash)?;
        if token.is_over(now) {
            return None;
        }
        let maker = token.maker.as_ref().map(|name| accounts.people.get(name));
        // One whose maker is gone is nothing.
        let maker = match maker {
            Some(None) => return None,
            Some(maker) => maker,
            None => None,
        };
        let identity = Identity::of_token(token, maker, Stop::new());
        let id = token.id.clone();
        let ended = state.shown_tokens.entry(id).or_default().clone();
        Some(Identity { ended, ..identity })
    }

    /// All tokens.
    #[must_use]
    pub fn tokens(&self) -> Vec<ApiToken> {
        let state = self.lock();
        state
            .accounts()
            .map(|accounts| accounts.tokens.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Makes a token; its text is shown once. `maker` is the account that asks for it.
    pub fn add_token(
        &self,
        new: &NewToken,
        maker: Option<&str>,
    ) -> Result<(ApiToken, Secret), AccessError> {
        if new.label.is_empty() || new.label.len() > TOKEN_LABEL_BYTES_MAX {
            return Err(AccessError::TokenLabel);
        }
        let random = random::bytes().map_err(AccessError::Random)?;
        let id = random::bytes().map_err(AccessError::Random)?;
        let (token, text) = ApiToken::new(new, maker, random, id);
        let now = self.clock.wall();
        self.change(|accounts| {
            if accounts.people.is_empty() {
                return Err(AccessError::Unclaimed);
            }
            accounts.tokens.retain(|_, token| !token.is_over(now));
            if accounts.tokens.len() >= API_TOKENS_MAX {
                return Err(AccessError::TokensFull);
            }
            accounts.tokens.insert(token.id.clone(), token.clone());
            Ok(())
        })?;
        Ok((token, text))
    }

    /// Takes a token away; whatever runs with it ends.
    pub fn remove_token(&self, id: &str) -> Result<(), AccessError> {
        self.change(|accounts| {
            accounts.tokens.remove(id).map(|_| ()).ok_or(AccessError::TokenUnknown)
        })
    }
}

impl AccessState {
    /// Ends what runs with a token that is over.
    pub(super) fn end_old_tokens(&mut self, now: WallTime) {
        let Stored::Accounts(accounts) = &self.stored else { return };
        self.shown_tokens.retain(|id, ended| {
            let stays = accounts.tokens.get(id).is_some_and(|token| !token.is_over(now));
            if !stays {
                ended.cancel();
            }
            stays
        });
    }

    /// Ends what runs with a token that is gone, or whose maker is not what they were.
    pub(super) fn end_changed_tokens(&mut self, before: &Accounts) {
        let nothing = Accounts::default();
        let now = match &self.stored {
            Stored::Accounts(accounts) => accounts,
            Stored::Damaged(_) => &nothing,
        };
        self.shown_tokens.retain(|id, ended| {
            let maker = |accounts: &Accounts| {
                let maker = accounts.tokens.get(id)?.maker.as_ref()?;
                let account = accounts.people.get(maker)?;
                Some((account.role, account.streams.clone(), account.past))
            };
            let stays = now.tokens.contains_key(id) && maker(now) == maker(before);
            if !stays {
                ended.cancel();
            }
            stays
        });
    }
}
