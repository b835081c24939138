//! VES: tail -> parse -> filter -> enrich -> batch -> ship.

mod batch;
mod checkpoint;
pub mod config;
mod encode;
mod enrich;
pub mod error;
pub mod filter;
pub mod parse;
pub mod pipeline;
pub mod report;
mod ship;
pub mod shutdown;
mod simd;
mod stats;
mod tail;
mod transform;
