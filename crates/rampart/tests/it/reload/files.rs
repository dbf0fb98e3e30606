//! Files that are put in the place of others while roles run, as an orchestrator of containers does it, without anybody saying so.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use testkit::tls::{Wanted, certify};

use crate::{installation::Installation, platform::watched::Watched, run::rampart};

/// A volume of secrets: files lead through one link to a directory, and the link is changed to lead to another.
struct Volume {
    directory: PathBuf,
    times: u32,
}

impl Volume {
    fn new(directory: &Path, name: &str, content: &str) -> Volume {
        let mut volume = Volume { directory: directory.to_owned(), times: 0 };
        volume.put(name, content);
        symlink(Path::new("..data").join(name), directory.join(name)).unwrap();
        volume
    }

    fn put(&mut self, name: &str, content: &str) {
        self.times += 1;
        let now = format!("..{}", self.times);
        fs::create_dir(self.directory.join(&now)).unwrap();
        fs::write(self.directory.join(&now).join(name), content).unwrap();
        symlink(&now, self.directory.join("..next")).unwrap();
        fs::rename(self.directory.join("..next"), self.directory.join("..data")).unwrap();
    }
}

#[test]
fn a_password_in_a_file_is_taken_when_the_file_has_another() {
    let installation = Installation::start("authorised_by = \"test\"\nnetworks = [\"127.0.0.0/8\"]\n");
    let directory = tempfile::tempdir().unwrap();
    let mut volume = Volume::new(directory.path(), "password", "of-the-tests\n");
    let url = format!("postgres://app@{}/{}", installation.proxy.address(), installation.database);
    let start = |words: &[&str]| {
        let mut command = installation.command(words);
        command.env("RAMPART_DATABASE", &url).env("RAMPART_FOLLOW_FILES", "true");
        command.env("RAMPART_DATABASE_PASSWORD_FILE", directory.path().join("password"));
        command.args(["--metrics", "127.0.0.1:0", "--log", "info"]);
        Watched::start(command)
    };
    let roles = [
        start(&["gateway", "--listen", "127.0.0.1:0"]),
        start(&["worker", "--stage", "exercise"]),
        start(&["orchestrator"]),
    ];
    for role in &roles {
        role.comes_to("/ready", 200, "ready");
    }
    let sql = |sql: &str| installation.postgres.sql(&installation.database, sql);
    sql("ALTER ROLE app PASSWORD 'another one'");
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'");
    for role in &roles[..2] {
        role.comes_to("/ready", 503, "");
    }
    volume.put("password", "another one");
    for role in &roles {
        role.says("the configuration was read again, and holds", 1);
        role.comes_to("/ready", 200, "ready");
    }
    // The other way round: what is refused is asked again, also when nothing changes any more but the database.
    volume.put("password", "the third one");
    for role in &roles {
        role.says("the configuration cannot be used", 1);
    }
    sql("ALTER ROLE app PASSWORD 'the third one'");
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'");
    for role in &roles {
        role.says("the configuration was read again, and holds", 2);
        role.comes_to("/ready", 200, "ready");
    }
}

#[test]
fn a_certificate_that_has_ended_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let put = |years| {
        let certified = certify(&Wanted { years, ..Wanted::default() });
        fs::write(directory.path().join("key.pem"), &certified.key_pem).unwrap();
        fs::write(directory.path().join("chain.pem"), &certified.chain_pem).unwrap();
    };
    put((2000, 2100));
    let mut command = rampart(directory.path());
    command.args(["up", "--listen", "127.0.0.1:0", "--tls-certificate", "chain.pem", "--tls-key", "key.pem"]);
    let up = Watched::start({
        command.args(["--metrics", "127.0.0.1:0", "--log", "info"]);
        command
    });
    put((2000, 2001));
    up.says("the certificate has ended, and nobody believes it any more certificate=chain.pem", 1);
    up.says("ends=2001-01-01T00:00:00Z", 1);
}
