//! The chain that the contract runs on.

use ink::env::{DefaultEnvironment, Environment};

/// The chain's own amount type: rao in a `u64`, as on Subtensor.
#[cfg(not(test))]
pub type ChainBalance = u64;
/// In unit tests a `u128`, the only balance that ink!'s off-chain engine can move.
#[cfg(test)]
pub type ChainBalance = u128;

/// ink!'s default environment, but with the chain's own [`ChainBalance`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(scale_info::TypeInfo))]
pub enum SwapEnvironment {}

impl Environment for SwapEnvironment {
    const MAX_EVENT_TOPICS: usize = DefaultEnvironment::MAX_EVENT_TOPICS;

    type AccountId = <DefaultEnvironment as Environment>::AccountId;
    type Balance = ChainBalance;
    type Hash = <DefaultEnvironment as Environment>::Hash;
    type Timestamp = <DefaultEnvironment as Environment>::Timestamp;
    type BlockNumber = <DefaultEnvironment as Environment>::BlockNumber;
    type ChainExtension = <DefaultEnvironment as Environment>::ChainExtension;
}
