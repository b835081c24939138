//! Load for log collectors: a description of a mix of requests and a seed become an endless stream
//! of nginx combined lines, the same on every machine. There is no clock, no locale and no floating
//! point in it. Nothing here may know what a collector makes of the lines.

mod line;
mod random;
mod spec;

pub use line::Lines;
pub use random::Random;
pub use spec::Spec;
