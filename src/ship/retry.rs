//! How long the ship stage pauses after a failed delivery, and which failures it prints. Neither
//! part sleeps, prints or reads a clock: the stage does.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest pause that back-off alone asks for before a server is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The same for a local sink: an attempt is one system call there, and nobody else's queue grows by
/// it, so a disk that has room again is used again within a second.
const LOCAL_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The same where nothing listens: an attempt costs the other side nothing, so a server that is back is
/// found within seconds.
const UNREACHABLE_PAUSE_MAX: Duration = Duration::from_secs(5);

/// The ceiling of the first pause.
const PAUSE_BASE: Duration = Duration::from_millis(100);

/// No pause is shorter, so that a sink that fails at once costs no core.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// The least time between two printed failures.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(30);

/// Exponential back-off with full jitter: each pause is random below a ceiling that doubles with
/// each failure, so collectors that lost the same sink do not come back in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    ceiling: Duration,
    ceiling_max: Duration,
    random: u64,
}

impl Backoff {
    /// Starts at the shortest ceiling, seeded from the clock and the process id. A local sink is
    /// tried more often.
    pub(crate) fn new(is_local: bool) -> Backoff {
        let clock = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let seed = clock.as_nanos() as u64 ^ (u64::from(std::process::id()) << 32);
        Backoff::seeded(seed, is_local)
    }

    /// The same with a given seed, for pauses that repeat.
    pub(crate) fn seeded(seed: u64, is_local: bool) -> Backoff {
        // xorshift never leaves zero.
        Backoff {
            ceiling: PAUSE_BASE,
            ceiling_max: if is_local { LOCAL_PAUSE_MAX } else { PAUSE_MAX },
            random: seed.max(1),
        }
    }

    /// The pause after one more failure: never zero, and never shorter than `retry_after`, the
    /// pause that the other side asked for.
    pub(crate) fn next_pause(&mut self, retry_after: Option<Duration>) -> Duration {
        let jitter = self.below(self.ceiling);
        self.ceiling = (self.ceiling * 2).min(self.ceiling_max);
        jitter.max(PAUSE_MIN).max(retry_after.unwrap_or_default())
    }

    /// The pause after one more attempt that nobody heard.
    pub(crate) fn next_pause_unreachable(&mut self) -> Duration {
        self.ceiling = self.ceiling.min(UNREACHABLE_PAUSE_MAX);
        self.next_pause(None)
    }

    /// Back to the shortest ceiling, after a delivery that worked.
    pub(crate) fn reset(&mut self) {
        self.ceiling = PAUSE_BASE;
    }

    fn below(&mut self, ceiling: Duration) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        // The ceiling is at most 30 s, so its nanoseconds fit; the modulo's bias is nothing here.
        Duration::from_nanos(self.random % (ceiling.as_nanos() as u64 + 1))
    }
}

/// Decides which failures of one sink are worth a line: the first at once, then at most one every
/// 30 s with the count so far, and one line when deliveries work again.
#[derive(Debug)]
pub(crate) struct Complaints {
    sink: String,
    failures: u64,
    first: Option<Instant>,
    printed: Option<Instant>,
    /// Whether the failures that are counted were printed.
    is_said: bool,
}

impl Complaints {
    /// Nothing failed yet. `sink` is the destination as the operator should read it, without
    /// secrets.
    pub(crate) fn new(sink: impl Into<String>) -> Complaints {
        Complaints {
            sink: sink.into(),
            failures: 0,
            first: None,
            printed: None,
            is_said: false,
        }
    }

    /// Notes a failed delivery and returns the line to print, if it is time for one.
    pub(crate) fn failed(&mut self, now: Instant, message: &str) -> Option<String> {
        self.failures += 1;
        let first = *self.first.get_or_insert(now);
        let due = self
            .printed
            .is_none_or(|at| now.saturating_duration_since(at) >= COMPLAINT_INTERVAL);
        if !due {
            return None;
        }
        self.printed = Some(now);
        self.is_said = true;
        Some(match self.failures {
            1 => format!("{message}; trying again"),
            count => {
                format!(
                    "{message}; {count} failures in {}, trying again",
                    spoken(first, now)
                )
            }
        })
    }

    /// Notes a delivery that worked and returns the line to print, if it was said that one failed.
    /// Failures that were not go on being counted: a sink that fails and works in turn is as good
    /// for one line and its answer every 30 s as one that is down.
    pub(crate) fn worked(&mut self, now: Instant) -> Option<String> {
        if !std::mem::take(&mut self.is_said) {
            return None;
        }
        let first = self.first.take()?;
        let failures = std::mem::take(&mut self.failures);
        let noun = if failures == 1 { "failure" } else { "failures" };
        Some(format!(
            "deliveries to {} work again after {failures} {noun} over {}",
            self.sink,
            spoken(first, now)
        ))
    }
}

/// The time between two instants as people write it: in milliseconds below a second, else in
/// whole seconds.
fn spoken(from: Instant, to: Instant) -> String {
    let span = to.saturating_duration_since(from);
    let rounded = match span.as_secs() {
        0 => Duration::from_millis(span.subsec_millis().max(1).into()),
        seconds => Duration::from_secs(seconds),
    };
    humantime::format_duration(rounded).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_below_a_doubling_ceiling_and_are_never_zero() {
        for (seed, is_local, most) in (0..200).flat_map(|seed| [(seed, false, 30), (seed, true, 1)])
        {
            let mut backoff = Backoff::seeded(seed, is_local);
            let mut ceiling = Duration::from_millis(100);
            for _ in 0..20 {
                let pause = backoff.next_pause(None);
                assert!(
                    pause >= PAUSE_MIN && pause <= ceiling,
                    "{pause:?} of {ceiling:?}"
                );
                ceiling = (ceiling * 2).min(Duration::from_secs(most));
            }
            backoff.reset();
            assert!(backoff.next_pause(None) <= Duration::from_millis(100));
        }
    }

    /// A collector noticed up to half a minute late that its server was back.
    #[test]
    fn where_nothing_listens_pauses_are_short() {
        for seed in 0..200 {
            let mut backoff = Backoff::seeded(seed, false);
            let pauses: Vec<_> = (0..20).map(|_| backoff.next_pause_unreachable()).collect();
            let most = pauses.iter().max().copied().unwrap_or_default();
            assert!(
                most <= UNREACHABLE_PAUSE_MAX && most > Duration::from_secs(2),
                "{most:?}"
            );
        }
    }

    #[test]
    fn pauses_are_spread_over_the_whole_range() {
        let mut backoff = Backoff::seeded(7, false);
        for _ in 0..20 {
            backoff.next_pause(None);
        }
        let pauses: Vec<_> = (0..1000)
            .map(|_| backoff.next_pause(None).as_secs())
            .collect();
        let low = pauses.iter().filter(|seconds| **seconds < 10).count();
        let high = pauses.iter().filter(|seconds| **seconds >= 20).count();
        assert!(
            low > 250 && high > 250,
            "{low} below 10 s, {high} from 20 s"
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses_and_two_seeds_do_not() {
        let pauses = |seed| {
            let mut backoff = Backoff::seeded(seed, false);
            (0..10)
                .map(|_| backoff.next_pause(None))
                .collect::<Vec<_>>()
        };
        assert_eq!(pauses(3), pauses(3));
        assert_ne!(pauses(3), pauses(4));
    }

    #[test]
    fn the_other_sides_wish_is_the_least_pause() {
        let wish = Duration::from_secs(120);
        let mut backoff = Backoff::new(false);
        assert_eq!(backoff.next_pause(Some(wish)), wish);
        assert!(backoff.next_pause(Some(Duration::ZERO)) >= PAUSE_MIN);
    }

    #[test]
    fn the_first_failure_is_printed_at_once_then_one_every_half_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut complaints = Complaints::new("http://sink/");
        assert_eq!(
            complaints.failed(at(0), "refused").unwrap(),
            "refused; trying again"
        );
        assert_eq!(complaints.failed(at(1), "refused"), None);
        assert_eq!(complaints.failed(at(29), "refused"), None);
        let line = complaints.failed(at(30), "timed out").unwrap();
        assert_eq!(line, "timed out; 4 failures in 30s, trying again");
        assert_eq!(complaints.failed(at(59), "refused"), None);
        let line = complaints.worked(at(123)).unwrap();
        assert_eq!(
            line,
            "deliveries to http://sink/ work again after 5 failures over 2m 3s"
        );
    }

    #[test]
    fn success_is_silent_unless_something_had_failed_and_starts_the_count_anew() {
        let start = Instant::now();
        let mut complaints = Complaints::new("s");
        assert_eq!(complaints.worked(start), None);
        assert!(complaints.failed(start, "refused").is_some());
        let line = complaints
            .worked(start + Duration::from_millis(250))
            .unwrap();
        assert_eq!(
            line,
            "deliveries to s work again after 1 failure over 250ms"
        );
        assert_eq!(complaints.worked(start), None);
        let later = start + COMPLAINT_INTERVAL;
        assert_eq!(
            complaints.failed(later, "refused").unwrap(),
            "refused; trying again"
        );
    }

    /// Two lines were printed for each batch of a sink that refused every second attempt.
    #[test]
    fn a_sink_that_fails_and_works_in_turn_is_told_of_every_half_minute() {
        let start = Instant::now();
        let mut complaints = Complaints::new("s");
        let mut lines = Vec::new();
        for second in 0..=60 {
            let now = start + Duration::from_secs(second);
            lines.extend(complaints.failed(now, "refused"));
            lines.extend(complaints.worked(now + Duration::from_millis(500)));
        }
        assert_eq!(
            lines,
            [
                "refused; trying again",
                "deliveries to s work again after 1 failure over 500ms",
                "refused; 30 failures in 29s, trying again",
                "deliveries to s work again after 30 failures over 29s",
                "refused; 30 failures in 29s, trying again",
                "deliveries to s work again after 30 failures over 29s",
            ]
        );
    }
}
