//! The stream accounts as configured, each within the rights of the person whose it is.
//!
//! Owns: what of an account is left by its owner's rights, and when each account was used last. Whoever
//! changes the configuration or the people tells it; the authorizer goes by the result.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use super::SessionRegistry;
use crate::access::{Account as Person, Role, StreamAccess};
use crate::base::name::StreamName;
use crate::base::name_pattern::NamePattern;
use crate::base::sync::lock;
use crate::base::time::WallTime;
use crate::wire::rtsp::auth::{Access, Account, Accounts, Rules, Scope};

/// The sub-stream of each stream that has one: who may see a stream may see it too.
pub type SubStreams = BTreeMap<StreamName, StreamName>;

/// What the configuration says of the stream accounts.
#[derive(Debug, Default)]
pub(super) struct Configured {
    written: Mutex<Option<(Rules, SubStreams)>>,
    last_used: Mutex<HashMap<String, WallTime>>,
}

impl SessionRegistry {
    /// Goes by `rules` from now on, as far as `people` may what their accounts may.
    pub fn configure(&self, rules: Rules, subs: SubStreams, people: &[Person]) {
        *lock(&self.0.configured.written) = Some((rules, subs));
        self.limit_to(people);
    }

    /// Whether there are accounts that belong to people.
    #[must_use]
    pub fn has_owners(&self) -> bool {
        self.with_accounts(|accounts| accounts.values().any(|account| account.owner.is_some()))
    }

    /// The names of the accounts that belong to `person`.
    #[must_use]
    pub fn owned_by(&self, person: &str) -> Vec<String> {
        self.with_accounts(|accounts| {
            let own = accounts.iter().filter(|(_, own)| own.owner.as_deref() == Some(person));
            own.map(|(name, _)| name.clone()).collect()
        })
    }

    /// `people` are all there are now: their accounts may no more than they do, and what exceeds that ends.
    pub fn limit_to(&self, people: &[Person]) {
        let limited = match &*lock(&self.0.configured.written) {
            Some((rules, subs)) => within(rules, subs, people),
            None => return,
        };
        let renewed = self.0.authorizer.change(limited);
        self.end_unauthorized(&renewed);
    }

    /// The account `name` signed in at `now`.
    pub fn note_use(&self, name: &str, now: WallTime) {
        let known = self.with_accounts(|accounts| accounts.contains_key(name));
        let mut used = lock(&self.0.configured.last_used);
        if known {
            used.insert(name.to_owned(), now);
        } else {
            used.remove(name);
        }
    }

    /// When the account `name` signed in last, since the daemon began.
    #[must_use]
    pub fn last_used(&self, name: &str) -> Option<WallTime> {
        lock(&self.0.configured.last_used).get(name).copied()
    }

    fn with_accounts<T: Default>(&self, look: impl FnOnce(&Accounts) -> T) -> T {
        match &*lock(&self.0.configured.written) {
            Some((Rules { access: Access::Accounts(accounts), .. }, _)) => look(accounts),
            _ => T::default(),
        }
    }
}

/// `rules` with each account in the bounds of its owner; one whose owner is gone is gone.
fn within(rules: &Rules, subs: &SubStreams, people: &[Person]) -> Rules {
    let Access::Accounts(accounts) = &rules.access else { return rules.clone() };
    let left = accounts.iter().filter_map(|(name, account)| {
        let Some(owner) = &account.owner else { return Some((name.clone(), account.clone())) };
        let owner = people.iter().find(|person| person.name == *owner)?;
        Some((name.clone(), bounded(account, owner, subs)))
    });
    // None may be left, and that lets no one in.
    Rules { access: Access::Accounts(left.collect()), ..rules.clone() }
}

/// What of `account` its owner may.
fn bounded(account: &Account, owner: &Person, subs: &SubStreams) -> Account {
    let mut own = account.clone();
    if owner.role == Role::Admin {
        return own;
    }
    own.past &= owner.past;
    // To send is no right of people but administrators'.
    own.publish = Scope::none();
    if let StreamAccess::Only(names) = &owner.streams {
        let seen = names.iter().chain(names.iter().filter_map(|name| subs.get(name)));
        let both = seen.filter(|name| account.read.covers(name.as_str()));
        own.read = Scope::Only(both.cloned().map(NamePattern::from).collect());
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;
    use crate::wire::rtsp::auth::Right;

    fn stream(name: &str) -> StreamName {
        StreamName::parse(name).unwrap()
    }

    fn anna(role: Role, past: bool) -> Person {
        let streams = StreamAccess::Only([stream("gate"), stream("yard")].into());
        Person::test("anna", role, streams, past)
    }

    /// A registry with an account that reads gate and what begins with c, and sends gate.
    fn registry(owner: Option<&str>, people: &[Person]) -> SessionRegistry {
        let registry = SessionRegistry::default();
        let patterns = ["gate", "gate-sub", "c*"].map(|text| NamePattern::parse(text).unwrap());
        let gate = Scope::Only([NamePattern::parse("gate").unwrap()].into());
        let account = Account {
            owner: owner.map(str::to_owned),
            ..Account::new(Secret::new("0"), Scope::Only(patterns.into()), gate)
        };
        let rules = Rules::new([("nvr".to_owned(), account)].into(), false);
        let subs = SubStreams::from([(stream("gate"), stream("gate-sub"))]);
        registry.configure(rules, subs, people);
        registry
    }

    fn may(registry: &SessionRegistry, right: Right, stream: &str) -> bool {
        registry.authorizer().still_lets(Some("nvr"), right, stream)
    }

    #[test]
    fn an_account_may_what_its_owner_may_and_no_more() {
        let of_box = registry(None, &[]);
        assert!(may(&of_box, Right::Read, "cam") && may(&of_box, Right::Publish, "gate"));
        let own = registry(Some("anna"), &[anna(Role::Viewer, false)]);
        assert!(may(&own, Right::Read, "gate") && may(&own, Right::Read, "gate-sub"));
        assert!(!may(&own, Right::Read, "cam"), "hers, but not anna's");
        assert!(!may(&own, Right::Read, "yard"), "anna's, but not its own");
        assert!(!may(&own, Right::Publish, "gate") && !own.authorizer().allows_past(Some("nvr")));
        own.limit_to(&[anna(Role::Admin, false)]);
        assert!(may(&own, Right::Read, "cam") && may(&own, Right::Publish, "gate"));
        assert!(own.authorizer().allows_past(Some("nvr")));
    }

    #[test]
    fn an_account_ends_with_its_owner_and_the_box_stays_shut() {
        let own = registry(Some("anna"), &[anna(Role::Admin, true)]);
        assert!(may(&own, Right::Read, "gate") && own.owned_by("anna") == ["nvr"]);
        own.limit_to(&[]);
        assert!(!may(&own, Right::Read, "gate"));
        let loopback = std::net::Ipv4Addr::LOCALHOST.into();
        assert!(own.authorizer().needs_account(loopback), "none is left, and none is needed");
        assert!(own.has_owners() && !registry(None, &[]).has_owners());
    }

    #[test]
    fn the_last_use_is_known_of_accounts_alone() {
        let own = registry(None, &[]);
        let now = WallTime::from_unix_nanos(5);
        own.note_use("nvr", now);
        own.note_use("guess", now);
        assert_eq!((own.last_used("nvr"), own.last_used("guess")), (Some(now), None));
    }
}
