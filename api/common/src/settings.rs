//! What an operator sets: the variables of `spin.toml`.

use spin_sdk::variables;

use crate::Error;
use crate::envelope::Context;

/// The iterations of PBKDF2 in what is stored of a password: the variable
/// `password_iterations`.
///
/// # Errors
/// `Internal` where it is no number, or less than 1.
pub fn password_iterations() -> Result<u32, Error> {
    let [iterations] = numbers("password_iterations")?;
    Ok(u32::try_from(iterations).unwrap_or(u32::MAX))
}

/// The text of a variable of the component.
///
/// # Errors
/// `Internal` where the component has no such variable.
pub fn text(name: &str) -> Result<String, Error> {
    variables::get(name).context(name)
}

/// The numbers, each 1 or more, of a variable that holds `COUNT` of them with
/// spaces between.
///
/// # Errors
/// `Internal` where the variable holds anything else.
pub fn numbers<const COUNT: usize>(name: &str) -> Result<[i64; COUNT], Error> {
    let value = text(name)?;
    let numbers: Option<Vec<i64>> = value.split(' ').map(|word| word.parse().ok()).collect();
    match numbers.map(<[i64; COUNT]>::try_from) {
        Some(Ok(numbers)) if numbers.iter().all(|&number| number >= 1) => Ok(numbers),
        _ => Err(Error::Internal(format!(
            "the variable {name} is {value:?}: it takes {COUNT} whole numbers"
        ))),
    }
}
