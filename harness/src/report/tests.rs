//! Reports of results that are made up here, with everything that can go wrong in them. Nothing of it
//! was measured.

use std::path::Path;

use ves_load::Random;

use super::render;
use crate::results::{
    CollectorFacts, Manifest, Phase, Results, Run, Sample, SinkKind, Table, Verdict,
};

/// What the made-up comparison holds.
struct Shape {
    collectors: Vec<&'static str>,
    configs: Vec<&'static str>,
    sinks: Vec<SinkKind>,
    rates: Vec<u32>,
    rounds: u32,
}

const ALL: [(&str, &str, f64); 8] = [
    ("ves", "VES", 0.2),
    ("fluent-bit", "Fluent Bit", 9.6),
    ("vector", "Vector", 28.0),
    ("rsyslog", "rsyslog", 8.5),
    ("otelcol", "OpenTelemetry Collector", 40.0),
    ("filebeat", "Filebeat", 61.0),
    ("vlagent", "vlagent", 4.1),
    ("syslog-ng", "syslog-ng", 6.0),
];

impl Shape {
    fn small() -> Shape {
        Shape {
            collectors: vec!["ves", "fluent-bit"],
            configs: vec!["tuned"],
            sinks: vec![SinkKind::File],
            rates: vec![10_000],
            rounds: 3,
        }
    }

    fn results(&self) -> Results {
        let mut random = Random::new(1);
        let mut runs = Vec::new();
        for round in 1..=self.rounds {
            for name in &self.collectors {
                for config in &self.configs {
                    for sink in &self.sinks {
                        for (phase, rate) in self.tasks() {
                            let position = u32::try_from(runs.len()).unwrap() + 1;
                            let mut it = run(name, config, phase, *sink, rate, &mut random);
                            it.round = round;
                            it.position = position;
                            it.id = format!("{position:04}-{name}-{config}-{round}");
                            runs.push(it);
                        }
                    }
                }
            }
        }
        let samples = runs.iter().flat_map(samples).collect();
        Results {
            manifest: manifest(&self.collectors),
            runs,
            samples,
        }
    }

    fn tasks(&self) -> Vec<(Phase, Option<u32>)> {
        let mut tasks = vec![
            (Phase::Verify, None),
            (Phase::Startup, None),
            (Phase::Drain, None),
        ];
        tasks.extend(self.rates.iter().map(|rate| (Phase::Rate, Some(*rate))));
        tasks.push((Phase::Wake, None));
        tasks
    }
}

fn cost(name: &str) -> f64 {
    ALL.iter().find(|(known, ..)| *known == name).unwrap().2
}

fn run(
    name: &str,
    config: &str,
    phase: Phase,
    sink: SinkKind,
    rate: Option<u32>,
    random: &mut Random,
) -> Run {
    let mut noise =
        |spread: u32| 1.0 + f64::from(random.below(2 * spread)) / 1e3 - f64::from(spread) / 1e3;
    let worse = if config == "default" { 1.6 } else { 1.0 };
    let cpu = cost(name) * worse * noise(60) * if sink == SinkKind::Null { 0.6 } else { 1.0 };
    let most = 1e6 / cpu;
    let planned = rate.map_or(most, f64::from);
    let lines_per_s = planned.min(most);
    let is_live = phase == Phase::Rate;
    let us = |factor: f64| {
        Some((cpu * 300.0 * factor * if lines_per_s < planned { 40.0 } else { 1.0 }) as u64)
    };
    let latency = |factor: f64| {
        if matches!(phase, Phase::Rate | Phase::Wake) {
            us(factor)
        } else {
            None
        }
    };
    let mib = |size: f64| Some((size * f64::from(1 << 20)) as u64);
    let memory = 4.0 + cost(name) * 3.0 * worse;
    Run {
        id: String::new(),
        round: 0,
        position: 0,
        collector: name.to_owned(),
        config: config.to_owned(),
        phase,
        sink,
        cores: "all".to_owned(),
        rate,
        verdict: if sink == SinkKind::Null {
            Verdict::Unverifiable
        } else {
            Verdict::Equal
        },
        reason: String::new(),
        lines: 1_000_000,
        expected: 875_000,
        delivered: 875_000,
        lost: 0,
        duplicated: 0,
        corrupted: 0,
        reordered: 0,
        start_ms: Some(5.0 + cpu * 12.0),
        span_s: Some(1e6 / lines_per_s),
        lines_per_s: Some(lines_per_s),
        cpu_s: Some(cpu),
        cpu_system_s: Some(cpu * 0.3),
        cpu_cgroup_s: None,
        cpu_s_per_m_lines: Some(cpu),
        cpu_percent: match phase {
            Phase::Startup => Some(0.01 * cpu),
            _ => Some((cpu * lines_per_s / 1e4).min(200.0)),
        },
        rss_peak_bytes: mib(memory * 1.4 * noise(30)),
        rss_bytes: mib(memory),
        rss_anon_bytes: mib(memory * 0.7 * noise(30)),
        rss_file_bytes: mib(memory * 0.3),
        pss_bytes: mib(memory * 0.8),
        latency_p50_us: latency(1.0),
        latency_p90_us: latency(1.7),
        latency_p99_us: latency(4.0),
        latency_p999_us: latency(22.0),
        latency_max_us: latency(60.0),
        censored: is_live.then_some(0),
        latency_uncorrected_p50_us: if is_live { us(0.9) } else { None },
        latency_uncorrected_p99_us: if is_live { us(2.5) } else { None },
        slip_p50_us: is_live.then_some(60),
        slip_p99_us: is_live.then_some(800),
        slip_max_us: is_live.then_some(3_100),
        rate_achieved: is_live.then_some(planned * 0.9991),
        catch_up_s: is_live.then_some(if lines_per_s < planned { 12.0 } else { 0.01 }),
        sustained: is_live.then_some(lines_per_s >= planned),
        generator_cpu_s: is_live.then_some(planned / 1e5),
        sink_cpu_s: Some(2.1),
        window_s: Some(20.0),
        run_delay_s: Some(0.2),
        steal_percent: Some(0.1),
        major_faults: Some(0),
        context_switches: Some(1_200),
        resident_percent: Some(100.0),
        flags: String::new(),
    }
}

fn samples(run: &Run) -> Vec<Sample> {
    if !matches!(run.phase, Phase::Drain | Phase::Rate) {
        return Vec::new();
    }
    let span = run.span_s.unwrap();
    let rss = run.rss_bytes.unwrap();
    (0..=40u32)
        .map(|step| {
            let share = f64::from(step) / 40.0;
            let grown = 0.3 + 0.7 * (1.0 - (-6.0 * share).exp()) + 0.05 * (share * 40.0).sin();
            Sample {
                run: run.id.clone(),
                time_s: span * share,
                cpu_s: share,
                rss_bytes: (rss as f64 * grown) as u64,
                rss_anon_bytes: rss / 2,
                rss_file_bytes: rss / 3,
                pss_bytes: None,
            }
        })
        .collect()
}

fn manifest(names: &[&str]) -> Manifest {
    let facts = ALL
        .iter()
        .filter(|(name, ..)| names.contains(name))
        .map(|(name, title, cost)| CollectorFacts {
            name: (*name).to_owned(),
            title: (*title).to_owned(),
            is_installed: true,
            how_to_install: String::new(),
            version: format!("{cost:.1}.0"),
            path: format!("/usr/bin/{name}"),
            sha256: "0123456789abcdef0123456789abcdef".to_owned(),
            binary_bytes: 5 << 20,
            closure_bytes: (cost * 1e6) as u64 + (6 << 20),
            fidelity: "full".to_owned(),
            notes: Vec::new(),
            sinks: vec![
                SinkKind::File,
                SinkKind::Http,
                SinkKind::Tcp,
                SinkKind::Null,
            ],
        });
    Manifest {
        date: "2031-02-03".to_owned(),
        host: "made-up".to_owned(),
        profile: "full".to_owned(),
        command: vec!["ves-harness".to_owned(), "compare".to_owned()],
        git_commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        git_is_dirty: false,
        machine: vec![("CPU".to_owned(), "made up | 2 cores".to_owned())],
        noise_not_controlled: vec!["governor: not visible".to_owned()],
        dataset: "nginx.toml".to_owned(),
        dataset_seed: 1,
        dataset_xxh128: "00".to_owned(),
        line_bytes_mean: 182.4,
        usd_per_cpu_hour: 0.0425,
        usd_source: "made up".to_owned(),
        seed: 7,
        is_complete: true,
        collectors: facts.collect(),
    }
}

fn absent(name: &str, title: &str) -> CollectorFacts {
    CollectorFacts {
        name: name.to_owned(),
        title: title.to_owned(),
        is_installed: false,
        how_to_install: "apt-get install it, from the vendor's repository".to_owned(),
        version: String::new(),
        path: String::new(),
        sha256: String::new(),
        binary_bytes: 0,
        closure_bytes: 0,
        fidelity: String::new(),
        notes: Vec::new(),
        sinks: Vec::new(),
    }
}

/// A report's folder with the results in it, and with percentiles for every live run but each tenth.
fn written(results: &Results, folder: &Path) {
    results.manifest.write(folder).unwrap();
    Table::create(&folder.join("runs.csv"))
        .unwrap()
        .append(&results.runs)
        .unwrap();
    Table::create(&folder.join("samples.csv"))
        .unwrap()
        .append(&results.samples)
        .unwrap();
    let latency = folder.join("latency");
    std::fs::create_dir(&latency).unwrap();
    for run in results
        .runs
        .iter()
        .filter(|run| run.phase == Phase::Rate && run.position % 10 != 0)
    {
        let p50 = run.latency_p50_us.unwrap() as f64;
        let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
        for step in 0..=70 {
            let rest = 10f64.powf(f64::from(step) / 12.0);
            let us = p50 * (0.5 + 0.7 * rest.ln().powf(1.6)) + p50 * rest.sqrt() / 20.0;
            let share = 1.0 - 1.0 / rest;
            text += &format!(
                "{us:12.3} {share:.12} {:10} {rest:14.2}\n",
                (875e3 * share) as u64
            );
        }
        text += "#[Mean    =        1.000, StdDeviation   =        1.000]\n";
        std::fs::write(latency.join(format!("{}.hgrm", run.id)), text).unwrap();
    }
}

/// The page of `results`, without charts.
fn page(results: &Results) -> String {
    super::text(results, &crate::cells::cells(results), &[])
}

fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("## {heading}")).unwrap();
    let rest = &text[start..];
    rest[3..].find("\n## ").map_or(rest, |end| &rest[..end + 3])
}

fn of<'a>(results: &'a mut Results, collector: &str, phase: Phase) -> Vec<&'a mut Run> {
    results
        .runs
        .iter_mut()
        .filter(|run| run.collector == collector && run.phase == phase)
        .collect()
}

#[test]
fn rendering_again_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    written(&Shape::small().results(), folder.path());
    render(folder.path()).unwrap();
    let read = || {
        let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let first = read();
    render(folder.path()).unwrap();
    assert!(first == read(), "a file differs");
    let count = first
        .iter()
        .filter(|(name, _)| name.ends_with(".png"))
        .count();
    assert_eq!(
        count,
        7,
        "{:?}",
        first.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    for (name, bytes) in first.iter().filter(|(name, _)| name.ends_with(".png")) {
        // The signature, then the header's chunk: length, name, width, height.
        assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n", "{name}");
        assert_eq!(
            bytes[16..24],
            [0, 0, 0x07, 0x80, 0, 0, 0x04, 0x38],
            "{name}"
        );
        assert!(bytes.len() > 20_000, "{name} is all but empty");
    }
}

#[test]
fn what_speaks_against_ves_comes_first() {
    let mut results = Shape::small().results();
    for run in of(&mut results, "fluent-bit", Phase::Drain) {
        run.cpu_s_per_m_lines = Some(0.1);
        run.lines_per_s = Some(5e6 + f64::from(run.round) - 2.0);
    }
    for run in of(&mut results, "ves", Phase::Drain) {
        run.cpu_s_per_m_lines = Some(0.2);
        run.lines_per_s = Some(5e6);
    }
    let text = page(&results);
    let first = text.find("\n## ").unwrap();
    assert!(text[first..].starts_with("\n## Where VES is not the best"));
    let section = section(&text, "Where VES is not the best");
    let rows: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| drain"))
        .collect();
    assert_eq!(rows.len(), 2, "{section}");
    assert!(rows[0].contains("CPU-s per 1 M lines | Fluent Bit tuned | 0.100 [0.100, 0.100]"));
    assert!(rows[0].contains("0.500 [0.500, 0.500]"), "{}", rows[0]);
    let open = section.find("No difference shown").unwrap();
    assert!(section.find(rows[1]).unwrap() > open, "{section}");
    assert!(
        section.contains("another collector is better in 1,"),
        "{section}"
    );
}

#[test]
fn nowhere_is_said_with_the_number_of_figures() {
    let text = page(&Shape::small().results());
    let section = section(&text, "Where VES is not the best");
    // 4 of the start, 4 of the drain, 6 of the rate, 3 of the wake-up, 2 sizes.
    assert!(
        section.contains("Nowhere in this comparison: in all 19 figures"),
        "{section}"
    );
}

#[test]
fn one_round_shows_no_difference() {
    let text = page(
        &Shape {
            rounds: 1,
            ..Shape::small()
        }
        .results(),
    );
    let section = section(&text, "Where VES is not the best");
    assert!(section.contains("17 rest on a single run"), "{section}");
    assert!(
        section.contains("Too few runs to show a difference"),
        "{section}"
    );
}

#[test]
fn a_run_that_lost_something_has_no_speed() {
    let mut results = Shape::small().results();
    let mut drains = of(&mut results, "fluent-bit", Phase::Drain);
    drains[1].verdict = Verdict::Unequal;
    drains[1].lost = 12;
    drains[1].cpu_s_per_m_lines = Some(0.001);
    for run in of(&mut results, "ves", Phase::Rate) {
        run.verdict = Verdict::Failed;
        run.reason = "killed by signal 11".to_owned();
    }
    let text = page(&results);
    let backlog = section(&text, "CPU and memory for a backlog");
    let row = backlog
        .lines()
        .find(|line| line.contains("Fluent Bit"))
        .unwrap();
    assert_eq!(
        row,
        "| Fluent Bit tuned | not equal in 1 of 3 runs: 12 lost |  |  |  | 3 |"
    );
    let losses = section(&text, "Where VES is not the best");
    assert!(
        losses.contains("VES has none that may be shown in 6"),
        "{losses}"
    );
    assert!(losses.contains("none | no common round | failed in 3 of 3 runs: killed by signal 11"));
    assert!(
        losses.contains("Not compared: 1 cells of others that failed"),
        "{losses}"
    );
    let matrix = section(&text, "What was delivered");
    assert!(matrix.contains("**unequal 1/3**, 12 lost"), "{matrix}");
    assert!(matrix.contains("**failed 3/3**"), "{matrix}");
    assert!(matrix.contains("| not equal | 12 lost |"), "{matrix}");
}

#[test]
fn a_saturated_collector_is_not_ranked_by_cpu() {
    let mut results = Shape::small().results();
    for run in of(&mut results, "fluent-bit", Phase::Rate) {
        run.sustained = Some(run.round == 1);
        run.lines_per_s = Some(8_000.0);
        run.cpu_s_per_m_lines = Some(0.001);
        // Of the 175 000 of a window of 20 s.
        run.censored = Some(3_500);
    }
    let text = page(&results);
    let rates = section(&text, "A live file at a fixed rate");
    let row = rates
        .lines()
        .find(|line| line.contains("Fluent Bit"))
        .unwrap();
    assert!(row.starts_with("| Fluent Bit tuned | saturated at 8 000 lines/s | not ranked |"));
    let losses = section(&text, "Where VES is not the best");
    assert!(!losses.contains("| rate"), "{losses}");
    assert!(
        losses.contains("the CPU of 1 that were saturated"),
        "{losses}"
    );
    // One in fifty did not come: the median is known, the 99th percentile is a lower bound.
    let latency = section(&text, "Latency");
    let row = latency
        .lines()
        .find(|line| line.contains("Fluent Bit"))
        .unwrap();
    let columns: Vec<&str> = row.split('|').map(str::trim).collect();
    assert!(
        !columns[2].starts_with('≥') && !columns[3].starts_with('≥'),
        "{row}"
    );
    assert!(
        columns[4].starts_with('≥') && columns[6].starts_with('≥'),
        "{row}"
    );
    assert!(columns[7].ends_with("(2.00 %)"), "{row}");
}

#[test]
fn missing_collectors_and_unfinished_runs_are_said() {
    let mut results = Shape::small().results();
    results.manifest.collectors.push(absent("vector", "Vector"));
    results.manifest.is_complete = false;
    results.manifest.collectors[1].fidelity = "partial: no header fields".to_owned();
    results.runs[3].flags = "harness-bound steal".to_owned();
    let text = page(&results);
    assert!(text.contains("**Incomplete**"));
    assert!(text.contains("- Vector: apt-get install it, from the vendor's repository\n"));
    assert!(text.contains("Not installed here, so not compared: Vector."));
    assert!(text.contains("Fluent Bit tuned [partial: no header fields]"));
    assert!(text.contains("harness-bound 1/3, steal 1/3"));
    assert!(text.contains("- `harness-bound`: the generator"));
    assert!(text.contains("| CPU | made up \\| 2 cores |"));
}

/// No rows at all, as after a comparison that was stopped at once; and rows without VES and without
/// most figures. There are charts of both.
#[test]
fn little_is_enough_for_a_report() {
    let mut empty = Shape::small().results();
    empty.runs.clear();
    empty.samples.clear();
    let mut sparse = Shape {
        collectors: vec!["fluent-bit"],
        rounds: 1,
        ..Shape::small()
    }
    .results();
    for run in &mut sparse.runs {
        (run.cpu_s_per_m_lines, run.latency_p50_us, run.lines_per_s) = (None, None, None);
        run.cpu_percent = None;
    }
    for results in [empty, sparse] {
        let folder = tempfile::tempdir().unwrap();
        results.manifest.write(folder.path()).unwrap();
        Table::create(&folder.path().join("runs.csv"))
            .unwrap()
            .append(&results.runs)
            .unwrap();
        std::fs::write(folder.path().join("samples.csv"), "").unwrap();
        render(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
        assert!(text.contains("VES was not run"), "{text}");
        let has_charts = folder.path().join("correctness.png").exists();
        assert_eq!(has_charts, !results.runs.is_empty());
    }
}

#[test]
fn a_folder_that_is_no_comparison_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = format!("{:#}", render(folder.path()).unwrap_err());
    assert!(error.contains("manifest.json"), "{error}");
}
