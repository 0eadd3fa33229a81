//! The open swaps, and what is remembered of the ended ones.

use ink::{prelude::string::String, primitives::AccountId, storage::Mapping};

use crate::{
    error::{Error, Result},
    types::{SwapData, SwapOutcome},
};

/// The swaps.
#[ink::storage_item]
#[derive(Debug, Default)]
pub struct Swaps {
    /// How many swaps there have been.
    created: u64,
    open: Mapping<u64, SwapData>,
    outcomes: Mapping<u64, SwapOutcome>,
    used_source_txs: Mapping<String, ()>,
    pending_slashes: Mapping<u64, (AccountId, u128)>,
}

impl Swaps {
    /// The id the next swap will have. The first is 1.
    pub fn next_id(&self) -> u64 {
        self.created.saturating_add(1)
    }

    /// The open swap with this id.
    pub fn get(&self, id: u64) -> Option<SwapData> {
        self.open.get(id)
    }

    /// The open swap with this id.
    ///
    /// # Errors
    /// `SwapNotFound`.
    pub fn find(&self, id: u64) -> Result<SwapData> {
        self.get(id).ok_or(Error::SwapNotFound)
    }

    /// Checks that the source transaction has not backed a swap.
    ///
    /// # Errors
    /// `DuplicateSourceTx`.
    pub fn check_source_tx(&self, source_tx_hash: &String) -> Result<()> {
        if self.used_source_txs.contains(source_tx_hash) {
            return Err(Error::DuplicateSourceTx);
        }
        Ok(())
    }

    /// Stores a new swap under the next id, which it is given, and uses up its source transaction.
    pub fn create(&mut self, swap: &mut SwapData) {
        swap.id = self.next_id();
        self.created = swap.id;
        self.used_source_txs.insert(&swap.source_tx_hash, &());
        self.update(swap);
    }

    /// Stores a swap that has changed.
    pub fn update(&mut self, swap: &SwapData) {
        self.open.insert(swap.id, swap);
    }

    /// Deletes an open swap and remembers how it ended.
    pub fn end(&mut self, id: u64, outcome: &SwapOutcome) {
        self.open.remove(id);
        self.outcomes.insert(id, outcome);
    }

    /// How the swap ended, if it has.
    pub fn outcome(&self, id: u64) -> Option<SwapOutcome> {
        self.outcomes.get(id)
    }

    /// The slash that waits for its user, and how much it is.
    pub fn pending_slash(&self, id: u64) -> Option<(AccountId, u128)> {
        self.pending_slashes.get(id)
    }

    /// Keeps a slash for its user to claim.
    pub fn keep_slash(&mut self, id: u64, user: AccountId, amount: u128) {
        self.pending_slashes.insert(id, &(user, amount));
    }

    /// Forgets a slash that was claimed.
    pub fn drop_slash(&mut self, id: u64) {
        self.pending_slashes.remove(id);
    }
}
