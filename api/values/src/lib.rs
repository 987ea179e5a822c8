//! The rules for values that the API and `luoyun-admin` share.

#![forbid(unsafe_code)]

pub mod address;
pub mod status;
pub mod text;
