//! Why a message was refused.

/// A refusal. The transaction changes nothing.
///
/// The first twenty-eight variants keep the order of the contract in the field; new ones are
/// appended. Clients should go by the names in the metadata, not by the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[ink::scale_derive(Encode, Decode, TypeInfo)]
pub enum Error {
    /// The caller is not the owner.
    NotOwner,
    /// The collateral does not cover what is asked of it.
    InsufficientCollateral,
    /// There is no such open swap: it never existed, or it has ended.
    SwapNotFound,
    /// The caller has voted in this ballot already.
    AlreadyVoted,
    /// The swap's (or miner's) status does not allow this.
    InvalidStatus,
    /// The amount is zero.
    ZeroAmount,
    /// The miner is not active.
    MinerNotActive,
    /// The miner is still active.
    MinerStillActive,
    /// The chain refused to move the funds.
    TransferFailed,
    /// The swap's timeout block is not reached.
    NotTimedOut,
    /// The caller is not the miner concerned.
    NotAssignedMiner,
    /// The caller is not a validator.
    NotValidator,
    /// This source transaction has backed a swap before.
    DuplicateSourceTx,
    /// The amount, count or percentage is out of range, or not the reserved one.
    InvalidAmount,
    /// No slash is waiting for this swap.
    NoPendingSlash,
    /// A text that must say something is empty.
    InputEmpty,
    /// A text is longer than 128 bytes.
    InputTooLong,
    /// The miner has as many open swaps as it may have.
    MinerHasActiveSwap,
    /// Too few blocks have passed since the miner was deactivated.
    WithdrawalCooldown,
    /// The amount is below the smallest swap.
    AmountBelowMinimum,
    /// The amount is above the largest swap.
    AmountAboveMaximum,
    /// The miner is reserved for a user.
    MinerReserved,
    /// The miner is not reserved.
    NoReservation,
    /// The deposit would exceed the largest collateral.
    ExceedsMaxCollateral,
    /// The request hash is not that of the arguments.
    HashMismatch,
    /// Another request for this miner is being voted on.
    PendingConflict,
    /// Source and destination are the same chain.
    SameChain,
    /// The owner has halted the contract.
    SystemHalted,
    /// There are as many validators as the contract can count.
    TooManyValidators,
}

/// What a message answers.
pub type Result<T> = core::result::Result<T, Error>;
