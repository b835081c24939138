//! VES, a log collector: follows files and ships their lines as records.
//!
//! ```text
//! files --> tail --chunks--> transform: parse -> filter -> enrich -> encode --batches--> ship --> sink
//!             ^                                                                           |
//!             +------------- tickets                checkpoint <---- acknowledged --------+
//! ```
//!
//! - `tail`: finds files, follows them through rotation and truncation, reads them through mapped
//!   windows and cuts those into chunks of whole lines.
//! - `transform`: one pass over a chunk, from mapped bytes to encoded records, with [`parse`],
//!   [`filter`], `enrich`, `encode` and the kernels in `simd`.
//! - `batch`: what travels to the sink, and its memory.
//! - `ship`: delivers batches in order, retries, acknowledges.
//! - `checkpoint`: what was delivered, on disk.
//! - [`pipeline`]: creates the channels and threads and joins them.
//! - [`config`], [`cli`]: from flags and files to one checked configuration.
//!
//! ARCHITECTURE.md walks along the way of a line.

mod batch;
mod bench;
mod checkpoint;
mod child;
pub mod cli;
pub mod config;
mod demo;
mod encode;
mod enrich;
pub mod error;
pub mod filter;
mod interrupted;
mod lock;
pub mod parse;
pub mod pipeline;
mod process;
pub mod report;
mod sequence;
mod ship;
pub mod shutdown;
mod simd;
#[doc(hidden)]
pub mod stages;
mod stats;
mod tail;
mod transform;
