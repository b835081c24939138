//! VES: tail -> parse -> filter -> enrich -> batch -> ship.

pub mod config;
pub mod error;
pub mod filter;
pub mod parse;
mod ship;
pub mod shutdown;
