//! The swap contract: users, miners and validators meet here.
//!
//! A user pays a miner on one chain; validators vote the swap onto the contract; the miner pays the
//! user on the other chain and marks the swap fulfilled; the validators confirm it, or time it out
//! and the miner's collateral goes to the user. The README tells how this contract differs from the
//! one in the field, whose interface it keeps.

#![cfg_attr(not(feature = "std"), no_std, no_main)]

mod ballots;
mod environment;
mod error;
mod events;
mod miners;
mod quorum;
mod requests;
mod reservations;
mod settings;
mod swaps;
mod text;
mod types;

#[cfg(test)]
mod tests;

pub use environment::{ChainBalance, SwapEnvironment};
pub use error::Error;
pub use types::{SwapData, SwapOutcome, SwapStatus, VoteType};

pub use crate::swap_manager::{SwapManager, SwapManagerRef};

// ink! fixes a message's arguments by the interface, however many there are.
#[allow(clippy::too_many_arguments)]
#[ink::contract(env = crate::SwapEnvironment)]
mod swap_manager {
    use ink::prelude::{string::String, vec::Vec};

    use crate::{
        ballots::{Ballots, Topic, Validators, Vote},
        error::{Error, Result},
        events::*,
        miners::Miners,
        quorum,
        requests::{extend_reservation_hash, initiate_hash, keccak, ReserveRequest},
        reservations::Reservations,
        settings::{
            within, Settings, DEFAULT_FEE_DIVISOR, DEFAULT_MAX_ACTIVE_SWAPS, MAX_MAX_ACTIVE_SWAPS,
            MIN_FEE_DIVISOR, MIN_FULFILLMENT_TIMEOUT, MIN_MIN_SWAP_AMOUNT,
        },
        swaps::Swaps,
        text,
        types::{Reservation, SwapData, SwapOutcome, SwapStatus, VoteType, MAX_PAGE},
    };

    /// A ballot on something that may be voted for at any time.
    const FOR_EVER: u32 = u32::MAX;

    /// The contract's storage.
    #[ink(storage)]
    pub struct SwapManager {
        settings: Settings,
        validators: Validators,
        ballots: Ballots,
        miners: Miners,
        reservations: Reservations,
        swaps: Swaps,
        accumulated_fees: u128,
        total_recycled_fees: u128,
    }

    impl SwapManager {
        /// Makes the caller the owner of a contract without validators.
        ///
        /// Amounts are in rao; a zero in `max_collateral`, `min_swap_amount` or `max_swap_amount`
        /// means no bound. Traps unless `consensus_threshold_percent` is in 1..=100.
        #[ink(constructor)]
        pub fn new(
            recycle_address: AccountId,
            fulfillment_timeout_blocks: u32,
            reservation_ttl: u32,
            min_collateral: u128,
            max_collateral: u128,
            min_swap_amount: u128,
            max_swap_amount: u128,
            consensus_threshold_percent: u8,
        ) -> Self {
            assert!(
                (1..=100).contains(&consensus_threshold_percent),
                "the threshold is a percentage"
            );
            Self {
                settings: Settings {
                    owner: Self::env().caller(),
                    recycle_address,
                    fulfillment_timeout_blocks,
                    reservation_ttl,
                    min_collateral,
                    max_collateral,
                    min_swap_amount,
                    max_swap_amount,
                    consensus_threshold_percent,
                    fee_divisor: DEFAULT_FEE_DIVISOR,
                    max_active_swaps: DEFAULT_MAX_ACTIVE_SWAPS,
                    halted: false,
                },
                validators: Validators::default(),
                ballots: Ballots::default(),
                miners: Miners::default(),
                reservations: Reservations::default(),
                swaps: Swaps::default(),
                accumulated_fees: 0,
                total_recycled_fees: 0,
            }
        }

        // ---- Collateral: the caller is the miner ----

        /// Adds the transferred value to the caller's collateral.
        ///
        /// Refused with `SystemHalted`, `ZeroAmount` or `ExceedsMaxCollateral`.
        #[ink(message, payable)]
        pub fn post_collateral(&mut self) -> Result<()> {
            self.ensure_running()?;
            let caller = self.env().caller();
            let amount = amount_of(self.env().transferred_value());
            let mut miner = self.miners.get(&caller);
            let total = miner.deposit(amount, self.settings.max_collateral)?;
            self.miners.put(&caller, &miner);
            self.env().emit_event(CollateralPosted {
                miner: caller,
                amount,
                total,
            });
            Ok(())
        }

        /// Pays collateral back to the caller, an inactive miner without obligations.
        ///
        /// Refused with `ZeroAmount`, `MinerStillActive`, `WithdrawalCooldown`, `MinerReserved`,
        /// `MinerHasActiveSwap`, `InsufficientCollateral` or `TransferFailed`.
        #[ink(message)]
        pub fn withdraw_collateral(&mut self, amount: u128) -> Result<()> {
            let caller = self.env().caller();
            let now = self.env().block_number();
            let mut miner = self.miners.get(&caller);
            miner.check_withdrawal(amount, now, self.settings.withdrawal_cooldown())?;
            self.reservations.check_free(&caller, now)?;
            let remaining = miner.withdraw(amount)?;
            self.miners.put(&caller, &miner);
            self.pay(caller, amount)?;
            self.env().emit_event(CollateralWithdrawn {
                miner: caller,
                amount,
                remaining,
            });
            Ok(())
        }

        // ---- Reservations: validators ----

        /// Votes to set a miner aside for a user; by quorum it is, for `reservation_ttl` blocks.
        ///
        /// Refused with `NotValidator`, `SystemHalted`, `HashMismatch`, `SameChain`,
        /// `InvalidAmount` (zero), `InputEmpty`, `InputTooLong`, `AmountBelowMinimum`,
        /// `AmountAboveMaximum`, `MinerNotActive`, `MinerHasActiveSwap`, `InsufficientCollateral`,
        /// `MinerReserved`, `PendingConflict` or `AlreadyVoted`.
        #[ink(message)]
        pub fn vote_reserve(
            &mut self,
            request_hash: Hash,
            miner: AccountId,
            user_source_address: String,
            source_chain: String,
            dest_chain: String,
            tao_amount: u128,
            source_amount: u128,
            dest_amount: u128,
        ) -> Result<()> {
            self.ensure_validator()?;
            self.ensure_running()?;
            let request = ReserveRequest {
                miner,
                user_source_address: &user_source_address,
                source_chain: &source_chain,
                dest_chain: &dest_chain,
                tao_amount,
                source_amount,
                dest_amount,
            };
            ensure_same(request.hash(), request_hash)?;
            ensure_swappable(&source_chain, &dest_chain, tao_amount, source_amount)?;
            text::require(&[&user_source_address, &source_chain, &dest_chain])?;
            self.settings.check_swap_amount(tao_amount)?;
            self.ensure_reservable(&miner)?;

            let votes = self.vote(
                Topic::Reserve(miner),
                request_hash,
                self.settings.reservation_ttl,
            )?;
            if self.is_quorum(votes) {
                let reservation = Reservation {
                    request_hash,
                    user_source_address,
                    tao_amount,
                    source_amount,
                    dest_amount,
                    reserved_until: self.blocks_from_now(self.settings.reservation_ttl),
                };
                self.reserve(miner, &reservation);
            }
            Ok(())
        }

        /// Frees a miner, and ends the vote on reserving it. For the owner.
        #[ink(message)]
        pub fn cancel_reservation(&mut self, miner: AccountId) -> Result<()> {
            self.ensure_owner()?;
            self.ballots.close(Topic::Reserve(miner));
            self.free(miner);
            self.env().emit_event(ReservationCancelled { miner });
            Ok(())
        }

        /// Votes to prolong a reservation while the user's payment confirms; by quorum it then
        /// holds for `reservation_ttl` blocks from now, even if it had expired.
        ///
        /// Refused with `NotValidator`, `HashMismatch`, `InputEmpty`, `InputTooLong`,
        /// `MinerNotActive`, `MinerHasActiveSwap`, `NoReservation`, `PendingConflict` or
        /// `AlreadyVoted`.
        #[ink(message)]
        pub fn vote_extend_reservation(
            &mut self,
            request_hash: Hash,
            miner: AccountId,
            source_tx_hash: String,
        ) -> Result<()> {
            self.ensure_validator()?;
            ensure_same(
                extend_reservation_hash(&miner, &source_tx_hash),
                request_hash,
            )?;
            text::require(&[&source_tx_hash])?;
            self.miners
                .get(&miner)
                .check_eligible(self.settings.max_active_swaps)?;
            let mut reservation = self.reservations.get(&miner).ok_or(Error::NoReservation)?;

            let topic = Topic::ExtendReservation(miner);
            let votes = self.vote(topic, request_hash, self.settings.reservation_ttl)?;
            if self.is_quorum(votes) {
                self.ballots.close(topic);
                reservation.reserved_until = self.blocks_from_now(self.settings.reservation_ttl);
                self.reservations.put(&miner, &reservation);
                self.env().emit_event(ReservationExtended {
                    miner,
                    reserved_until: reservation.reserved_until,
                });
            }
            Ok(())
        }

        // ---- A swap's life: validators and the miner ----

        /// Votes for a swap that a reservation was made for; by quorum it is created, Active.
        ///
        /// The vote is on every argument, also on those that the request hash does not cover.
        ///
        /// Refused with `NotValidator`, `HashMismatch`, `SameChain`, `InvalidAmount` (zero, or not
        /// the reserved ones), `InputEmpty`, `InputTooLong`, `DuplicateSourceTx`, `NoReservation`,
        /// `InsufficientCollateral`, `PendingConflict` or `AlreadyVoted`.
        #[ink(message)]
        pub fn vote_initiate(
            &mut self,
            request_hash: Hash,
            user: AccountId,
            miner: AccountId,
            source_chain: String,
            dest_chain: String,
            source_amount: u128,
            tao_amount: u128,
            user_source_address: String,
            user_dest_address: String,
            source_tx_hash: String,
            source_tx_block: u32,
            dest_amount: u128,
            miner_source_address: String,
            miner_dest_address: String,
            rate: String,
        ) -> Result<()> {
            self.ensure_validator()?;
            let proposal = SwapData {
                id: 0,
                user,
                miner,
                source_chain,
                dest_chain,
                source_amount,
                dest_amount,
                tao_amount,
                user_source_address,
                user_dest_address,
                miner_source_address,
                miner_dest_address,
                rate,
                source_tx_hash,
                source_tx_block,
                dest_tx_hash: String::new(),
                dest_tx_block: 0,
                status: SwapStatus::Active,
                initiated_block: 0,
                timeout_block: 0,
                fulfilled_block: 0,
                completed_block: 0,
            };
            ensure_same(initiate_hash(&proposal), request_hash)?;
            self.ensure_initiable(&proposal)?;

            let votes = self.vote(
                Topic::Initiate(miner),
                keccak(&proposal),
                self.settings.reservation_ttl,
            )?;
            if self.is_quorum(votes) {
                self.initiate(proposal);
            }
            Ok(())
        }

        /// Says that the caller has paid the user: the swap is Fulfilled.
        ///
        /// Refused with `SwapNotFound`, `NotAssignedMiner`, `InvalidStatus` (not Active),
        /// `InvalidAmount` (zero), `InputEmpty` or `InputTooLong`, checked in this order.
        #[ink(message)]
        pub fn mark_fulfilled(
            &mut self,
            swap_id: u64,
            dest_tx_hash: String,
            dest_tx_block: u32,
            dest_amount: u128,
        ) -> Result<()> {
            let caller = self.env().caller();
            let mut swap = self.swaps.find(swap_id)?;
            if swap.miner != caller {
                return Err(Error::NotAssignedMiner);
            }
            if swap.status != SwapStatus::Active {
                return Err(Error::InvalidStatus);
            }
            if dest_amount == 0 {
                return Err(Error::InvalidAmount);
            }
            text::require(&[&dest_tx_hash])?;

            swap.status = SwapStatus::Fulfilled;
            swap.dest_tx_hash.clone_from(&dest_tx_hash);
            swap.dest_tx_block = dest_tx_block;
            swap.dest_amount = dest_amount;
            swap.fulfilled_block = self.env().block_number();
            self.swaps.update(&swap);
            self.env().emit_event(SwapFulfilled {
                swap_id,
                miner: caller,
                dest_tx_hash,
            });
            Ok(())
        }

        /// Votes that a Fulfilled swap's payout is good; by quorum the fee is taken from the
        /// miner's collateral, and the swap ends, Completed.
        ///
        /// Refused with `NotValidator`, `SwapNotFound`, `InvalidStatus` or `AlreadyVoted`.
        #[ink(message)]
        pub fn confirm_swap(&mut self, swap_id: u64) -> Result<()> {
            self.ensure_validator()?;
            let swap = self.swaps.find(swap_id)?;
            if swap.status != SwapStatus::Fulfilled {
                return Err(Error::InvalidStatus);
            }
            let votes = self.vote_on_swap(Topic::Confirm(swap_id), swap_id, VoteType::Confirm)?;
            if self.is_quorum(votes) {
                self.complete(swap);
            }
            Ok(())
        }

        /// Votes to end an Active or Fulfilled swap whose deadline has come; by quorum the user
        /// gets `tao_amount`, or what there is, from the miner's collateral, and the swap ends,
        /// TimedOut.
        ///
        /// Refused with `NotValidator`, `SwapNotFound`, `InvalidStatus`, `NotTimedOut` or
        /// `AlreadyVoted`.
        #[ink(message)]
        pub fn timeout_swap(&mut self, swap_id: u64) -> Result<()> {
            self.ensure_validator()?;
            let swap = self.swaps.find(swap_id)?;
            if !matches!(swap.status, SwapStatus::Active | SwapStatus::Fulfilled) {
                return Err(Error::InvalidStatus);
            }
            if self.env().block_number() < swap.timeout_block {
                return Err(Error::NotTimedOut);
            }
            let votes = self.vote_on_swap(Topic::Timeout(swap_id), swap_id, VoteType::Timeout)?;
            if self.is_quorum(votes) {
                self.time_out(swap);
            }
            Ok(())
        }

        /// Votes to give a Fulfilled swap more time; by quorum its deadline is
        /// `fulfillment_timeout_blocks` from now, and votes for its timeout are void.
        ///
        /// Refused with `NotValidator`, `SwapNotFound`, `InvalidStatus` or `AlreadyVoted`.
        #[ink(message)]
        pub fn vote_extend_timeout(&mut self, swap_id: u64) -> Result<()> {
            self.ensure_validator()?;
            let mut swap = self.swaps.find(swap_id)?;
            if swap.status != SwapStatus::Fulfilled {
                return Err(Error::InvalidStatus);
            }
            let topic = Topic::ExtendTimeout(swap_id);
            let votes = self.vote_on_swap(topic, swap_id, VoteType::ExtendTimeout)?;
            if self.is_quorum(votes) {
                self.ballots.close(topic);
                self.ballots.close(Topic::Timeout(swap_id));
                swap.timeout_block = self.blocks_from_now(self.settings.fulfillment_timeout_blocks);
                self.swaps.update(&swap);
                self.env().emit_event(SwapTimeoutExtended {
                    swap_id,
                    new_timeout_block: swap.timeout_block,
                });
            }
            Ok(())
        }

        /// Pays the caller a slash that could not be paid when it happened.
        ///
        /// Refused with `NoPendingSlash`, `InvalidStatus` (it is another user's) or
        /// `TransferFailed`.
        #[ink(message)]
        pub fn claim_slash(&mut self, swap_id: u64) -> Result<()> {
            let caller = self.env().caller();
            let (user, amount) = self
                .swaps
                .pending_slash(swap_id)
                .ok_or(Error::NoPendingSlash)?;
            if user != caller {
                return Err(Error::InvalidStatus);
            }
            self.swaps.drop_slash(swap_id);
            self.pay(user, amount)?;
            self.env().emit_event(SlashClaimed {
                swap_id,
                user,
                amount,
            });
            Ok(())
        }

        // ---- Activation ----

        /// Ends the caller's own service; open swaps stay due.
        ///
        /// Refused with `NotAssignedMiner` if `miner` is not the caller.
        #[ink(message)]
        pub fn deactivate(&mut self, miner: AccountId) -> Result<()> {
            if self.env().caller() != miner {
                return Err(Error::NotAssignedMiner);
            }
            let mut record = self.miners.get(&miner);
            record.deactivate(self.env().block_number());
            self.miners.put(&miner, &record);
            self.env().emit_event(MinerActivated {
                miner,
                active: false,
            });
            Ok(())
        }

        /// Votes for a miner with enough collateral; by quorum it is active.
        ///
        /// Refused with `NotValidator`, `SystemHalted`, `InvalidStatus` (active already),
        /// `InsufficientCollateral` or `AlreadyVoted`.
        #[ink(message)]
        pub fn vote_activate(&mut self, miner: AccountId) -> Result<()> {
            self.ensure_validator()?;
            self.ensure_running()?;
            let mut record = self.miners.get(&miner);
            if record.active {
                return Err(Error::InvalidStatus);
            }
            if record.collateral < self.settings.min_collateral {
                return Err(Error::InsufficientCollateral);
            }
            let topic = Topic::Activate(miner);
            let votes = self.vote(topic, Hash::default(), FOR_EVER)?;
            if self.is_quorum(votes) {
                self.ballots.close(topic);
                record.active = true;
                record.deactivation_block = 0;
                self.miners.put(&miner, &record);
                self.env().emit_event(MinerActivated {
                    miner,
                    active: true,
                });
            }
            Ok(())
        }

        // ---- Settings: the owner; others are refused with `NotOwner` ----

        /// Hands the contract over.
        #[ink(message)]
        pub fn transfer_ownership(&mut self, new_owner: AccountId) -> Result<()> {
            self.ensure_owner()?;
            let previous_owner = self.settings.owner;
            self.settings.owner = new_owner;
            self.env().emit_event(OwnershipTransferred {
                previous_owner,
                new_owner,
            });
            Ok(())
        }

        /// Lets an account vote. Refused with `TooManyValidators` when 64 may.
        #[ink(message)]
        pub fn add_validator(&mut self, validator: AccountId) -> Result<()> {
            self.ensure_owner()?;
            self.validators.add(validator)?;
            self.env().emit_event(ValidatorUpdated {
                validator,
                registered: true,
            });
            Ok(())
        }

        /// Takes an account's vote away; its votes in open ballots no longer count.
        #[ink(message)]
        pub fn remove_validator(&mut self, validator: AccountId) -> Result<()> {
            self.ensure_owner()?;
            self.validators.remove(&validator);
            self.env().emit_event(ValidatorUpdated {
                validator,
                registered: false,
            });
            Ok(())
        }

        /// Sets how long a new swap has; at least 10 blocks.
        #[ink(message)]
        pub fn set_fulfillment_timeout(&mut self, blocks: u32) -> Result<()> {
            self.ensure_owner()?;
            self.settings.fulfillment_timeout_blocks =
                within(blocks, MIN_FULFILLMENT_TIMEOUT..=u32::MAX)?;
            self.configured("fulfillment_timeout_blocks", blocks)
        }

        /// Sets the collateral below which a miner is not active.
        #[ink(message)]
        pub fn set_min_collateral(&mut self, amount: u128) -> Result<()> {
            self.ensure_owner()?;
            self.settings.min_collateral = amount;
            self.configured("min_collateral", amount)
        }

        /// Sets the most collateral a miner may post; zero lifts the bound.
        #[ink(message)]
        pub fn set_max_collateral(&mut self, amount: u128) -> Result<()> {
            self.ensure_owner()?;
            self.settings.max_collateral = amount;
            self.configured("max_collateral", amount)
        }

        /// Sets the share of the validators that decides, in 1..=100 per cent.
        #[ink(message)]
        pub fn set_consensus_threshold(&mut self, percent: u8) -> Result<()> {
            self.ensure_owner()?;
            self.settings.consensus_threshold_percent = within(percent, 1..=100)?;
            self.configured("consensus_threshold_percent", percent)
        }

        /// Sets the smallest swap, at least 100 rao; zero lifts the bound.
        #[ink(message)]
        pub fn set_min_swap_amount(&mut self, amount: u128) -> Result<()> {
            self.ensure_owner()?;
            if amount > 0 {
                within(amount, MIN_MIN_SWAP_AMOUNT..=u128::MAX)?;
            }
            self.settings.min_swap_amount = amount;
            self.configured("min_swap_amount", amount)
        }

        /// Sets the largest swap; zero lifts the bound.
        #[ink(message)]
        pub fn set_max_swap_amount(&mut self, amount: u128) -> Result<()> {
            self.ensure_owner()?;
            self.settings.max_swap_amount = amount;
            self.configured("max_swap_amount", amount)
        }

        /// Sets who gets the fees.
        #[ink(message)]
        pub fn set_recycle_address(&mut self, address: AccountId) -> Result<()> {
            self.ensure_owner()?;
            self.settings.recycle_address = address;
            Ok(())
        }

        /// Sets how long a reservation holds.
        #[ink(message)]
        pub fn set_reservation_ttl(&mut self, blocks: u32) -> Result<()> {
            self.ensure_owner()?;
            self.settings.reservation_ttl = blocks;
            self.configured("reservation_ttl", blocks)
        }

        /// Sets the fee to one part in `divisor`, which is at least 20.
        #[ink(message)]
        pub fn set_fee_divisor(&mut self, divisor: u128) -> Result<()> {
            self.ensure_owner()?;
            self.settings.fee_divisor = within(divisor, MIN_FEE_DIVISOR..=u128::MAX)?;
            self.configured("fee_divisor", divisor)
        }

        /// Stops, or resumes, what starts new swaps. Open swaps go on.
        #[ink(message)]
        pub fn set_halted(&mut self, halted: bool) -> Result<()> {
            self.ensure_owner()?;
            self.settings.halted = halted;
            self.configured("halted", halted)
        }

        /// Pays the collected fees to the recycle address.
        ///
        /// Refused with `NotOwner`, `ZeroAmount` or `TransferFailed`.
        #[ink(message)]
        pub fn recycle_fees(&mut self) -> Result<()> {
            self.ensure_owner()?;
            let fees = core::mem::take(&mut self.accumulated_fees);
            if fees == 0 {
                return Err(Error::ZeroAmount);
            }
            self.pay(self.settings.recycle_address, fees)?;
            self.total_recycled_fees = self.total_recycled_fees.saturating_add(fees);
            self.env().emit_event(FeesRecycled { tao_amount: fees });
            Ok(())
        }

        // ---- Questions ----

        /// The open swap; nothing if it never existed or has ended.
        #[ink(message)]
        pub fn get_swap(&self, swap_id: u64) -> Option<SwapData> {
            self.swaps.get(swap_id)
        }

        /// A miner's collateral, in rao.
        #[ink(message)]
        pub fn get_collateral(&self, hotkey: AccountId) -> u128 {
            self.miners.get(&hotkey).collateral
        }

        /// Whether a miner is active.
        #[ink(message)]
        pub fn get_miner_active(&self, hotkey: AccountId) -> bool {
            self.miners.get(&hotkey).active
        }

        /// Whether a miner has any open swap.
        #[ink(message)]
        pub fn get_miner_has_active_swap(&self, hotkey: AccountId) -> bool {
            !self.miners.get(&hotkey).open_swaps.is_empty()
        }

        /// The block in which a swap of the miner last ended; zero if none has.
        #[ink(message)]
        pub fn get_miner_last_resolved_block(&self, miner: AccountId) -> u32 {
            self.miners.get(&miner).last_resolved_block
        }

        /// Whether the account may vote.
        #[ink(message)]
        pub fn is_validator(&self, account: AccountId) -> bool {
            self.validators.contains(&account)
        }

        /// The id that the next swap will have. The first is 1.
        #[ink(message)]
        pub fn get_next_swap_id(&self) -> u64 {
            self.swaps.next_id()
        }

        /// How many blocks a new swap has.
        #[ink(message)]
        pub fn get_fulfillment_timeout(&self) -> u32 {
            self.settings.fulfillment_timeout_blocks
        }

        /// The collateral below which a miner is not active, in rao.
        #[ink(message)]
        pub fn get_min_collateral(&self) -> u128 {
            self.settings.min_collateral
        }

        /// The most collateral a miner may post, in rao; zero means no bound.
        #[ink(message)]
        pub fn get_max_collateral(&self) -> u128 {
            self.settings.max_collateral
        }

        /// How many votes decide.
        #[ink(message)]
        pub fn get_required_votes_count(&self) -> u32 {
            quorum::required_votes(
                self.validators.count(),
                self.settings.consensus_threshold_percent,
            )
        }

        /// The fees collected and not yet passed on, in rao.
        #[ink(message)]
        pub fn get_accumulated_fees(&self) -> u128 {
            self.accumulated_fees
        }

        /// The fees passed on so far, in rao.
        #[ink(message)]
        pub fn get_total_recycled_fees(&self) -> u128 {
            self.total_recycled_fees
        }

        /// Who may change the settings.
        #[ink(message)]
        pub fn get_owner(&self) -> AccountId {
            self.settings.owner
        }

        /// Whether new swaps are stopped.
        #[ink(message)]
        pub fn get_halted(&self) -> bool {
            self.settings.halted
        }

        /// Who gets the fees.
        #[ink(message)]
        pub fn get_recycle_address(&self) -> AccountId {
            self.settings.recycle_address
        }

        /// The slash that waits to be claimed for this swap, in rao.
        #[ink(message)]
        pub fn get_pending_slash(&self, swap_id: u64) -> u128 {
            self.swaps
                .pending_slash(swap_id)
                .map_or(0, |(_, amount)| amount)
        }

        /// The smallest swap, in rao; zero means no bound.
        #[ink(message)]
        pub fn get_min_swap_amount(&self) -> u128 {
            self.settings.min_swap_amount
        }

        /// The largest swap, in rao; zero means no bound.
        #[ink(message)]
        pub fn get_max_swap_amount(&self) -> u128 {
            self.settings.max_swap_amount
        }

        /// The last block of the miner's latest reservation; zero if there is none.
        #[ink(message)]
        pub fn get_miner_reserved_until(&self, miner: AccountId) -> u32 {
            self.reservations
                .get(&miner)
                .map_or(0, |r| r.reserved_until)
        }

        /// How many blocks a reservation holds.
        #[ink(message)]
        pub fn get_reservation_ttl(&self) -> u32 {
            self.settings.reservation_ttl
        }

        /// The fee is one part in this of the amount.
        #[ink(message)]
        pub fn get_fee_divisor(&self) -> u128 {
            self.settings.fee_divisor
        }

        /// The block in which the miner ceased to be active; zero if it is, or never was.
        #[ink(message)]
        pub fn get_miner_deactivation_block(&self, miner: AccountId) -> u32 {
            self.miners.get(&miner).deactivation_block
        }

        /// The share of the validators that decides, in per cent.
        #[ink(message)]
        pub fn get_consensus_threshold(&self) -> u8 {
            self.settings.consensus_threshold_percent
        }

        /// How many validators there are.
        #[ink(message)]
        pub fn get_validator_count(&self) -> u32 {
            self.validators.count()
        }

        /// How many have voted to activate the miner.
        #[ink(message)]
        pub fn get_activation_vote_count(&self, miner: AccountId) -> u32 {
            self.votes_in(Topic::Activate(miner))
        }

        /// The miner's latest reservation: the user's source address, the TAO, source and
        /// destination amounts, and its last block.
        #[ink(message)]
        pub fn get_reservation_data(
            &self,
            miner: AccountId,
        ) -> Option<(String, u128, u128, u128, u32)> {
            self.reservations.get(&miner).map(|r| {
                (
                    r.user_source_address,
                    r.tao_amount,
                    r.source_amount,
                    r.dest_amount,
                    r.reserved_until,
                )
            })
        }

        /// How many have voted to reserve the miner.
        #[ink(message)]
        pub fn get_pending_reserve_vote_count(&self, miner: AccountId) -> u32 {
            self.votes_in(Topic::Reserve(miner))
        }

        /// How many have voted to prolong the miner's reservation.
        #[ink(message)]
        pub fn get_extend_vote_count(&self, miner: AccountId) -> u32 {
            self.votes_in(Topic::ExtendReservation(miner))
        }

        /// How many reservations the address let expire since its last completed swap, and the
        /// block in which the last expiry was noticed.
        #[ink(message)]
        pub fn get_cooldown(&self, source_address: String) -> (u8, u32) {
            self.reservations.strikes(&source_address)
        }

        // ---- Beyond the interface in the field ----

        /// Sets how many open swaps a miner may have, in 1..=64. Open swaps are not affected.
        #[ink(message)]
        pub fn set_max_active_swaps(&mut self, count: u32) -> Result<()> {
            self.ensure_owner()?;
            self.settings.max_active_swaps = within(count, 1..=MAX_MAX_ACTIVE_SWAPS)?;
            self.configured("max_active_swaps", count)
        }

        /// How many open swaps a miner may have.
        #[ink(message)]
        pub fn get_max_active_swaps(&self) -> u32 {
            self.settings.max_active_swaps
        }

        /// A miner's open swaps by ascending id, from the `offset`th on, at most `limit` and never
        /// more than 10.
        #[ink(message)]
        pub fn get_active_swaps(&self, miner: AccountId, offset: u32, limit: u32) -> Vec<SwapData> {
            self.miners
                .get(&miner)
                .page(offset, limit.min(MAX_PAGE))
                .filter_map(|id| self.swaps.get(id))
                .collect()
        }

        /// The open swaps with these ids, in their order; nothing for an id without one. Only the
        /// first 10 ids are answered.
        #[ink(message)]
        pub fn get_swaps(&self, ids: Vec<u64>) -> Vec<Option<SwapData>> {
            ids.into_iter()
                .take(MAX_PAGE as usize)
                .map(|id| self.swaps.get(id))
                .collect()
        }

        /// How an ended swap ended; nothing while it is open.
        #[ink(message)]
        pub fn get_swap_outcome(&self, swap_id: u64) -> Option<SwapOutcome> {
            self.swaps.outcome(swap_id)
        }

        // ---- Who may, and when ----

        fn ensure_owner(&self) -> Result<()> {
            if self.env().caller() != self.settings.owner {
                return Err(Error::NotOwner);
            }
            Ok(())
        }

        fn ensure_validator(&self) -> Result<()> {
            if !self.validators.contains(&self.env().caller()) {
                return Err(Error::NotValidator);
            }
            Ok(())
        }

        fn ensure_running(&self) -> Result<()> {
            if self.settings.halted {
                return Err(Error::SystemHalted);
            }
            Ok(())
        }

        /// The miner may be set aside for a swap.
        fn ensure_reservable(&self, miner: &AccountId) -> Result<()> {
            let record = self.miners.get(miner);
            record.check_eligible(self.settings.max_active_swaps)?;
            if record.collateral < self.settings.min_collateral {
                return Err(Error::InsufficientCollateral);
            }
            self.reservations
                .check_free(miner, self.env().block_number())
        }

        /// The swap is sound, new, reserved and covered.
        fn ensure_initiable(&self, swap: &SwapData) -> Result<()> {
            ensure_swappable(
                &swap.source_chain,
                &swap.dest_chain,
                swap.tao_amount,
                swap.source_amount,
            )?;
            text::require(&[
                &swap.source_chain,
                &swap.dest_chain,
                &swap.user_source_address,
                &swap.user_dest_address,
                &swap.miner_source_address,
                &swap.miner_dest_address,
                &swap.rate,
                &swap.source_tx_hash,
            ])?;
            self.swaps.check_source_tx(&swap.source_tx_hash)?;
            let reservation = self
                .reservations
                .holding(&swap.miner, self.env().block_number())?;
            if !reservation.is_for(swap.tao_amount, swap.source_amount, swap.dest_amount) {
                return Err(Error::InvalidAmount);
            }
            self.miners.get(&swap.miner).check_cover(swap.tao_amount)
        }

        // ---- Voting ----

        /// Casts the caller's vote and says how many now count.
        fn vote(&mut self, topic: Topic, subject: Hash, lifetime: u32) -> Result<u32> {
            let vote = Vote {
                topic,
                subject,
                voter: self.env().caller(),
                now: self.env().block_number(),
                lifetime,
            };
            self.ballots.cast(vote, &self.validators.all())
        }

        /// Casts the caller's vote on a swap, and announces it.
        fn vote_on_swap(&mut self, topic: Topic, swap_id: u64, vote_type: VoteType) -> Result<u32> {
            let vote_count = self.vote(topic, Hash::default(), FOR_EVER)?;
            self.env().emit_event(VoteCast {
                swap_id,
                validator: self.env().caller(),
                vote_type,
                vote_count,
            });
            Ok(vote_count)
        }

        fn votes_in(&self, topic: Topic) -> u32 {
            self.ballots.count(topic, &self.validators.all())
        }

        fn is_quorum(&self, votes: u32) -> bool {
            votes >= self.get_required_votes_count()
        }

        // ---- What a quorum does ----

        fn reserve(&mut self, miner: AccountId, reservation: &Reservation) {
            self.ballots.close(Topic::Reserve(miner));
            if self.reservations.expire(&miner, self.env().block_number()) {
                self.env().emit_event(ReservationCancelled { miner });
            }
            self.free(miner);
            self.reservations.put(&miner, reservation);
            self.env().emit_event(MinerReserved {
                miner,
                reserved_until: reservation.reserved_until,
            });
        }

        /// Ends a reservation together with the votes that were about it.
        fn free(&mut self, miner: AccountId) {
            self.ballots.close(Topic::ExtendReservation(miner));
            self.ballots.close(Topic::Initiate(miner));
            self.reservations.remove(&miner);
        }

        fn initiate(&mut self, mut swap: SwapData) {
            swap.initiated_block = self.env().block_number();
            swap.timeout_block = self.blocks_from_now(self.settings.fulfillment_timeout_blocks);
            self.swaps.create(&mut swap);

            let mut miner = self.miners.get(&swap.miner);
            miner.open_swap(swap.id, swap.tao_amount);
            self.miners.put(&swap.miner, &miner);
            self.free(swap.miner);

            self.env().emit_event(SwapInitiated {
                swap_id: swap.id,
                user: swap.user,
                miner: swap.miner,
                source_amount: swap.source_amount,
                initiated_block: swap.initiated_block,
            });
        }

        fn complete(&mut self, swap: SwapData) {
            let now = self.env().block_number();
            let mut miner = self.miners.get(&swap.miner);
            let fee_amount = miner.take(self.settings.fee(swap.tao_amount));
            miner.close_swap(swap.id, swap.tao_amount, now);
            self.miners.put(&swap.miner, &miner);
            self.accumulated_fees = self.accumulated_fees.saturating_add(fee_amount);
            self.reservations.forgive(&swap.user_source_address);

            self.env().emit_event(SwapCompleted {
                swap_id: swap.id,
                miner: swap.miner,
                tao_amount: swap.tao_amount,
                fee_amount,
            });
            self.end(swap, SwapStatus::Completed, 0, fee_amount);
        }

        fn time_out(&mut self, swap: SwapData) {
            let now = self.env().block_number();
            let mut miner = self.miners.get(&swap.miner);
            let slash_amount = miner.take(swap.tao_amount);
            miner.close_swap(swap.id, swap.tao_amount, now);
            let falls_short = miner.collateral < self.settings.min_collateral;
            if falls_short {
                miner.deactivate(now);
            }
            self.miners.put(&swap.miner, &miner);

            self.pay_slash(&swap, slash_amount);
            if falls_short {
                self.env().emit_event(MinerActivated {
                    miner: swap.miner,
                    active: false,
                });
            }
            self.env().emit_event(SwapTimedOut {
                swap_id: swap.id,
                miner: swap.miner,
                tao_amount: swap.tao_amount,
                slash_amount,
            });
            self.end(swap, SwapStatus::TimedOut, slash_amount, 0);
        }

        /// Pays a slash to the user, or keeps it where it can be claimed.
        fn pay_slash(&mut self, swap: &SwapData, amount: u128) {
            if amount == 0 {
                return;
            }
            if self.pay(swap.user, amount).is_ok() {
                self.env().emit_event(CollateralSlashed {
                    miner: swap.miner,
                    amount,
                    recipient: swap.user,
                });
            } else {
                self.swaps.keep_slash(swap.id, swap.user, amount);
                self.env().emit_event(SlashPending {
                    swap_id: swap.id,
                    user: swap.user,
                    amount,
                });
            }
        }

        /// Deletes a swap with its ballots and remembers how it ended.
        fn end(
            &mut self,
            swap: SwapData,
            status: SwapStatus,
            slash_amount: u128,
            fee_amount: u128,
        ) {
            let outcome = SwapOutcome {
                status,
                ended_block: self.env().block_number(),
                dest_tx_hash: swap.dest_tx_hash,
                slash_amount,
                fee_amount,
            };
            self.swaps.end(swap.id, &outcome);
            self.ballots.close(Topic::Confirm(swap.id));
            self.ballots.close(Topic::Timeout(swap.id));
            self.ballots.close(Topic::ExtendTimeout(swap.id));
        }

        // ---- The chain ----

        fn blocks_from_now(&self, blocks: u32) -> u32 {
            self.env().block_number().saturating_add(blocks)
        }

        fn pay(&self, recipient: AccountId, amount: u128) -> Result<()> {
            let value = Balance::try_from(amount).map_err(|_| Error::TransferFailed)?;
            self.env()
                .transfer(recipient, value)
                .map_err(|_| Error::TransferFailed)
        }

        /// Announces a changed setting.
        fn configured(&self, key: &str, value: impl Into<u128>) -> Result<()> {
            self.env().emit_event(ConfigUpdated {
                key: String::from(key),
                value: value.into(),
            });
            Ok(())
        }
    }

    /// The chain's balance as an amount of the interface.
    #[allow(clippy::useless_conversion)] // The balance is a `u128` in unit tests only.
    fn amount_of(value: Balance) -> u128 {
        value.into()
    }

    fn ensure_same(computed: Hash, request_hash: Hash) -> Result<()> {
        if computed != request_hash {
            return Err(Error::HashMismatch);
        }
        Ok(())
    }

    /// Two chains, and something to swap.
    fn ensure_swappable(
        source_chain: &str,
        dest_chain: &str,
        tao_amount: u128,
        source_amount: u128,
    ) -> Result<()> {
        if source_chain == dest_chain {
            return Err(Error::SameChain);
        }
        if tao_amount == 0 || source_amount == 0 {
            return Err(Error::InvalidAmount);
        }
        Ok(())
    }
}
