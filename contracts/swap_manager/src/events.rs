//! What the contract announces.

use ink::{prelude::string::String, primitives::AccountId};

use crate::types::VoteType;

/// The owner passed collected fees on.
#[ink::event]
pub struct FeesRecycled {
    pub tao_amount: u128,
}

/// A user fetched a slash that could not be paid out when it happened.
#[ink::event]
pub struct SlashClaimed {
    #[ink(topic)]
    pub swap_id: u64,
    #[ink(topic)]
    pub user: AccountId,
    pub amount: u128,
}

/// A slash could not be paid out; the user may claim it.
#[ink::event]
pub struct SlashPending {
    #[ink(topic)]
    pub swap_id: u64,
    #[ink(topic)]
    pub user: AccountId,
    pub amount: u128,
}

/// A swap ended by its deadline.
#[ink::event]
pub struct SwapTimedOut {
    #[ink(topic)]
    pub swap_id: u64,
    #[ink(topic)]
    pub miner: AccountId,
    pub tao_amount: u128,
    pub slash_amount: u128,
}

/// The owner changed a setting.
#[ink::event]
pub struct ConfigUpdated {
    pub key: String,
    pub value: u128,
}

/// A miner was set aside for a user.
#[ink::event]
pub struct MinerReserved {
    #[ink(topic)]
    pub miner: AccountId,
    pub reserved_until: u32,
}

/// A swap ended well.
#[ink::event]
pub struct SwapCompleted {
    #[ink(topic)]
    pub swap_id: u64,
    #[ink(topic)]
    pub miner: AccountId,
    pub tao_amount: u128,
    pub fee_amount: u128,
}

/// A miner says that it has paid.
#[ink::event]
pub struct SwapFulfilled {
    #[ink(topic)]
    pub swap_id: u64,
    #[ink(topic)]
    pub miner: AccountId,
    pub dest_tx_hash: String,
}

/// A swap was voted in.
#[ink::event]
pub struct SwapInitiated {
    #[ink(topic)]
    pub swap_id: u64,
    #[ink(topic)]
    pub user: AccountId,
    #[ink(topic)]
    pub miner: AccountId,
    pub source_amount: u128,
    pub initiated_block: u32,
}

/// A miner became active, or ceased to be.
#[ink::event]
pub struct MinerActivated {
    #[ink(topic)]
    pub miner: AccountId,
    pub active: bool,
}

/// A miner added to its collateral.
#[ink::event]
pub struct CollateralPosted {
    #[ink(topic)]
    pub miner: AccountId,
    pub amount: u128,
    pub total: u128,
}

/// A validator was added or removed.
#[ink::event]
pub struct ValidatorUpdated {
    #[ink(topic)]
    pub validator: AccountId,
    pub registered: bool,
}

/// Collateral was paid out to the user of a timed-out swap.
#[ink::event]
pub struct CollateralSlashed {
    #[ink(topic)]
    pub miner: AccountId,
    pub amount: u128,
    pub recipient: AccountId,
}

/// A miner took collateral back.
#[ink::event]
pub struct CollateralWithdrawn {
    #[ink(topic)]
    pub miner: AccountId,
    pub amount: u128,
    pub remaining: u128,
}

/// A reservation was prolonged.
#[ink::event]
pub struct ReservationExtended {
    #[ink(topic)]
    pub miner: AccountId,
    pub reserved_until: u32,
}

/// A swap's deadline was moved.
#[ink::event]
pub struct SwapTimeoutExtended {
    #[ink(topic)]
    pub swap_id: u64,
    pub new_timeout_block: u32,
}

/// The contract has a new owner.
#[ink::event]
pub struct OwnershipTransferred {
    #[ink(topic)]
    pub previous_owner: AccountId,
    #[ink(topic)]
    pub new_owner: AccountId,
}

/// A reservation was cancelled, or found expired.
#[ink::event]
pub struct ReservationCancelled {
    #[ink(topic)]
    pub miner: AccountId,
}

/// A validator voted on a swap.
#[ink::event]
pub struct VoteCast {
    #[ink(topic)]
    pub swap_id: u64,
    #[ink(topic)]
    pub validator: AccountId,
    pub vote_type: VoteType,
    pub vote_count: u32,
}
