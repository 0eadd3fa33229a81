//! The contract's behaviour, in ink!'s off-chain environment.

mod collateral;
mod ending;
mod marking;
mod owner;
mod questions;
mod reserving;
mod world;
