use super::world::*;
use crate::{error::Error, events::*, SwapOutcome, SwapStatus, VoteType};

#[ink::test]
fn a_quorum_completes_a_fulfilled_swap() {
    let mut world = World::new();
    let id = world.swap(&Terms::default());
    assert_eq!(
        world.by(stranger()).confirm_swap(id),
        Err(Error::NotValidator)
    );
    assert_eq!(
        world.by(validator(0)).confirm_swap(99),
        Err(Error::SwapNotFound)
    );
    assert_eq!(
        world.by(validator(0)).confirm_swap(id),
        Err(Error::InvalidStatus)
    );
    world.mark(id).unwrap();
    world.by(validator(0)).confirm_swap(id).unwrap();
    assert_eq!(
        world.by(validator(0)).confirm_swap(id),
        Err(Error::AlreadyVoted)
    );
    world.pass(3);
    world.by(validator(1)).confirm_swap(id).unwrap();

    let fee = 3_000 / 100;
    assert_eq!(world.contract.get_swap(id), None);
    assert_eq!(world.contract.get_collateral(miner()), COLLATERAL - fee);
    assert_eq!(world.contract.get_accumulated_fees(), fee);
    assert!(!world.contract.get_miner_has_active_swap(miner()));
    assert_eq!(
        world.contract.get_miner_last_resolved_block(miner()),
        START + 3
    );
    assert_eq!(events::<SwapCompleted>()[0].fee_amount, fee);
    let votes: Vec<_> = events::<VoteCast>()
        .iter()
        .map(|e| (e.vote_type, e.vote_count))
        .collect();
    assert_eq!(votes, [(VoteType::Confirm, 1), (VoteType::Confirm, 2)]);
    assert_eq!(
        world.by(validator(2)).confirm_swap(id),
        Err(Error::SwapNotFound)
    );
}

#[ink::test]
fn how_a_swap_ended_is_remembered() {
    let mut world = World::new();
    let id = world.fulfilled_swap();
    assert_eq!(world.contract.get_swap_outcome(id), None);
    world.pass(1);
    world.quorum(|c| c.confirm_swap(id));
    assert_eq!(
        world.contract.get_swap_outcome(id),
        Some(SwapOutcome {
            status: SwapStatus::Completed,
            ended_block: START + 1,
            dest_tx_hash: "0xpayout".into(),
            slash_amount: 0,
            fee_amount: 30,
        })
    );
}

#[ink::test]
fn an_active_swap_times_out_at_its_block_and_not_before() {
    let mut world = World::new();
    let id = world.swap(&Terms::default());
    world.pass(FULFILLMENT_TIMEOUT - 1);
    assert_eq!(
        world.by(validator(0)).timeout_swap(id),
        Err(Error::NotTimedOut)
    );
    world.pass(1);
    let before = balance(user());
    world.quorum(|c| c.timeout_swap(id));

    assert_eq!(balance(user()), before + 3_000);
    assert_eq!(world.contract.get_swap(id), None);
    assert_eq!(world.contract.get_collateral(miner()), COLLATERAL - 3_000);
    assert!(world.contract.get_miner_active(miner()));
    assert_eq!(events::<SwapTimedOut>()[0].slash_amount, 3_000);
    assert_eq!(events::<CollateralSlashed>()[0].recipient, user());
    assert_eq!(
        world.contract.get_swap_outcome(id),
        Some(SwapOutcome {
            status: SwapStatus::TimedOut,
            ended_block: START + FULFILLMENT_TIMEOUT,
            dest_tx_hash: String::new(),
            slash_amount: 3_000,
            fee_amount: 0,
        })
    );
}

#[ink::test]
fn a_fulfilled_swap_times_out_too() {
    let mut world = World::new();
    let id = world.fulfilled_swap();
    world.pass(FULFILLMENT_TIMEOUT);
    world.quorum(|c| c.timeout_swap(id));
    let outcome = world.contract.get_swap_outcome(id).unwrap();
    assert_eq!(outcome.status, SwapStatus::TimedOut);
    assert_eq!(outcome.dest_tx_hash, "0xpayout");
    assert_eq!(outcome.slash_amount, 3_000);
}

#[ink::test]
fn a_timeout_vote_is_refused_for_each_reason() {
    let mut world = World::new();
    let id = world.swap(&Terms::default());
    world.pass(FULFILLMENT_TIMEOUT);
    assert_eq!(
        world.by(stranger()).timeout_swap(id),
        Err(Error::NotValidator)
    );
    assert_eq!(
        world.by(validator(0)).timeout_swap(99),
        Err(Error::SwapNotFound)
    );
    world.by(validator(0)).timeout_swap(id).unwrap();
    assert_eq!(
        world.by(validator(0)).timeout_swap(id),
        Err(Error::AlreadyVoted)
    );
}

#[ink::test]
fn a_slash_that_leaves_too_little_ends_the_service() {
    let mut world = World::new();
    let id = world.swap(&Terms {
        tao_amount: COLLATERAL - MIN_COLLATERAL + 1,
        ..Terms::default()
    });
    world.pass(FULFILLMENT_TIMEOUT);
    world.quorum(|c| c.timeout_swap(id));
    assert_eq!(world.contract.get_collateral(miner()), MIN_COLLATERAL - 1);
    assert!(!world.contract.get_miner_active(miner()));
    assert_eq!(
        world.contract.get_miner_deactivation_block(miner()),
        world.block
    );
    assert!(!events::<MinerActivated>().last().unwrap().active);
}

/// Only ended swaps cost fees, so what the open ones commit is always there to be slashed.
#[ink::test]
fn the_fee_of_one_swap_is_not_taken_from_the_cover_of_another() {
    let mut world = World::new();
    world.by(owner()).set_max_active_swaps(2).unwrap();
    let half = |n: u8| Terms {
        tao_amount: COLLATERAL / 2,
        source_tx_hash: format!("{n:02x}").repeat(32),
        ..Terms::default()
    };
    let (first, second) = (world.swap(&half(1)), world.swap(&half(2)));
    world.mark(first).unwrap();
    world.quorum(|c| c.confirm_swap(first));
    world.pass(FULFILLMENT_TIMEOUT);
    world.quorum(|c| c.timeout_swap(second));
    let slashed = events::<SwapTimedOut>()[0].slash_amount;
    assert_eq!(slashed, COLLATERAL / 2);
    assert_eq!(
        world.contract.get_collateral(miner()),
        COLLATERAL / 2 - COLLATERAL / 200
    );
}

#[ink::test]
fn a_slash_that_cannot_be_paid_waits_for_its_user() {
    let mut world = World::without_funds();
    let id = world.swap(&Terms::default());
    world.pass(FULFILLMENT_TIMEOUT);
    world.quorum(|c| c.timeout_swap(id));
    assert_eq!(world.contract.get_pending_slash(id), 3_000);
    assert_eq!(events::<SlashPending>()[0].amount, 3_000);
    assert!(events::<CollateralSlashed>().is_empty());

    assert_eq!(world.by(user()).claim_slash(99), Err(Error::NoPendingSlash));
    assert_eq!(
        world.by(stranger()).claim_slash(id),
        Err(Error::InvalidStatus)
    );
    world.fund();
    let before = balance(user());
    world.by(user()).claim_slash(id).unwrap();
    assert_eq!(balance(user()), before + 3_000);
    assert_eq!(world.contract.get_pending_slash(id), 0);
    assert_eq!(events::<SlashClaimed>().len(), 1);
    assert_eq!(world.by(user()).claim_slash(id), Err(Error::NoPendingSlash));
}

#[ink::test]
fn a_quorum_gives_a_fulfilled_swap_more_time_again_and_again() {
    let mut world = World::new();
    let id = world.swap(&Terms::default());
    let extend = |w: &mut World, n| w.by(validator(n)).vote_extend_timeout(id);
    assert_eq!(extend(&mut world, 0), Err(Error::InvalidStatus));
    world.mark(id).unwrap();
    for _ in 0..2 {
        world.pass(7);
        extend(&mut world, 0).unwrap();
        assert_eq!(extend(&mut world, 0), Err(Error::AlreadyVoted));
        extend(&mut world, 1).unwrap();
        assert_eq!(
            world.contract.get_swap(id).unwrap().timeout_block,
            world.block + FULFILLMENT_TIMEOUT
        );
    }
    assert_eq!(events::<SwapTimeoutExtended>().len(), 2);
    assert_eq!(
        world.by(stranger()).vote_extend_timeout(id),
        Err(Error::NotValidator)
    );
    assert_eq!(
        world.by(validator(0)).vote_extend_timeout(99),
        Err(Error::SwapNotFound)
    );
}

#[ink::test]
fn timeout_votes_for_an_old_deadline_do_not_count_for_the_new_one() {
    let mut world = World::new();
    let id = world.fulfilled_swap();
    world.pass(FULFILLMENT_TIMEOUT);
    world.by(validator(0)).timeout_swap(id).unwrap();
    world.quorum(|c| c.vote_extend_timeout(id));
    world.pass(FULFILLMENT_TIMEOUT);
    world.by(validator(1)).timeout_swap(id).unwrap();
    assert!(world.contract.get_swap(id).is_some());
    world.by(validator(0)).timeout_swap(id).unwrap();
    assert!(world.contract.get_swap(id).is_none());
}

#[ink::test]
fn the_votes_of_a_removed_validator_do_not_count() {
    let mut world = World::new();
    let id = world.fulfilled_swap();
    world.by(validator(0)).confirm_swap(id).unwrap();
    world.by(owner()).remove_validator(validator(0)).unwrap();
    // Two remain, and both are needed.
    world.by(validator(1)).confirm_swap(id).unwrap();
    assert!(world.contract.get_swap(id).is_some());
    world.by(validator(2)).confirm_swap(id).unwrap();
    assert!(world.contract.get_swap(id).is_none());
}
