use ink::primitives::Hash;

use super::world::*;
use crate::{error::Error, events::*, SwapStatus};

#[ink::test]
fn a_quorum_reserves_the_miner() {
    let mut world = World::new();
    let terms = Terms::default();
    world.reserve_as(validator(0), &terms).unwrap();
    assert_eq!(world.contract.get_pending_reserve_vote_count(miner()), 1);
    assert_eq!(world.contract.get_reservation_data(miner()), None);
    assert_eq!(
        world.reserve_as(validator(0), &terms),
        Err(Error::AlreadyVoted)
    );
    world.reserve_as(validator(1), &terms).unwrap();
    let until = START + RESERVATION_TTL;
    assert_eq!(world.contract.get_miner_reserved_until(miner()), until);
    assert_eq!(
        world.contract.get_reservation_data(miner()),
        Some(("bc1q-user".into(), 3_000, 1_000, 3_000, until))
    );
    assert_eq!(world.contract.get_pending_reserve_vote_count(miner()), 0);
    assert_eq!(
        world.reserve_as(validator(2), &terms),
        Err(Error::MinerReserved)
    );
    assert_eq!(events::<MinerReserved>()[0].reserved_until, until);
}

#[ink::test]
fn a_reservation_is_refused_for_each_reason() {
    let mut world = World::new();
    let base = Terms::default();
    let refused = |world: &mut World, change: &dyn Fn(&mut Terms)| {
        let mut terms = base.clone();
        change(&mut terms);
        world.reserve_as(validator(0), &terms).unwrap_err()
    };
    assert_eq!(
        world.reserve_as(stranger(), &base),
        Err(Error::NotValidator)
    );
    assert_eq!(
        world.reserve_with(validator(0), &base, Hash::from([7; 32])),
        Err(Error::HashMismatch)
    );
    assert_eq!(
        refused(&mut world, &|t| t.dest_chain = "btc".into()),
        Error::SameChain
    );
    assert_eq!(
        refused(&mut world, &|t| t.source_amount = 0),
        Error::InvalidAmount
    );
    assert_eq!(
        refused(&mut world, &|t| t.user_source_address = "".into()),
        Error::InputEmpty
    );
    assert_eq!(
        refused(&mut world, &|t| t.user_source_address = "x".repeat(129)),
        Error::InputTooLong
    );
    assert_eq!(
        refused(&mut world, &|t| t.tao_amount = MIN_SWAP - 1),
        Error::AmountBelowMinimum
    );
    assert_eq!(
        refused(&mut world, &|t| t.tao_amount = MAX_SWAP + 1),
        Error::AmountAboveMaximum
    );
    assert_eq!(
        refused(&mut world, &|t| t.miner = stranger()),
        Error::MinerNotActive
    );
    world
        .by(owner())
        .set_min_collateral(COLLATERAL + 1)
        .unwrap();
    assert_eq!(refused(&mut world, &|_| ()), Error::InsufficientCollateral);
    world.by(owner()).set_halted(true).unwrap();
    assert_eq!(refused(&mut world, &|_| ()), Error::SystemHalted);
}

#[ink::test]
fn one_request_at_a_time_is_voted_on_and_a_stale_one_gives_way() {
    let mut world = World::new();
    let rival = Terms {
        user_source_address: "bc1q-other".into(),
        ..Terms::default()
    };
    world.reserve_as(validator(0), &Terms::default()).unwrap();
    assert_eq!(
        world.reserve_as(validator(1), &rival),
        Err(Error::PendingConflict)
    );
    world.pass(RESERVATION_TTL);
    assert_eq!(
        world.reserve_as(validator(1), &rival),
        Err(Error::PendingConflict)
    );
    world.pass(1);
    assert_eq!(world.reserve_as(validator(1), &rival), Ok(()));
    assert_eq!(world.contract.get_pending_reserve_vote_count(miner()), 1);
}

#[ink::test]
fn an_expired_reservation_counts_against_its_address_until_a_swap_completes() {
    let mut world = World::new();
    let terms = Terms::default();
    world.reserve(&terms);
    world.pass(RESERVATION_TTL + 1);
    assert_eq!(
        world.initiate_as(validator(0), &terms),
        Err(Error::NoReservation)
    );
    world.reserve(&terms);
    let address = || "bc1q-user".to_string();
    assert_eq!(world.contract.get_cooldown(address()), (1, world.block));
    assert_eq!(events::<ReservationCancelled>().len(), 1);

    let id = world.initiate(&terms);
    world.mark(id).unwrap();
    world.quorum(|c| c.confirm_swap(id));
    assert_eq!(world.contract.get_cooldown(address()), (0, 0));
}

#[ink::test]
fn the_owner_cancels_a_reservation() {
    let mut world = World::new();
    world.reserve(&Terms::default());
    assert_eq!(
        world.by(stranger()).cancel_reservation(miner()),
        Err(Error::NotOwner)
    );
    world.by(owner()).cancel_reservation(miner()).unwrap();
    assert_eq!(world.contract.get_miner_reserved_until(miner()), 0);
    assert_eq!(world.contract.get_reservation_data(miner()), None);
}

#[ink::test]
fn a_quorum_extends_a_reservation_again_and_again() {
    let mut world = World::new();
    let terms = Terms::default();
    assert_eq!(
        world.extend_as(validator(0), &terms),
        Err(Error::NoReservation)
    );
    world.reserve(&terms);
    for _ in 0..2 {
        world.pass(RESERVATION_TTL);
        world.extend_as(validator(0), &terms).unwrap();
        assert_eq!(world.contract.get_extend_vote_count(miner()), 1);
        assert_eq!(
            world.extend_as(validator(0), &terms),
            Err(Error::AlreadyVoted)
        );
        world.extend_as(validator(1), &terms).unwrap();
        assert_eq!(world.contract.get_extend_vote_count(miner()), 0);
        assert_eq!(
            world.contract.get_miner_reserved_until(miner()),
            world.block + RESERVATION_TTL
        );
    }
    assert_eq!(events::<ReservationExtended>().len(), 2);
}

#[ink::test]
fn an_extension_is_refused_for_each_reason() {
    let mut world = World::new();
    let terms = Terms::default();
    world.reserve(&terms);
    assert_eq!(
        world.extend_as(stranger(), &terms),
        Err(Error::NotValidator)
    );
    assert_eq!(
        world
            .by(validator(0))
            .vote_extend_reservation(Hash::default(), miner(), "aa".into()),
        Err(Error::HashMismatch)
    );
    world.extend_as(validator(0), &terms).unwrap();
    let rival = Terms {
        source_tx_hash: "bb".into(),
        ..Terms::default()
    };
    assert_eq!(
        world.extend_as(validator(1), &rival),
        Err(Error::PendingConflict)
    );
    world.initiate(&terms);
    assert_eq!(
        world.extend_as(validator(0), &terms),
        Err(Error::MinerHasActiveSwap)
    );
}

#[ink::test]
fn a_quorum_creates_the_swap() {
    let mut world = World::new();
    let terms = Terms::default();
    world.reserve(&terms);
    assert_eq!(world.contract.get_next_swap_id(), 1);
    world.initiate_as(validator(0), &terms).unwrap();
    assert_eq!(world.contract.get_swap(1), None);
    assert_eq!(
        world.initiate_as(validator(0), &terms),
        Err(Error::AlreadyVoted)
    );
    world.initiate_as(validator(1), &terms).unwrap();

    let swap = world.contract.get_swap(1).unwrap();
    assert_eq!((swap.id, swap.status), (1, SwapStatus::Active));
    assert_eq!((swap.user, swap.miner), (user(), miner()));
    assert_eq!(swap.initiated_block, START);
    assert_eq!(swap.timeout_block, START + FULFILLMENT_TIMEOUT);
    assert_eq!(swap.source_tx_block, 800_000);
    assert_eq!(
        (swap.miner_source_address, swap.miner_dest_address),
        ("bc1q-miner".into(), "5-miner".into())
    );
    assert_eq!(world.contract.get_next_swap_id(), 2);
    assert!(world.contract.get_miner_has_active_swap(miner()));
    assert_eq!(world.contract.get_reservation_data(miner()), None);
    assert_eq!(events::<SwapInitiated>()[0].swap_id, 1);
}

#[ink::test]
fn a_swap_is_refused_for_each_reason() {
    let mut world = World::new();
    let base = Terms::default();
    assert_eq!(
        world.initiate_as(validator(0), &base),
        Err(Error::NoReservation)
    );
    world.reserve(&base);
    let refused = |world: &mut World, change: &dyn Fn(&mut Terms)| {
        let mut terms = base.clone();
        change(&mut terms);
        world.initiate_as(validator(0), &terms).unwrap_err()
    };
    assert_eq!(
        world.initiate_as(stranger(), &base),
        Err(Error::NotValidator)
    );
    assert_eq!(
        world.initiate_with(validator(0), &base, Hash::from([7; 32])),
        Err(Error::HashMismatch)
    );
    assert_eq!(
        refused(&mut world, &|t| t.source_chain = "tao".into()),
        Error::SameChain
    );
    assert_eq!(
        refused(&mut world, &|t| t.tao_amount = 0),
        Error::InvalidAmount
    );
    assert_eq!(
        refused(&mut world, &|t| t.source_tx_hash = "".into()),
        Error::InputEmpty
    );
    assert_eq!(
        refused(&mut world, &|t| t.rate = "1".repeat(129)),
        Error::InputTooLong
    );
}

#[ink::test]
fn the_amounts_are_those_reserved() {
    let mut world = World::new();
    let base = Terms::default();
    world.reserve(&base);
    for change in [
        (|t| t.tao_amount += 1) as fn(&mut Terms),
        |t| t.source_amount += 1,
        |t| t.dest_amount += 1,
    ] {
        let mut terms = base.clone();
        change(&mut terms);
        assert_eq!(
            world.initiate_as(validator(0), &terms),
            Err(Error::InvalidAmount)
        );
    }
}

#[ink::test]
fn what_the_hash_does_not_cover_is_voted_on_too() {
    let mut world = World::new();
    let base = Terms::default();
    let other_user = Terms {
        user: stranger(),
        ..base.clone()
    };
    let other_address = Terms {
        user_dest_address: "5-thief".into(),
        ..base.clone()
    };
    world.reserve(&base);
    world.initiate_as(validator(0), &base).unwrap();
    for terms in [other_user, other_address] {
        assert_eq!(
            world.initiate_as(validator(1), &terms),
            Err(Error::PendingConflict)
        );
    }
}

#[ink::test]
fn a_source_transaction_backs_one_swap_for_ever() {
    let mut world = World::new();
    let id = world.fulfilled_swap();
    world.quorum(|c| c.confirm_swap(id));
    let terms = Terms::default();
    world.reserve(&terms);
    assert_eq!(
        world.initiate_as(validator(0), &terms),
        Err(Error::DuplicateSourceTx)
    );
}

#[ink::test]
fn the_collateral_covers_the_swap() {
    let mut world = World::new();
    let terms = Terms {
        tao_amount: COLLATERAL + 1,
        ..Terms::default()
    };
    world.reserve(&terms);
    assert_eq!(
        world.initiate_as(validator(0), &terms),
        Err(Error::InsufficientCollateral)
    );
}

#[ink::test]
fn a_busy_miner_gets_no_further_swap_unless_the_owner_allows_more() {
    let mut world = World::new();
    let terms = |n: u8| Terms {
        source_tx_hash: format!("{n:02x}").repeat(32),
        ..Terms::default()
    };
    world.swap(&terms(1));
    assert_eq!(
        world.reserve_as(validator(0), &terms(2)),
        Err(Error::MinerHasActiveSwap)
    );
    world.by(owner()).set_max_active_swaps(3).unwrap();
    let second = world.swap(&terms(2));
    world.swap(&terms(3));
    assert_eq!(
        world.reserve_as(validator(0), &terms(4)),
        Err(Error::MinerHasActiveSwap)
    );
    // The collateral of 10 000 covers three swaps of 3 000, and no fourth.
    world.by(owner()).set_max_active_swaps(4).unwrap();
    world.reserve(&terms(4));
    assert_eq!(
        world.initiate_as(validator(0), &terms(4)),
        Err(Error::InsufficientCollateral)
    );
    // An end makes room.
    world.mark(second).unwrap();
    world.quorum(|c| c.confirm_swap(second));
    world.initiate(&terms(4));
    let open = world.contract.get_active_swaps(miner(), 0, 10);
    assert_eq!(open.iter().map(|s| s.id).collect::<Vec<_>>(), [1, 3, 4]);
}
