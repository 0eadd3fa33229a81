//! What the owner may set, and within which bounds.

use ink::primitives::AccountId;

use crate::error::{Error, Result};

/// The fee divisor of a new contract: one per cent.
pub const DEFAULT_FEE_DIVISOR: u128 = 100;
/// The smallest fee divisor, hence a fee of at most five per cent.
pub const MIN_FEE_DIVISOR: u128 = 20;
/// The shortest fulfilment timeout the owner may set later, in blocks.
pub const MIN_FULFILLMENT_TIMEOUT: u32 = 10;
/// The smallest lower bound of a swap, in rao; zero means none.
pub const MIN_MIN_SWAP_AMOUNT: u128 = 100;
/// How many open swaps a miner of a new contract may have.
pub const DEFAULT_MAX_ACTIVE_SWAPS: u32 = 1;
/// The most open swaps a miner may be allowed.
pub const MAX_MAX_ACTIVE_SWAPS: u32 = 64;

/// The contract's settings. A zero in an amount's bound means that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[ink::scale_derive(Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "std", derive(ink::storage::traits::StorageLayout))]
pub struct Settings {
    pub owner: AccountId,
    pub recycle_address: AccountId,
    pub fulfillment_timeout_blocks: u32,
    pub reservation_ttl: u32,
    pub min_collateral: u128,
    pub max_collateral: u128,
    pub min_swap_amount: u128,
    pub max_swap_amount: u128,
    pub consensus_threshold_percent: u8,
    pub fee_divisor: u128,
    pub max_active_swaps: u32,
    pub halted: bool,
}

impl Settings {
    /// Accepts the size of a swap, in rao.
    pub fn check_swap_amount(&self, tao_amount: u128) -> Result<()> {
        if tao_amount < self.min_swap_amount {
            return Err(Error::AmountBelowMinimum);
        }
        if self.max_swap_amount > 0 && tao_amount > self.max_swap_amount {
            return Err(Error::AmountAboveMaximum);
        }
        Ok(())
    }

    /// The fee of a swap, in rao.
    pub fn fee(&self, tao_amount: u128) -> u128 {
        tao_amount.checked_div(self.fee_divisor).unwrap_or(0)
    }

    /// How many blocks after its deactivation a miner may withdraw.
    pub fn withdrawal_cooldown(&self) -> u32 {
        self.fulfillment_timeout_blocks.saturating_mul(2)
    }
}

/// Accepts `value` if it is in `range`.
///
/// # Errors
/// `InvalidAmount` if not.
pub fn within<T: PartialOrd>(value: T, range: core::ops::RangeInclusive<T>) -> Result<T> {
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(Error::InvalidAmount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            owner: AccountId::from([1; 32]),
            recycle_address: AccountId::from([2; 32]),
            fulfillment_timeout_blocks: 30,
            reservation_ttl: 10,
            min_collateral: 0,
            max_collateral: 0,
            min_swap_amount: 100,
            max_swap_amount: 1_000,
            consensus_threshold_percent: 66,
            fee_divisor: 100,
            max_active_swaps: 1,
            halted: false,
        }
    }

    #[test]
    fn a_swap_has_bounds_and_zero_lifts_them() {
        let mut it = settings();
        assert_eq!(it.check_swap_amount(99), Err(Error::AmountBelowMinimum));
        assert_eq!(it.check_swap_amount(100), Ok(()));
        assert_eq!(it.check_swap_amount(1_000), Ok(()));
        assert_eq!(it.check_swap_amount(1_001), Err(Error::AmountAboveMaximum));
        (it.min_swap_amount, it.max_swap_amount) = (0, 0);
        assert_eq!(it.check_swap_amount(u128::MAX), Ok(()));
    }

    #[test]
    fn fees_round_down() {
        assert_eq!(settings().fee(199), 1);
        assert_eq!(settings().fee(99), 0);
    }
}
