//! Debian's Chromium without a screen, driven by its WebDriver.

use std::{net::SocketAddr, sync::Arc};

use crate::process::{Place, Port, Process, command, program};

/// A driver on 127.0.0.1 that starts browsers as they are asked for. They end with it.
#[derive(Debug)]
pub struct Driver {
    port: Port,
    place: Arc<Place>,
    _process: Process,
}

impl Driver {
    /// Starts it.
    #[track_caller]
    pub fn start() -> Driver {
        let (place, port) = (Place::new("chromedriver"), Port::claim());
        let mut driver = command(&program("chromium-driver", "chromedriver"));
        driver.arg(format!("--port={}", port.number()));
        // Browsers write where they are at home.
        let home = place.directory("home");
        for name in ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
            driver.env(name, &home);
        }
        let mut process = Process::start(&place, driver);
        process.wait_until(|said| said.contains("started successfully"));
        Driver { port, place, _process: process }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Arguments of a browser that is started by it: it needs no screen, talks to this machine alone, and keeps everything where it
    /// goes with the driver.
    pub fn arguments(&self) -> Vec<String> {
        let profile = self.place.directory("profile");
        let mut arguments: Vec<String> = [
            "--headless=new",
            "--no-sandbox",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        arguments
    }
}
