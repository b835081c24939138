//! A real Chromium without a window, driven by chromedriver over WebDriver: plain HTTP and JSON.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A browser with one page. Ends on drop.
pub(crate) struct Browser {
    driver: Child,
    session_url: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one.
    pub(crate) fn start() -> Browser {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is there: scripts/test installs it");
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = said.find_map(|line| {
            let line = line.unwrap();
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let driver_url = format!("http://127.0.0.1:{}", port.unwrap());
        let profile = tempfile::tempdir().unwrap();
        let arguments = json!([
            "--headless=new",
            // Tests may run as root, in a container with a small /dev/shm and no GPU.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            format!("--user-data-dir={}", profile.path().display()),
        ]);
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = post(&format!("{driver_url}/session"), &capabilities);
        let id = session["sessionId"].as_str().unwrap();
        Browser {
            driver,
            session_url: format!("{driver_url}/session/{id}"),
            _profile: profile,
        }
    }

    /// Loads a page.
    pub(crate) fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// What a function body returns in the page.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text of what a selector finds first.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?}).innerText");
        self.run(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Makes the window that wide and as high as the page.
    pub(crate) fn set_width(&self, width: u32) {
        let set = |height: &Value| {
            let parameters = json!({"width": width, "height": height, "deviceScaleFactor": 1,
                "mobile": false});
            self.devtools("Emulation.setDeviceMetricsOverride", &parameters);
        };
        set(&json!(800));
        set(&self.run("return document.documentElement.scrollHeight"));
    }

    /// Has the page believe that its reader likes this colour scheme.
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
    }

    /// Everything that the console was told since the last call: errors of the script, and what the
    /// content security policy stopped.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().unwrap().iter();
        entries
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Saves the window as it looks now, as PNG.
    pub(crate) fn save_screenshot(&self, path: &Path) {
        let shot = get(&format!("{}/screenshot", self.session_url));
        let png = STANDARD.decode(shot.as_str().unwrap()).unwrap();
        std::fs::write(path, png).unwrap();
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.post("goog/cdp/execute", &body);
    }

    fn post(&self, what: &str, body: &Value) -> Value {
        post(&format!("{}/{what}", self.session_url), body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; chromedriver alone would leave it behind.
        let _ = agent().delete(&self.session_url).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder();
    config
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into()
}

fn post(url: &str, body: &Value) -> Value {
    let request = agent().post(url).header("Content-Type", "application/json");
    value(request.send(body.to_string()).unwrap())
}

fn get(url: &str) -> Value {
    value(agent().get(url).call().unwrap())
}

fn value(mut response: ureq::http::Response<ureq::Body>) -> Value {
    // Screenshots are long.
    let body = response.body_mut().with_config().limit(64 << 20);
    let text = body.read_to_string().unwrap();
    let mut parsed: Value = serde_json::from_str(&text).unwrap();
    let value = parsed["value"].take();
    assert!(response.status().is_success(), "{value}");
    value
}
