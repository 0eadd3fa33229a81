//! Prints the contract's metadata, as ink! generates it.

// Links the contract, which defines the function below.
extern crate swap_manager as _;

extern "Rust" {
    fn __ink_generate_metadata() -> ink::metadata::InkProject;
}

fn main() {
    // SAFETY: ink! defines this function, with this type, in every contract built with `std`.
    let project = unsafe { __ink_generate_metadata() };
    println!(
        "{}",
        serde_json::to_string(&project).expect("metadata is JSON")
    );
}
