//! `ves collect`.

use std::path::Path;

use super::CollectArgs;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::pipeline;
use crate::report;

/// Resolves the settings of file and flags and runs the pipeline with them. `figures` is where the
/// figures of the run are written to as JSON.
pub(super) fn run(args: CollectArgs, figures: Option<&Path>) -> Result<()> {
    let (path, is_dry_run) = (args.config.clone(), args.dry_run);
    let flags = flags(args);
    let mut resolve = || {
        let mut settings = match &path {
            Some(path) => Settings::read(path)?,
            None => Settings::default(),
        };
        settings.override_with(flags.clone());
        settings.resolve()
    };
    let config = resolve()?;
    if is_dry_run {
        print!("{}", config.to_toml());
        return Ok(());
    }
    report::configure(config.log_level, config.log_format);
    let result = pipeline::run_reloading(config, &mut resolve)?;
    let Some(path) = figures else {
        return Ok(());
    };
    let written = serde_json::to_vec(&result).map_err(std::io::Error::other);
    written
        .and_then(|json| std::fs::write(path, json))
        .map_err(Error::file("write the figures", path))
}

/// The settings of the flags that were given.
fn flags(args: CollectArgs) -> Settings {
    let mut settings = Settings::default();
    for (key, flag, values) in [
        ("watch_path", "watch", args.watch),
        ("exclude", "exclude", args.exclude),
        ("drop", "drop", args.drop),
        ("keep", "keep", args.keep),
        ("add", "add", args.add),
        ("metrics_host", "metrics-host", args.metrics_host),
        ("header", "header", args.header),
    ] {
        if !values.is_empty() {
            settings.set_flags(key, flag, values);
        }
    }
    for (key, flag, value) in [
        ("format", "format", args.format),
        ("on_parse_error", "on-parse-error", args.on_parse_error),
        ("ship_url", "ship", args.ship),
        ("compression", "compression", args.compression),
        ("request_timeout", "request-timeout", args.request_timeout),
        ("ca_file", "ca-file", args.ca_file),
        ("sync", "sync", args.sync),
        ("batch_size", "batch-size", args.batch_size),
        ("flush_interval", "flush-interval", args.flush_interval),
        ("line_bytes_max", "line-bytes-max", args.line_bytes_max),
        (
            "partial_line_timeout",
            "partial-line-timeout",
            args.partial_line_timeout,
        ),
        ("from", "from", args.from),
        ("state_dir", "state-dir", args.state_dir),
        ("workers", "workers", args.workers),
        ("metrics", "metrics", args.metrics),
        ("log_level", "log-level", args.log_level),
        ("log_format", "log-format", args.log_format),
        (
            "shutdown_timeout",
            "shutdown-timeout",
            args.shutdown_timeout,
        ),
    ] {
        if let Some(value) = value {
            settings.set_flag(key, flag, value);
        }
    }
    for (key, flag, is_set) in [
        ("once", "once", args.once),
        ("pin", "pin", args.pin),
        ("no_state", "no-state", args.no_state),
        ("stats", "stats", args.stats),
        (
            "metrics_per_file",
            "metrics-per-file",
            args.metrics_per_file,
        ),
    ] {
        if is_set {
            settings.set_switch(key, flag);
        }
    }
    settings
}
