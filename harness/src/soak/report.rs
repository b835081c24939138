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

/// The first seconds of a process, or the first quarter of its life: what it needs it takes then.
const WARM_UP_S: f64 = 15.0;
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
    pub(super) lives: u32,
    pub(super) tally: &'a Tally,
    /// Whether it came to its end.
    pub(super) is_complete: bool,
}

impl Report<'_> {
    fn warm_up_s(&self) -> f64 {
        let life = match self.args.kill_every.is_zero() {
            true => self.args.duration,
            false => self.args.duration.min(self.args.kill_every),
        };
        WARM_UP_S.min((life.as_secs_f64() / 4.0).floor())
    }

    /// The figures after the warm-up of each process.
    fn warm(&self) -> impl Iterator<Item = &Vitals> {
        let warm_up = self.warm_up_s();
        self.vitals
            .iter()
            .filter(move |vitals| vitals.age_s > warm_up)
    }

    fn trend(&self, of: fn(&Vitals) -> u64) -> Option<Trend> {
        let points: Vec<(u32, f64, f64)> = self
            .warm()
            .map(|vitals| (vitals.life, vitals.time_s, of(vitals) as f64))
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
        let hours = self.args.duration.as_secs_f64() / 3600.0;
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
            "# Soak\n\n{} {}, {}, {}: {} lines/s for {}, the log rotated every {}, the process \
             killed every {}.{} Every record in the sink file was compared with what was expected \
             of its line.\n\n```\n{}\n```\n\n",
            self.facts.title,
            self.facts.version,
            manifest::date(),
            manifest::host(),
            args.rate,
            humantime::format_duration(args.duration),
            humantime::format_duration(args.rotate_every),
            humantime::format_duration(args.kill_every),
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
        let head = format!("after {} s of each start", self.warm_up_s());
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
        text += "The slope is that of a straight line through means of 10 s, with a level of its own \
                 for each start, and its standard error. Rotated logs stay open for a minute, so \
                 descriptors rise to a level.\n\n";
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
