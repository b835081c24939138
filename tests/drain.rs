//! A backlog on several threads: nothing is lost, and the order of the file is that of the sink.

#[path = "util/kit.rs"]
mod util;

use util::{Bench, line};

/// 100 000 lines of 13 MB: some 30 work units for each of the threads.
const LINES: u64 = 100_000;

#[test]
fn several_workers_on_one_file_keep_its_order() {
    for more in [&["--workers", "4"][..], &["--workers", "2", "--pin"]] {
        let bench = Bench::new();
        let log: String = (1..=LINES).map(line).collect();
        std::fs::write(bench.path("logs/a.log"), log).unwrap();
        let args = [&["--once", "--batch-size", "700"], more].concat();
        assert!(bench.collect("a.log", &args).wait().success());
        assert!(bench.numbers().into_iter().eq(1..=LINES), "{more:?}");
    }
}
