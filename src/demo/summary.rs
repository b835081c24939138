//! What became of the lines, at the end.

use std::fmt::Write as _;

use super::arrivals::Arrived;
use super::screen::{Screen, Style};
use super::traffic::Written;
use crate::child::Run;
use crate::pipeline::Figures;
use crate::stats::display::{bytes, millis, percent};

/// The account of a demo: every line that was written has a record, once, or was to be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    written: u64,
    records: u64,
    dropped: u64,
    lost: u64,
    twice: u64,
    /// Records of health checks, which were to be dropped, or of no line at all.
    strange: u64,
}

impl Account {
    /// Compares what was written with what came, number by number.
    pub(super) fn of(written: &Written, arrived: &Arrived) -> Account {
        let dropped = &written.health_checks;
        let has_come = |number: &u64| arrived.numbers.contains(*number);
        let numbers = 1..=written.lines;
        let lost = numbers
            .clone()
            .filter(|number| !has_come(number) && !dropped.contains(*number));
        let undropped = numbers.filter(|number| has_come(number) && dropped.contains(*number));
        Account {
            written: written.lines,
            records: arrived.numbers.count(),
            dropped: dropped.count(),
            lost: lost.count() as u64,
            twice: arrived.twice,
            strange: arrived.strange + undropped.count() as u64,
        }
    }

    /// Whether it adds up.
    pub(super) fn is_good(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.strange == 0
    }
}

/// The summary of a demo with its own traffic.
pub(super) fn of_traffic(
    screen: &Screen,
    written: &Written,
    account: Account,
    run: &Run,
) -> String {
    let mut table = Table::new(screen);
    let files = match written.files {
        1 => "in one file".to_owned(),
        files => format!("in {files} files by rotation"),
    };
    table.row(
        "lines written",
        &format!("{}, {}, {files}", account.written, bytes(written.bytes)),
    );
    table.row(
        "records",
        &format!("{}, each with the number of its line", account.records),
    );
    table.row(
        "dropped",
        &format!("{}, health checks, by the filter", account.dropped),
    );
    let verdict = if account.is_good() {
        let text = format!(
            "{} = {} + {}: nothing lost, nothing twice",
            account.written, account.records, account.dropped
        );
        screen.err(Style::Green, &text)
    } else {
        let text = format!(
            "{} lost, {} twice, {} that nobody wrote or that were to be dropped",
            account.lost, account.twice, account.strange
        );
        screen.err(Style::Red, &text)
    };
    table.row("by number", &verdict);
    table.cost(run);
    table.text
}

/// The summary of a demo on somebody's file.
pub(super) fn of_file(screen: &Screen, run: &Run) -> String {
    let mut table = Table::new(screen);
    let Figures {
        lines_read,
        bytes_read,
        records_shipped,
        parse_errors,
        ..
    } = run.figures;
    table.row(
        "lines read",
        &format!("{lines_read}, {}", bytes(bytes_read)),
    );
    let records = match parse_errors {
        0 => records_shipped.to_string(),
        errors => {
            format!("{records_shipped}, {errors} of them of lines that are not of the format")
        }
    };
    table.row("records", &records);
    table.cost(run);
    table.text
}

struct Table {
    text: String,
}

impl Table {
    fn new(screen: &Screen) -> Table {
        Table {
            text: screen.err(Style::Bold, "Summary"),
        }
    }

    fn row(&mut self, name: &str, value: &str) {
        // Writing to a String does not fail.
        let _ = write!(self.text, "\n  {name:<20} {value}");
    }

    /// What it took.
    fn cost(&mut self, run: &Run) {
        let figures = &run.figures;
        if figures.hand_over.count > 0 {
            let latencies = [figures.hand_over.p50_us, figures.hand_over.p99_us].map(millis);
            let [p50, p99] = latencies;
            self.row("read to hand-over", &format!("p50 {p50}, p99 {p99}"));
        }
        let (cpu_s, wall_s) = (figures.cpu_ns as f64 / 1e9, run.wall.as_secs_f64());
        let share = percent(100.0 * cpu_s / wall_s.max(1e-9));
        self.row(
            "CPU",
            &format!("{cpu_s:.2} s in {wall_s:.1} s: {share} of a core"),
        );
        let memory = figures.rss_peak_bytes.map_or_else(|| "-".to_owned(), bytes);
        self.row("memory, most", &memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(lines: u64, health_checks: &[u64], arrived: &[u64]) -> Account {
        let mut written = Written {
            lines,
            ..Written::default()
        };
        let mut came = Arrived::default();
        for number in health_checks {
            written.health_checks.insert(*number);
        }
        for number in arrived {
            came.numbers.insert(*number);
        }
        Account::of(&written, &came)
    }

    #[test]
    fn lines_are_accounted_for_by_their_numbers_not_by_their_count() {
        assert!(account(5, &[2], &[1, 3, 4, 5]).is_good());
        let lost = account(5, &[2], &[1, 3, 5]);
        assert!(!lost.is_good());
        assert_eq!((lost.lost, lost.strange), (1, 0));
        // All there, and one that was to be dropped.
        let undropped = account(5, &[2], &[1, 2, 3, 4, 5]);
        assert!(!undropped.is_good());
        assert_eq!((undropped.lost, undropped.strange), (0, 1));
        let twice = Account {
            twice: 1,
            ..account(5, &[2], &[1, 3, 4, 5])
        };
        assert!(!twice.is_good());
        // As many records as there should be, but of the wrong line.
        let swapped = account(5, &[2], &[1, 2, 3, 5]);
        assert!(!swapped.is_good());
        assert_eq!((swapped.lost, swapped.strange), (1, 1));
    }
}
