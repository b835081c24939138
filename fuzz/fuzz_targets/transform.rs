//! Any bytes through the transform: both kernel sets agree to the byte, what comes out is NDJSON, and
//! every line is accounted for. The first byte chooses the format and the filter.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use ves::stages::{Kernels, LineTransform, config};

const CUSTOM: &str = r#"$remote_addr|$time_local|"$request"|$status|$request_time"#;

/// Formats with a filter each that some of their lines pass.
const CASES: [(&str, Option<&str>); 6] = [
    ("nginx", None),
    ("raw", None),
    (CUSTOM, None),
    ("nginx", Some(r#"path contains "a" or status >= 400"#)),
    ("raw", Some(r#"message =~ "^[a-m]""#)),
    (
        CUSTOM,
        Some(r#"method in ["GET", "HEAD"] and status < 300"#),
    ),
];

/// Short enough that a fuzzer's lines are longer.
const LINE_BYTES_MAX: usize = 200;

struct Case {
    detected: LineTransform,
    portable: LineTransform,
}

fn cases() -> Vec<Case> {
    let compile = |(format, filter): (&str, Option<&str>)| {
        let mut config = config(format, filter).expect("the settings are valid");
        config.line_bytes_max = LINE_BYTES_MAX;
        Case {
            detected: LineTransform::new(&config, Kernels::Detected),
            portable: LineTransform::new(&config, Kernels::Portable),
        }
    };
    CASES.into_iter().map(compile).collect()
}

thread_local! {
    static COMPILED: RefCell<Vec<Case>> = RefCell::new(cases());
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, lines)) = input.split_first() else {
        return;
    };
    COMPILED.with_borrow_mut(|cases| check(&mut cases[usize::from(choice) % CASES.len()], lines));
});

fn check(case: &mut Case, lines: &[u8]) {
    let (mut detected, mut portable) = (Vec::new(), Vec::new());
    let outcome = case.detected.run(lines, &mut detected);
    let portable_outcome = case.portable.run(lines, &mut portable);
    assert_eq!(
        String::from_utf8_lossy(&detected),
        String::from_utf8_lossy(&portable)
    );
    assert_eq!(detected, portable);
    assert_eq!(outcome, portable_outcome);

    let newlines = lines.iter().filter(|&&byte| byte == b'\n').count() as u64;
    let has_rest = lines.last().is_some_and(|&byte| byte != b'\n');
    assert_eq!(outcome.lines, newlines + u64::from(has_rest));
    assert_eq!(
        outcome.records + outcome.dropped + outcome.empty,
        outcome.lines
    );

    let text = std::str::from_utf8(&detected).expect("records are UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'));
    let mut records = 0;
    for record in text.lines() {
        let parsed: Result<serde_json::Map<String, serde_json::Value>, _> =
            serde_json::from_str(record);
        assert!(parsed.is_ok(), "not an object: {record}");
        records += 1;
    }
    assert_eq!(outcome.records, records);
}
