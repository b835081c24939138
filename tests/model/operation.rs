//! What can happen, and random sequences of it.

use proptest::prelude::*;

/// A sequence, which begins with nothing: no log, no process.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    /// Whether the pattern means rotated names too (`*.log*`), or the logs alone (`*.log`).
    pub(crate) is_wide: bool,
    pub(crate) operations: Vec<Operation>,
}

/// One of the files there are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The log of that number, `0.log` and so on, made where it is missing and written to.
    Log(usize),
    /// One that was rotated, whose writer has not reopened its log.
    Old(usize),
}

/// Where a rotation goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// `0.log.7` beside the log.
    Beside,
    /// The same name in a folder that no pattern means.
    Away,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Writes lines, after the end of one that was begun.
    Append {
        target: Target,
        lines: usize,
        padding: usize,
    },
    /// Writes part of a line.
    Begin {
        target: Target,
        padding: usize,
    },
    Rotate {
        target: Target,
        to: Rotation,
    },
    Truncate(Target),
    /// Copies a log, then cuts it to nothing.
    CopyTruncate {
        log: usize,
        to: Rotation,
    },
    Delete(Target),
    Start,
    /// Starts it to read all that is there, and waits for its end.
    Once,
    /// SIGTERM.
    Stop,
    /// SIGKILL.
    Crash,
    /// SIGHUP.
    HangUp,
    /// Waits until everything is delivered that can be.
    Settle,
    Pause {
        milliseconds: u64,
    },
}

pub(crate) fn sequences() -> impl Strategy<Value = Sequence> {
    let operations = prop::collection::vec(operation(), 1..40);
    (any::<bool>(), operations).prop_map(|(is_wide, operations)| Sequence {
        is_wide,
        operations,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let padding = || prop_oneof![8 => 0..60_usize, 2 => 200..400_usize, 1 => 3000..6000_usize];
    let lines = prop_oneof![8 => 0..5_usize, 1 => 100..400_usize];
    let rotation = || prop_oneof![4 => Just(Rotation::Beside), 1 => Just(Rotation::Away)];
    prop_oneof![
        10 => (target(3), lines, padding()).prop_map(|(target, lines, padding)| {
            // Many lines or long ones.
            let padding = padding.min(40_000 / (lines + 1));
            Operation::Append { target, lines, padding }
        }),
        3 => (target(3), padding())
            .prop_map(|(target, padding)| Operation::Begin { target, padding }),
        4 => (target(4), rotation()).prop_map(|(target, to)| Operation::Rotate { target, to }),
        2 => target(3).prop_map(Operation::Truncate),
        2 => (0..2_usize, rotation()).prop_map(|(log, to)| Operation::CopyTruncate { log, to }),
        2 => target(1).prop_map(Operation::Delete),
        5 => Just(Operation::Start),
        1 => Just(Operation::Once),
        1 => Just(Operation::Stop),
        3 => Just(Operation::Crash),
        1 => Just(Operation::HangUp),
        4 => Just(Operation::Settle),
        3 => prop_oneof![4 => 0..8_u64, 1 => 100..300_u64]
            .prop_map(|milliseconds| Operation::Pause { milliseconds }),
    ]
}

/// A log rather than a rotated file, `weight` to one.
fn target(weight: u32) -> impl Strategy<Value = Target> {
    prop_oneof![
        weight => (0..2_usize).prop_map(Target::Log),
        1 => (0..4_usize).prop_map(Target::Old),
    ]
}
