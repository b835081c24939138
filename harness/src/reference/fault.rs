//! Things that `reftail` does wrong on request.

use std::str::FromStr;
use std::time::Duration;

/// One wrong thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every Nth line is not forwarded.
    Drop {
        /// N, at least 1.
        one_in: u64,
    },
    /// The first batch is sent twice.
    DuplicateBatch,
    /// Two lines that follow each other change places, once.
    Swap,
    /// Nothing is done for that long, once.
    Stall(Duration),
}

impl Fault {
    /// For how long nothing is done.
    pub(crate) fn stall(self) -> Option<Duration> {
        match self {
            Fault::Stall(time) => Some(time),
            _ => None,
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let expected = || {
            format!(
                "no fault is called `{text}`; expected drop:N (N lines, 1 or more), duplicate-batch, \
                 swap or stall:TIME (as in stall:500ms)"
            )
        };
        match text.split_once(':') {
            None if text == "duplicate-batch" => Ok(Fault::DuplicateBatch),
            None if text == "swap" => Ok(Fault::Swap),
            Some(("drop", number)) => match number.parse() {
                Ok(one_in) if one_in > 0 => Ok(Fault::Drop { one_in }),
                _ => Err(expected()),
            },
            Some(("stall", time)) => {
                let number = time.strip_suffix("ms").and_then(|n| n.parse().ok());
                let time = number.map(Duration::from_millis).ok_or_else(expected)?;
                Ok(Fault::Stall(time))
            }
            _ => Err(expected()),
        }
    }
}
