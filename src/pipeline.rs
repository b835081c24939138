//! The one place that creates channels and threads, and joins them again.
//!
//! ```text
//! ves-tail --work--> ves-transform-N --batches--> ves-ship --acknowledged--> ves-checkpoint
//!    ^                                               |                            ^
//!    +------------------- tickets -------------------+                            |
//!    +------------------------- opened, moved, ended -----------------------------+
//! ```
//!
//! A ticket stands for a work unit in flight. The tail takes one for each and the ship stage gives
//! it back when the unit is shipped, so there is never more between them than tickets, and a sink
//! that blocks makes the tail stop reading. Everything ends from the front: the tail returns and
//! drops its senders, each thread returns when nothing can come any more.
//!
//! SIGHUP ends it in the same way, and another pipeline with the configuration as it is now goes on
//! from there (`carried.rs`).

mod carried;
mod reship;
mod signals;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::batch::BatchPool;
use crate::checkpoint::{self, Closed, Message};
use crate::config::{Config, SyncMode, metrics_keys_changed};
use crate::error::{Error, Result};
use crate::report;
use crate::ship::{self, HandOver, Shipper, Stopped};
use crate::shutdown::Shutdown;
pub use crate::stats::figures::{Figures, Percentiles};

use crate::stats::Stats;
use crate::stats::display::{self, Began, LiveLine};
use crate::stats::queues::QueueGauge;
use crate::stats::server::Listener;
use crate::stats::site::Site;
use crate::tail::{Dispatch, Tail, TailEnd, TailLinks, Work};
use crate::transform::{Transform, transform_work};
use carried::Carried;
use reship::Reship;
use signals::{Event, Signals};

/// Work units in flight besides one per transform thread: one that is being shipped and one that
/// waits, so that no thread idles for want of the next. PERF: with their tickets given back two at a time
/// the tail woke half as often in a drain by one transform thread, which took 3 % less CPU; with two
/// threads it woke as often as before, and nothing was gained (2026-11-30; not kept).
const SPARE_TICKETS: usize = 2;

/// How long the threads may take to end after the time for an orderly end is over: a thread that is
/// stuck in a system call does not get more.
const LAST_GRACE: Duration = Duration::from_millis(250);

/// Time between two tries to start a pipeline again on a disk that has trouble.
const START_PAUSE: Duration = Duration::from_secs(1);

/// Gives the configuration as it is now.
pub type Reload<'a> = &'a mut dyn FnMut() -> Result<Config>;

/// Collects until the input ends or a signal comes, then until what was read is shipped. Blocks.
///
/// # Errors
/// When something that the pipeline needs cannot be had at the start, and [`Error::Unfinished`]
/// when the sink did not take everything in time.
pub fn run(config: Config) -> Result<Figures> {
    collect(config, None)
}

/// The same, and SIGHUP has it go on with the configuration that `reload` gives.
///
/// # Errors
/// As [`run`].
pub fn run_reloading(config: Config, reload: Reload<'_>) -> Result<Figures> {
    collect(config, Some(reload))
}

fn collect(mut config: Config, mut reload: Option<Reload<'_>>) -> Result<Figures> {
    let began = Began::now();
    raise_descriptor_limit();
    let signals = Signals::catch(reload.is_some())?;
    // Before anything is touched: the address may be taken.
    let listener = config.metrics.as_ref().map(Listener::bind).transpose()?;
    let stats = Arc::new(match &config.metrics {
        Some(metrics) => Stats::watched(metrics.per_file),
        None => Stats::new(),
    });
    let mut carried = Carried::new(reload.is_some());
    let mut shutdown = Shutdown::new()?;
    let mut threads = Threads::start(&config, &stats, &shutdown, &mut carried)?;
    let mut metrics = MetricsThread::start(&listener, &config, &stats, &shutdown, &mut threads)?;
    if let Some(address) = listener.as_ref().and_then(Listener::address) {
        report::notice(&format!("metrics and dashboard are at http://{address}/"));
    }
    let mut reship = Reship::new(Instant::now());
    let result = loop {
        let end = supervise(
            &config,
            &signals,
            &shutdown,
            &stats,
            &threads,
            &mut reload,
            &mut reship,
        )?;
        let grace = match end {
            // Two pipelines must not go on at the same time, so the next one is worth any wait.
            End::Reload(_) | End::Again => None,
            // The last stage has ended, so the others are about to.
            End::Over { is_stuck: false } | End::Signal => Some(config.shutdown_timeout),
            End::Over { is_stuck: true } => Some(LAST_GRACE),
        };
        let result = threads.join(grace, &mut carried);
        if let Some(metrics) = metrics {
            metrics.end();
        }
        // Nobody else has what was read of standard input.
        let is_over = match end {
            End::Over { .. } => true,
            End::Signal => !carried.has_input(),
            End::Reload(_) | End::Again => false,
        };
        if is_over || carried.is_closed() {
            break result;
        }
        stats.forget_in_flight();
        shutdown = Shutdown::new()?;
        match end {
            End::Reload(next) => {
                let (started, is_reloaded) =
                    go_on(&mut config, *next, &stats, &shutdown, &mut carried)?;
                threads = started;
                if is_reloaded {
                    report::configure(config.log_level, config.log_format);
                    report::notice("the configuration is reloaded");
                }
            }
            End::Again => {
                let again = start_again(&config, &stats, &shutdown, &mut carried, &signals)?;
                let Some(again) = again else { break result };
                threads = again;
            }
            End::Over { .. } | End::Signal => {
                threads = Threads::start(&config, &stats, &shutdown, &mut carried)?;
                shutdown.begin(config.shutdown_timeout);
            }
        }
        metrics = MetricsThread::start(&listener, &config, &stats, &shutdown, &mut threads)?;
        reship.begin(Instant::now());
    };
    report::finish_live_line();
    report::say_all_repeated();
    if config.stats {
        report::summary(&display::summary(&stats, &began));
    } else {
        report_unread(&stats);
    }
    result.map(|()| Figures::of(&stats))
}

/// Starts the next pipeline: with the new configuration or, where that cannot be, the old one. Returns
/// whether it is the new one.
fn go_on(
    config: &mut Config,
    next: Config,
    stats: &Arc<Stats>,
    shutdown: &Shutdown,
    carried: &mut Carried,
) -> Result<(Threads, bool)> {
    match Threads::start(&next, stats, shutdown, carried) {
        Ok(threads) => {
            *config = next;
            Ok((threads, true))
        }
        Err(error) => {
            report::refused(&error);
            Ok((Threads::start(config, stats, shutdown, carried)?, false))
        }
    }
}

/// Starts the same pipeline once more. The disk has trouble, so that is tried until it works; `None` when
/// a signal came first.
fn start_again(
    config: &Config,
    stats: &Arc<Stats>,
    shutdown: &Shutdown,
    carried: &mut Carried,
    signals: &Signals,
) -> Result<Option<Threads>> {
    let never = eventfd(0, EventfdFlags::CLOEXEC)
        .map_err(|errno| Error::system("make an event descriptor")(errno.into()))?;
    let mut has_complained = false;
    loop {
        match Threads::start(config, stats, shutdown, carried) {
            Ok(threads) => return Ok(Some(threads)),
            Err(error) if !std::mem::replace(&mut has_complained, true) => {
                report::warning(&format!("{}; will try again", report::chain(&error)));
            }
            Err(_) => {}
        }
        if signals.wait(&never, START_PAUSE) == Event::Signal {
            return Ok(None);
        }
    }
}

/// Followed files have a descriptor each while they are busy: the soft limit of many systems (1024)
/// is for programs that still use select(2).
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // As it was is good enough for most: idle files are closed.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn report_unread(stats: &Stats) {
    let totals = stats.totals();
    let unread = totals.bytes_unread;
    if unread > 0 {
        report::warning(&format!(
            "{unread} bytes were truncated or deleted before they could be read"
        ));
    }
    let missed = totals.files_missed;
    if missed > 0 {
        report::warning(&format!(
            "files that were gone before they could be opened: {missed}"
        ));
    }
}

/// How a pipeline has come to its end.
enum End {
    /// By itself, or by a signal.
    Over {
        /// Whether it did not come to its end in time.
        is_stuck: bool,
    },
    /// By a signal that came while it ended for another.
    Signal,
    /// Another goes on with this configuration.
    Reload(Box<Config>),
    /// Another goes on with the same one, from the last checkpoint that is on the disk.
    Again,
}

/// Has the new configuration serve what the old one does, and says so where it would not: the address
/// is taken at the start, before anything else is done.
fn keep_metrics(new: &mut Config, old: &Config) {
    let keys = metrics_keys_changed(old.metrics.as_ref(), new.metrics.as_ref());
    if !keys.is_empty() {
        report::warning(&format!(
            "{}: changed, which takes a restart of VES: what was set at the start holds until then",
            keys.join(", ")
        ));
        new.metrics.clone_from(&old.metrics);
    }
}

/// Waits until the pipeline has ended by itself, or ended after a signal, or is stuck for longer
/// than it may; draws the live line meanwhile.
fn supervise(
    config: &Config,
    signals: &Signals,
    shutdown: &Shutdown,
    stats: &Stats,
    threads: &Threads,
    reload: &mut Option<Reload<'_>>,
    reship: &mut Reship,
) -> Result<End> {
    let mut live_line = config.stats.then(LiveLine::new);
    let mut draw_at = Instant::now() + display::INTERVAL;
    let mut give_up_at = None;
    let mut next = None;
    let is_stuck = loop {
        let until = give_up_at.map_or(draw_at, |at: Instant| at.min(draw_at));
        match signals.wait(
            &threads.ended,
            until.saturating_duration_since(Instant::now()),
        ) {
            Event::Ended => break false,
            Event::Signal if give_up_at.is_some() => {
                return Err(Error::Unfinished(
                    "ended at once by a second signal".to_owned(),
                ));
            }
            Event::Signal => {
                shutdown.begin(config.shutdown_timeout);
                give_up_at = Some(Instant::now() + config.shutdown_timeout + LAST_GRACE);
            }
            Event::Reload => match reload.as_mut().map(|reload| reload()) {
                Some(Ok(mut config_now)) => {
                    keep_metrics(&mut config_now, config);
                    report::notice(
                        "SIGHUP: going on with the configuration as it is now once what was read is \
                         shipped",
                    );
                    next = Some(Box::new(config_now));
                    // What was read of standard input can be read by nobody again.
                    let grace = (!config.sources.stdin).then_some(config.shutdown_timeout);
                    shutdown.begin_continued(grace);
                }
                Some(Err(error)) => report::refused(&error),
                None => {}
            },
            Event::Timeout => {}
        }
        let now = Instant::now();
        // What was read of standard input can be read by nobody again.
        let can_reship = !config.sources.stdin && !shutdown.begun();
        if can_reship && reship.is_due(now, threads.is_unflushed.load(Ordering::Acquire)) {
            report::notice("shipping again what was shipped since the last checkpoint");
            shutdown.begin_continued(Some(config.shutdown_timeout));
        }
        if give_up_at.is_some_and(|at| now >= at) {
            break true;
        }
        if now >= draw_at {
            draw_at = now + display::INTERVAL;
            if let Some(line) = &mut live_line {
                line.draw(stats);
            }
            report::say_repeated(now);
        }
    };
    Ok(match next {
        _ if !shutdown.is_continued() => End::Over { is_stuck },
        Some(next) if give_up_at.is_none() => End::Reload(next),
        None if give_up_at.is_none() => End::Again,
        _ if is_stuck => End::Over { is_stuck },
        _ => End::Signal,
    })
}

/// The running threads and what is left of them when they end.
struct Threads {
    tail: JoinHandle<TailEnd>,
    /// The stages behind it.
    pipeline: Vec<JoinHandle<()>>,
    checkpoint: Option<JoinHandle<Closed>>,
    /// For a last word to the checkpoint thread when others are stuck.
    tell: Option<flume::Sender<Message>>,
    shipper: Arc<Mutex<Shipper>>,
    /// Whether the sink file could not be flushed, so that the checkpoint stands still.
    is_unflushed: Arc<AtomicBool>,
    /// Readable when the ship thread, the last of the pipeline, has ended.
    ended: Arc<rustix::fd::OwnedFd>,
    /// How full the channels are.
    queues: Vec<QueueGauge>,
}

/// The thread that serves the metrics of a pipeline, which it outlives. The address is kept from one to
/// the next.
struct MetricsThread {
    thread: JoinHandle<()>,
    stop: Shutdown,
}

impl MetricsThread {
    /// Serves what a pipeline shows, where `listener` has an address for that.
    fn start(
        listener: &Option<Listener>,
        config: &Config,
        stats: &Arc<Stats>,
        shutdown: &Shutdown,
        threads: &mut Threads,
    ) -> Result<Option<MetricsThread>> {
        let queues = std::mem::take(&mut threads.queues);
        let Some(listener) = listener else {
            return Ok(None);
        };
        let listener = listener.share()?;
        let is_per_file = config
            .metrics
            .as_ref()
            .is_some_and(|metrics| metrics.per_file);
        let text = config.to_toml();
        let site = Site::new(stats.clone(), queues, text, is_per_file, shutdown.clone());
        let stop = Shutdown::new()?;
        let switch = stop.clone();
        let thread = spawn("ves-metrics", move || listener.serve(site, &switch))?;
        Ok(Some(MetricsThread { thread, stop }))
    }

    fn end(self) {
        self.stop.begin(Duration::ZERO);
        join(self.thread);
    }
}

impl Threads {
    fn start(
        config: &Config,
        stats: &Arc<Stats>,
        shutdown: &Shutdown,
        carried: &mut Carried,
    ) -> Result<Threads> {
        let ticket_count = config.workers + SPARE_TICKETS;
        let state = carried.open(config)?;
        let sink = ship::open(config, &state.sinks)?;
        let sink_state = sink.state();
        let is_flushed = config.sync == SyncMode::Interval;
        let (store, loaded, left) = carried.begin(state, is_flushed);

        // Each message is small; the bound only matters while the disk is slow.
        let (tell, told) = flume::bounded(checkpoint::MESSAGES_IN_FLIGHT_MAX);
        let tell = (store.is_some() || carried.is_kept || is_flushed).then_some(tell);
        // One work unit per ticket: a send never blocks once a ticket is had.
        let (work, works) = flume::bounded::<Work>(ticket_count);
        let (ticket, tickets) = flume::bounded(ticket_count);
        for _ in 0..ticket_count {
            // There are as many places.
            let _ = ticket.try_send(());
        }
        // Each unit in flight fills one batch at a time, and the channel above holds as many.
        let pool = BatchPool::new(2 * ticket_count);

        let shipper = Shipper::new(
            sink,
            tell.clone(),
            stats.clone(),
            shutdown.clone(),
            pool.clone(),
            ticket,
        );
        let shipper = Arc::new(Mutex::new(shipper));
        // Batches of up to 1 MiB, one for each unit in flight; a transform thread waits here while
        // the sink is slow.
        let (hand_over, ship_thread) = HandOver::new(shipper.clone(), ticket_count);
        let mut queues = vec![QueueGauge::new("transform", &work), hand_over.queue("ship")];
        queues.extend(tell.iter().map(|tell| QueueGauge::new("checkpoint", tell)));
        let batch_records_max = config.batch_size as u64;
        let dispatch = Dispatch {
            work,
            tickets,
            hand_over: hand_over.clone(),
            pool: pool.clone(),
            stats: stats.clone(),
            transform: Transform::new(),
            batch_records_max,
            ticket_count,
            has_ticket: false,
            sequence: 0,
        };
        let tail = Tail::new(
            config,
            TailLinks {
                dispatch,
                checkpoint: tell.clone(),
                loaded,
                left,
                shutdown: shutdown.clone(),
                stats: stats.clone(),
            },
        )?;

        let is_unflushed = Arc::new(AtomicBool::new(false));
        let checkpoint = tell.is_some().then(|| {
            let (stats, is_unflushed) = (stats.clone(), is_unflushed.clone());
            spawn("ves-checkpoint", move || {
                checkpoint::run(store.as_deref(), sink_state, &told, &stats, &is_unflushed)
            })
        });
        let checkpoint = checkpoint.transpose()?;
        let cores = Cores::new(config.pin);
        let core = cores.get(config.workers);
        let tail = spawn("ves-tail", move || {
            pin(core);
            tail.run()
        })?;
        let mut pipeline = Vec::new();
        for index in 0..config.workers {
            let (works, hand_over) = (works.clone(), hand_over.clone());
            let pool = pool.clone();
            let core = cores.get(index);
            pipeline.push(spawn(&format!("ves-transform-{index}"), move || {
                pin(core);
                let mut transform = Transform::new();
                for work in works {
                    let emit = |done| hand_over.send(done);
                    let result =
                        transform_work(&mut transform, work, batch_records_max, &pool, emit);
                    if result.is_err() {
                        return;
                    }
                }
            })?);
        }
        drop((works, hand_over));
        let ended = eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|errno| Error::system("make an event descriptor")(errno.into()))?;
        let ended = Arc::new(ended);
        let (signal, switch) = (ended.clone(), shutdown.clone());
        pipeline.push(spawn("ves-ship", move || {
            ship_thread.run();
            // When the sink ended first, the stages before it have to be told.
            switch.begin(Duration::ZERO);
            // A write of 1 to a counter at 0 does not fail.
            let _ = rustix::io::write(&*signal, &1u64.to_ne_bytes());
        })?);
        Ok(Threads {
            tail,
            pipeline,
            checkpoint,
            tell,
            shipper,
            is_unflushed,
            ended,
            queues,
        })
    }

    /// Waits for all threads, for that long if there is a limit. Returns how it went.
    fn join(self, grace: Option<Duration>, carried: &mut Carried) -> Result<()> {
        if grace.is_some_and(|grace| !self.wait_for_threads(grace)) {
            self.write_checkpoint();
            return Err(Error::Unfinished(
                "the sink did not answer in time: what it had not taken is not acknowledged and \
                 will be read again at the next start"
                    .to_owned(),
            ));
        }
        let TailEnd { read, left } = join(self.tail);
        self.pipeline.into_iter().for_each(join);
        let stopped = {
            let shipper = self.shipper.lock().unwrap_or_else(PoisonError::into_inner);
            shipper.stopped().cloned()
        };
        // The last senders to the checkpoint thread.
        drop((self.shipper, self.tell));
        carried.end(left, stopped == Some(Stopped::Closed));
        if let Some(checkpoint) = self.checkpoint {
            let Closed { written, snapshot } = join(checkpoint);
            carried.keep(snapshot);
            written?;
        }
        match stopped {
            None => read,
            Some(Stopped::Closed) => Ok(()),
            Some(Stopped::Expired(reason)) => Err(Error::Unfinished(format!(
                "{reason}: what was not delivered is not acknowledged and will be read again at \
                 the next start"
            ))),
        }
    }

    /// Has the checkpoint thread write what was acknowledged, without waiting for it to end.
    fn write_checkpoint(&self) {
        if let Some(tell) = &self.tell {
            let (reply, written) = flume::bounded(1);
            // No answer in time is as bad as no checkpoint thread: the one on disk holds then.
            let _ = tell.try_send(Message::Sync(reply));
            let _ = written.recv_timeout(LAST_GRACE);
        }
    }

    fn are_finished(&self) -> bool {
        self.tail.is_finished() && self.pipeline.iter().all(JoinHandle::is_finished)
    }

    /// Waits for threads that are about to end. Returns whether they have.
    fn wait_for_threads(&self, grace: Duration) -> bool {
        let until = Instant::now() + grace;
        let mut pause = Duration::from_micros(100);
        while !self.are_finished() {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        true
    }
}

/// The cores that threads are pinned to; none where that is not wanted or cannot be told.
struct Cores(Vec<CoreId>);

impl Cores {
    fn new(is_wanted: bool) -> Cores {
        Cores(if is_wanted {
            core_affinity::get_core_ids().unwrap_or_default()
        } else {
            Vec::new()
        })
    }

    /// The core of a thread: round and round.
    fn get(&self, index: usize) -> Option<CoreId> {
        self.0.get(index.checked_rem(self.0.len())?).copied()
    }
}

/// Keeps the calling thread on a core.
fn pin(core: Option<CoreId>) {
    if let Some(core) = core {
        // A core that was taken away meanwhile is no reason to stop.
        let _ = core_affinity::set_for_current(core);
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(body).map_err(Error::system("start a thread"))
}

/// The result of a thread; its panic goes on here.
fn join<T>(thread: JoinHandle<T>) -> T {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
