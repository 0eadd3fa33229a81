//! What texts the contract accepts.

use crate::{
    error::{Error, Result},
    types::MAX_TEXT_LEN,
};

/// Accepts texts that say something in at most [`MAX_TEXT_LEN`] bytes.
///
/// # Errors
/// `InputEmpty` if any is empty, else `InputTooLong` if any is too long.
pub fn require(texts: &[&str]) -> Result<()> {
    if texts.iter().any(|t| t.is_empty()) {
        return Err(Error::InputEmpty);
    }
    if texts.iter().any(|t| t.len() > MAX_TEXT_LEN) {
        return Err(Error::InputTooLong);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_1_to_128_bytes_are_accepted() {
        assert_eq!(require(&["a", &"b".repeat(128)]), Ok(()));
        assert_eq!(require(&["a", ""]), Err(Error::InputEmpty));
        assert_eq!(require(&["a", &"b".repeat(129)]), Err(Error::InputTooLong));
    }
}
