//! The `ves` program.
use std::time::Duration;
use ves::config::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let get = |n: &str| {
        args.iter()
            .position(|a| a == n)
            .and_then(|i| args.get(i + 1))
            .cloned()
    };
    let config = Config {
        sources: Sources {
            patterns: get("--watch").into_iter().filter(|w| w != "-").collect(),
            excludes: vec![],
            stdin: get("--watch").as_deref() == Some("-"),
        },
        format: if get("--format").as_deref() == Some("nginx") {
            ves::parse::Format::LogFormat(ves::parse::LogFormat::combined())
        } else {
            ves::parse::Format::Auto
        },
        on_parse_error: OnParseError::Keep,
        filter: ves::filter::Filter::default(),
        add: vec![AddedField {
            name: "host".into(),
            value: AddedValue::Text("bench".into()),
        }],
        ship: match get("--ship").as_deref() {
            None | Some("stdout:") => ShipUrl::Stdout,
            Some("null:") => ShipUrl::Null,
            Some(f) if f.starts_with("file:") => {
                ShipUrl::File(f.trim_start_matches("file://").into())
            }
            Some(u) => ShipUrl::Http(u.into()),
        },
        http: HttpOptions {
            compression: Compression::None,
            headers: vec![],
            request_timeout: Duration::from_secs(10),
            ca_file: None,
        },
        batch_size: 1000,
        flush_interval: Duration::from_millis(5),
        line_bytes_max: 1 << 20,
        partial_line_timeout: Duration::from_secs(5),
        from: From::Start,
        once: args.iter().any(|a| a == "--once"),
        state_dir: get("--state-dir").map(Into::into),
        workers: get("--workers").map_or(2, |w| w.parse().unwrap_or(2)),
        stats: args.iter().any(|a| a == "--stats"),
        shutdown_timeout: Duration::from_secs(5),
    };
    if let Err(error) = ves::pipeline::run(config) {
        eprintln!("ves: error: {}", ves::report::chain(&error));
        std::process::exit(error.exit_code().into());
    }
}
