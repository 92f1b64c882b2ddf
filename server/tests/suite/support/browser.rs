//! A browser that tests drive: headless Chromium by its own driver, over the WebDriver protocol
//! (W3C Recommendation, 2018).
//!
//! The protocol is JSON over HTTP, for which the client of the other tests is enough. Rejected:
//! fantoccini, which brings an asynchronous client and TLS for a dozen calls on loopback.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::Connection;
use super::wait::{say_loudly, wait_until};

/// How long the driver may take for one order. To start a browser takes seconds on a machine that
/// runs other tests too.
const ORDER_TIME_MAX: Duration = Duration::from_secs(60);

/// How long the page may take to show something that has happened already.
pub const SHOWING_TIME_MAX: Duration = Duration::from_secs(15);

/// Numbers the profiles of this process's browsers.
static PROFILES: AtomicU32 = AtomicU32::new(0);

/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window. Ended when dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    /// Open as long as it may be written to.
    _output: BufReader<ChildStdout>,
    port: u16,
    session: String,
    profile: PathBuf,
}

impl Browser {
    /// Starts one; `None`, said loudly, where there is none.
    #[track_caller]
    pub fn start() -> Option<Browser> {
        let driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=WARNING"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut driver) = driver else {
            say_loudly(
                "SKIPPED, nothing was tested: the page needs the packages chromium and \
                 chromium-driver, which scripts/packages installs",
            );
            return None;
        };
        let mut output = BufReader::new(driver.stdout.take().expect("it was asked for"));
        // It names the port that it was given first, which is none.
        let port = output
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.rsplit_once("successfully on port ")?.1.strip_suffix('.')?.parse().ok()
            })
            .expect("the driver tells its port");
        let profile = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "browser-{}-{}",
            std::process::id(),
            PROFILES.fetch_add(1, Relaxed)
        ));
        let mut browser =
            Browser { driver, _output: output, port, session: String::new(), profile };
        let arguments = json!([
            "--headless=new",
            // Tests may run as root, in containers with little shared memory.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-proxy-server",
            "--hide-scrollbars",
            "--window-size=1440,1000",
            format!("--user-data-dir={}", browser.profile.display()),
        ]);
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.order("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        Some(browser)
    }

    /// Opens a page, and returns when it has loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Clicks on the first element that this CSS selector finds, as a user does: it must be there
    /// and visible.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into an element, behind what stands there.
    #[track_caller]
    pub fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses keys where the focus is. Special ones are in Unicode's private use area, as the
    /// protocol has them.
    #[track_caller]
    pub fn press(&self, key: &str) {
        let keys = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys}]});
        self.post("/actions", &actions);
    }

    /// What a script returns; one that returns a promise is waited for.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text that an element shows; empty if there is none.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?})?.innerText ?? ''");
        self.run(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an element shows what is wanted; the text.
    #[track_caller]
    pub fn wait_for(
        &self,
        selector: &str,
        within: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> String {
        let what = format!("the page shows it in {selector}");
        wait_until(&what, within, || self.text(selector), |text| wanted(text))
    }

    /// Makes the window a screen of this size, a phone's if it says so.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32, is_phone: bool) {
        self.command(
            "Emulation.setDeviceMetricsOverride",
            &json!({
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone,
            }),
        );
    }

    /// Prefers this colour scheme, `light` or `dark`.
    #[track_caller]
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.command("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// What the page has complained about in the console since this was asked last.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let is_bad = |entry: &&Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
        entries.iter().filter(is_bad).map(|entry| entry["message"].to_string()).collect()
    }

    /// A picture of the window, as PNG in base64.
    #[track_caller]
    pub fn picture(&self) -> String {
        let picture = self.command("Page.captureScreenshot", &json!({"format": "png"}));
        picture["data"].as_str().expect("a picture").to_owned()
    }

    #[track_caller]
    fn command(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({"using": "css selector", "value": selector}));
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.order("POST", &format!("/session/{}{path}", self.session), body)
    }

    #[track_caller]
    fn order(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self
            .ask(method, path, body)
            .unwrap_or_else(|error| panic!("the driver does not answer {path}: {error}"));
        assert!(answer["value"]["error"].is_null(), "{path} {body}: {}", answer["value"]);
        answer["value"].clone()
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let stream = TcpStream::connect(address)?;
        let clock = stream.try_clone()?;
        let mut connection = Connection::over(stream)?;
        clock.set_read_timeout(Some(ORDER_TIME_MAX))?;
        let body = body.to_string();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        connection.send(request.as_bytes())?;
        Ok(connection.answer()?.json())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // Ends the browser; the driver that started it knows how.
            let _ = self.ask("DELETE", &format!("/session/{}", self.session), &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}
