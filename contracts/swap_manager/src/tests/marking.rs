use super::world::*;
use crate::{error::Error, events::*, SwapStatus};

#[ink::test]
fn a_mark_fulfils_the_swap() {
    let mut world = World::new();
    let id = world.swap(&Terms::default());
    world.pass(5);
    world
        .by(miner())
        .mark_fulfilled(id, "0xpayout".into(), 7, 2_970)
        .unwrap();
    let swap = world.contract.get_swap(id).unwrap();
    assert_eq!(swap.status, SwapStatus::Fulfilled);
    assert_eq!(
        (swap.dest_tx_hash.as_str(), swap.dest_tx_block),
        ("0xpayout", 7)
    );
    assert_eq!((swap.dest_amount, swap.fulfilled_block), (2_970, START + 5));
    assert_eq!(swap.timeout_block, START + FULFILLMENT_TIMEOUT);
    let event = &events::<SwapFulfilled>()[0];
    assert_eq!((event.swap_id, event.miner), (id, miner()));
    assert_eq!(event.dest_tx_hash, "0xpayout");
}

/// Each call breaks one rule and those that are checked after it.
#[ink::test]
fn the_rules_are_checked_in_order() {
    let mut world = World::new();
    world.by(owner()).set_max_active_swaps(2).unwrap();
    let fulfilled = world.fulfilled_swap();
    let active = world.swap(&Terms {
        source_tx_hash: "bb".into(),
        ..Terms::default()
    });
    let mut mark = |caller, id, hash: &str, amount| {
        world.by(caller).mark_fulfilled(id, hash.into(), 7, amount)
    };
    let too_long = "a".repeat(129);
    assert_eq!(mark(stranger(), 99, "", 0), Err(Error::SwapNotFound));
    assert_eq!(
        mark(stranger(), fulfilled, "", 0),
        Err(Error::NotAssignedMiner)
    );
    assert_eq!(mark(miner(), fulfilled, "", 0), Err(Error::InvalidStatus));
    assert_eq!(mark(miner(), active, "", 0), Err(Error::InvalidAmount));
    assert_eq!(mark(miner(), active, "", 1), Err(Error::InputEmpty));
    assert_eq!(
        mark(miner(), active, &too_long, 1),
        Err(Error::InputTooLong)
    );
    assert_eq!(mark(miner(), active, &too_long[1..], 1), Ok(()));
}

#[ink::test]
fn a_late_or_inactive_miner_may_still_mark() {
    let mut world = World::new();
    let id = world.swap(&Terms::default());
    world.by(miner()).deactivate(miner()).unwrap();
    world.by(owner()).set_halted(true).unwrap();
    world.pass(FULFILLMENT_TIMEOUT + 5);
    assert_eq!(world.mark(id), Ok(()));
}

#[ink::test]
fn an_ended_swap_cannot_be_marked() {
    let mut world = World::new();
    let id = world.fulfilled_swap();
    world.quorum(|c| c.confirm_swap(id));
    assert_eq!(world.mark(id), Err(Error::SwapNotFound));
}
