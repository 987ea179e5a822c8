//! The application's variables, as the operator set them.

use std::ops::RangeInclusive;

use spin_sdk::variables;

use crate::Error;
use crate::envelope::Context;

/// The text of a variable, without the white space around it: a value from a file often ends with
/// a line break.
///
/// # Errors
/// `Internal` if the component has no such variable.
pub fn text(name: &str) -> Result<String, Error> {
    let value = variables::get(name).context(name)?;
    Ok(value.trim().to_owned())
}

/// The value of a variable as a whole number within `range`.
///
/// # Errors
/// `Internal`, with the variable's name, its value and `range`, if it is anything else.
pub fn number(name: &str, range: RangeInclusive<u32>) -> Result<u32, Error> {
    let value = text(name)?;
    value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        let (low, high) = (range.start(), range.end());
        Error::Internal(format!(
            "the variable {name} is {value:?}, not a whole number from {low} to {high}"
        ))
    })
}
