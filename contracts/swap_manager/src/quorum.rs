//! How many votes decide, and the ballots they are cast in.

use ink::{
    prelude::vec::Vec,
    primitives::{AccountId, Hash},
};

use crate::error::{Error, Result};

/// The votes that decide: `threshold_percent` of the validators, rounded up, and at least one.
pub fn required_votes(validators: u32, threshold_percent: u8) -> u32 {
    let hundredths = u64::from(validators).saturating_mul(u64::from(threshold_percent));
    let votes = u32::try_from(hundredths.div_ceil(100)).unwrap_or(u32::MAX);
    votes.max(1)
}

/// The votes cast so far for one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
#[ink::scale_derive(Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "std", derive(ink::storage::traits::StorageLayout))]
pub struct Ballot {
    subject: Hash,
    opened_block: u32,
    voters: Vec<AccountId>,
}

impl Ballot {
    /// An empty ballot on `subject`, opened in block `now`.
    pub fn open(subject: Hash, now: u32) -> Self {
        Self {
            subject,
            opened_block: now,
            voters: Vec::new(),
        }
    }

    /// Whether it was opened more than `lifetime` blocks before `now`.
    pub fn is_stale(&self, now: u32, lifetime: u32) -> bool {
        now > self.opened_block.saturating_add(lifetime)
    }

    /// Adds a vote for `subject`.
    ///
    /// # Errors
    /// `PendingConflict` if the ballot is on something else, `AlreadyVoted` if the voter has voted.
    pub fn cast(&mut self, subject: Hash, voter: AccountId) -> Result<()> {
        if self.subject != subject {
            return Err(Error::PendingConflict);
        }
        if self.voters.contains(&voter) {
            return Err(Error::AlreadyVoted);
        }
        self.voters.push(voter);
        Ok(())
    }

    /// The votes of those who are in `electorate` now.
    pub fn count(&self, electorate: &[AccountId]) -> u32 {
        let votes = self.voters.iter().filter(|v| electorate.contains(v));
        u32::try_from(votes.count()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u8) -> AccountId {
        AccountId::from([n; 32])
    }

    #[test]
    fn a_share_of_a_vote_counts_as_a_whole_one() {
        assert_eq!(required_votes(3, 66), 2);
        assert_eq!(required_votes(3, 67), 3);
        assert_eq!(required_votes(5, 60), 3);
        assert_eq!(required_votes(5, 61), 4);
        assert_eq!(required_votes(64, 100), 64);
    }

    #[test]
    fn at_least_one_vote_is_needed() {
        assert_eq!(required_votes(0, 100), 1);
        assert_eq!(required_votes(1, 1), 1);
    }

    #[test]
    fn only_the_electorate_counts() {
        let mut ballot = Ballot::open(Hash::default(), 0);
        ballot.cast(Hash::default(), account(1)).unwrap();
        ballot.cast(Hash::default(), account(2)).unwrap();
        assert_eq!(ballot.count(&[account(1), account(2)]), 2);
        assert_eq!(ballot.count(&[account(2), account(3)]), 1);
    }

    #[test]
    fn a_ballot_has_one_subject_and_one_vote_a_voter() {
        let mut ballot = Ballot::open(Hash::default(), 0);
        ballot.cast(Hash::default(), account(1)).unwrap();
        let other = Hash::from([1; 32]);
        assert_eq!(ballot.cast(other, account(2)), Err(Error::PendingConflict));
        assert_eq!(
            ballot.cast(Hash::default(), account(1)),
            Err(Error::AlreadyVoted)
        );
    }

    #[test]
    fn a_ballot_goes_stale_after_its_lifetime() {
        let ballot = Ballot::open(Hash::default(), 10);
        assert!(!ballot.is_stale(15, 5));
        assert!(ballot.is_stale(16, 5));
        assert!(!ballot.is_stale(u32::MAX, u32::MAX));
    }
}
