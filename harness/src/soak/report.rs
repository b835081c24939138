//! The report of a soak, and what is wrong with it.

use super::trend::{Trend, trend};
use super::verifier::Tally;
use super::vitals::Vitals;
use crate::cli::SoakArgs;
use crate::manifest;
use crate::report::markdown::Table;
use crate::results::CollectorFacts;

/// A figure of a process at an instant.
type Figure = fn(&Vitals) -> u64;

/// The first seconds of a process, or the first quarter of its life: what it needs it takes then, and
/// rotated logs stay open for a minute.
const WARM_UP_S: f64 = 120.0;
/// What a process says is shown up to here.
const SHOWN_WORDS: usize = 5;
/// Growth that counts, in bytes over the run.
const GROWTH_MIN: f64 = 1024.0 * 1024.0;
/// Descriptors of a process that follows one log: sink, state, inotify, signals and the like.
const DESCRIPTORS: u64 = 24;
/// Rotated logs are kept open for a minute, by twice that they are gone.
const KEPT_S: f64 = 120.0;
/// Windows, stacks and pools come and go within these.
const MAPPINGS_SPAN: u64 = 64;

/// Everything that a report is made of.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) args: &'a SoakArgs,
    pub(super) facts: CollectorFacts,
    pub(super) vitals: &'a [Vitals],
    /// What each start of the process said.
    pub(super) words: &'a [String],
    pub(super) lives: u32,
    pub(super) tally: &'a Tally,
    /// Whether it came to its end.
    pub(super) is_complete: bool,
}

impl Report<'_> {
    /// How long the last process ran, the only one that was not killed.
    fn last_life_s(&self) -> f64 {
        self.vitals.last().map_or(0.0, |vitals| vitals.age_s)
    }

    fn warm_up_s(&self) -> f64 {
        WARM_UP_S.min((self.last_life_s() / 4.0).floor())
    }

    /// The figures of the last process after its warm-up.
    fn warm(&self) -> impl Iterator<Item = &Vitals> {
        let warm_up = self.warm_up_s();
        self.vitals
            .iter()
            .filter(move |vitals| vitals.life == self.lives && vitals.age_s > warm_up)
    }

    /// The kinds of what was said, numbers aside, and how often each was.
    fn words_in_short(&self) -> String {
        let mut kinds: Vec<(String, usize)> = Vec::new();
        for line in self.words.iter().flat_map(|words| words.lines()) {
            // Each line begins with the name of the program.
            let line = line.split_once(' ').map_or(line, |(_, rest)| rest);
            let kind: String = line.chars().filter(|it| !it.is_ascii_digit()).collect();
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => kinds.push((kind, 1)),
            }
        }
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let said = kinds.iter().take(SHOWN_WORDS);
        let said = said.map(|(kind, count)| format!("- {count} times: `{kind}`\n"));
        match kinds.is_empty() {
            true => "It said nothing.\n\n".to_owned(),
            false => format!(
                "What it said, without numbers{}:\n\n{}\n",
                if kinds.len() > SHOWN_WORDS {
                    ", the most frequent"
                } else {
                    ""
                },
                said.collect::<String>()
            ),
        }
    }

    fn trend(&self, of: fn(&Vitals) -> u64) -> Option<Trend> {
        let points: Vec<(f64, f64)> = self
            .warm()
            .map(|vitals| (vitals.time_s, of(vitals) as f64))
            .collect();
        trend(&points)
    }

    fn span(&self, of: fn(&Vitals) -> u64) -> (u64, u64) {
        let low = self.warm().map(of).min().unwrap_or_default();
        let high = self.warm().map(of).max().unwrap_or_default();
        (low, high)
    }

    /// What is wrong; nothing when nothing is.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let tally = self.tally;
        for (count, what) in [
            (tally.lost, "lost"),
            (tally.duplicated, "duplicated"),
            (tally.corrupted, "corrupted"),
            (tally.reordered, "out of order"),
        ] {
            if count > 0 {
                complaints.push(format!("{count} {what}"));
            }
        }
        complaints.extend(tally.example.clone());
        let hours = self.last_life_s() / 3600.0;
        if let Some(trend) = self.trend(|vitals| vitals.rss_anon_bytes) {
            let grows = trend.slope - 3.0 * trend.error > 0.0;
            if grows && trend.slope * hours > GROWTH_MIN {
                complaints.push(format!("memory grows by {}", mib(&trend)));
            }
        }
        let rotated = (KEPT_S / self.args.rotate_every.as_secs_f64().max(1.0)).ceil() as u64;
        let (_, descriptors) = self.span(|vitals| vitals.descriptors);
        if descriptors > DESCRIPTORS + rotated {
            complaints.push(format!("{descriptors} descriptors"));
        }
        let (low, high) = self.span(|vitals| vitals.mappings);
        if high - low > MAPPINGS_SPAN {
            complaints.push(format!("{low} to {high} mappings"));
        }
        complaints
    }

    /// The report.
    pub(super) fn markdown(&self) -> String {
        let (args, tally) = (self.args, self.tally);
        let mut text = format!(
            "# Soak\n\n{} {}, {}, {}: {} lines/s, the log rotated every {}, the process killed \
             every {} for {}, then left alone for {}.{} Every record in the sink file was compared \
             with what was expected of its line.\n\n```\n{}\n```\n\n",
            self.facts.title,
            self.facts.version,
            manifest::date(),
            manifest::host(),
            args.rate,
            humantime::format_duration(args.rotate_every),
            humantime::format_duration(args.kill_every),
            humantime::format_duration(args.duration),
            humantime::format_duration(args.calm),
            if self.is_complete { "" } else { " INCOMPLETE." },
            manifest::command().join(" "),
        );
        let mut table = Table::new(["", ""]);
        for (name, count) in [
            ("lines written", tally.written),
            ("records delivered", tally.delivered),
            ("lost", tally.lost),
            ("duplicated", tally.duplicated),
            ("corrupted", tally.corrupted),
            ("out of order", tally.reordered),
            ("came too late to be compared", tally.unchecked),
            ("starts of the process", u64::from(self.lives)),
        ] {
            table.row([name.to_owned(), count.to_string()]);
        }
        text += &table.text();
        let head = format!(
            "the last start, from {} to {:.0} s",
            self.warm_up_s(),
            self.last_life_s()
        );
        let mut table = Table::new([head.as_str(), "least", "most", "slope"]);
        let rows: [(&str, Figure, bool); 5] = [
            ("memory of its own (RssAnon)", |it| it.rss_anon_bytes, true),
            ("memory with mapped pages (VmRSS)", |it| it.rss_bytes, true),
            ("descriptors", |it| it.descriptors, false),
            ("mappings", |it| it.mappings, false),
            ("threads", |it| it.threads, false),
        ];
        for (name, of, is_bytes) in rows {
            let (low, high) = self.span(of);
            let slope = self.trend(of).map_or_else(
                || "too short to tell".to_owned(),
                |trend| match is_bytes {
                    true => mib(&trend),
                    false => format!(
                        "{:.2} ± {:.2} an hour{}",
                        trend.slope,
                        trend.error,
                        flat(&trend)
                    ),
                },
            );
            let shown = |value: u64| match is_bytes {
                true => format!("{:.2} MiB", value as f64 / 1024.0 / 1024.0),
                false => value.to_string(),
            };
            table.row([name.to_owned(), shown(low), shown(high), slope]);
        }
        text += &table.text();
        text += "The slope is that of a straight line through means of 10 s, with its standard \
                 error. What each start said is in `stderr.txt`.\n\n";
        text += &self.words_in_short();
        let complaints = self.complaints();
        text += &match (self.is_complete, complaints.is_empty()) {
            (true, true) => "**As it should be.**\n".to_owned(),
            (true, false) => format!("**Wrong: {}.**\n", complaints.join("; ")),
            (false, _) => "**It did not come to its end.**\n".to_owned(),
        };
        text
    }
}

fn mib(trend: &Trend) -> String {
    let scale = 1024.0 * 1024.0;
    format!(
        "{:.2} ± {:.2} MiB an hour{}",
        trend.slope / scale,
        trend.error / scale,
        flat(trend)
    )
}

fn flat(trend: &Trend) -> &'static str {
    if trend.is_flat() {
        ", indistinguishable from 0"
    } else {
        ""
    }
}
