//! The validators and their open ballots, as stored.

use ink::{
    prelude::vec::Vec,
    primitives::{AccountId, Hash},
    storage::{Lazy, Mapping},
};

use crate::{
    error::{Error, Result},
    quorum::Ballot,
};

/// How many validators there may be.
pub const MAX_VALIDATORS: usize = 64;

/// What a ballot decides. There is one open ballot for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[ink::scale_derive(Encode, Decode, TypeInfo)]
pub enum Topic {
    Reserve(AccountId),
    ExtendReservation(AccountId),
    Initiate(AccountId),
    Activate(AccountId),
    Confirm(u64),
    Timeout(u64),
    ExtendTimeout(u64),
}

/// A vote: on what, for what, by whom and when.
#[derive(Debug, Clone, Copy)]
pub struct Vote {
    pub topic: Topic,
    /// What is voted for. Topics that name it completely use the default hash.
    pub subject: Hash,
    pub voter: AccountId,
    pub now: u32,
    /// How many blocks the ballot stays open; a stale one gives way to a new one.
    pub lifetime: u32,
}

/// The accounts that may vote.
#[ink::storage_item]
#[derive(Debug, Default)]
pub struct Validators {
    accounts: Lazy<Vec<AccountId>>,
}

impl Validators {
    /// All of them, at most [`MAX_VALIDATORS`].
    pub fn all(&self) -> Vec<AccountId> {
        self.accounts.get_or_default()
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.all().len()).unwrap_or(u32::MAX)
    }

    /// Whether `account` may vote.
    pub fn contains(&self, account: &AccountId) -> bool {
        self.all().contains(account)
    }

    /// Lets `account` vote; nothing changes if it may already.
    ///
    /// # Errors
    /// `TooManyValidators` if there is no room.
    pub fn add(&mut self, account: AccountId) -> Result<()> {
        let mut all = self.all();
        if all.contains(&account) {
            return Ok(());
        }
        if all.len() >= MAX_VALIDATORS {
            return Err(Error::TooManyValidators);
        }
        all.push(account);
        self.accounts.set(&all);
        Ok(())
    }

    /// Takes the vote from `account`, and its votes out of every open ballot's count.
    pub fn remove(&mut self, account: &AccountId) {
        let mut all = self.all();
        all.retain(|a| a != account);
        self.accounts.set(&all);
    }
}

/// The open ballots.
#[ink::storage_item]
#[derive(Debug, Default)]
pub struct Ballots {
    open: Mapping<Topic, Ballot>,
}

impl Ballots {
    /// Casts a vote and says how many of the `electorate` have now voted so.
    ///
    /// # Errors
    /// `PendingConflict` if another subject is being voted on, `AlreadyVoted` if the voter has voted.
    pub fn cast(&mut self, vote: Vote, electorate: &[AccountId]) -> Result<u32> {
        let mut ballot = self
            .open
            .get(vote.topic)
            .filter(|b| !b.is_stale(vote.now, vote.lifetime))
            .unwrap_or_else(|| Ballot::open(vote.subject, vote.now));
        ballot.cast(vote.subject, vote.voter)?;
        self.open.insert(vote.topic, &ballot);
        Ok(ballot.count(electorate))
    }

    /// How many of the `electorate` have voted in the open ballot, if there is one.
    pub fn count(&self, topic: Topic, electorate: &[AccountId]) -> u32 {
        self.open.get(topic).map_or(0, |b| b.count(electorate))
    }

    /// Forgets the ballot: it is decided, or moot.
    pub fn close(&mut self, topic: Topic) {
        self.open.remove(topic);
    }
}
