//! What Subtensor's `Commitments` pallet is to a client: storage, call, event and error names, and
//! the bytes of each. Miners commit their quotes here, and users read them.
//!
//! Who may commit is simpler than there: any account, on the one subnet that this chain has.

use alloc::{boxed::Box, vec::Vec};

use codec::{Decode, DecodeWithMemTracking, Encode, EncodeLike, Error as CodecError, Input, Output};
use scale_info::{
    build::{Fields, Variants},
    Path, Type, TypeInfo,
};

pub use pallet::*;

/// The longest `Raw` field, in bytes.
pub const MOST_RAW: usize = 128;

/// A committed field: nothing, or up to 128 bytes, whose length is in the variant's index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Data {
    /// No bytes are held.
    #[default]
    None,
    /// Bytes; never more than [`MOST_RAW`].
    Raw(Vec<u8>),
}

impl Data {
    /// How many bytes it counts for against the space of an account.
    fn space(&self) -> u64 {
        match self {
            Data::None => 0,
            Data::Raw(bytes) => bytes.len() as u64,
        }
    }
}

impl Encode for Data {
    fn encode_to<T: Output + ?Sized>(&self, dest: &mut T) {
        match self {
            Data::None => dest.push_byte(0),
            Data::Raw(bytes) => {
                dest.push_byte(bytes.len() as u8 + 1);
                dest.write(bytes);
            }
        }
    }
}

impl EncodeLike for Data {}

impl Decode for Data {
    fn decode<I: Input>(input: &mut I) -> Result<Self, CodecError> {
        let index = input.read_byte()? as usize;
        if index == 0 {
            return Ok(Data::None);
        }
        if index > MOST_RAW + 1 {
            return Err("a kind of data that this chain does not hold".into());
        }
        let mut bytes = alloc::vec![0; index - 1];
        input.read(&mut bytes)?;
        Ok(Data::Raw(bytes))
    }
}

impl DecodeWithMemTracking for Data {}

macro_rules! raw_variants {
    ($variants:expr, $($size:literal)*) => {
        $variants$(.variant(concat!("Raw", stringify!($size)), |variant| {
            variant
                .index($size + 1)
                .fields(Fields::unnamed().field(|field| field.ty::<[u8; $size]>()))
        }))*
    };
}

impl TypeInfo for Data {
    type Identity = Self;

    fn type_info() -> Type {
        let variants = Variants::new().variant("None", |variant| variant.index(0));
        let variants = raw_variants!(
            variants,
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
            33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61
            62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90
            91 92 93 94 95 96 97 98 99 100 101 102 103 104 105 106 107 108 109 110 111 112 113 114
            115 116 117 118 119 120 121 122 123 124 125 126 127 128
        );
        Type::builder().path(Path::new("Data", module_path!())).variant(variants)
    }
}

/// Commitments of accounts on subnets.
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::{pallet_prelude::*, CloneNoBound, DebugNoBound, EqNoBound, PartialEqNoBound};
    use frame_system::pallet_prelude::*;

    /// What an account commits.
    #[derive(
        CloneNoBound, DebugNoBound, PartialEqNoBound, EqNoBound, Encode, Decode, DecodeWithMemTracking, TypeInfo,
    )]
    #[scale_info(skip_type_params(MaxFields))]
    pub struct CommitmentInfo<MaxFields: Get<u32>> {
        /// The fields of it.
        pub fields: BoundedVec<Data, MaxFields>,
    }

    /// A commitment as it is stored.
    #[derive(Encode, Decode, TypeInfo)]
    #[scale_info(skip_type_params(MaxFields))]
    pub struct Registration<Balance, MaxFields: Get<u32>, BlockNumber> {
        /// What is held for it, in rao; nothing here.
        pub deposit: Balance,
        /// When it was made.
        pub block: BlockNumber,
        /// What was committed.
        pub info: CommitmentInfo<MaxFields>,
    }

    /// Space that an account has used in an epoch.
    #[derive(Encode, Decode, TypeInfo)]
    pub struct UsageTracker {
        /// The epoch.
        pub last_epoch: u64,
        /// Bytes used in it.
        pub used_space: u64,
    }

    /// The pallet.
    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    /// What it needs of the runtime.
    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// Most fields of a commitment.
        #[pallet::constant]
        type MaxFields: Get<u32>;
        /// The subnet on which accounts may commit.
        #[pallet::constant]
        type Subnet: Get<u16>;
        /// Bytes that an account may commit in an epoch.
        #[pallet::constant]
        type MaxSpace: Get<u64>;
        /// Length of an epoch, in blocks.
        #[pallet::constant]
        type EpochBlocks: Get<BlockNumberFor<Self>>;
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(fn deposit_event)]
    pub enum Event<T: Config> {
        /// A commitment was set.
        Commitment {
            /// On which subnet.
            netuid: u16,
            /// Whose.
            who: T::AccountId,
        },
    }

    /// Why a commitment is not taken.
    #[pallet::error]
    pub enum Error<T> {
        /// More fields than a commitment may have.
        TooManyFieldsInCommitmentInfo,
        /// The account may not commit on this subnet.
        AccountNotAllowedCommit,
        /// The account has used its space of this epoch.
        SpaceLimitExceeded,
    }

    /// Commitments by subnet and account.
    #[pallet::storage]
    pub type CommitmentOf<T: Config> = StorageDoubleMap<
        _,
        Identity,
        u16,
        Twox64Concat,
        T::AccountId,
        Registration<crate::Balance, <T as Config>::MaxFields, BlockNumberFor<T>>,
        OptionQuery,
    >;

    /// Space used by subnet and account.
    #[pallet::storage]
    pub type UsedSpaceOf<T: Config> =
        StorageDoubleMap<_, Identity, u16, Twox64Concat, T::AccountId, UsageTracker, OptionQuery>;

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets what the signer commits on a subnet; an earlier commitment is replaced.
        #[pallet::call_index(0)]
        #[pallet::weight((T::DbWeight::get().reads_writes(2, 2), DispatchClass::Normal, Pays::Yes))]
        pub fn set_commitment(
            origin: OriginFor<T>,
            netuid: u16,
            info: Box<CommitmentInfo<T::MaxFields>>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            ensure!(netuid == T::Subnet::get(), Error::<T>::AccountNotAllowedCommit);
            let fields = info.fields.len() as u32;
            ensure!(fields <= T::MaxFields::get(), Error::<T>::TooManyFieldsInCommitmentInfo);

            let block = frame_system::Pallet::<T>::block_number();
            let epoch: u64 = (block / T::EpochBlocks::get()).try_into().unwrap_or(u64::MAX);
            let mut usage = UsedSpaceOf::<T>::get(netuid, &who)
                .filter(|usage| usage.last_epoch == epoch)
                .unwrap_or(UsageTracker { last_epoch: epoch, used_space: 0 });
            usage.used_space += info.fields.iter().map(Data::space).sum::<u64>();
            ensure!(usage.used_space <= T::MaxSpace::get(), Error::<T>::SpaceLimitExceeded);

            UsedSpaceOf::<T>::insert(netuid, &who, usage);
            let registration = Registration { deposit: 0, block, info: *info };
            CommitmentOf::<T>::insert(netuid, &who, registration);
            Self::deposit_event(Event::Commitment { netuid, who });
            Ok(())
        }
    }
}
