use super::world::*;
use crate::{ballots::MAX_VALIDATORS, error::Error, events::*, SwapManager};

type Setter = fn(&mut SwapManager) -> Result<(), Error>;

#[ink::test]
fn settings_are_for_the_owner() {
    let mut world = World::new();
    let setters: [Setter; 15] = [
        |c| c.transfer_ownership(stranger()),
        |c| c.add_validator(stranger()),
        |c| c.remove_validator(validator(0)),
        |c| c.set_fulfillment_timeout(50),
        |c| c.set_min_collateral(1),
        |c| c.set_max_collateral(1),
        |c| c.set_consensus_threshold(50),
        |c| c.set_min_swap_amount(100),
        |c| c.set_max_swap_amount(100),
        |c| c.set_recycle_address(stranger()),
        |c| c.set_reservation_ttl(1),
        |c| c.set_fee_divisor(50),
        |c| c.set_halted(true),
        |c| c.set_max_active_swaps(2),
        |c| c.recycle_fees(),
    ];
    for set in setters {
        assert_eq!(set(world.by(stranger())), Err(Error::NotOwner));
        assert_eq!(set(world.by(validator(0))), Err(Error::NotOwner));
    }
}

#[ink::test]
fn settings_take_effect_and_are_announced() {
    let mut world = World::bare();
    let c = world.by(owner());
    c.set_fulfillment_timeout(50).unwrap();
    c.set_min_collateral(51).unwrap();
    c.set_max_collateral(52).unwrap();
    c.set_consensus_threshold(53).unwrap();
    c.set_min_swap_amount(154).unwrap();
    c.set_max_swap_amount(155).unwrap();
    c.set_recycle_address(stranger()).unwrap();
    c.set_reservation_ttl(56).unwrap();
    c.set_fee_divisor(57).unwrap();
    c.set_halted(true).unwrap();
    c.set_max_active_swaps(58).unwrap();
    assert_eq!(c.get_fulfillment_timeout(), 50);
    assert_eq!((c.get_min_collateral(), c.get_max_collateral()), (51, 52));
    assert_eq!(c.get_consensus_threshold(), 53);
    assert_eq!(
        (c.get_min_swap_amount(), c.get_max_swap_amount()),
        (154, 155)
    );
    assert_eq!(c.get_recycle_address(), stranger());
    assert_eq!((c.get_reservation_ttl(), c.get_fee_divisor()), (56, 57));
    assert!(c.get_halted());
    assert_eq!(c.get_max_active_swaps(), 58);
    let announced: Vec<_> = events::<ConfigUpdated>()
        .into_iter()
        .map(|e| (e.key, e.value))
        .collect();
    assert_eq!(announced.len(), 10);
    assert_eq!(announced[0], ("fulfillment_timeout_blocks".into(), 50));
    assert_eq!(announced[8], ("halted".into(), 1));
    assert_eq!(announced[9], ("max_active_swaps".into(), 58));
}

#[ink::test]
fn settings_have_bounds() {
    let mut world = World::bare();
    let refused: [Setter; 7] = [
        |c| c.set_fulfillment_timeout(9),
        |c| c.set_consensus_threshold(0),
        |c| c.set_consensus_threshold(101),
        |c| c.set_min_swap_amount(99),
        |c| c.set_fee_divisor(19),
        |c| c.set_max_active_swaps(0),
        |c| c.set_max_active_swaps(65),
    ];
    for set in refused {
        assert_eq!(set(world.by(owner())), Err(Error::InvalidAmount));
    }
    let accepted: [Setter; 6] = [
        |c| c.set_fulfillment_timeout(10),
        |c| c.set_consensus_threshold(100),
        |c| c.set_min_swap_amount(0),
        |c| c.set_fee_divisor(20),
        |c| c.set_max_active_swaps(1),
        |c| c.set_max_active_swaps(64),
    ];
    for set in accepted {
        assert_eq!(set(world.by(owner())), Ok(()));
    }
}

#[ink::test]
#[should_panic(expected = "the threshold is a percentage")]
fn a_contract_cannot_start_with_an_impossible_quorum() {
    let none = account(0);
    let _ = SwapManager::new(none, 30, 10, 0, 0, 0, 0, 101);
}

#[ink::test]
fn ownership_passes_on() {
    let mut world = World::bare();
    world.by(owner()).transfer_ownership(stranger()).unwrap();
    assert_eq!(world.contract.get_owner(), stranger());
    assert_eq!(world.by(owner()).set_halted(true), Err(Error::NotOwner));
    assert_eq!(world.by(stranger()).set_halted(true), Ok(()));
    assert_eq!(events::<OwnershipTransferred>()[0].previous_owner, owner());
}

#[ink::test]
fn validators_come_and_go() {
    let mut world = World::new();
    assert_eq!(world.contract.get_required_votes_count(), 2);
    // A second time changes nothing.
    world.by(owner()).add_validator(validator(0)).unwrap();
    assert_eq!(world.contract.get_validator_count(), 3);
    world.by(owner()).remove_validator(validator(0)).unwrap();
    world.by(owner()).remove_validator(validator(0)).unwrap();
    assert_eq!(world.contract.get_validator_count(), 2);
    assert!(!world.contract.is_validator(validator(0)));
    assert!(world.contract.is_validator(validator(1)));
    assert_eq!(
        world.by(validator(0)).vote_activate(account(11)),
        Err(Error::NotValidator)
    );
}

#[ink::test]
fn there_is_a_limit_to_validators() {
    let mut world = World::bare();
    for n in 0..MAX_VALIDATORS {
        let n = u8::try_from(n).unwrap();
        world.by(owner()).add_validator(account(n)).unwrap();
    }
    assert_eq!(
        world.by(owner()).add_validator(account(255)),
        Err(Error::TooManyValidators)
    );
}

#[ink::test]
fn fees_are_passed_on() {
    let mut world = World::new();
    assert_eq!(world.by(owner()).recycle_fees(), Err(Error::ZeroAmount));
    let id = world.fulfilled_swap();
    world.quorum(|c| c.confirm_swap(id));
    let before = balance(recycler());
    world.by(owner()).recycle_fees().unwrap();
    assert_eq!(balance(recycler()), before + 30);
    assert_eq!(world.contract.get_accumulated_fees(), 0);
    assert_eq!(world.contract.get_total_recycled_fees(), 30);
    assert_eq!(events::<FeesRecycled>()[0].tao_amount, 30);
}
