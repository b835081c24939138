//! Settings to a [`Config`]: types, ranges, globs, durations, expressions and what goes together.
//! Everything that is wrong is collected, so that one run tells all of it.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::settings::{KEYS, Node, Place, Settings, Value};
use super::{
    AddedField, AddedValue, Compression, Config, From, HttpOptions, OnParseError, ShipUrl, Sources,
    SyncMode,
};
use crate::encode::PARSE_ERROR;
use crate::enrich::{PARTIAL, TRUNCATED};
use crate::error::{Error, Result};
use crate::filter::{Expression, Filter};
use crate::parse::{Format, LogFormat, MESSAGE, Schema};
use crate::ship::http::redacted;

/// Bytes of a line that a window can always hold whole.
const LINE_BYTES_LIMIT: u64 = 2 << 20;

/// Longest time that a setting can say.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Settings {
    /// Checks everything and fills in the defaults.
    ///
    /// # Errors
    /// [`Error::Usage`] with all that is wrong: place, key, what was found and what was expected.
    pub fn resolve(&self) -> Result<Config> {
        let mut resolver = Resolver {
            settings: self,
            errors: Vec::new(),
        };
        resolver.refuse_unknown();
        let config = resolver.config();
        // In the order of the file, flags first.
        resolver.errors.sort_by_key(|(line, _)| *line);
        let errors: Vec<String> = resolver
            .errors
            .into_iter()
            .map(|(_, error)| error)
            .collect();
        match errors.as_slice() {
            [] => Ok(config),
            [error] => Err(Error::Usage(error.clone())),
            _ => Err(Error::Usage(format!(
                "{} settings are wrong:\n{}",
                errors.len(),
                errors.join("\n")
            ))),
        }
    }
}

pub(super) struct Resolver<'a> {
    pub(super) settings: &'a Settings,
    /// What is wrong, with the line of the file; 0 for the command line.
    errors: Vec<(usize, String)>,
}

impl Resolver<'_> {
    fn config(&mut self) -> Config {
        let format = self.format();
        let known = format.known_schema();
        let sources = self.sources();
        let ship = self.ship();
        let config = Config {
            on_parse_error: self.on_parse_error(),
            filter: self.filter(&known),
            add: self.add(&known),
            http: self.http(&ship),
            sync: self.sync(&ship),
            batch_size: usize::try_from(self.integer("batch_size", 1, 1_000_000, 1000))
                .unwrap_or(1000),
            flush_interval: self.duration("flush_interval", Duration::from_millis(5)),
            line_bytes_max: self.line_bytes_max(),
            partial_line_timeout: self.duration("partial_line_timeout", Duration::from_secs(5)),
            from: self.from(),
            once: self.switch("once"),
            state_dir: self.state_dir(&sources, &ship),
            workers: self.workers(),
            pin: self.switch("pin"),
            stats: self.switch("stats"),
            metrics: self.metrics(),
            log_level: self.log_level(),
            log_format: self.log_format(),
            shutdown_timeout: self.duration("shutdown_timeout", Duration::from_secs(5)),
            format,
            sources,
            ship,
        };
        if config.once
            && config.from == From::End
            && let Some(node) = self.settings.get("from")
        {
            self.wrong(
                node,
                "from",
                "with `once`, only `start`: there is nothing to read at the end",
            );
        }
        config
    }

    /// Notes that the value of `key` is not what was expected.
    pub(super) fn wrong(&mut self, node: &Node, key: &str, expected: &str) {
        self.wrong_with(
            node,
            key,
            &format!("expected {expected}, found {}", node.value),
        );
    }

    pub(super) fn wrong_with(&mut self, node: &Node, key: &str, message: &str) {
        let error = match &node.place {
            Place::Flag(_) => (0, format!("{}: {message}", node.place)),
            Place::File { line, .. } => (*line, format!("{}: {key}: {message}", node.place)),
        };
        self.errors.push(error);
    }

    fn refuse_unknown(&mut self) {
        for (key, place) in self.settings.unknown() {
            let nearest = KEYS.iter().max_by(|left, right| {
                strsim::jaro_winkler(left, key).total_cmp(&strsim::jaro_winkler(right, key))
            });
            let near = nearest.filter(|near| strsim::jaro_winkler(near, key) > 0.75);
            let hint = near.map_or_else(
                || ";".to_owned(),
                |near| format!("; did you mean `{near}`?"),
            );
            let known = KEYS.join(", ");
            let line = if let Place::File { line, .. } = place {
                *line
            } else {
                0
            };
            let error = format!("{place}: unknown key `{key}`{hint} known keys: {known}");
            self.errors.push((line, error));
        }
    }

    /// A text, or what stands for none.
    pub(super) fn text(&mut self, key: &str, expected: &str) -> Option<(Node, String)> {
        let node = self.settings.get(key)?.clone();
        match &node.value {
            Value::Text(text) => Some((node.clone(), text.clone())),
            _ => {
                self.wrong(&node, key, expected);
                None
            }
        }
    }

    /// One text or a list of them.
    pub(super) fn texts(&mut self, key: &str, expected: &str) -> Vec<(Node, String)> {
        let Some(node) = self.settings.get(key).cloned() else {
            return Vec::new();
        };
        let nodes = match node.value {
            Value::List(nodes) => nodes,
            _ => vec![node],
        };
        let mut texts = Vec::new();
        for node in nodes {
            match &node.value {
                Value::Text(text) => texts.push((node.clone(), text.clone())),
                _ => self.wrong(&node, key, expected),
            }
        }
        texts
    }

    pub(super) fn switch(&mut self, key: &str) -> bool {
        let Some(node) = self.settings.get(key).cloned() else {
            return false;
        };
        match node.value {
            Value::Boolean(value) => value,
            _ => {
                self.wrong(&node, key, "true or false");
                false
            }
        }
    }

    fn integer(&mut self, key: &str, min: i64, max: i64, default: i64) -> i64 {
        let Some(node) = self.settings.get(key).cloned() else {
            return default;
        };
        let value = match (&node.value, &node.place) {
            (Value::Integer(value), _) => Some(*value),
            (Value::Text(text), Place::Flag(_)) => text.trim().parse().ok(),
            _ => None,
        };
        value
            .filter(|value| (min..=max).contains(value))
            .unwrap_or_else(|| {
                self.wrong(&node, key, &format!("an integer from {min} to {max}"));
                default
            })
    }

    fn duration(&mut self, key: &str, default: Duration) -> Duration {
        let expected = "a time with a unit, such as \"5ms\", \"10s\" or \"1m 30s\"";
        let Some((node, text)) = self.text(key, expected) else {
            return default;
        };
        match humantime::parse_duration(text.trim()) {
            Ok(duration) if !duration.is_zero() && duration <= DURATION_MAX => duration,
            Ok(_) => {
                self.wrong(&node, key, "a time of more than 0 and at most 1 day");
                default
            }
            Err(_) => {
                self.wrong(&node, key, expected);
                default
            }
        }
    }

    fn line_bytes_max(&mut self) -> usize {
        let (key, default) = ("line_bytes_max", 1 << 20);
        let Some(node) = self.settings.get(key).cloned() else {
            return default;
        };
        let bytes = match &node.value {
            Value::Integer(value) => u64::try_from(*value).ok(),
            Value::Text(text) => parse_bytes(text),
            _ => None,
        };
        let bytes = bytes.filter(|bytes| (64..=LINE_BYTES_LIMIT).contains(bytes));
        bytes
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or_else(|| {
                self.wrong(
                    &node,
                    key,
                    "a size from 64 to 2MiB, such as 65536 or \"64KiB\"",
                );
                default
            })
    }

    fn workers(&mut self) -> usize {
        let cores = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(16);
        let default = i64::try_from(cores).unwrap_or(1);
        usize::try_from(self.integer("workers", 1, 64, default)).unwrap_or(cores)
    }

    fn sources(&mut self) -> Sources {
        let expected = "a path pattern such as \"/var/log/nginx/*.log\", or \"-\"";
        let watch = self.texts("watch_path", expected);
        if watch.is_empty() && self.settings.get("watch_path").is_none() {
            let error = "nothing to read: say what with --watch '/var/log/nginx/*.log' (or \
                         `watch_path` in the configuration), or --watch - for standard input";
            self.errors.push((0, error.to_owned()));
        }
        let mut sources = Sources::default();
        for (node, text) in watch {
            if text == "-" {
                if std::mem::replace(&mut sources.stdin, true) {
                    self.wrong_with(&node, "watch_path", "standard input (\"-\") is given twice");
                }
            } else if let Some(pattern) = self.pattern(&node, "watch_path", &text) {
                sources.patterns.push(pattern);
            }
        }
        for (node, text) in self.texts("exclude", "a path pattern such as \"/var/log/**/old/*\"") {
            sources
                .excludes
                .extend(self.pattern(&node, "exclude", &text));
        }
        sources
    }

    fn pattern(&mut self, node: &Node, key: &str, text: &str) -> Option<String> {
        let pattern = absolute_pattern(text).filter(|_| !text.is_empty());
        let Some(pattern) = pattern else {
            self.wrong(node, key, "a path pattern");
            return None;
        };
        let glob = globset::GlobBuilder::new(&pattern)
            .literal_separator(true)
            .build();
        if let Err(error) = glob {
            let expected = format!("a path pattern ({})", error.kind());
            self.wrong(node, key, &expected);
            return None;
        }
        Some(pattern)
    }

    fn format(&mut self) -> Format {
        let expected = "`auto`, `nginx`, `raw` or an nginx log_format string with $variables";
        let Some((node, text)) = self.text("format", expected) else {
            return Format::Auto;
        };
        match text.as_str() {
            "auto" => return Format::Auto,
            "raw" => return Format::Raw,
            "nginx" => return Format::LogFormat(LogFormat::combined()),
            _ => {}
        }
        if !text.contains('$') {
            self.wrong(&node, "format", expected);
            return Format::Auto;
        }
        match LogFormat::compile(&text) {
            Ok(format) => Format::LogFormat(format),
            Err(reason) => {
                self.wrong(
                    &node,
                    "format",
                    &format!("an nginx log_format string ({reason})"),
                );
                Format::Auto
            }
        }
    }

    fn on_parse_error(&mut self) -> OnParseError {
        let expected = "`keep` or `drop`";
        match self.text("on_parse_error", expected) {
            None => OnParseError::Keep,
            Some((_, text)) if text == "keep" => OnParseError::Keep,
            Some((_, text)) if text == "drop" => OnParseError::Drop,
            Some((node, _)) => {
                self.wrong(&node, "on_parse_error", expected);
                OnParseError::Keep
            }
        }
    }

    fn from(&mut self) -> From {
        let expected = "`start` or `end`";
        match self.text("from", expected) {
            None => From::Start,
            Some((_, text)) if text == "start" => From::Start,
            Some((_, text)) if text == "end" => From::End,
            Some((node, _)) => {
                self.wrong(&node, "from", expected);
                From::Start
            }
        }
    }

    fn filter(&mut self, known: &Schema) -> Filter {
        Filter {
            keep: self.expressions("keep", known),
            drop: self.expressions("drop", known),
        }
    }

    fn expressions(&mut self, key: &str, known: &Schema) -> Vec<Expression> {
        let mut expressions = Vec::new();
        for (node, text) in self.texts(key, "a filter expression such as \"status >= 400\"") {
            match Expression::parse(&text, known) {
                Ok(expression) => expressions.push(expression),
                Err(error) => {
                    let shown = error.render(&text).replace('\n', "\n  ");
                    self.wrong_with(&node, key, &format!("not a filter expression\n  {shown}"));
                }
            }
        }
        expressions
    }

    fn add(&mut self, known: &Schema) -> Vec<AddedField> {
        let Some(node) = self.settings.get("add").cloned() else {
            return Vec::new();
        };
        let mut added: Vec<AddedField> = Vec::new();
        for (node, field) in self.added_fields(&node) {
            let name = &field.name;
            let reserved = [MESSAGE, PARSE_ERROR, PARTIAL, TRUNCATED];
            if known.slot(name).is_some() || reserved.contains(&name.as_str()) {
                let message =
                    format!("the records have a field `{name}` already: use another name");
                self.wrong_with(&node, "add", &message);
            } else if added.iter().any(|before| before.name == *name) {
                self.wrong_with(&node, "add", &format!("the field `{name}` is added twice"));
            } else {
                added.push(field);
            }
        }
        added
    }

    fn added_fields(&mut self, node: &Node) -> Vec<(Node, AddedField)> {
        let expected = "`key=value`, `host` or `file`";
        match &node.value {
            Value::Table(entries) => {
                let fields = entries.iter().filter_map(|(name, node)| {
                    let value = match &node.value {
                        Value::Text(text) => AddedValue::Text(text.clone()),
                        Value::Integer(value) => AddedValue::Integer(*value),
                        Value::Boolean(value) => AddedValue::Boolean(*value),
                        _ => {
                            self.wrong(node, "add", "a string, an integer, true or false");
                            return None;
                        }
                    };
                    Some((
                        node.clone(),
                        AddedField {
                            name: name.clone(),
                            value,
                        },
                    ))
                });
                fields.collect()
            }
            _ => {
                let texts = self.texts("add", expected).into_iter();
                let fields = texts.filter_map(|(node, text)| match text.split_once('=') {
                    Some((name, value)) if !name.is_empty() => {
                        let (name, value) = (name.to_owned(), AddedValue::Text(value.to_owned()));
                        Some((node, AddedField { name, value }))
                    }
                    None if text == "host" => Some((
                        node,
                        AddedField {
                            name: text,
                            value: AddedValue::Host,
                        },
                    )),
                    None if text == "file" => Some((
                        node,
                        AddedField {
                            name: text,
                            value: AddedValue::File,
                        },
                    )),
                    _ => {
                        self.wrong(&node, "add", expected);
                        None
                    }
                });
                fields.collect()
            }
        }
    }

    fn ship(&mut self) -> ShipUrl {
        let expected = "`stdout:`, `null:`, `file:///path`, `http://...` or `https://...`";
        let Some((node, text)) = self.text("ship_url", expected) else {
            return ShipUrl::Stdout;
        };
        let (scheme, rest) = text.split_once(':').unwrap_or((text.as_str(), ""));
        match scheme {
            "stdout" if rest.is_empty() && text.contains(':') => return ShipUrl::Stdout,
            "null" if rest.is_empty() && text.contains(':') => return ShipUrl::Null,
            "http" | "https" if rest.starts_with("//") && rest.len() > 2 => {
                return ShipUrl::Http(text);
            }
            "file" => {
                let path = rest.strip_prefix("//localhost").unwrap_or(rest);
                let path = path
                    .strip_prefix("//")
                    .map_or(Some(path), |path| path.starts_with('/').then_some(path));
                let Some(path) = path else {
                    let message = "`file://` is followed by the name of a host, and only files of \
                                   this one can be written: use `file:PATH` or `file:///PATH`";
                    self.wrong_with(&node, "ship_url", message);
                    return ShipUrl::Stdout;
                };
                if !path.is_empty()
                    && !path.ends_with('/')
                    && let Some(path) = absolute(path)
                {
                    return ShipUrl::File(PathBuf::from(path));
                }
            }
            _ => {}
        }
        let message = format!("expected {expected}, found {:?}", without_secrets(&text));
        self.wrong_with(&node, "ship_url", &message);
        ShipUrl::Stdout
    }

    fn http(&mut self, ship: &ShipUrl) -> HttpOptions {
        if !matches!(ship, ShipUrl::Http(_)) {
            for key in ["compression", "header", "request_timeout", "ca_file"] {
                if let Some(node) = self.settings.get(key).cloned() {
                    let message = "only an http:// or https:// sink has this setting";
                    self.wrong_with(&node, key, message);
                }
            }
        }
        HttpOptions {
            compression: self.compression(),
            headers: self.headers(),
            request_timeout: self.duration("request_timeout", Duration::from_secs(10)),
            ca_file: self
                .text("ca_file", "a path")
                .map(|(_, text)| PathBuf::from(text)),
        }
    }

    fn compression(&mut self) -> Compression {
        let expected = "`none`, `zstd` or `zstd:LEVEL` with a level from 1 to 19";
        let Some((node, text)) = self.text("compression", expected) else {
            return Compression::None;
        };
        match text.as_str() {
            "none" => return Compression::None,
            "zstd" => return Compression::Zstd(1),
            _ => {}
        }
        let level = text
            .strip_prefix("zstd:")
            .and_then(|level| level.parse().ok());
        if let Some(level) = level.filter(|level| (1..=19).contains(level)) {
            return Compression::Zstd(level);
        }
        self.wrong(&node, "compression", expected);
        Compression::None
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        let expected = "a header as \"Name: value\"";
        let mut headers = Vec::new();
        for (node, text) in self.texts("header", expected) {
            match text.split_once(':') {
                Some((name, value)) if !name.trim().is_empty() => {
                    headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                // The value may be a secret, so what was found is not shown.
                _ => self.wrong_with(&node, "header", &format!("expected {expected}")),
            }
        }
        headers
    }

    fn sync(&mut self, ship: &ShipUrl) -> SyncMode {
        let expected = "`none`, `interval` or `batch`";
        let Some((node, text)) = self.text("sync", expected) else {
            return SyncMode::None;
        };
        if !matches!(ship, ShipUrl::File(_)) {
            self.wrong_with(&node, "sync", "only a file: sink has this setting");
        }
        match text.as_str() {
            "none" => SyncMode::None,
            "interval" => SyncMode::Interval,
            "batch" => SyncMode::Batch,
            _ => {
                self.wrong(&node, "sync", expected);
                SyncMode::None
            }
        }
    }

    fn state_dir(&mut self, sources: &Sources, ship: &ShipUrl) -> Option<PathBuf> {
        let no_state = self.switch("no_state");
        if let Some((node, text)) = self.text("state_dir", "a path") {
            if no_state {
                self.wrong_with(&node, "state_dir", "`no_state` says that there is none");
            }
            if text.is_empty() {
                self.wrong(&node, "state_dir", "a path");
            }
            return absolute(&text).map(PathBuf::from);
        }
        if no_state || sources.patterns.is_empty() {
            return None;
        }
        let Some(home) = state_home() else {
            let error = "no folder for the checkpoint: $HOME is not set; say where with \
                         --state-dir DIR, or --no-state";
            self.errors.push((0, error.to_owned()));
            return None;
        };
        Some(home.join(job_name(sources, ship)))
    }
}

/// Where the checkpoints of jobs without a `state_dir` are.
fn state_home() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/ves"));
    }
    let folder = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("ves"))
}

/// A name for what is read and where it goes, so that different jobs do not share a checkpoint.
fn job_name(sources: &Sources, ship: &ShipUrl) -> String {
    let mut patterns = sources.patterns.clone();
    patterns.sort();
    let job = format!("{patterns:?} {:?} {ship:?}", sources.excludes);
    format!("{:016x}", xxh3_64(job.as_bytes()))
}

/// The path or pattern from the root on, with `.` and `..` resolved as they are written. `None`
/// where the current folder is not known.
fn absolute(path: &str) -> Option<String> {
    let from_root = if path.starts_with('/') {
        PathBuf::from(path)
    } else {
        std::env::current_dir().ok()?.join(path)
    };
    let mut resolved = PathBuf::from("/");
    for component in from_root.components() {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            Component::Normal(name) => resolved.push(name),
        }
    }
    path_text(&resolved)
}

/// The pattern from the root on. The current folder is no pattern, whatever its name.
fn absolute_pattern(pattern: &str) -> Option<String> {
    if pattern.starts_with('/') {
        return absolute(pattern);
    }
    let mut from_root = String::new();
    for character in path_text(&std::env::current_dir().ok()?)?.chars() {
        if "*?[]{}\\,!".contains(character) {
            from_root.push('\\');
        }
        from_root.push(character);
    }
    absolute(&format!("{from_root}/{pattern}"))
}

/// A URL that is not understood, without what may be secret in it.
fn without_secrets(url: &str) -> String {
    let shown = redacted(url);
    // Where it has no `//` in its place, or a `/` in its password.
    match shown.rsplit_once('@') {
        Some((_, host)) => format!("...@{host}"),
        None => shown,
    }
}

fn path_text(path: &Path) -> Option<String> {
    path.to_str().map(str::to_owned)
}

/// A number of bytes, perhaps with a unit.
fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" | "K" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" | "M" => 1 << 20,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let cases = [
            ("64", 64),
            ("64KiB", 65536),
            ("1 MiB", 1 << 20),
            ("2kB", 2000),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        assert!(
            ["", "KiB", "-1", "1.5MiB", "1GiB"]
                .iter()
                .all(|text| parse_bytes(text).is_none())
        );
    }

    #[test]
    fn paths_are_made_absolute_as_they_are_written() {
        assert_eq!(absolute("/a/./b/../*.log").as_deref(), Some("/a/*.log"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute("./x.log"), path_text(&here.join("x.log")));
    }
}
