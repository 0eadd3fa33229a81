use codec::Encode;

use super::world::*;
use crate::{
    miners::Miner,
    types::{SwapData, MAX_PAGE, MAX_TEXT_LEN},
    SwapStatus,
};

/// What ink! encodes an answer in, in bytes.
const STATIC_BUFFER_SIZE: usize = 16 * 1_024;

fn worlds_of_swaps(count: u8) -> World {
    let mut world = World::new();
    world.by(owner()).set_max_active_swaps(64).unwrap();
    for n in 1..=count {
        world.swap(&Terms {
            tao_amount: 100,
            source_tx_hash: format!("{n:02x}").repeat(32),
            ..Terms::default()
        });
    }
    world
}

fn ids(swaps: &[SwapData]) -> Vec<u64> {
    swaps.iter().map(|s| s.id).collect()
}

#[ink::test]
fn open_swaps_are_listed_in_pages() {
    let mut world = worlds_of_swaps(13);
    let page = |world: &World, offset, limit| {
        ids(&world.contract.get_active_swaps(miner(), offset, limit))
    };
    assert_eq!(page(&world, 0, 3), [1, 2, 3]);
    assert_eq!(page(&world, 0, u32::MAX).len(), MAX_PAGE as usize);
    assert_eq!(page(&world, 10, 10), [11, 12, 13]);
    assert_eq!(page(&world, 13, 10), [0u64; 0]);
    assert_eq!(page(&world, u32::MAX, 10), [0u64; 0]);
    assert!(world.contract.get_active_swaps(stranger(), 0, 9).is_empty());

    // Fulfilled swaps are open, completed ones are not.
    world.mark(1).unwrap();
    world.mark(2).unwrap();
    world.quorum(|c| c.confirm_swap(2));
    assert_eq!(page(&world, 0, 3), [1, 3, 4]);
    let first = &world.contract.get_active_swaps(miner(), 0, 1)[0];
    assert_eq!(first.status, SwapStatus::Fulfilled);
}

#[ink::test]
fn swaps_are_fetched_by_their_ids() {
    let world = worlds_of_swaps(3);
    let found = world.contract.get_swaps(vec![3, 99, 1]);
    let found: Vec<_> = found.iter().map(|s| s.as_ref().map(|s| s.id)).collect();
    assert_eq!(found, [Some(3), None, Some(1)]);
    assert!(world.contract.get_swaps(Vec::new()).is_empty());
    assert_eq!(
        world.contract.get_swaps((0..50).collect()).len(),
        MAX_PAGE as usize
    );
}

#[ink::test]
fn the_largest_page_fits_into_an_answer() {
    let mut world = World::new();
    let id = world.swap(&Terms::default());
    let text = || "x".repeat(MAX_TEXT_LEN);
    let largest = SwapData {
        source_chain: text(),
        dest_chain: text(),
        user_source_address: text(),
        user_dest_address: text(),
        miner_source_address: text(),
        miner_dest_address: text(),
        rate: text(),
        source_tx_hash: text(),
        dest_tx_hash: text(),
        ..world.contract.get_swap(id).unwrap()
    };
    let page = vec![Some(largest); MAX_PAGE as usize];
    assert!(page.encoded_size() + 2 <= STATIC_BUFFER_SIZE);
}

#[ink::test]
fn a_miner_with_all_its_swaps_fits_into_storage() {
    let mut miner = Miner::default();
    (0..64).for_each(|id| miner.open_swap(id, 1));
    assert!(miner.encoded_size() < STATIC_BUFFER_SIZE);
}

#[ink::test]
fn nobody_and_nothing_are_answered_for() {
    let world = World::bare();
    let c = &world.contract;
    assert_eq!(c.get_swap(1), None);
    assert_eq!(c.get_swap_outcome(1), None);
    assert_eq!(c.get_collateral(stranger()), 0);
    assert!(!c.get_miner_active(stranger()));
    assert!(!c.get_miner_has_active_swap(stranger()));
    assert_eq!(c.get_miner_last_resolved_block(stranger()), 0);
    assert_eq!(c.get_miner_deactivation_block(stranger()), 0);
    assert_eq!(c.get_miner_reserved_until(stranger()), 0);
    assert_eq!(c.get_reservation_data(stranger()), None);
    assert_eq!(c.get_pending_slash(1), 0);
    assert_eq!(c.get_cooldown("nobody".into()), (0, 0));
    assert_eq!(c.get_required_votes_count(), 1);
    assert_eq!((c.get_next_swap_id(), c.get_max_active_swaps()), (1, 1));
    assert_eq!(c.get_fee_divisor(), 100);
}
