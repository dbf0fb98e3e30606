//! The operators' commands at a server, as somebody uses them who has a key and no database.

mod alike;
mod auditing;
mod changing;
mod commenting;
mod doctor;
mod packages;
mod refused;
mod roles;
mod stopping;
mod tenants;
mod usage;
mod users;
mod webhooks;

use std::{
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;
use testkit::http::{HttpServer, Seen, response};

use crate::{
    platform::{Up, json, run},
    run::{assert_exit, rampart, text},
};

/// A `rampart up`, and somebody elsewhere with a key of it.
pub(crate) struct Both {
    pub(crate) directory: TempDir,
    pub(crate) up: Up,
    pub(crate) key: String,
    elsewhere: TempDir,
}

impl Both {
    pub(crate) fn start(arguments: &[&str]) -> Both {
        let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let up = Up::start(directory.path(), arguments);
        let key = up.key();
        Both { directory, up, key, elsewhere }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.up.address)
    }

    /// On the database.
    pub(crate) fn here(&self, words: &[&str]) -> Output {
        run(self.path(), words)
    }

    /// At the server, with the administrator's key.
    pub(crate) fn there(&self, words: &[&str]) -> Output {
        self.there_as(&self.key, words)
    }

    pub(crate) fn there_as(&self, key: &str, words: &[&str]) -> Output {
        self.elsewhere(words).env("RAMPART_SERVER", self.url()).env("RAMPART_KEY", key).output().unwrap()
    }

    /// Where nothing is but the binary.
    pub(crate) fn elsewhere(&self, words: &[&str]) -> Command {
        let mut command = rampart(self.elsewhere.path());
        command.args(words);
        command
    }

    /// A key with that role.
    pub(crate) fn key_of(&self, role: &str) -> String {
        let made = self.here(&["key", "create", role, "--role", role]);
        assert_exit(&made, 0);
        text(&made.stdout).trim().to_owned()
    }

    /// The same, and what it said to people.
    #[track_caller]
    pub(crate) fn said(&self, words: &[&str]) -> String {
        let output = self.there(words);
        assert_exit(&output, 0);
        text(&output.stderr)
    }
}

/// A careless web site: there is one finding on it.
pub(crate) struct Careless {
    pub(crate) url: String,
    _server: HttpServer,
    _runtime: tokio::runtime::Runtime,
}

impl Careless {
    pub(crate) fn start() -> Careless {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let answer = |seen: &Seen| match seen.target().as_str() {
            "/.git/config" => {
                let configuration = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n";
                response("200 OK", &["Content-Type: text/plain"], configuration)
            }
            _ => response("404 Not Found", &["Content-Type: text/plain"], "nothing here"),
        };
        let server = runtime.block_on(HttpServer::start(answer));
        Careless { url: format!("http://{}/", server.address()), _server: server, _runtime: runtime }
    }

    /// Asks for a scan of it.
    pub(crate) fn submit<'a>(&'a self, further: &[&'a str]) -> Vec<&'a str> {
        let submit = ["scan", "submit", &self.url, "--stages", "check", "--only", "git-config"];
        [&submit[..], further].concat()
    }
}

/// The id of the one that was made last.
pub(crate) fn first(output: &Output, key: &str) -> String {
    json(output)[0][key].as_str().unwrap_or_else(|| panic!("{}", text(&output.stdout))).to_owned()
}
