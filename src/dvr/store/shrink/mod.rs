//! Making a ring smaller: what that would delete, shown before a person agrees.
//!
//! Owns: the plan of a shrink and the words for it. A size in the configuration alone deletes
//! nothing: a person must agree to exactly the laps that were listed. Those reused for newer
//! footage meanwhile stay; a lap that is protected by now makes the plan void.

mod apply;
pub(crate) mod offline;

pub use self::offline::shrink;
use crate::dvr::catalogue::shrink_plan::Proposal;
use crate::dvr::catalogue::shrink_plan::ShrinkPlan;

use crate::base::limits::SHRINK_PLANS_MAX;
use crate::base::name::StreamName;
use crate::dvr::store::state::DvrState;

const HOW_TO_AGREE: &str = "Nothing is deleted until you agree: POST the token from \
    /api/v1/storage to /api/v1/storage/shrink, or stop the program and use \
    `holdfast ring shrink`. A larger [ring] size keeps everything.";
const NOT_KNOWN: &str = "The ring is larger than configured. Once the ring has been read after this \
    start, this will say what a smaller one deletes.";

/// What the open ring needs agreement to, if it is larger than it should be.
pub(crate) fn propose(shared: &DvrState) -> Option<Proposal> {
    let keeps = shared.keeps();
    let keep_of = |name: &StreamName| keeps.get(name).copied().unwrap_or_default();
    let extent = shared.geometry().extent;
    let (facts, table) = (shared.facts(), shared.table());
    let plan = ShrinkPlan::of(&table, extent, keep_of)?;
    let mut proposal = plan.proposal(&table, &facts.clock, None);
    if plan.laps(&table).any(|held| !held.known) {
        NOT_KNOWN.clone_into(&mut proposal.message);
        return Some(proposal);
    }
    if plan.slots_after() == extent.slots {
        return Some(proposal);
    }
    proposal.message = format!("{} {HOW_TO_AGREE}", proposal.message);
    proposal.token = Some(format!("{:016x}", tell(shared, plan)));
    Some(proposal)
}

/// Remembers a plan that may be agreed to; the same plan keeps its token.
fn tell(shared: &DvrState, plan: ShrinkPlan) -> u64 {
    let mut told = shared.plans();
    if let Some((token, _)) = told.iter().find(|(_, known)| *known == plan) {
        return *token;
    }
    while told.len() >= SHRINK_PLANS_MAX {
        told.pop_front();
    }
    let token = fastrand::u64(1..);
    told.push_back((token, plan));
    token
}
