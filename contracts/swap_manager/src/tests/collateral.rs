use super::world::*;
use crate::{error::Error, events::*};

#[ink::test]
fn collateral_adds_up() {
    let mut world = World::bare();
    world.post(miner(), 600).unwrap();
    world.post(miner(), 400).unwrap();
    assert_eq!(world.contract.get_collateral(miner()), 1_000);
    let totals: Vec<_> = events::<CollateralPosted>()
        .iter()
        .map(|e| (e.amount, e.total))
        .collect();
    assert_eq!(totals, [(600, 600), (400, 1_000)]);
}

#[ink::test]
fn a_deposit_must_be_something_and_not_too_much() {
    let mut world = World::bare();
    assert_eq!(world.post(miner(), 0), Err(Error::ZeroAmount));
    assert_eq!(world.post(miner(), MAX_COLLATERAL), Ok(()));
    assert_eq!(world.post(miner(), 1), Err(Error::ExceedsMaxCollateral));
    world.by(owner()).set_max_collateral(0).unwrap();
    assert_eq!(world.post(miner(), 1), Ok(()));
}

#[ink::test]
fn nothing_is_posted_to_a_halted_contract() {
    let mut world = World::bare();
    world.by(owner()).set_halted(true).unwrap();
    assert_eq!(world.post(miner(), 1), Err(Error::SystemHalted));
}

#[ink::test]
fn a_withdrawal_waits_for_twice_the_timeout() {
    let mut world = World::new();
    assert_eq!(
        world.by(miner()).withdraw_collateral(0),
        Err(Error::ZeroAmount)
    );
    assert_eq!(
        world.by(miner()).withdraw_collateral(1),
        Err(Error::MinerStillActive)
    );
    world.by(miner()).deactivate(miner()).unwrap();
    world.pass(2 * FULFILLMENT_TIMEOUT - 1);
    assert_eq!(
        world.by(miner()).withdraw_collateral(1),
        Err(Error::WithdrawalCooldown)
    );
    world.pass(1);
    assert_eq!(
        world.by(miner()).withdraw_collateral(COLLATERAL + 1),
        Err(Error::InsufficientCollateral)
    );
    let before = balance(miner());
    world.by(miner()).withdraw_collateral(4_000).unwrap();
    assert_eq!(balance(miner()), before + 4_000);
    assert_eq!(world.contract.get_collateral(miner()), COLLATERAL - 4_000);
    assert_eq!(
        events::<CollateralWithdrawn>()[0].remaining,
        COLLATERAL - 4_000
    );
}

#[ink::test]
fn a_reserved_or_busy_miner_cannot_withdraw() {
    let mut world = World::new();
    world.by(owner()).set_reservation_ttl(1_000).unwrap();
    world.reserve(&Terms::default());
    world.by(miner()).deactivate(miner()).unwrap();
    world.pass(2 * FULFILLMENT_TIMEOUT);
    assert_eq!(
        world.by(miner()).withdraw_collateral(1),
        Err(Error::MinerReserved)
    );
    world.initiate(&Terms::default());
    assert_eq!(
        world.by(miner()).withdraw_collateral(1),
        Err(Error::MinerHasActiveSwap)
    );
}

#[ink::test]
fn a_withdrawal_that_the_chain_refuses_is_refused() {
    let mut world = World::without_funds();
    world.by(miner()).deactivate(miner()).unwrap();
    world.pass(2 * FULFILLMENT_TIMEOUT);
    assert_eq!(
        world.by(miner()).withdraw_collateral(1),
        Err(Error::TransferFailed)
    );
}

#[ink::test]
fn a_miner_is_activated_by_quorum() {
    let mut world = World::new();
    let other = account(11);
    let by_first = |w: &mut World| w.by(validator(0)).vote_activate(other);
    assert_eq!(by_first(&mut world), Err(Error::InsufficientCollateral));
    world.post(other, MIN_COLLATERAL).unwrap();
    assert_eq!(
        world.by(stranger()).vote_activate(other),
        Err(Error::NotValidator)
    );
    assert_eq!(by_first(&mut world), Ok(()));
    assert_eq!(world.contract.get_activation_vote_count(other), 1);
    assert!(!world.contract.get_miner_active(other));
    assert_eq!(by_first(&mut world), Err(Error::AlreadyVoted));
    world.by(validator(1)).vote_activate(other).unwrap();
    assert!(world.contract.get_miner_active(other));
    assert_eq!(world.contract.get_activation_vote_count(other), 0);
    assert_eq!(by_first(&mut world), Err(Error::InvalidStatus));
}

#[ink::test]
fn a_halted_contract_activates_nobody() {
    let mut world = World::new();
    world.by(owner()).set_halted(true).unwrap();
    assert_eq!(
        world.by(validator(0)).vote_activate(account(11)),
        Err(Error::SystemHalted)
    );
}

#[ink::test]
fn only_the_miner_deactivates_itself_and_may_come_back() {
    let mut world = World::new();
    assert_eq!(
        world.by(stranger()).deactivate(miner()),
        Err(Error::NotAssignedMiner)
    );
    world.by(miner()).deactivate(miner()).unwrap();
    assert!(!world.contract.get_miner_active(miner()));
    assert_eq!(world.contract.get_miner_deactivation_block(miner()), START);
    world.quorum(|c| c.vote_activate(miner()));
    assert!(world.contract.get_miner_active(miner()));
    assert_eq!(world.contract.get_miner_deactivation_block(miner()), 0);
    let states: Vec<_> = events::<MinerActivated>()
        .iter()
        .map(|e| e.active)
        .collect();
    assert_eq!(states, [true, false, true]);
}
