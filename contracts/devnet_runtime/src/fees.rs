//! What weight costs.

use frame_support::weights::{
    WeightToFeeCoefficient, WeightToFeeCoefficients, WeightToFeePolynomial,
};
use smallvec::smallvec;
use sp_runtime::Perbill;

use crate::Balance;

/// Charges 50 000 rao for each millisecond of execution (10⁹ units of reference time).
pub struct LinearWeightToFee;

impl WeightToFeePolynomial for LinearWeightToFee {
    type Balance = Balance;

    fn polynomial() -> WeightToFeeCoefficients<Self::Balance> {
        smallvec![WeightToFeeCoefficient {
            coeff_integer: 0,
            coeff_frac: Perbill::from_parts(50_000),
            negative: false,
            degree: 1,
        }]
    }
}
