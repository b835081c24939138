//! The dashboard in a real Chromium: figures move, charts are drawn, nothing that came from a log or
//! a server becomes a part of the page, and the page comes back with the program.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/browser.rs"]
mod browser;
#[path = "util/http_server.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the unit tests of the sink"
)]
mod http_server;
#[path = "util/kit.rs"]
mod util;

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use browser::Browser;
use http_server::{HttpServer, Reply};
use util::{Bench, Ves, wait_until};

/// Where the page of a `ves` is that was started with `--metrics`, from what it says of that.
fn page_of(bench: &Bench) -> String {
    let mut page = None;
    wait_until("the address of the dashboard", || {
        let stderr = bench.stderr();
        page = stderr.lines().find_map(|line| {
            let (_, url) = line.split_once("dashboard are at ")?;
            Some(url.to_owned())
        });
        page.is_some()
    });
    page.unwrap()
}

fn open(page: &str) -> Browser {
    let browser = Browser::start();
    browser.open(page);
    browser
}

/// Writes lines all the time, some of them dropped, some of no format, until it is dropped.
struct Traffic {
    is_over: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
}

impl Traffic {
    fn start(path: &Path) -> Traffic {
        let mut file = util::append(path);
        let is_over = Arc::new(AtomicBool::new(false));
        let switch = is_over.clone();
        let writer = std::thread::spawn(move || {
            let mut number = 0;
            while !switch.load(Ordering::Relaxed) {
                let lines: String = (number..number + 20).map(util::line).collect();
                number += 20;
                file.write_all(lines.as_bytes()).unwrap();
                if number % 200 == 0 {
                    file.write_all(b"not of the format\n\n").unwrap();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Traffic {
            is_over,
            writer: Some(writer),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.writer.take().map(JoinHandle::join);
    }
}

/// Pixels of a chart that have about the colour of one of its lines.
fn drawn_pixels(browser: &Browser, chart: &str) -> u64 {
    let script = format!(
        "const card = document.querySelector('#chart-{chart}').closest('.chart');
         const colours = [...card.querySelectorAll('.dot')].map((dot) =>
           getComputedStyle(dot).color.match(/\\d+/g).map(Number));
         const canvas = card.querySelector('canvas');
         const {{data}} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
         let count = 0;
         for (let at = 0; at < data.length; at += 4)
           count += data[at + 3] > 128 && colours.some((colour) =>
             colour.every((part, index) => Math.abs(part - data[at + index]) < 24));
         return count;"
    );
    browser.run(&script).as_u64().unwrap()
}

const CHARTS: [&str; 8] = [
    "throughput",
    "cpu",
    "latency",
    "memory",
    "lag",
    "stages-chart",
    "sink",
    "batches",
];

#[test]
fn figures_move_and_charts_are_drawn() {
    let bench = Bench::new();
    let traffic = Traffic::start(&bench.path("logs/a.log"));
    let more = ["--metrics", "0", "--drop", "path ends_with \"5\""];
    let _ves = bench.collect("*.log", &more);
    let browser = open(&page_of(&bench));
    wait_until("the state", || browser.text("#state") == "flowing");
    for chart in CHARTS {
        wait_until(chart, || drawn_pixels(&browser, chart) > 20);
    }
    let total = || browser.text("#stages tbody tr:nth-child(7) td:nth-child(2)");
    let (shipped, picture) = (
        total(),
        "return document.querySelector('canvas').toDataURL()",
    );
    let drawn = browser.run(picture);
    wait_until("more records", || total() != shipped);
    wait_until("another picture", || browser.run(picture) != drawn);
    assert!(browser.text("#tiles").contains("/s"));
    assert!(browser.text("#files tbody").contains("/logs/a.log"));
    assert!(browser.text("#config").contains("ends_with"));
    assert!(browser.text("#stages").contains("Dropped by filter"));
    // Until the traffic ends: then all that was seen is delivered.
    drop(traffic);
    let lag = || browser.text("#files tbody tr td:nth-child(4)");
    wait_until("no lag", || lag() == "0");
    let mut said = browser.console();
    // That is about this test, which reads the pictures of the charts.
    said.retain(|line| !line.contains("willReadFrequently"));
    assert_eq!(said, Vec::<String>::new());
}

/// A name for a file or folder that is a script where it is taken for a part of the page.
const HOSTILE: &str = "<img src=x onerror='window.owned=1'>";

#[test]
fn names_and_messages_are_text_whatever_they_say() {
    let bench = Bench::new();
    let server = HttpServer::start();
    server.always(Reply::with_body(500, "<script>window.owned=2</script>"));
    // Warned of by its name.
    let folder = bench.path("logs").join(HOSTILE);
    std::fs::create_dir(&folder).unwrap();
    let log = bench.path("logs").join(format!("{HOSTILE}.log"));
    util::append(&log)
        .write_all(util::line(1).as_bytes())
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .args(["collect", "--no-state", "--metrics", "0"])
        .args(["--header", "Authorization: Bearer secret-of-the-sink"])
        .args(["--ship", &server.url("/in?token=secret-of-the-url")])
        .args(["--add", "note=</pre><img src=x onerror='window.owned=3'>"])
        .arg("--watch")
        .arg(&log)
        .arg("--watch")
        .arg(&folder)
        .env("NO_PROXY", "127.0.0.1");
    let _ves = Ves::start_command(command, &bench.path("stderr"));
    let browser = open(&page_of(&bench));
    wait_until("the message of the server", || {
        browser.text("#messages").contains("<script>window.owned=2")
    });
    wait_until("the file", || browser.text("#files").contains(HOSTILE));
    wait_until("the trouble", || {
        browser.text("#trouble").contains("nothing was delivered")
    });
    assert_eq!(browser.text("#state"), "stalled");
    assert!(browser.text("#messages").contains(HOSTILE));
    assert!(browser.text("#config").contains("</pre><img"));
    let whole = browser.text("body");
    assert!(!whole.contains("secret-of-the-"), "{whole}");
    let foreign = "return document.querySelectorAll('main img, main script').length
        + (window.owned ?? 0)";
    assert_eq!(browser.run(foreign), 0);
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn the_page_comes_back_with_the_program() {
    let bench = Bench::new();
    let _traffic = Traffic::start(&bench.path("logs/a.log"));
    let ves = bench.collect("*.log", &["--metrics", "0"]);
    let page = page_of(&bench);
    let browser = open(&page);
    wait_until("the state", || browser.text("#state") == "flowing");
    let process = browser.text("#about");
    assert!(ves.terminate().success());
    wait_until("the loss", || browser.text("#state") == "no connection");
    let address = page.trim_start_matches("http://").trim_end_matches('/');
    let _ves = bench.collect("*.log", &["--metrics", address]);
    wait_until("the state again", || browser.text("#state") == "flowing");
    assert_ne!(browser.text("#about"), process);
    wait_until("a chart with the old samples", || {
        drawn_pixels(&browser, "throughput") > 20
    });
}

/// With `UPDATE_SCREENSHOTS=1` what is seen goes to `reports/dashboard`, to be looked at.
#[test]
fn nothing_is_cut_off_at_any_width_in_either_theme() {
    let bench = Bench::new();
    let _traffic =
        Traffic::start(&bench.path("logs/a-log-with-a-long-name.example.com.access.log"));
    let _other = Traffic::start(&bench.path("logs/b.log"));
    std::fs::create_dir(bench.path("logs/folder")).unwrap();
    let folder = bench.path("logs/folder");
    let more = [
        "--metrics",
        "0",
        "--add",
        "host",
        "--watch",
        folder.to_str().unwrap(),
    ];
    let _ves = bench.collect("*.log", &more);
    let is_update = std::env::var_os("UPDATE_SCREENSHOTS").is_some();
    let browser = open(&page_of(&bench));
    let seconds = if is_update { 40 } else { 3 };
    let samples = format!("return performance.now() > {seconds}000");
    wait_until("some samples", || browser.run(&samples) == true);
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        let background = "return getComputedStyle(document.body).backgroundColor";
        backgrounds.push(browser.run(background));
        for width in [400, 900, 1600] {
            browser.set_width(width);
            let hidden =
                "return [...document.querySelectorAll('body, h1, h2, dd, dt, .keys, li, p, pre')]
                .filter((part) => part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 0)
                .map((part) => part.outerHTML)
                .concat(document.documentElement.scrollWidth > innerWidth ? ['the page'] : [])";
            assert_eq!(browser.run(hidden), serde_json::json!([]), "{width}");
            let chart = "return [...document.querySelectorAll('.plot')].every((plot) =>
                Math.abs(plot.querySelector('.uplot').clientWidth - plot.clientWidth) < 2)";
            wait_until("charts of that width", || browser.run(chart) == true);
            if is_update {
                let name = format!("reports/dashboard/{scheme}-{width}.png");
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
                browser.save_screenshot(&path);
            }
        }
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
    // The button is stronger than what the system says: auto, then light, then dark.
    browser.run("document.querySelector('#theme').click()");
    assert_eq!(browser.text("#theme"), "Theme: light");
    assert_eq!(
        browser.run("return getComputedStyle(document.body).backgroundColor"),
        backgrounds[0]
    );
}
