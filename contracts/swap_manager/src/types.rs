//! What the contract tells its callers about swaps.

use ink::{
    prelude::string::String,
    primitives::{AccountId, Hash},
};

/// The longest text the contract accepts, in bytes.
pub const MAX_TEXT_LEN: usize = 128;

/// How many swaps one answer holds at most.
///
/// A swap takes up to 1 315 bytes, and ink! encodes an answer in a buffer of 16 384.
pub const MAX_PAGE: u32 = 10;

/// Where a swap stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[ink::scale_derive(Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "std", derive(ink::storage::traits::StorageLayout))]
pub enum SwapStatus {
    /// Voted in; the miner owes the payout.
    Active,
    /// The miner says that it has paid.
    Fulfilled,
    /// The validators agree. The swap is deleted.
    Completed,
    /// The deadline passed. The miner was slashed and the swap is deleted.
    TimedOut,
}

/// What a validator's vote on a swap is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[ink::scale_derive(Encode, Decode, TypeInfo)]
pub enum VoteType {
    /// The payout is good.
    Confirm,
    /// The deadline has passed.
    Timeout,
    /// The payout needs more time to confirm.
    ExtendTimeout,
}

/// An open swap.
///
/// `tao_amount` is the TAO side of it, in rao; `source_amount` and `dest_amount` are in the smallest
/// unit of their chain. Block numbers are this chain's, except `source_tx_block` and
/// `dest_tx_block`, which are those of the chain where the payment was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[ink::scale_derive(Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "std", derive(ink::storage::traits::StorageLayout))]
pub struct SwapData {
    pub id: u64,
    pub user: AccountId,
    pub miner: AccountId,
    pub source_chain: String,
    pub dest_chain: String,
    pub source_amount: u128,
    pub dest_amount: u128,
    pub tao_amount: u128,
    pub user_source_address: String,
    pub user_dest_address: String,
    pub miner_source_address: String,
    pub miner_dest_address: String,
    pub rate: String,
    pub source_tx_hash: String,
    pub source_tx_block: u32,
    pub dest_tx_hash: String,
    pub dest_tx_block: u32,
    pub status: SwapStatus,
    pub initiated_block: u32,
    pub timeout_block: u32,
    pub fulfilled_block: u32,
    pub completed_block: u32,
}

/// How an ended swap ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[ink::scale_derive(Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "std", derive(ink::storage::traits::StorageLayout))]
pub struct SwapOutcome {
    /// `Completed` or `TimedOut`.
    pub status: SwapStatus,
    /// The block in which it ended.
    pub ended_block: u32,
    /// The payout the miner had marked; empty if none.
    pub dest_tx_hash: String,
    /// What the user got out of the miner's collateral, in rao.
    pub slash_amount: u128,
    /// The fee taken from the miner's collateral, in rao.
    pub fee_amount: u128,
}

/// A miner set aside for one user's payment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[ink::scale_derive(Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "std", derive(ink::storage::traits::StorageLayout))]
pub struct Reservation {
    /// The request that the validators voted for.
    pub request_hash: Hash,
    pub user_source_address: String,
    pub tao_amount: u128,
    pub source_amount: u128,
    pub dest_amount: u128,
    /// The last block in which it holds.
    pub reserved_until: u32,
}

impl Reservation {
    /// Whether it still holds in `block`.
    pub fn holds_at(&self, block: u32) -> bool {
        self.reserved_until >= block
    }

    /// Whether these are the amounts it was made for.
    pub fn is_for(&self, tao_amount: u128, source_amount: u128, dest_amount: u128) -> bool {
        (self.tao_amount, self.source_amount, self.dest_amount)
            == (tao_amount, source_amount, dest_amount)
    }
}
