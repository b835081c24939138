//! The same bytes in any pieces, chunks and windows give the same records. The first bytes of the
//! input choose those: the longest line, the size of a chunk and of a window, a number of pieces and
//! then the size of each, the highest bit saying that a last line without a newline is overdue then.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use ves::stages::{Arrival, CutSizes, Kernels, LineTransform, config, follow, only_overdue};

/// One for each longest line that is tried, from a byte on.
const LINE_BYTES_MAX: usize = 48;

fn transforms() -> Vec<LineTransform> {
    let mut config = config("raw", None).expect("the format is one");
    let compile = |line_bytes_max| {
        config.line_bytes_max = line_bytes_max;
        LineTransform::new(&config, Kernels::Detected)
    };
    (1..=LINE_BYTES_MAX).map(compile).collect()
}

thread_local! {
    static COMPILED: RefCell<Vec<LineTransform>> = RefCell::new(transforms());
}

fuzz_target!(|input: &[u8]| {
    let Some((&[longest, wanted, window, count], rest)) = input.split_first_chunk() else {
        return;
    };
    let Some((pieces, content)) = rest.split_at_checked(usize::from(count % 32)) else {
        return;
    };
    let arrivals: Vec<Arrival> = pieces.iter().map(arrival).collect();
    let sizes = CutSizes {
        bytes_wanted: wanted.into(),
        window_bytes: window.into(),
    };
    COMPILED.with_borrow_mut(|transforms| {
        let transform = &mut transforms[usize::from(longest) % LINE_BYTES_MAX];
        let (mut pieces, mut whole) = (Vec::new(), Vec::new());
        let outcome = follow(transform, content, &arrivals, sizes, &mut pieces);
        let whole_outcome = follow(
            transform,
            content,
            &only_overdue(&arrivals),
            CutSizes::WHOLE,
            &mut whole,
        );
        assert_eq!(
            String::from_utf8_lossy(&pieces),
            String::from_utf8_lossy(&whole)
        );
        assert_eq!(outcome, whole_outcome);
    });
});

fn arrival(piece: &u8) -> Arrival {
    Arrival {
        bytes: usize::from(piece & 0x7f),
        is_overdue: piece & 0x80 != 0,
    }
}
