//! A resolved configuration as text, for `ves check` and `--dry-run`: every setting, defaults
//! included, in the keys of the configuration file (TOML).

use std::fmt::Write as _;

use super::{
    AddedField, AddedValue, Compression, Config, From, HttpOptions, OnParseError, ShipUrl, SyncMode,
};
use crate::filter::Expression;
use crate::parse::Format;
use crate::report::LogFormat;

impl Config {
    /// The configuration as TOML. Values of headers are left out: they may be secrets.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut put = |key: &str, value: String| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{key} = {value}");
        };
        let mut watched: Vec<&str> = self.sources.patterns.iter().map(String::as_str).collect();
        watched.extend(self.sources.stdin.then_some("-"));
        put(
            "watch_path",
            list(watched.iter().map(|pattern| quoted(pattern))),
        );
        put(
            "exclude",
            list(self.sources.excludes.iter().map(|pattern| quoted(pattern))),
        );
        put("format", quoted(format_name(&self.format)));
        put(
            "on_parse_error",
            quoted(match self.on_parse_error {
                OnParseError::Keep => "keep",
                OnParseError::Drop => "drop",
            }),
        );
        put("drop", expressions(&self.filter.drop));
        put("keep", expressions(&self.filter.keep));
        put(
            "add",
            format!(
                "{{ {} }}",
                self.add.iter().map(added).collect::<Vec<_>>().join(", ")
            ),
        );
        put("ship_url", quoted(&ship_url(&self.ship)));
        if matches!(self.ship, ShipUrl::Http(_)) {
            put_http(&self.http, &mut put);
        }
        if matches!(self.ship, ShipUrl::File(_)) {
            put(
                "sync",
                quoted(match self.sync {
                    SyncMode::None => "none",
                    SyncMode::Interval => "interval",
                    SyncMode::Batch => "batch",
                }),
            );
        }
        put("batch_size", self.batch_size.to_string());
        put("flush_interval", duration(self.flush_interval));
        put("line_bytes_max", self.line_bytes_max.to_string());
        put("partial_line_timeout", duration(self.partial_line_timeout));
        put(
            "from",
            quoted(match self.from {
                From::Start => "start",
                From::End => "end",
            }),
        );
        put("once", self.once.to_string());
        match &self.state_dir {
            Some(folder) => put("state_dir", quoted(&folder.display().to_string())),
            None => put("no_state", "true".to_owned()),
        }
        put("workers", self.workers.to_string());
        put("pin", self.pin.to_string());
        put("stats", self.stats.to_string());
        if let Some(metrics) = &self.metrics {
            put("metrics", quoted(&metrics.address.to_string()));
            put(
                "metrics_host",
                list(metrics.hosts.iter().map(|host| quoted(host))),
            );
            put("metrics_per_file", metrics.per_file.to_string());
        }
        put("log_level", quoted(self.log_level.name()));
        put(
            "log_format",
            quoted(match self.log_format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            }),
        );
        put("shutdown_timeout", duration(self.shutdown_timeout));
        text
    }
}

fn put_http(http: &HttpOptions, put: &mut impl FnMut(&str, String)) {
    put(
        "compression",
        quoted(&match http.compression {
            Compression::None => "none".to_owned(),
            Compression::Zstd(level) => format!("zstd:{level}"),
        }),
    );
    put(
        "header",
        list(
            http.headers
                .iter()
                .map(|(name, _)| quoted(&format!("{name}: ..."))),
        ),
    );
    put("request_timeout", duration(http.request_timeout));
    if let Some(path) = &http.ca_file {
        put("ca_file", quoted(&path.display().to_string()));
    }
}

fn format_name(format: &Format) -> &str {
    match format {
        Format::Auto => "auto",
        Format::Raw => "raw",
        Format::LogFormat(format) if format.text() == crate::parse::log_format::COMBINED => "nginx",
        Format::LogFormat(format) => format.text(),
    }
}

fn ship_url(url: &ShipUrl) -> String {
    match url {
        ShipUrl::Stdout => "stdout:".to_owned(),
        ShipUrl::Null => "null:".to_owned(),
        ShipUrl::File(path) => format!("file://{}", path.display()),
        ShipUrl::Http(url) => crate::ship::http::redacted(url),
    }
}

fn added(field: &AddedField) -> String {
    let value = match &field.value {
        AddedValue::Text(text) => quoted(text),
        AddedValue::Integer(value) => value.to_string(),
        AddedValue::Boolean(value) => value.to_string(),
        AddedValue::Host => quoted(&crate::enrich::host_name()),
        AddedValue::File => quoted("(the path of the file)"),
    };
    format!("{} = {value}", quoted(&field.name))
}

fn expressions(expressions: &[Expression]) -> String {
    list(
        expressions
            .iter()
            .map(|expression| quoted(expression.text())),
    )
}

fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

fn duration(duration: std::time::Duration) -> String {
    quoted(&humantime::format_duration(duration).to_string())
}

/// A TOML basic string: JSON's escapes are a part of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
