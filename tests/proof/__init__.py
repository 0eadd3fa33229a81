"""The proof: what the matrices of hostile cases showed, as one table."""
