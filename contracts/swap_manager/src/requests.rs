//! The hashes by which validators agree on a request.
//!
//! Each is the Keccak-256 of a SCALE-encoded tuple that every voter can compute.

use codec::Encode;
use ink::{
    env::hash::{HashOutput, Keccak256},
    primitives::{AccountId, Hash},
};

use crate::types::SwapData;

/// The Keccak-256 of the SCALE encoding of `value`.
pub fn keccak<T: Encode>(value: &T) -> Hash {
    let mut output = <Keccak256 as HashOutput>::Type::default();
    ink::env::hash_encoded::<Keccak256, T>(value, &mut output);
    Hash::from(output)
}

/// What `vote_reserve` is about.
pub struct ReserveRequest<'a> {
    pub miner: AccountId,
    pub user_source_address: &'a str,
    pub source_chain: &'a str,
    pub dest_chain: &'a str,
    pub tao_amount: u128,
    pub source_amount: u128,
    pub dest_amount: u128,
}

impl ReserveRequest<'_> {
    /// The hash of a request to reserve a miner.
    pub fn hash(&self) -> Hash {
        keccak(&(
            self.miner,
            self.user_source_address,
            self.source_chain,
            self.dest_chain,
            self.tao_amount,
            self.source_amount,
            self.dest_amount,
        ))
    }
}

/// The hash of a request to prolong a reservation while a source transaction confirms.
pub fn extend_reservation_hash(miner: &AccountId, source_tx_hash: &str) -> Hash {
    keccak(&(miner, source_tx_hash))
}

/// The hash of a request to create `swap`.
pub fn initiate_hash(swap: &SwapData) -> Hash {
    keccak(&(
        swap.miner,
        &swap.source_tx_hash,
        &swap.source_chain,
        &swap.dest_chain,
        &swap.miner_source_address,
        &swap.miner_dest_address,
        &swap.rate,
        swap.tao_amount,
        swap.source_amount,
        swap.dest_amount,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(hash: Hash) -> String {
        hash.as_ref().iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn keccak_is_the_original_one() {
        // Keccak-256 of one zero byte; SHA3-256 would differ.
        assert_eq!(
            hex(keccak(&0u8)),
            "bc36789e7a1e281436464229828f817d6612f7b477d66591ff96a9e064bcc98a"
        );
    }

    #[test]
    fn every_part_of_a_reserve_request_is_hashed() {
        let request = || ReserveRequest {
            miner: AccountId::from([1; 32]),
            user_source_address: "user",
            source_chain: "btc",
            dest_chain: "tao",
            tao_amount: 1,
            source_amount: 2,
            dest_amount: 3,
        };
        let whole = request().hash();
        let variants = [
            ReserveRequest {
                miner: AccountId::from([2; 32]),
                ..request()
            },
            ReserveRequest {
                user_source_address: "other",
                ..request()
            },
            ReserveRequest {
                source_chain: "tao",
                ..request()
            },
            ReserveRequest {
                dest_chain: "btc",
                ..request()
            },
            ReserveRequest {
                tao_amount: 9,
                ..request()
            },
            ReserveRequest {
                source_amount: 9,
                ..request()
            },
            ReserveRequest {
                dest_amount: 9,
                ..request()
            },
        ];
        for variant in variants {
            assert_ne!(variant.hash(), whole);
        }
    }
}
