//! The real thing: nginx writes, wrk asks, logrotate rotates by rename and by copytruncate, and
//! every request that nginx logged is in the output once, field by field.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;

use std::collections::HashMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value};
use util::{Bench, reference, wait_until};

/// Requests of many kinds, each with a number of its own in the URL.
const WRK_SCRIPT: &str = r#"
local number = 0
local methods = { "GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND" }
local places = { "/", "/s/204", "/s/301", "/s/403", "/s/404", "/s/500", "/s/503", "/healthz",
  "/a/b;c=d/e.html", "/caf\195\169/\230\151\165\230\156\172", "/%20%22quoted%22", "/it's|odd^`{}" }
local agents = { "curl/8.5.0", "say \"hi\" \\ back", "\195\156n\195\175code \240\159\152\128",
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
  "tab\there", "" }
local base = os.getenv("NUMBERS_FROM")
request = function()
  number = number + 1
  local path = places[number % #places + 1] .. "?n=" .. base .. number
  if number % 101 == 0 then path = path .. "&long=" .. string.rep("x", 5000) end
  local headers = { ["User-Agent"] = agents[number % #agents + 1] }
  if number % 3 == 0 then headers["Referer"] = "https://example.com/\"from\"?" .. number end
  return wrk.format(methods[number % #methods + 1], path, headers)
end
"#;

/// nginx with two servers, each with a log of its own. Ended by its master's SIGTERM.
struct Nginx {
    master: Child,
    ports: [u16; 2],
}

impl Nginx {
    fn start(bench: &Bench) -> Nginx {
        let ports = free_ports();
        let [renamed, copied] = ports;
        let statuses = [204, 301, 403, 404, 500, 503];
        let locations: String = statuses
            .iter()
            .map(|status| format!("location /s/{status} {{ return {status}; }}\n"))
            .collect();
        let server = |port: u16, log: &str| {
            format!(
                "server {{ listen 127.0.0.1:{port}; access_log logs/{log}.log combined;\n\
                 location / {{ return 200 hello; }}\n{locations}}}\n"
            )
        };
        // Workers open the logs again on USR1, in a folder that only its owner can enter.
        let config = format!(
            "user root;\nworker_processes 2;\npid nginx.pid;\nerror_log error.txt;\n\
             events {{ }}\nhttp {{\nclient_body_temp_path body;\nproxy_temp_path proxy;\n\
             fastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\n{}{}}}\n",
            server(renamed, "renamed"),
            server(copied, "copied"),
        );
        fs::write(bench.path("nginx.conf"), config).unwrap();
        let prefix = format!("{}/", bench.path("").display());
        let mut command = Command::new("nginx");
        command.args([
            "-p",
            &prefix,
            "-c",
            "nginx.conf",
            "-e",
            "error.txt",
            "-g",
            "daemon off;",
        ]);
        let master = command
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        let nginx = Nginx { master, ports };
        for port in ports {
            wait_until("nginx", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
        wait_until("the pid file", || bench.path("nginx.pid").exists());
        nginx
    }

    /// Starts a load of `seconds` on one of the servers. `first` makes its numbers unlike others.
    fn load(&self, bench: &Bench, server: usize, first: u32, seconds: u32) -> Child {
        let script = bench.path("load.lua");
        fs::write(&script, WRK_SCRIPT).unwrap();
        let mut command = Command::new("wrk");
        command
            .args(["-t1", "-c3", &format!("-d{seconds}s"), "-s"])
            .arg(script);
        command.arg(format!("http://127.0.0.1:{}/", self.ports[server]));
        command
            .env("NUMBERS_FROM", format!("{first}x"))
            .stdout(Stdio::null());
        command.spawn().expect("wrk is installed")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGKILL would leave the workers behind.
        let _ = kill_process(Pid::from_child(&self.master), Signal::TERM);
        let _ = self.master.wait();
    }
}

fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn rotate(bench: &Bench, log: &str, how: &str) {
    let config = bench.path(&format!("{log}.logrotate"));
    let path = bench.path("logs").join(log);
    let text = format!(
        "\"{}\" {{\nrotate 99\nnocompress\n{how}\n}}\n",
        path.display()
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new("logrotate");
    command
        .arg("--force")
        .arg("--state")
        .arg(bench.path("logrotate.state"))
        .arg(config);
    assert!(command.status().expect("logrotate is installed").success());
}

/// The logs of a kind: the current one and those that logrotate made of it.
fn logs(bench: &Bench, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(bench.path("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(name)
        })
        .collect()
}

/// The lines of a log as the reference parser reads them.
fn read_log(path: &Path) -> Vec<Map<String, Value>> {
    let text = fs::read(path).unwrap();
    let lines = text
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| reference::combined(line).expect("nginx writes combined lines"))
        .collect()
}

fn line_count(logs: &[PathBuf]) -> usize {
    let count = |path: &PathBuf| {
        fs::read(path)
            .unwrap()
            .iter()
            .filter(|&&b| b == b'\n')
            .count()
    };
    logs.iter().map(count).sum()
}

/// The number in the URL; wrk may send a request again whose connection broke, nginx never logs one
/// twice.
fn number(record: &Map<String, Value>) -> String {
    let path = record["path"].as_str().unwrap();
    path.split("?n=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap()
        .to_owned()
}

/// Waits until every line of the logs is in the sink, then compares.
fn compare(bench: &Bench, name: &str) {
    let all_logs = logs(bench, name);
    let shipped = || {
        let records = bench.records().into_iter().map(|record| match record {
            Value::Object(record) => record,
            other => panic!("{other}"),
        });
        let suffix = format!("/{name}.log");
        records
            .filter(|record| record["file"].as_str().unwrap().ends_with(&suffix))
            .collect()
    };
    let count = line_count(&all_logs);
    assert!(
        count > 1000,
        "{name}: only {count} requests: this shows little"
    );
    wait_until("all lines", || {
        let shipped: Vec<Map<String, Value>> = shipped();
        shipped.len() >= count
    });
    let mut shipped: Vec<Map<String, Value>> = shipped();
    assert_eq!(shipped.len(), count, "{name}");
    let mut places = HashMap::new();
    for (place, record) in shipped.iter_mut().enumerate() {
        record.remove("file");
        assert!(
            places.insert(number(record), place).is_none(),
            "twice: {record:?}"
        );
    }
    for log in &all_logs {
        let mut last = None;
        for expected in read_log(log) {
            let place = places
                .get(&number(&expected))
                .unwrap_or_else(|| panic!("lost: {expected:?}"));
            assert_eq!(shipped[*place], expected, "{}", log.display());
            assert!(
                last < Some(*place),
                "{}: the order is not kept",
                log.display()
            );
            last = Some(*place);
        }
    }
}

#[test]
fn every_request_that_nginx_logs_is_delivered_once_over_rotations_of_both_kinds() {
    let bench = Bench::new();
    let nginx = Nginx::start(&bench);
    let ves = bench.collect("*.log", &["--format", "nginx", "--add", "file"]);
    wait_until("the start", || bench.path("state/checkpoint.json").exists());

    // Renamed under load, as is done in life: nginx goes on in the old file until it is told.
    let mut load = nginx.load(&bench, 0, 0, 4);
    let pid = bench.path("nginx.pid");
    let reopen = format!(
        "create\npostrotate\nkill -USR1 $(cat \"{}\")\nendscript",
        pid.display()
    );
    for round in 1..=6 {
        std::thread::sleep(std::time::Duration::from_millis(500));
        rotate(&bench, "renamed.log", &reopen);
        assert!(bench.path(&format!("logs/renamed.log.{round}")).exists());
    }
    assert!(load.wait().unwrap().success());

    // Copied and truncated: what is written between the copy and the cut is lost to anybody, so
    // nothing is written meanwhile.
    for round in 1..=5 {
        assert!(nginx.load(&bench, 1, round, 1).wait().unwrap().success());
        let logs = logs(&bench, "copied");
        let mut count = 0;
        wait_until("nginx to have written all", || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            std::mem::replace(&mut count, line_count(&logs)) == count && count > 0
        });
        let shipped = || {
            bench
                .records()
                .iter()
                .filter(|record| record["file"].as_str().unwrap().ends_with("/copied.log"))
                .count()
        };
        wait_until("ves to have read all", || shipped() == count);
        rotate(&bench, "copied.log", "copytruncate");
    }
    assert!(nginx.load(&bench, 1, 99, 1).wait().unwrap().success());
    drop(nginx);

    compare(&bench, "renamed");
    compare(&bench, "copied");
    assert!(ves.terminate().success());
    assert!(!bench.stderr().contains("lost"), "{}", bench.stderr());
}
