//! `ves-harness selftest`: proves that the harness sees what it claims to see. The yardstick
//! `reftail` must come out clean, each of its faults must be found and named, time that a collector
//! stands still must show in the latency of every line that waited, and CPU time must be counted
//! right.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ves_load::Spec;

use crate::cli::SelftestArgs;
use crate::clock;
use crate::collector::Definition;
use crate::collector::installed::Installed;
use crate::collector::process::Usage;
use crate::compare::profile::{Cell, Profile, ProfileName};
use crate::compare::run::Bench;
use crate::compare::{REPORT_FOLDERS, two_cores};
use crate::dataset::Dataset;
use crate::interrupt::Interrupt;
use crate::results::{Phase, Run, SinkKind, Verdict};

/// The fastest rate that is promised.
const RATE_MAX: u32 = 200_000;

/// CPU time of the child whose time is known.
const BURNT: Duration = Duration::from_secs(1);

/// Runs the subcommand.
pub(crate) fn run(args: &SelftestArgs) -> Result<()> {
    if args.burn {
        burn();
        return Ok(());
    }
    let interrupt = Interrupt::catch()?;
    let profile = Profile {
        // It stands still two seconds after its start, which has to be well inside the window.
        warm_up: Duration::from_secs(1),
        window: Duration::from_secs(3),
        patience: Duration::from_secs(3),
        ..ProfileName::Quick.profile()
    };
    let spec = Spec::built_in();
    let dataset = Dataset::generate(&spec, 1, profile.lines())?;
    let folder = tempfile::Builder::new()
        .prefix("ves-harness-selftest-")
        .tempdir_in(&args.work)
        .with_context(|| format!("make a folder in {}", args.work.display()))?;
    for name in REPORT_FOLDERS {
        fs::create_dir_all(folder.path().join(name))?;
    }
    let bench = Bench {
        dataset: &dataset,
        profile: &profile,
        base: folder.path().to_owned(),
        report: folder.path().to_owned(),
        interrupt: &interrupt,
        cores: two_cores(),
        position: 0.into(),
    };
    let mut table = Table::default();
    for check in CHECKS {
        let run = measure(&bench, folder.path(), check)?;
        let problem = (check.problem)(&run);
        table.row(check.name, check.is_about_machine, &describe(&run), problem);
    }
    let burnt = burnt()?;
    let is_right = (0.98..=1.02).contains(&burnt);
    let problem = (!is_right).then(|| "1.00 ± 0.02 was expected".to_owned());
    table.row(
        "1.0 s of CPU time",
        false,
        &format!("{burnt:.4} s"),
        problem,
    );
    table.finish(args.strict)
}

/// A subject, what it has to do, and what should come out.
struct Check {
    name: &'static str,
    /// Arguments after `ves-harness reftail --watch … --ship …`; another program where it begins
    /// with a slash.
    subject: &'static str,
    phase: Phase,
    sink: SinkKind,
    rate: Option<u32>,
    /// Whether a failure says that the machine is too slow or busy, not that the harness is wrong.
    is_about_machine: bool,
    /// What is wrong with the run, if anything.
    problem: fn(&Run) -> Option<String>,
}

const VERIFY: Check = Check {
    name: "",
    subject: "",
    phase: Phase::Verify,
    sink: SinkKind::File,
    rate: None,
    is_about_machine: false,
    problem: clean,
};

const CHECKS: &[Check] = &[
    Check {
        name: "clean, file",
        ..VERIFY
    },
    Check {
        name: "clean, http",
        sink: SinkKind::Http,
        ..VERIFY
    },
    Check {
        name: "clean, tcp",
        sink: SinkKind::Tcp,
        ..VERIFY
    },
    Check {
        name: "drops 1 in 10 000",
        subject: "--fault drop:10000",
        problem: |run| unless(run, "2 lost", [2, 0, 0, 0], Verdict::Unequal),
        ..VERIFY
    },
    Check {
        name: "sends a batch twice",
        subject: "--fault duplicate-batch",
        problem: |run| {
            let is_seen = run.duplicated > 0 && run.lost == 0 && run.verdict == Verdict::Unequal;
            (!is_seen).then(|| "duplicates were expected".to_owned())
        },
        ..VERIFY
    },
    Check {
        name: "swaps two lines",
        subject: "--fault swap",
        problem: |run| unless(run, "1 out of order", [0, 0, 0, 1], Verdict::Equal),
        ..VERIFY
    },
    Check {
        name: "stands still for 500 ms at 10 k lines/s",
        subject: "--fault stall:500ms",
        phase: Phase::Rate,
        rate: Some(10_000),
        problem: stalled,
        ..VERIFY
    },
    Check {
        name: "crashes",
        subject: "/bin/false",
        problem: |run| {
            let is_seen = run.verdict == Verdict::Failed && run.reason.contains("it ended before");
            (!is_seen).then(|| "a failed run was expected".to_owned())
        },
        ..VERIFY
    },
    Check {
        name: "delivers nothing",
        subject: "/bin/sleep 600",
        problem: |run| {
            let is_seen = run.verdict == Verdict::Unequal && run.lost == run.expected;
            (!is_seen).then(|| "everything lost was expected".to_owned())
        },
        ..VERIFY
    },
    Check {
        name: "keeps the pace of 200 k lines/s",
        phase: Phase::Rate,
        rate: Some(RATE_MAX),
        is_about_machine: true,
        problem: |run| {
            clean(run).or_else(|| {
                let has_complaint = !run.flags.is_empty() || run.sustained != Some(true);
                has_complaint.then(|| {
                    "a slip under 5 ms (p99), 99.5 % of the rate, and at most 25 % of a core for \
                     the generator and 35 % for the sink were expected"
                        .to_owned()
                })
            })
        },
        ..VERIFY
    },
];

fn clean(run: &Run) -> Option<String> {
    unless(run, "a clean run", [0, 0, 0, 0], Verdict::Equal)
}

/// A complaint unless lost, duplicated, corrupted and reordered are these.
fn unless(run: &Run, expected: &str, counts: [u64; 4], verdict: Verdict) -> Option<String> {
    let seen = [run.lost, run.duplicated, run.corrupted, run.reordered];
    let is_as_expected = seen == counts && run.verdict == verdict;
    (!is_as_expected).then(|| format!("{expected} was expected"))
}

/// A sixth of the lines of the window wait for 0 to 500 ms: a harness that waits with the collector
/// would see one late line.
fn stalled(run: &Run) -> Option<String> {
    let millis = |us: Option<u64>| us.unwrap_or_default() as f64 / 1000.0;
    let [p50, p90, p99, max] = [
        run.latency_p50_us,
        run.latency_p90_us,
        run.latency_p99_us,
        run.latency_max_us,
    ]
    .map(millis);
    let is_seen = p50 < 100.0
        && (100.0..400.0).contains(&p90)
        && (400.0..900.0).contains(&p99)
        && (450.0..1000.0).contains(&max);
    (!is_seen).then(|| "p90 of 200 ms, p99 of 470 ms and a maximum of 500 ms were expected".into())
}

fn measure(bench: &Bench<'_>, folder: &Path, check: &Check) -> Result<Run> {
    let subject = folder.join("subject");
    fs::create_dir_all(&subject)?;
    let words = check
        .subject
        .split_whitespace()
        .map(|word| format!("{word:?}"));
    let mut words: Vec<String> = words.collect();
    let program = if check.subject.starts_with('/') {
        words.remove(0)
    } else {
        let reftail = ["reftail", "--watch", "{{watch}}", "--ship", "{{sink}}"];
        words.splice(0..0, reftail.map(|word| format!("{word:?}")));
        "\"{harness}\"".to_owned()
    };
    let start = match words.is_empty() {
        true => "\"{{watch}}\"".to_owned(),
        false => words.join(", "),
    };
    let description = format!(
        r#"
        title = "subject"
        programs = [{program}]
        version = []
        install = "-"
        fidelity = "raw"
        start = [{start}]
        null_end = "exit"
        [config.default.sinks]
        file = "file:{{{{sink_path}}}}"
        http = "http://{{{{sink_host}}}}:{{{{sink_port}}}}/"
        tcp = "tcp://{{{{sink_host}}}}:{{{{sink_port}}}}"
        "#
    );
    fs::write(subject.join("competitor.toml"), description)?;
    let definition = Definition::read(&subject)?;
    let installed = Installed::find(&definition, None)
        .with_context(|| format!("{program} is not on this machine"))?;
    let cell = Cell {
        phase: check.phase,
        sink: check.sink,
        rate: check.rate,
        is_pinned: check.phase == Phase::Rate,
        rounds: 1,
    };
    let done = bench.run(&installed, "default", &cell, 1, 1)?;
    Ok(done.run)
}

fn describe(run: &Run) -> String {
    let mut text = format!("{:?}", run.verdict).to_lowercase();
    for (count, what) in [
        (run.lost, "lost"),
        (run.duplicated, "duplicated"),
        (run.corrupted, "corrupted"),
        (run.reordered, "out of order"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if run.verdict == Verdict::Failed {
        text.push_str(&format!(": {}", run.reason));
    }
    let millis = |us: Option<u64>| us.unwrap_or_default() as f64 / 1000.0;
    if run.latency_p50_us.is_some() {
        text.push_str(&format!(
            ", p50 {:.1} p90 {:.1} p99 {:.1} max {:.1} ms",
            millis(run.latency_p50_us),
            millis(run.latency_p90_us),
            millis(run.latency_p99_us),
            millis(run.latency_max_us)
        ));
    }
    if let (Some(achieved), Some(window)) = (run.rate_achieved, run.window_s) {
        let share = |cpu: Option<f64>| cpu.unwrap_or_default() / window * 100.0;
        text.push_str(&format!(
            ", {achieved:.0} lines/s, slip p99 {:.2} ms, generator {:.0} %, sink {:.0} % of a core",
            millis(run.slip_p99_us),
            share(run.generator_cpu_s),
            share(run.sink_cpu_s)
        ));
    }
    text
}

/// CPU time that is accounted to a child that uses exactly one second by its own clock.
fn burnt() -> Result<f64> {
    let before = Usage::of_children();
    let program = std::env::current_exe()?;
    let status = Command::new(program)
        .args(["selftest", "--burn"])
        .status()?;
    if !status.success() {
        bail!("the child whose CPU time is known failed: {status}");
    }
    Ok(Usage::of_children().since(before).total().as_secs_f64())
}

fn burn() {
    while clock::thread_cpu() < BURNT {
        std::hint::spin_loop();
    }
}

/// The checks as they are made.
#[derive(Debug, Default)]
struct Table {
    failed: usize,
    unfit: usize,
}

impl Table {
    fn row(&mut self, name: &str, is_about_machine: bool, seen: &str, problem: Option<String>) {
        let mark = match (&problem, is_about_machine) {
            (None, _) => "ok",
            (Some(_), true) => "UNFIT",
            (Some(_), false) => "FAILED",
        };
        println!("{mark:<7} {name:<40} {seen}");
        if let Some(problem) = problem {
            println!("{:<48} {problem}", "");
            match is_about_machine {
                true => self.unfit += 1,
                false => self.failed += 1,
            }
        }
    }

    fn finish(&self, is_strict: bool) -> Result<()> {
        if self.failed > 0 {
            bail!(
                "{} checks failed: figures of this harness are not to be trusted",
                self.failed
            );
        }
        if self.unfit > 0 {
            let text = "this machine is too slow or too busy for the highest rate: such runs carry \
                        a flag in reports";
            if is_strict {
                bail!("{text}");
            }
            println!("{text}");
        }
        Ok(())
    }
}
