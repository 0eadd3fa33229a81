//! A contract with an owner, three validators of whom two decide, a miner and a user.

use codec::Decode;
use ink::{
    env::{test, Event},
    primitives::{AccountId, Hash},
};

use crate::{
    error::Result,
    requests::{extend_reservation_hash, keccak, ReserveRequest},
    SwapEnvironment, SwapManager,
};

pub const FULFILLMENT_TIMEOUT: u32 = 30;
pub const RESERVATION_TTL: u32 = 10;
pub const MIN_COLLATERAL: u128 = 500;
pub const MAX_COLLATERAL: u128 = 20_000;
pub const MIN_SWAP: u128 = 100;
pub const MAX_SWAP: u128 = 15_000;
pub const COLLATERAL: u128 = 10_000;
pub const CONTRACT_FUNDS: u128 = 1_000_000;
pub const START: u32 = 100;

pub fn account(n: u8) -> AccountId {
    AccountId::from([n; 32])
}

pub fn owner() -> AccountId {
    account(1)
}

pub fn recycler() -> AccountId {
    account(2)
}

pub fn user() -> AccountId {
    account(3)
}

pub fn stranger() -> AccountId {
    account(4)
}

pub fn miner() -> AccountId {
    account(10)
}

pub fn validator(n: u8) -> AccountId {
    account(20 + n)
}

pub fn contract_account() -> AccountId {
    account(100)
}

/// What a swap is about. A test changes what matters to it.
#[derive(Clone)]
pub struct Terms {
    pub user: AccountId,
    pub miner: AccountId,
    pub source_chain: String,
    pub dest_chain: String,
    pub source_amount: u128,
    pub dest_amount: u128,
    pub tao_amount: u128,
    pub user_source_address: String,
    pub user_dest_address: String,
    pub source_tx_hash: String,
    pub rate: String,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            user: user(),
            miner: miner(),
            source_chain: "btc".into(),
            dest_chain: "tao".into(),
            source_amount: 1_000,
            dest_amount: 3_000,
            tao_amount: 3_000,
            user_source_address: "bc1q-user".into(),
            user_dest_address: "5-user".into(),
            source_tx_hash: "aa".repeat(32),
            rate: "345".into(),
        }
    }
}

impl Terms {
    pub fn reserve_hash(&self) -> Hash {
        ReserveRequest {
            miner: self.miner,
            user_source_address: &self.user_source_address,
            source_chain: &self.source_chain,
            dest_chain: &self.dest_chain,
            tao_amount: self.tao_amount,
            source_amount: self.source_amount,
            dest_amount: self.dest_amount,
        }
        .hash()
    }

    /// As the interface describes it, independently of the contract's own code.
    pub fn initiate_hash(&self) -> Hash {
        keccak(&(
            self.miner,
            &self.source_tx_hash,
            &self.source_chain,
            &self.dest_chain,
            "bc1q-miner",
            "5-miner",
            &self.rate,
            self.tao_amount,
            self.source_amount,
            self.dest_amount,
        ))
    }
}

pub struct World {
    pub contract: SwapManager,
    pub block: u32,
}

impl World {
    /// A contract without validators or miners. A test has one: its storage is the test's.
    pub fn bare() -> Self {
        test::set_callee::<SwapEnvironment>(contract_account());
        test::set_caller::<SwapEnvironment>(owner());
        test::set_value_transferred::<SwapEnvironment>(0);
        test::set_block_number::<SwapEnvironment>(START);
        let contract = SwapManager::new(
            recycler(),
            FULFILLMENT_TIMEOUT,
            RESERVATION_TTL,
            MIN_COLLATERAL,
            MAX_COLLATERAL,
            MIN_SWAP,
            MAX_SWAP,
            66,
        );
        let block = START;
        Self { contract, block }
    }

    /// A contract with three validators and an active miner.
    pub fn new() -> Self {
        let world = Self::without_funds();
        world.fund();
        world
    }

    /// The same, but the chain refuses to pay from it until [`World::fund`].
    pub fn without_funds() -> Self {
        let mut world = Self::bare();
        for n in 0..3 {
            world.by(owner()).add_validator(validator(n)).unwrap();
        }
        world.activate(miner());
        world
    }

    pub fn fund(&self) {
        test::set_account_balance::<SwapEnvironment>(contract_account(), CONTRACT_FUNDS);
    }

    pub fn activate(&mut self, miner: AccountId) {
        self.post(miner, COLLATERAL).unwrap();
        self.quorum(|c| c.vote_activate(miner));
    }

    /// The contract, called by `caller`.
    pub fn by(&mut self, caller: AccountId) -> &mut SwapManager {
        test::set_caller::<SwapEnvironment>(caller);
        &mut self.contract
    }

    pub fn post(&mut self, miner: AccountId, amount: u128) -> Result<()> {
        test::set_value_transferred::<SwapEnvironment>(amount);
        let answer = self.by(miner).post_collateral();
        test::set_value_transferred::<SwapEnvironment>(0);
        answer
    }

    pub fn pass(&mut self, blocks: u32) {
        self.block += blocks;
        test::set_block_number::<SwapEnvironment>(self.block);
    }

    /// Two of the three validators vote.
    pub fn quorum(&mut self, mut vote: impl FnMut(&mut SwapManager) -> Result<()>) {
        for n in 0..2 {
            vote(self.by(validator(n))).unwrap();
        }
    }

    pub fn reserve_as(&mut self, voter: AccountId, terms: &Terms) -> Result<()> {
        self.reserve_with(voter, terms, terms.reserve_hash())
    }

    pub fn reserve_with(&mut self, voter: AccountId, terms: &Terms, hash: Hash) -> Result<()> {
        let t = terms.clone();
        self.by(voter).vote_reserve(
            hash,
            t.miner,
            t.user_source_address,
            t.source_chain,
            t.dest_chain,
            t.tao_amount,
            t.source_amount,
            t.dest_amount,
        )
    }

    pub fn reserve(&mut self, terms: &Terms) {
        for n in 0..2 {
            self.reserve_as(validator(n), terms).unwrap();
        }
    }

    pub fn extend_as(&mut self, voter: AccountId, terms: &Terms) -> Result<()> {
        let hash = extend_reservation_hash(&terms.miner, &terms.source_tx_hash);
        self.by(voter)
            .vote_extend_reservation(hash, terms.miner, terms.source_tx_hash.clone())
    }

    pub fn initiate_as(&mut self, voter: AccountId, terms: &Terms) -> Result<()> {
        self.initiate_with(voter, terms, terms.initiate_hash())
    }

    pub fn initiate_with(&mut self, voter: AccountId, terms: &Terms, hash: Hash) -> Result<()> {
        let t = terms.clone();
        self.by(voter).vote_initiate(
            hash,
            t.user,
            t.miner,
            t.source_chain,
            t.dest_chain,
            t.source_amount,
            t.tao_amount,
            t.user_source_address,
            t.user_dest_address,
            t.source_tx_hash,
            800_000,
            t.dest_amount,
            "bc1q-miner".into(),
            "5-miner".into(),
            t.rate,
        )
    }

    pub fn initiate(&mut self, terms: &Terms) -> u64 {
        let id = self.contract.get_next_swap_id();
        for n in 0..2 {
            self.initiate_as(validator(n), terms).unwrap();
        }
        id
    }

    /// A new Active swap.
    pub fn swap(&mut self, terms: &Terms) -> u64 {
        self.reserve(terms);
        self.initiate(terms)
    }

    pub fn mark(&mut self, id: u64) -> Result<()> {
        self.by(miner())
            .mark_fulfilled(id, "0xpayout".into(), 7, 2_970)
    }

    /// A new Fulfilled swap.
    pub fn fulfilled_swap(&mut self) -> u64 {
        let id = self.swap(&Terms::default());
        self.mark(id).unwrap();
        id
    }
}

/// The events of one kind, in the order in which they were emitted.
pub fn events<E: Event + Decode>() -> Vec<E> {
    let signature = E::SIGNATURE_TOPIC.expect("the event is not anonymous");
    test::recorded_events()
        .filter(|event| event.topics.first().map(Vec::as_slice) == Some(&signature[..]))
        .map(|event| E::decode(&mut &event.data[..]).expect("the event decodes"))
        .collect()
}

/// What an account has.
pub fn balance(account: AccountId) -> u128 {
    test::get_account_balance::<SwapEnvironment>(account).unwrap_or(0)
}
