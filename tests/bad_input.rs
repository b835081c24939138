//! What the user gets wrong: exit code 2 before anything is started, with file, line, column, what
//! was found and what was expected.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use util::Bench;

fn ves(bench: &Bench, args: &[&str]) -> Output {
    // What should be refused and is not would run for ever.
    let mut command = Command::new("timeout");
    command
        .args(["20", env!("CARGO_BIN_EXE_ves")])
        .args(args)
        .current_dir(bench.path(""))
        .output()
        .unwrap()
}

/// Asserts exit code 2, nothing on standard output, and the message, whole.
fn assert_refused(output: &Output, message: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, format!("ves: error: {message}\n"));
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}

fn check(name: &str, text: &str, message: &str) {
    let bench = Bench::new();
    fs::write(bench.path(name), text).unwrap();
    assert_refused(&ves(&bench, &["check", name]), message);
    // Collecting with it is refused in the same words, and leaves nothing behind.
    assert_refused(
        &ves(
            &bench,
            &["collect", "--config", name, "--state-dir", "state"],
        ),
        message,
    );
    assert!(!bench.path("state").exists());
}

/// Checks one wrong setting in both languages.
fn check_both(key: &str, toml: &str, yaml: &str, message: &str) {
    let watch_toml = "watch_path = \"/var/log/*.log\"\n";
    let column = key.len() + 4;
    let place = format!("bad.toml:2:{column}: {key}: {message}");
    check("bad.toml", &format!("{watch_toml}{key} = {toml}\n"), &place);
    let column = key.len() + 3;
    let place = format!("bad.yaml:2:{column}: {key}: {message}");
    check(
        "bad.yaml",
        &format!("watch_path: /var/log/*.log\n{key}: {yaml}\n"),
        &place,
    );
}

const DURATION: &str = "expected a time with a unit, such as \"5ms\", \"10s\" or \"1m 30s\"";
const SHIP: &str =
    "expected `stdout:`, `null:`, `file:///path`, `http://...` or `https://...`, found";

#[test]
fn wrong_types() {
    let integer = "expected an integer from 1 to 1000000, found \"many\"";
    check_both("batch_size", "\"many\"", "many", integer);
    check_both("once", "3", "3", "expected true or false, found 3");
    let address = "expected an IP address with a port, such as \"127.0.0.1:9600\" or \
                   \"[::1]:9600\", or a port alone (on 127.0.0.1), found ";
    let named = format!("{address}\"logs.example.com:9600\"");
    check_both(
        "metrics",
        "\"logs.example.com:9600\"",
        "logs.example.com:9600",
        &named,
    );
    check_both("metrics", "70000", "70000", &format!("{address}70000"));
    let unused = "nothing is served: say where with `metrics`, such as \"9600\"";
    check_both("metrics_per_file", "true", "true", unused);
    let level = "expected `error`, `warn`, `info` or `debug`, found \"loud\"";
    check_both("log_level", "\"loud\"", "loud", level);
    check_both(
        "log_format",
        "\"xml\"",
        "xml",
        "expected `text` or `json`, found \"xml\"",
    );
    check_both(
        "drop",
        "4",
        "4",
        "expected a filter expression such as \"status >= 400\", found 4",
    );
    check_both(
        "from",
        "true",
        "true",
        "expected `start` or `end`, found true",
    );
    let add = "expected `key=value`, `host` or `file`, found 1.5";
    check_both("add", "1.5", "1.5", add);
}

#[test]
fn values_out_of_range() {
    check_both(
        "batch_size",
        "0",
        "0",
        "expected an integer from 1 to 1000000, found 0",
    );
    check_both(
        "workers",
        "65",
        "65",
        "expected an integer from 1 to 64, found 65",
    );
    let size = "expected a size from 64 to 2MiB, such as 65536 or \"64KiB\", found \"1GiB\"";
    check_both("line_bytes_max", "\"1GiB\"", "1GiB", size);
    check_both(
        "from",
        "\"middle\"",
        "middle",
        "expected `start` or `end`, found \"middle\"",
    );
}

#[test]
fn bad_durations() {
    check_both("flush_interval", "5", "5", &format!("{DURATION}, found 5"));
    check_both(
        "flush_interval",
        "\"soon\"",
        "soon",
        &format!("{DURATION}, found \"soon\""),
    );
    let zero = "expected a time of more than 0 and at most 1 day, found \"0s\"";
    check_both("partial_line_timeout", "\"0s\"", "0s", zero);
}

#[test]
fn bad_globs() {
    let message =
        "expected a path pattern (unclosed character class; missing ']'), found \"/l/[x\"";
    check(
        "bad.toml",
        "watch_path = '/l/[x'\n",
        &format!("bad.toml:1:14: watch_path: {message}"),
    );
    check(
        "bad.yaml",
        "watch_path: ['/l/[x']\n",
        &format!("bad.yaml:1:14: watch_path: {message}"),
    );
    let bench = Bench::new();
    assert_refused(
        &ves(&bench, &["collect", "--watch", "/l/[x"]),
        &format!("--watch: {message}"),
    );
}

#[test]
fn bad_urls_and_formats() {
    check_both(
        "ship_url",
        "\"kafka://b\"",
        "kafka://b",
        &format!("{SHIP} \"kafka://b\""),
    );
    check_both(
        "ship_url",
        "\"file:\"",
        "'file:'",
        &format!("{SHIP} \"file:\""),
    );
    let host = "`file://` is followed by the name of a host, and only files of this one can be \
                written: use `file:PATH` or `file:///PATH`";
    check_both("ship_url", "\"file://host/x/y\"", "'file://host/x/y'", host);
    let format = "expected `auto`, `nginx`, `raw` or an nginx log_format string with $variables, \
                  found \"logfmt\"";
    check_both("format", "\"logfmt\"", "logfmt", format);
    let format = "expected an nginx log_format string (cannot tell where $a ends: put text after \
                  it), found \"$a$b\"";
    check_both("format", "\"$a$b\"", "$a$b", format);
    let only = "only an http:// or https:// sink has this setting";
    check_both("compression", "\"zstd\"", "zstd", only);
}

/// A URL that was not understood was printed whole, with the password and the token in it.
#[test]
fn when_a_sink_is_flushed() {
    let config = |rest: &str| format!("watch_path = \"/a\"\nship_url = \"file:x\"\n{rest}\n");
    check(
        "bad.toml",
        &config("sync = \"always\""),
        "bad.toml:3:8: sync: expected `none`, `interval` or `batch`, found \"always\"",
    );
    check(
        "bad.toml",
        "watch_path = \"/a\"\nship_url = \"null:\"\nsync = \"batch\"\n",
        "bad.toml:3:8: sync: only a file: sink has this setting",
    );
    for sync in ["none", "interval", "batch"] {
        let bench = Bench::new();
        let setting = format!("sync = \"{sync}\"");
        fs::write(bench.path("good.toml"), config(&setting)).unwrap();
        let of_file = ves(&bench, &["check", "good.toml"]).stdout;
        let args = [
            "collect",
            "--dry-run",
            "--watch=/a",
            "--ship=file:x",
            "--sync",
            sync,
        ];
        let of_flags = ves(&bench, &args).stdout;
        assert!(String::from_utf8(of_flags).unwrap().contains(&setting));
        assert!(String::from_utf8(of_file).unwrap().contains(&setting));
    }
}

#[test]
fn secrets_in_a_bad_url_are_not_shown() {
    for (url, shown) in [
        ("htp://u:sec@h/?token=abc", "htp://h/"),
        ("http:/u:sec@h/x", "...@h/x"),
        ("htp://u:se/c@h/x", "...@h/x"),
        ("h/?token=abc#part", "h/"),
    ] {
        let (quoted, shown) = (format!("\"{url}\""), format!("{SHIP} {shown:?}"));
        check_both("ship_url", &quoted, &quoted, &shown);
    }
}

#[test]
fn bad_filter_expressions() {
    let unknown = "not a filter expression\n  statis == 1\n  ^^^^^^ unknown field `statis`; did you \
                   mean `status`? known fields: remote_addr, remote_user, time_local, method, path, \
                   protocol, request, status, body_bytes_sent, http_referer, http_user_agent, message";
    check_both("drop", "\"statis == 1\"", "statis == 1", unknown);
    let wrong_type = "not a filter expression\n  status == \"404\"\n            ^^^^^ field `status` \
                      is an integer; compare it with a number: 404";
    check_both(
        "keep",
        "'status == \"404\"'",
        "status == \"404\"",
        wrong_type,
    );
    let syntax = "not a filter expression\n  status >=\n           ^ expected a value after `>=`, \
                  found the end";
    check_both("keep", "\"status >=\"", "status >=", syntax);
    let bench = Bench::new();
    let output = ves(&bench, &["collect", "--watch", "x", "--keep", "path ~ 1"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.starts_with("ves: error: --keep: not a filter expression\n  path ~ 1\n"));
    assert!(stderr.contains('^'), "{stderr}");
}

#[test]
fn fields_that_are_there_already() {
    let message = "the records have a field `status` already: use another name";
    check_both("add", "\"status=x\"", "status=x", message);
    let text = "watch_path = 'x'\nadd = { a = 1, message = 'x', b = 2 }\n";
    let message =
        "bad.toml:2:26: add: the records have a field `message` already: use another name";
    check("bad.toml", text, message);
    let bench = Bench::new();
    let output = ves(
        &bench,
        &["collect", "--watch", "x", "--add", "a=1", "--add", "a=2"],
    );
    assert_refused(&output, "--add: the field `a` is added twice");
}

#[test]
fn unknown_keys() {
    let known = "known keys: watch_path, exclude, format, on_parse_error, drop, keep, add, ship_url, \
                 compression, header, request_timeout, ca_file, sync, batch_size, flush_interval, \
                 line_bytes_max, partial_line_timeout, from, once, state_dir, no_state, workers, pin, \
                 stats, metrics, metrics_host, metrics_per_file, log_level, log_format, \
                 shutdown_timeout";
    let message = format!("unknown key `batchsize`; did you mean `batch_size`? {known}");
    let toml = "watch_path = 'x'\n  batchsize = 3\n";
    check("bad.toml", toml, &format!("bad.toml:2:3: {message}"));
    let yaml = "watch_path: x\nbatchsize: 3\n";
    check("bad.yaml", yaml, &format!("bad.yaml:2:1: {message}"));
    let yaml = "watch_path: x\nzzz: 3\n";
    check(
        "bad.yml",
        yaml,
        &format!("bad.yml:2:1: unknown key `zzz`; {known}"),
    );
}

#[test]
fn texts_that_are_not_of_their_language() {
    let message = "bad.toml:2:1: not valid TOML: invalid basic string, expected `\"`";
    let bench = Bench::new();
    fs::write(bench.path("bad.toml"), "watch_path = \"x\n").unwrap();
    let output = ves(&bench, &["check", "bad.toml"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        stderr.contains("bad.toml:1:") && stderr.contains("not valid TOML"),
        "{message} {stderr}"
    );
    assert_eq!(output.status.code(), Some(2));
    let twice = "bad.yaml:2:1: not valid YAML: duplicated key in mapping";
    check("bad.yaml", "watch_path: a\nwatch_path: b\n", twice);
    let list = "bad.yaml:1:1: expected settings as `key: value`, found a list";
    check("bad.yaml", "- a\n- b\n", list);
    let ending = "bad.json: a configuration file has the ending .toml, .yaml or .yml";
    check("bad.json", "{}", ending);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_order() {
    let text = "watch_path = 'x'\nbatch_size = 0\nonce = 1\nworkers = 'w'\n";
    let message = "3 settings are wrong:\n\
                   bad.toml:2:14: batch_size: expected an integer from 1 to 1000000, found 0\n\
                   bad.toml:3:8: once: expected true or false, found 1\n\
                   bad.toml:4:11: workers: expected an integer from 1 to 64, found \"w\"";
    check("bad.toml", text, message);
}

#[test]
fn a_configuration_that_is_not_there() {
    let bench = Bench::new();
    let message =
        "none.toml: cannot read the configuration: No such file or directory (os error 2)";
    assert_refused(&ves(&bench, &["check", "none.toml"]), message);
}

#[test]
fn nothing_to_read_and_things_that_do_not_go_together() {
    let bench = Bench::new();
    let nothing = "nothing to read: say what with --watch '/var/log/nginx/*.log' (or `watch_path` in \
                   the configuration), or --watch - for standard input";
    assert_refused(&ves(&bench, &["collect"]), nothing);
    let output = ves(
        &bench,
        &["collect", "--watch", "x", "--from", "end", "--once"],
    );
    let end = "--from: expected with `once`, only `start`: there is nothing to read at the end, found \
               \"end\"";
    assert_refused(&output, end);
    let output = ves(&bench, &["collect", "--watch", "-", "--watch", "-"]);
    assert_refused(&output, "--watch: standard input (\"-\") is given twice");
    let output = ves(&bench, &["collect", "--watch", "x", "--batch-size", "x"]);
    assert_refused(
        &output,
        "--batch-size: expected an integer from 1 to 1000000, found \"x\"",
    );
    let output = ves(&bench, &["collect", "--watch", "x", "--nonsense"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_sink_that_cannot_be_opened_fails_at_the_start() {
    let bench = Bench::new();
    let output = ves(
        &bench,
        &[
            "collect",
            "--watch",
            "x",
            "--no-state",
            "--ship",
            "file:no/folder/x",
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("open the sink file") && stderr.contains("No such file"),
        "{stderr}"
    );
    let output = ves(
        &bench,
        &[
            "collect",
            "--watch",
            "x",
            "--no-state",
            "--ship",
            "file:/dev/null",
        ],
    );
    assert_eq!(output.status.code(), Some(2));
}

/// A folder or a device at a path was passed over: "no file matches".
#[test]
fn what_is_there_and_cannot_be_followed_is_said() {
    let bench = Bench::new();
    let said = |path: &str| {
        let args = ["collect", "--no-state", "--once", "--watch", path];
        String::from_utf8(ves(&bench, &args).stderr).unwrap()
    };
    let folder = said("logs");
    assert!(
        folder.contains("/logs: is a folder") && folder.contains("/logs/*'"),
        "{folder}"
    );
    let device = said("/dev/zero");
    assert!(
        device.contains("/dev/zero: is not a regular file") && device.contains("--watch - <"),
        "{device}"
    );
}

/// In a folder whose name looks like a pattern, a relative path found nothing.
#[test]
fn the_name_of_the_current_folder_is_no_pattern() {
    let bench = Bench::new();
    for name in ["a[1]", "b{x}", "c*", "d\\e", "f[!", "g{,"] {
        let folder = bench.path(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("x.log"), util::line(1)).unwrap();
        let any = "?".repeat(name.len());
        for pattern in ["x.log", "*.log", &format!("../{any}/x.log")] {
            let output = Command::new(env!("CARGO_BIN_EXE_ves"))
                .args(["collect", "--once", "--no-state", "--watch", pattern])
                .current_dir(&folder)
                .output()
                .unwrap();
            assert_eq!(
                util::records(&output.stdout).len(),
                1,
                "{pattern} in {name}"
            );
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}

/// Every key in TOML, in YAML and as flags comes to the same configuration.
#[test]
fn toml_yaml_and_flags_say_the_same() {
    let bench = Bench::new();
    let toml = r#"
watch_path = ["/var/log/a/*.log", "-"]
exclude = "/var/log/a/x.log"
format = "$remote_addr $status"
on_parse_error = "drop"
drop = ["status == 1", "status == 2"]
keep = "status > 0"
add = ["host", "file", "env=prod"]
ship_url = "https://user:secret@logs.example.com/in?key=secret"
compression = "zstd:3"
header = ["X-One: 1", "X-Two: 2"]
request_timeout = "3s"
ca_file = "/etc/ca.pem"
batch_size = 500
flush_interval = "7ms"
line_bytes_max = "64KiB"
partial_line_timeout = "9s"
from = "end"
once = false
state_dir = "/var/lib/x"
workers = 3
stats = true
metrics = "[::1]:9600"
metrics_host = ["logs.example.com", "web-1"]
metrics_per_file = true
log_level = "debug"
log_format = "json"
shutdown_timeout = "11s"
"#;
    let yaml = toml.replace(" = ", ": ");
    fs::write(bench.path("all.toml"), toml).unwrap();
    fs::write(bench.path("all.yaml"), yaml).unwrap();
    let shown = |args: &[&str]| {
        let output = ves(&bench, args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        String::from_utf8(output.stdout).unwrap()
    };
    let from_toml = shown(&["collect", "--dry-run", "--config", "all.toml"]);
    assert_eq!(
        shown(&["collect", "--dry-run", "--config", "all.yaml"]),
        from_toml
    );
    let flags = [
        "--watch=/var/log/a/*.log",
        "--watch=-",
        "--exclude=/var/log/a/x.log",
        "--format=$remote_addr $status",
        "--on-parse-error=drop",
        "--drop=status == 1",
        "--drop=status == 2",
        "--keep=status > 0",
        "--add=host",
        "--add=file",
        "--add=env=prod",
        "--ship=https://user:secret@logs.example.com/in?key=secret",
        "--compression=zstd:3",
        "--header=X-One: 1",
        "--header=X-Two: 2",
        "--request-timeout=3s",
        "--ca-file=/etc/ca.pem",
        "--batch-size=500",
        "--flush-interval=7ms",
        "--line-bytes-max=64KiB",
        "--partial-line-timeout=9s",
        "--from=end",
        "--state-dir=/var/lib/x",
        "--workers=3",
        "--stats",
        "--metrics=[::1]:9600",
        "--metrics-host=logs.example.com",
        "--metrics-host=web-1",
        "--metrics-per-file",
        "--log-level=debug",
        "--log-format=json",
        "--shutdown-timeout=11s",
    ];
    assert_eq!(
        shown(&[&["collect", "--dry-run"], &flags[..]].concat()),
        from_toml
    );
    assert!(from_toml.contains("line_bytes_max = 65536") && from_toml.contains("workers = 3"));
    assert!(!from_toml.contains("secret"), "{from_toml}");
    // Flags override the file; `check` shows the file alone.
    let over = [
        "collect",
        "--dry-run",
        "--config",
        "all.yaml",
        "--workers=5",
        "--no-state",
    ];
    let over = shown(&over);
    assert!(
        over.contains("workers = 5") && over.contains("no_state = true"),
        "{over}"
    );
    let checked = shown(&["check", "all.toml"]);
    assert_eq!(checked.strip_prefix("# all.toml: ok\n").unwrap(), from_toml);
}

/// The help is a part of the interface: changed on purpose only, with `UPDATE_GOLDEN=1`.
#[test]
fn help_reads_as_it_did() {
    let bench = Bench::new();
    for (name, args) in [
        ("help", &["--help"][..]),
        ("help-collect", &["collect", "--help"]),
        ("help-collect-short", &["collect", "-h"]),
        ("help-check", &["check", "--help"]),
    ] {
        let output = ves(&bench, args);
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &help).unwrap();
        }
        assert_eq!(help, fs::read_to_string(&path).unwrap(), "{name}");
    }
}
