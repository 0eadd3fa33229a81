//! Which miners are set aside, and which users let that lapse.

use ink::{prelude::string::String, primitives::AccountId, storage::Mapping};

use crate::{
    error::{Error, Result},
    types::Reservation,
};

/// The reservations, and how often each source address let one expire.
#[ink::storage_item]
#[derive(Debug, Default)]
pub struct Reservations {
    by_miner: Mapping<AccountId, Reservation>,
    /// Count, and the block in which the last expiry was noticed.
    strikes: Mapping<String, (u8, u32)>,
}

impl Reservations {
    /// The miner's latest reservation, be it expired or not.
    pub fn get(&self, miner: &AccountId) -> Option<Reservation> {
        self.by_miner.get(miner)
    }

    /// Sets the miner aside.
    pub fn put(&mut self, miner: &AccountId, reservation: &Reservation) {
        self.by_miner.insert(miner, reservation);
    }

    /// Frees the miner.
    pub fn remove(&mut self, miner: &AccountId) {
        self.by_miner.remove(miner);
    }

    /// The reservation that holds in block `now`.
    ///
    /// # Errors
    /// `NoReservation`.
    pub fn holding(&self, miner: &AccountId, now: u32) -> Result<Reservation> {
        self.get(miner)
            .filter(|r| r.holds_at(now))
            .ok_or(Error::NoReservation)
    }

    /// Checks that the miner is free in block `now`.
    ///
    /// # Errors
    /// `MinerReserved`.
    pub fn check_free(&self, miner: &AccountId, now: u32) -> Result<()> {
        match self.holding(miner, now) {
            Ok(_) => Err(Error::MinerReserved),
            Err(_) => Ok(()),
        }
    }

    /// Removes a reservation that expired before block `now`, counts a strike against its user's
    /// address, and says whether there was one.
    pub fn expire(&mut self, miner: &AccountId, now: u32) -> bool {
        let Some(expired) = self.get(miner).filter(|r| !r.holds_at(now)) else {
            return false;
        };
        let (count, _) = self.strikes(&expired.user_source_address);
        self.strikes.insert(
            &expired.user_source_address,
            &(count.saturating_add(1), now),
        );
        self.remove(miner);
        true
    }

    /// How many reservations this address let expire, and when the last one was noticed.
    pub fn strikes(&self, source_address: &String) -> (u8, u32) {
        self.strikes.get(source_address).unwrap_or_default()
    }

    /// Forgives an address whose swap came to a good end.
    pub fn forgive(&mut self, source_address: &String) {
        self.strikes.remove(source_address);
    }
}
