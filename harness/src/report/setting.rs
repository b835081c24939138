//! Under which conditions it was measured: collectors, machine, noise; and how to read the rest.

use super::markdown::Table;
use super::{place, title_of};
use crate::cells::{Cell, Metric};
use crate::chart::sink_name;
use crate::figures::{grouped, mebibytes, plain};
use crate::results::Results;
use crate::statistics::{RESAMPLES, slow_first};

/// Versions, sizes and abilities of the programs; how to get those that were not there.
pub(super) fn collectors(results: &Results) -> String {
    let mut text = String::from("## Collectors\n\n");
    let mut table = Table::new([
        "collector",
        "version",
        "what of the work it can do",
        "sinks",
        "program, MiB",
        "with its libraries, MiB",
        "SHA-256",
    ]);
    let size = |bytes: u64| {
        if bytes == 0 {
            "unknown".to_owned()
        } else {
            mebibytes(bytes)
        }
    };
    for facts in results
        .manifest
        .collectors
        .iter()
        .filter(|facts| facts.is_installed)
    {
        let sinks: Vec<&str> = facts.sinks.iter().map(|sink| sink_name(*sink)).collect();
        table.row([
            facts.title.clone(),
            facts.version.clone(),
            facts.fidelity.clone(),
            sinks.join(", "),
            size(facts.binary_bytes),
            size(facts.closure_bytes),
            facts.sha256.get(..16).unwrap_or(&facts.sha256).to_owned(),
        ]);
    }
    if !table.is_empty() {
        text += &table.text();
    }
    for facts in results
        .manifest
        .collectors
        .iter()
        .filter(|facts| facts.is_installed)
    {
        for note in &facts.notes {
            text += &format!("- {}: {note}\n", facts.title);
        }
    }
    if text.ends_with("- ")
        || results
            .manifest
            .collectors
            .iter()
            .any(|facts| !facts.notes.is_empty())
    {
        text.push('\n');
    }
    let absent: Vec<_> = results
        .manifest
        .collectors
        .iter()
        .filter(|facts| !facts.is_installed)
        .collect();
    if !absent.is_empty() {
        text += "Not installed, so without any figure here:\n\n";
        for facts in absent {
            text += &format!("- {}: {}\n", facts.title, facts.how_to_install);
        }
        text.push('\n');
    }
    text
}

/// The machine, the data, and what could not be done against noise.
pub(super) fn machine(results: &Results, cells: &[Cell<'_>]) -> String {
    let manifest = &results.manifest;
    let mut table = Table::new(["what", "value"]);
    let dirty = if manifest.git_is_dirty {
        ", with uncommitted changes"
    } else {
        ""
    };
    let rows = [
        ("date", manifest.date.clone()),
        ("host", manifest.host.clone()),
        ("profile", manifest.profile.clone()),
        ("commit", format!("{}{dirty}", manifest.git_commit)),
        ("order seed", manifest.seed.to_string()),
        (
            "lines",
            format!("{} (seed {})", manifest.dataset, manifest.dataset_seed),
        ),
        ("lines, XXH128", manifest.dataset_xxh128.clone()),
        ("bytes a line, mean", plain(manifest.line_bytes_mean)),
    ];
    for (name, value) in rows {
        table.row([name.to_owned(), value]);
    }
    for (name, value) in &manifest.machine {
        table.row([name.clone(), value.clone()]);
    }
    let mut text = String::from("## Machine and data\n\n") + &table.text();
    text += "Made by:\n\n```sh\n";
    text += &manifest.command.join(" ");
    text += "\n```\n\n### Noise\n\n";
    if manifest.noise_not_controlled.is_empty() {
        text += "All that the method asks for was done.\n";
    } else {
        text += "Not controlled:\n\n";
        for what in &manifest.noise_not_controlled {
            text += &format!("- {what}\n");
        }
    }
    text.push('\n');
    let mut slow = Vec::new();
    for cell in cells {
        let is_of_time = |metric: &&Metric| !matches!(metric, Metric::RssAnon | Metric::RssPeak);
        for metric in Metric::compared(cell.task.phase).iter().filter(is_of_time) {
            if let Some(factor) = slow_first(&cell.values(*metric)) {
                slow.push(format!(
                    "- {}, {}: {} of the first run is {} times the median of the others\n",
                    title_of(results, &cell.entry),
                    place(&cell.task),
                    metric.title(),
                    plain(factor),
                ));
            }
        }
    }
    if !slow.is_empty() {
        text += "First runs that stand out, kept in the figures all the same: a cold start rather \
                 than noise.\n\n";
        text += &slow.concat();
        text.push('\n');
    }
    text
}

/// How to read the rest, with the flags that occur.
pub(super) fn reading(cells: &[Cell<'_>]) -> String {
    let mut text = String::from("## How to read it\n\n");
    text += &format!(
        "- A figure is the median of n runs, with its 95 % interval in brackets: {} bootstrap \
         resamples with a fixed seed. Of fewer than 6 runs that is no more than the smallest and the \
         largest, which hold the true median in 50, 75, 88 and 94 % of cases for 2, 3, 4 and 5 runs. \
         No run is left out as an outlier.\n",
        grouped(i64::from(RESAMPLES)),
    );
    text += "- \"x VES\" is the median of the ratios of runs in the same round, with its interval: \
             collectors take turns in random order within a round, so that drift of the machine \
             cancels. Where the interval holds 1, no difference is shown. A collector is compared with \
             VES in the configuration of the same name where both have one.\n\
             - `default` is the minimum of a collector's documentation with settings against loss; \
             `tuned` is what its documentation recommends for throughput. Both are in \
             `competitors/`.\n\
             - \"saturated at N lines/s\": it did not keep up with the rate in at least half of the \
             runs. \"fell-behind\": in fewer.\n\
             - There is no overall score. Many figures are compared, and some differences will be \
             chance: CPU-seconds per 1 M lines and memory are the two that were chosen beforehand.\n\
             - The raw rows are in `runs.csv` and `samples.csv`, percentiles in `latency/`, what was run on \
             what in `manifest.json`; `ves-harness report FOLDER` makes this page and its charts from \
             them again.\n\
             - VES's own authors wrote and ran this. How to check it, and what it cannot see: \
             [reports](../README.md).\n\n";
    let mut flags: Vec<String> = cells
        .iter()
        .flat_map(|cell| cell.flags().into_keys())
        .collect();
    flags.sort();
    flags.dedup();
    if cells.iter().any(Cell::is_unverifiable) {
        flags.insert(0, "unverifiable".to_owned());
    }
    if flags.is_empty() {
        return text;
    }
    text += "Marks in this report; `2/5` behind one is in how many of the runs:\n\n";
    for flag in flags {
        let meaning = match flag.as_str() {
            "unverifiable" => {
                "there is no output to look at, so nobody knows what was done; not to be quoted alone"
            }
            "harness-bound" => {
                "the generator or the sink was near its own limit: the collector could do more"
            }
            "steal" => "the hypervisor took more than 2 % of the window",
            "slip" => {
                "the writes were late: more than 5 ms at the 99th percentile, or the rate was missed"
            }
            "cpu-accounting" => "the two accounts of CPU time differ by more than 2 %",
            "killed" => "it did not end in time when it was asked to, and was killed",
            "fell-behind" => "it did not keep up with the rate in some runs, but in most",
            "residency" | "cold" => "not all of the log was in the page cache before the run",
            "load" => "the machine was not quiet before the run",
            _ => "as the harness named it; see the raw row in `runs.csv`",
        };
        text += &format!("- `{flag}`: {meaning}\n");
    }
    text + "\n"
}
