//! The runtime of swap-miner's local devnet: a small Substrate chain with `pallet-contracts`.
//!
//! It stands in for Subtensor where a miner touches it: `u64` balances with nine decimals, SS58
//! prefix 42, an existential deposit of 500 rao, transaction extensions in the usual order, a
//! contracts pallet that runs `swap_manager`, and commitments for quotes. It is executed by a
//! development host, never by a validator; there is no consensus pallet.

#![no_std]
// The limit of macro recursion that `construct_runtime!` and the extension tuple need.
#![recursion_limit = "256"]

extern crate alloc;

mod apis;
mod commitments;
mod configs;
mod fees;

use alloc::{borrow::Cow, vec::Vec};

use frame_support::construct_runtime;
use sp_runtime::{
    generic, impl_opaque_keys,
    traits::{BlakeTwo256, IdentifyAccount, Verify},
    MultiAddress, MultiSignature,
};
use sp_version::RuntimeVersion;

/// Any of the three Substrate signature schemes.
pub type Signature = MultiSignature;
/// The account that a signature's public key identifies.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// An amount in rao (10⁻⁹ TAO).
pub type Balance = u64;
/// The number of a block.
pub type BlockNumber = u32;
/// The number of extrinsics an account has sent.
pub type Nonce = u32;
/// A block or storage hash.
pub type Hash = sp_core::H256;
/// Milliseconds of Unix time.
pub type Moment = u64;
/// How extrinsics name an account.
pub type Address = MultiAddress<AccountId, ()>;
/// A block's header.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// A whole block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
/// An extrinsic as it comes over the wire.
pub type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
/// What an event's record looks like to the contracts pallet's runtime API.
pub type EventRecord = frame_system::EventRecord<RuntimeEvent, Hash>;

/// Checks made on every signed extrinsic, in the order of the payload that is signed.
pub type TxExtension = (
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckMortality<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
);

/// Runs blocks: dispatches extrinsics to the pallets.
pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

impl_opaque_keys! {
    /// There is no consensus, hence no session key.
    pub struct SessionKeys {}
}

/// The one subnet on which quotes are committed.
pub const SUBNET: u16 = 7;

/// The identity of this runtime.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: Cow::Borrowed("swap-devnet"),
    impl_name: Cow::Borrowed("swap-devnet"),
    authoring_version: 1,
    spec_version: 100,
    impl_version: 1,
    apis: apis::RUNTIME_API_VERSIONS,
    transaction_version: 1,
    system_version: 1,
};

construct_runtime!(
    pub enum Runtime {
        System: frame_system = 0,
        Timestamp: pallet_timestamp = 1,
        RandomnessCollectiveFlip: pallet_insecure_randomness_collective_flip = 2,
        Balances: pallet_balances = 3,
        TransactionPayment: pallet_transaction_payment = 4,
        Utility: pallet_utility = 5,
        Sudo: pallet_sudo = 6,
        Contracts: pallet_contracts = 7,
        Commitments: commitments = 8,
    }
);
