//! What the contract knows of a miner.

use ink::{prelude::vec::Vec, primitives::AccountId, storage::Mapping};

use crate::error::{Error, Result};

/// A miner's collateral, standing and open swaps. Amounts are in rao.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[ink::scale_derive(Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "std", derive(ink::storage::traits::StorageLayout))]
pub struct Miner {
    pub collateral: u128,
    /// What the open swaps may cost: the sum of their `tao_amount`.
    pub committed: u128,
    pub active: bool,
    pub deactivation_block: u32,
    pub last_resolved_block: u32,
    /// The ids of the open swaps, ascending.
    pub open_swaps: Vec<u64>,
}

impl Miner {
    /// Adds collateral.
    ///
    /// # Errors
    /// `ZeroAmount`; `ExceedsMaxCollateral` if `max` is not zero and would be passed.
    pub fn deposit(&mut self, amount: u128, max: u128) -> Result<u128> {
        if amount == 0 {
            return Err(Error::ZeroAmount);
        }
        let total = self.collateral.saturating_add(amount);
        if max > 0 && total > max {
            return Err(Error::ExceedsMaxCollateral);
        }
        self.collateral = total;
        Ok(total)
    }

    /// Checks that collateral may leave in block `now`, reservations apart.
    ///
    /// # Errors
    /// `ZeroAmount`, `MinerStillActive`, `WithdrawalCooldown`.
    pub fn check_withdrawal(&self, amount: u128, now: u32, cooldown: u32) -> Result<()> {
        if amount == 0 {
            return Err(Error::ZeroAmount);
        }
        if self.active {
            return Err(Error::MinerStillActive);
        }
        let free_from = self.deactivation_block.saturating_add(cooldown);
        if self.deactivation_block > 0 && now < free_from {
            return Err(Error::WithdrawalCooldown);
        }
        Ok(())
    }

    /// Takes collateral back and says what remains.
    ///
    /// # Errors
    /// `MinerHasActiveSwap`, `InsufficientCollateral`.
    pub fn withdraw(&mut self, amount: u128) -> Result<u128> {
        if !self.open_swaps.is_empty() {
            return Err(Error::MinerHasActiveSwap);
        }
        self.collateral = self
            .collateral
            .checked_sub(amount)
            .ok_or(Error::InsufficientCollateral)?;
        Ok(self.collateral)
    }

    /// Takes `amount` from the collateral, or what there is, and says how much that was.
    pub fn take(&mut self, amount: u128) -> u128 {
        let taken = amount.min(self.collateral);
        self.collateral = self.collateral.saturating_sub(taken);
        taken
    }

    /// Ends the miner's service in block `now`.
    pub fn deactivate(&mut self, now: u32) {
        self.active = false;
        self.deactivation_block = now;
    }

    /// Checks that the miner may get another swap.
    ///
    /// # Errors
    /// `MinerNotActive`, `MinerHasActiveSwap`.
    pub fn check_eligible(&self, max_active_swaps: u32) -> Result<()> {
        if !self.active {
            return Err(Error::MinerNotActive);
        }
        let open = u32::try_from(self.open_swaps.len()).unwrap_or(u32::MAX);
        if open >= max_active_swaps {
            return Err(Error::MinerHasActiveSwap);
        }
        Ok(())
    }

    /// Checks that the collateral covers another swap beside the open ones.
    ///
    /// # Errors
    /// `InsufficientCollateral`.
    pub fn check_cover(&self, tao_amount: u128) -> Result<()> {
        if self.committed.saturating_add(tao_amount) > self.collateral {
            return Err(Error::InsufficientCollateral);
        }
        Ok(())
    }

    /// Assigns a swap. Ids only grow, so the list stays in order.
    pub fn open_swap(&mut self, id: u64, tao_amount: u128) {
        self.open_swaps.push(id);
        self.committed = self.committed.saturating_add(tao_amount);
    }

    /// Takes a swap that ended in block `now` off the list.
    pub fn close_swap(&mut self, id: u64, tao_amount: u128, now: u32) {
        self.open_swaps.retain(|open| *open != id);
        self.committed = self.committed.saturating_sub(tao_amount);
        self.last_resolved_block = now;
    }

    /// The open swaps from `offset` on, at most `limit`.
    pub fn page(&self, offset: u32, limit: u32) -> impl Iterator<Item = u64> + '_ {
        self.open_swaps
            .iter()
            .copied()
            .skip(offset as usize)
            .take(limit as usize)
    }
}

/// All miners.
#[ink::storage_item]
#[derive(Debug, Default)]
pub struct Miners {
    records: Mapping<AccountId, Miner>,
}

impl Miners {
    /// The miner's record; an empty one for an account never seen.
    pub fn get(&self, account: &AccountId) -> Miner {
        self.records.get(account).unwrap_or_default()
    }

    /// Stores the miner's record.
    pub fn put(&mut self, account: &AccountId, miner: &Miner) {
        self.records.insert(account, miner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_swaps_commit_collateral() {
        let mut miner = Miner {
            collateral: 100,
            ..Miner::default()
        };
        miner.open_swap(1, 60);
        assert_eq!(miner.check_cover(40), Ok(()));
        assert_eq!(miner.check_cover(41), Err(Error::InsufficientCollateral));
        miner.close_swap(1, 60, 5);
        assert_eq!(miner.check_cover(100), Ok(()));
        assert_eq!(miner.last_resolved_block, 5);
    }

    #[test]
    fn no_more_is_taken_than_there_is() {
        let mut miner = Miner {
            collateral: 100,
            ..Miner::default()
        };
        assert_eq!(miner.take(70), 70);
        assert_eq!(miner.take(70), 30);
        assert_eq!(miner.take(70), 0);
    }

    #[test]
    fn pages_are_cut_from_the_list() {
        let mut miner = Miner::default();
        (1..=5).for_each(|id| miner.open_swap(id, 0));
        assert_eq!(miner.page(1, 2).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(miner.page(4, 9).collect::<Vec<_>>(), [5]);
        assert_eq!(miner.page(9, 9).count(), 0);
    }
}
