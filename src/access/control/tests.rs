use std::sync::Arc;

use super::*;
use crate::access::Right;
use crate::access::token::NewToken;
use crate::base::limits::{CLAIM_LOCK_TIME, CLAIM_WRONG_MAX};
use crate::base::time::SystemClock;

const PASSWORD: &str = "correct horse battery";

fn open(dir: &Path) -> AccessControl {
    AccessControl::open(dir, Arc::new(SystemClock)).unwrap()
}

fn claim(access: &AccessControl, name: &str) -> Result<(), AccessError> {
    let code = access.store.claim_code().unwrap().shown();
    access.claim(&code, name, &Secret::new(PASSWORD))
}

fn add(access: &AccessControl, name: &str, role: Role) -> Result<Account, AccessError> {
    let (streams, password) = (StreamAccess::All, Secret::new(PASSWORD));
    access.add(&NewAccount { name: name.to_owned(), role, streams, past: false, password })
}

fn sign_in(access: &AccessControl, name: &str) -> Identity {
    let key = access.sign_in(name, &Secret::new(PASSWORD), false).unwrap();
    access.by_session(key.reveal(), false).unwrap()
}

#[test]
fn of_two_claims_one_comes_late_and_the_account_is_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let access = open(dir.path());
    assert_eq!(access.claim_status(), ClaimStatus::Unclaimed);
    let told: Vec<_> = std::thread::scope(|scope| {
        let both = ["anna", "bert"].map(|name| scope.spawn(|| claim(&access, name)));
        both.into_iter().map(|claim| claim.join().unwrap()).collect()
    });
    assert_eq!(told.iter().filter(|told| told.is_ok()).count(), 1, "{told:?}");
    let late = told.iter().find_map(|told| told.as_ref().err()).unwrap();
    assert!(matches!(late, AccessError::Claim(ClaimError::Claimed)), "{late}");
    assert_eq!(open(dir.path()).claim_status(), ClaimStatus::Claimed);
    assert_eq!(access.accounts().len(), 1);
}

#[test]
fn wrong_codes_lock_the_claim_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let access = open(dir.path());
    for _ in 0..CLAIM_WRONG_MAX {
        let told = access.claim("AAAA-AAAA", "anna", &Secret::new(PASSWORD));
        assert!(matches!(told, Err(AccessError::Claim(ClaimError::WrongCode))), "{told:?}");
    }
    for access in [access, open(dir.path())] {
        let ClaimStatus::Locked(wait) = access.claim_status() else { panic!("it is not locked") };
        assert!(wait > CLAIM_LOCK_TIME / 2 && wait <= CLAIM_LOCK_TIME, "{wait:?}");
        assert!(matches!(
            claim(&access, "anna"),
            Err(AccessError::Claim(ClaimError::Locked { .. }))
        ));
    }
}

#[test]
fn a_damaged_file_lets_nobody_in_and_nobody_claim() {
    let dir = tempfile::tempdir().unwrap();
    let access = open(dir.path());
    claim(&access, "anna").unwrap();
    let anna = sign_in(&access, "anna");
    let path = dir.path().join("accounts.json");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    access.sweep();
    assert_eq!(access.claim_status(), ClaimStatus::Damaged);
    assert!(anna.ended.is_cancelled());
    assert!(claim(&access, "bert").is_err() && add(&access, "bert", Role::Admin).is_err());
    assert!(access.sign_in("anna", &Secret::new(PASSWORD), false).is_err());
    assert_eq!(open(dir.path()).claim_status(), ClaimStatus::Damaged);
    std::fs::write(&path, whole).unwrap();
    access.sweep();
    sign_in(&access, "anna");
}

#[test]
fn who_loses_a_right_loses_the_sessions_and_others_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let access = open(dir.path());
    claim(&access, "anna").unwrap();
    add(&access, "bert", Role::Viewer).unwrap();
    let (anna, bert) = (sign_in(&access, "anna"), sign_in(&access, "bert"));
    assert!(bert.may(Right::Live, "gate") && !bert.may(Right::Past, "gate"));
    let role = Some(Role::Operator);
    access.alter("bert", &AccountChange { role, ..AccountChange::default() }).unwrap();
    assert!(bert.ended.is_cancelled() && !anna.ended.is_cancelled());
    let [one, other] = [(); 2].map(|()| sign_in(&access, "bert"));
    assert_eq!(one.role, Role::Operator);
    let Proof::Session(own) = one.proof else { panic!("{one:?}") };
    let (old, new) = (Secret::new(PASSWORD), Secret::new("another horse battery"));
    assert!(access.change_password("bert", (&new, &new), Some(own)).is_err());
    access.change_password("bert", (&old, &new), Some(own)).unwrap();
    assert!(!one.ended.is_cancelled() && other.ended.is_cancelled());
    access.remove("bert").unwrap();
    assert!(one.ended.is_cancelled());
    assert!(matches!(access.remove("bert"), Err(AccessError::Unknown)));
}

#[test]
fn the_last_administrator_stays_one() {
    let dir = tempfile::tempdir().unwrap();
    let access = open(dir.path());
    claim(&access, "anna").unwrap();
    let viewer = AccountChange { role: Some(Role::Viewer), ..AccountChange::default() };
    assert!(matches!(access.remove("anna"), Err(AccessError::LastAdmin)));
    assert!(matches!(access.alter("anna", &viewer), Err(AccessError::LastAdmin)));
    add(&access, "bert", Role::Admin).unwrap();
    access.alter("anna", &viewer).unwrap();
    assert!(matches!(add(&access, "bert", Role::Admin), Err(AccessError::Exists)));
}

#[test]
fn what_another_process_changes_counts_here_too() {
    let dir = tempfile::tempdir().unwrap();
    let access = open(dir.path());
    let other = AccessControl::beside(dir.path(), Arc::new(SystemClock)).unwrap();
    assert!(access.local.is(Store::local_key(dir.path()).unwrap().reveal()));
    claim(&access, "anna").unwrap();
    add(&other, "bert", Role::Admin).unwrap();
    access.sweep();
    let bert = sign_in(&access, "bert");
    other.sweep();
    other.remove("bert").unwrap();
    access.sweep();
    assert!(bert.ended.is_cancelled());
    other.store.reset().unwrap();
    access.sweep();
    assert_eq!(access.claim_status(), ClaimStatus::Unclaimed);
}

#[test]
fn a_token_ends_with_itself_and_with_its_maker() {
    use crate::access::TokenScope;
    let dir = tempfile::tempdir().unwrap();
    let access = open(dir.path());
    let new = |scope| NewToken {
        label: "ci".to_owned(),
        role: Role::Viewer,
        streams: StreamAccess::All,
        past: true,
        scope,
        expires: None,
    };
    assert!(matches!(access.add_token(&new(TokenScope::Api), None), Err(AccessError::Unclaimed)));
    claim(&access, "anna").unwrap();
    add(&access, "bert", Role::Admin).unwrap();
    let (_, text) = access.add_token(&new(TokenScope::Api), Some("bert")).unwrap();
    let (own, other) = access.add_token(&new(TokenScope::Metrics), None).unwrap();
    let shown = access.by_token(text.reveal()).unwrap();
    assert!(shown.proof == Proof::Token && shown.may(Right::Past, "gate"));
    assert_eq!(access.by_token(other.reveal()).unwrap().proof, Proof::MetricsToken);
    assert!(open(dir.path()).by_token(text.reveal()).is_some(), "it outlives a restart");
    access.remove("bert").unwrap();
    assert!(shown.ended.is_cancelled() && access.by_token(text.reveal()).is_none());
    let shown = access.by_token(other.reveal()).unwrap();
    access.remove_token(&own.id).unwrap();
    assert!(shown.ended.is_cancelled() && access.by_token(other.reveal()).is_none());
    assert!(matches!(access.remove_token(&own.id), Err(AccessError::TokenUnknown)));
}

#[test]
fn a_directory_that_cannot_be_used_lets_nobody_in_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let in_the_way = dir.path().join("data");
    std::fs::write(&in_the_way, "a file").unwrap();
    let access = open(&in_the_way.join("state"));
    assert_eq!(access.claim_status(), ClaimStatus::Damaged);
    access.sweep();
    assert_eq!(access.claim_status(), ClaimStatus::Damaged);
    std::fs::remove_file(&in_the_way).unwrap();
    access.sweep();
    assert_eq!(access.claim_status(), ClaimStatus::Unclaimed);
    assert!(Store::local_key(&in_the_way.join("state")).is_some());
    claim(&access, "anna").unwrap();
}
