//! What of the configuration has changed while a process runs, and what becomes of it.

use model::SecretUrl;

use super::{Configuration, DatabaseUrl};

/// Which of the processes of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    Up,
    Gateway,
    Worker,
    Orchestrator,
    Archive,
}

/// What becomes of a setting that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It holds from now on.
    Taken,
    /// It holds from the next start on.
    Start,
    /// It means nothing to such a process.
    Unused,
}

impl Process {
    /// The name by which others know it.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Process::Up => "rampart",
            Process::Gateway => "rampart-gateway",
            Process::Worker => "rampart-worker",
            Process::Orchestrator => "rampart-orchestrator",
            Process::Archive => "rampart-archive",
        }
    }

    fn fate(self, setting: &str) -> Fate {
        let answers = matches!(self, Process::Up | Process::Gateway);
        let looks_after = matches!(self, Process::Up | Process::Orchestrator);
        let (is_used, fate) = match setting {
            "log" | "database_password_file" | "doorbell_password_file" => (true, Fate::Taken),
            "address_at_once" | "address_rate" | "key_rate" | "tenant_rate" | "login_rate"
            | "sign_up_rate" | "trusted_proxies" | "platform_tenant" | "public_url"
            | "identity_providers" => (answers, Fate::Taken),
            "keep_scans" | "keep_audit" | "audit_key" => (looks_after, Fate::Taken),
            "webhook_receivers" | "webhook_key" | "webhook_ca" => {
                (self != Process::Orchestrator, Fate::Taken)
            }
            "listen" | "tls_certificate" | "tls_key" => (answers, Fate::Start),
            "price_per_worker_hour" => (answers || looks_after, Fate::Start),
            "tenant" => (self == Process::Up, Fate::Start),
            // Of what is somewhere else now, and of whatever else there is.
            _ => (true, Fate::Start),
        };
        if is_used { fate } else { Fate::Unused }
    }
}

impl Configuration {
    /// As such a process goes on when its configuration says this by now; and what it says that needs a new start.
    pub(crate) fn followed_by(
        &self,
        says: &Configuration,
        process: Process,
    ) -> (Configuration, Vec<&'static str>) {
        let mut next = self.clone();
        let mut waiting = Vec::new();
        for setting in self.differing(says) {
            match (setting, process.fate(setting)) {
                // What comes of these is kept with all the rest.
                ("database", _) if is_other_password_of(&self.database, &says.database) => {
                    next.database = says.database.clone();
                }
                ("replica", _)
                    if self.replica.as_ref().zip(says.replica.as_ref()).is_some_and(is_other_password) =>
                {
                    next.replica = says.replica.clone();
                }
                ("doorbell", _) if is_other_password((&self.doorbell, &says.doorbell)) => {
                    next.doorbell = says.doorbell.clone();
                }
                ("database_password_file", Fate::Taken) => {
                    next.database_password = says.database_password.clone();
                }
                ("doorbell_password_file", Fate::Taken) => {
                    next.doorbell_password = says.doorbell_password.clone();
                }
                ("keep_scans", Fate::Taken) => next.keep_scans = says.keep_scans,
                ("keep_audit", Fate::Taken) => next.keep_audit = says.keep_audit,
                ("audit_key", Fate::Taken) => next.audit_key = says.audit_key.clone(),
                // Who sends messages at all, and who does not, is known from the start.
                ("webhook_receivers" | "webhook_key" | "webhook_ca", Fate::Taken)
                    if self.webhooks.are_sent() != says.webhooks.are_sent() =>
                {
                    waiting.push(setting);
                }
                ("webhook_receivers" | "webhook_key" | "webhook_ca", Fate::Taken) => {
                    next.webhooks = says.webhooks.clone();
                }
                (_, Fate::Start) => waiting.push(setting),
                (_, Fate::Taken | Fate::Unused) => {}
            }
        }
        (next, waiting)
    }

    /// The names of the settings that say something else.
    fn differing(&self, other: &Configuration) -> Vec<&'static str> {
        // Whoever adds a setting says here how it is compared.
        let Configuration {
            path: _,
            data,
            database,
            database_connections,
            replica,
            replica_lag,
            objects,
            doorbell,
            database_password,
            doorbell_password,
            objects_password,
            tenant,
            price_per_worker_hour,
            keep_scans,
            audit_key,
            keep_audit,
            listen,
            metrics,
            tls,
            rates,
            trusted_proxies,
            platform_tenant,
            public_url,
            identity_providers,
            log,
            log_format,
            traces,
            traces_headers,
            traces_ratio,
            webhooks,
        } = self;
        let files = |tls: &Option<(_, _)>| tls.clone().unzip();
        let ((certificate, key), (other_certificate, other_key)) = (files(tls), files(&other.tls));
        let settings = [
            ("data", *data == other.data),
            ("database", *database == other.database),
            ("database_connections", *database_connections == other.database_connections),
            ("replica", *replica == other.replica),
            ("replica_lag", *replica_lag == other.replica_lag),
            ("objects", *objects == other.objects),
            ("doorbell", *doorbell == other.doorbell),
            ("database_password_file", *database_password == other.database_password),
            ("doorbell_password_file", *doorbell_password == other.doorbell_password),
            ("objects_password_file", *objects_password == other.objects_password),
            ("tenant", *tenant == other.tenant),
            ("price_per_worker_hour", *price_per_worker_hour == other.price_per_worker_hour),
            ("keep_scans", *keep_scans == other.keep_scans),
            ("audit_key", *audit_key == other.audit_key),
            ("keep_audit", *keep_audit == other.keep_audit),
            ("listen", *listen == other.listen),
            ("metrics", *metrics == other.metrics),
            ("tls_certificate", certificate == other_certificate),
            ("tls_key", key == other_key),
            ("address_at_once", rates.at_once == other.rates.at_once),
            ("address_rate", rates.address == other.rates.address),
            ("key_rate", rates.key == other.rates.key),
            ("tenant_rate", rates.tenant == other.rates.tenant),
            ("login_rate", rates.login == other.rates.login),
            ("sign_up_rate", rates.sign_up == other.rates.sign_up),
            ("trusted_proxies", *trusted_proxies == other.trusted_proxies),
            ("platform_tenant", *platform_tenant == other.platform_tenant),
            ("public_url", *public_url == other.public_url),
            ("identity_providers", *identity_providers == other.identity_providers),
            ("log", *log == other.log),
            ("log_format", *log_format == other.log_format),
            ("traces", *traces == other.traces),
            ("traces_headers", *traces_headers == other.traces_headers),
            ("traces_ratio", traces_ratio.to_bits() == other.traces_ratio.to_bits()),
            ("webhook_receivers", webhooks.receivers == other.webhooks.receivers),
            ("webhook_key", webhooks.key == other.webhooks.key),
            ("webhook_ca", webhooks.authorities == other.webhooks.authorities),
        ];
        settings.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
    }
}

fn is_other_password_of(before: &DatabaseUrl, now: &DatabaseUrl) -> bool {
    match (before, now) {
        (DatabaseUrl::Postgres(before), DatabaseUrl::Postgres(now)) => is_other_password((before, now)),
        _ => false,
    }
}

/// Whether the one leads where the other does, as far as that can be said of a URL.
fn is_other_password((before, now): (&SecretUrl, &SecretUrl)) -> bool {
    let shown = before.to_string();
    shown == now.to_string() && !shown.contains('…')
}

#[cfg(test)]
mod tests {
    use super::{super::ConfigurationArguments, *};

    /// Each setting, as it is and as it may be some day; and what stands beside both.
    const SETTINGS: [(&str, &str, &str, &str); 37] = [
        ("data", "'a'", "'b'", "database = 'sqlite:c.db'"),
        ("database", "'postgres://u:p@h/d'", "'postgres://u:p@other/d'", ""),
        ("database_connections", "10", "11", ""),
        ("replica", "'postgres://u:p@r/d'", "'postgres://u:p@other/d'", "database = 'postgres://u:p@h/d'"),
        ("replica_lag", "'1s'", "'2s'", ""),
        ("objects", "'file:a'", "'file:b'", ""),
        ("doorbell", "'redis://:p@a'", "'redis://:p@b'", ""),
        ("database_password_file", "'Cargo.toml'", "'src/main.rs'", "database = 'postgres://u@h/d'"),
        ("doorbell_password_file", "'Cargo.toml'", "'src/main.rs'", "doorbell = 'redis://h'"),
        ("objects_password_file", "'Cargo.toml'", "'src/main.rs'", "objects = 's3://k@b'"),
        ("tenant", "'a'", "'b'", ""),
        ("price_per_worker_hour", "'1'", "'2'", ""),
        ("keep_scans", "'1d'", "'2d'", ""),
        ("audit_key", "'a'", "'b'", ""),
        ("keep_audit", "'1d'", "'2d'", ""),
        ("listen", "'127.0.0.1:1'", "'127.0.0.1:2'", ""),
        ("metrics", "'127.0.0.1:1'", "'127.0.0.1:2'", ""),
        ("tls_certificate", "'a'", "'b'", "tls_key = 'k'"),
        ("tls_key", "'a'", "'b'", "tls_certificate = 'c'"),
        ("address_at_once", "1", "2", ""),
        ("address_rate", "1", "2", ""),
        ("key_rate", "1", "2", ""),
        ("tenant_rate", "1", "2", ""),
        ("login_rate", "1", "2", ""),
        ("sign_up_rate", "1", "2", ""),
        ("trusted_proxies", "['10.0.0.0/8']", "[]", ""),
        ("platform_tenant", "'a'", "'b'", ""),
        ("public_url", "'https://a'", "'https://b'", ""),
        ("identity_providers", "'a'", "'b'", ""),
        ("log", "'info'", "'debug'", ""),
        ("log_format", "'text'", "'json'", ""),
        ("traces", "'http://a'", "'http://b'", ""),
        ("traces_headers", "'a=b'", "'a=c'", "traces = 'https://a'"),
        ("traces_ratio", "0.5", "1", ""),
        ("webhook_receivers", "'a.test'", "'b.test'", "webhook_key = 'k'"),
        ("webhook_key", "'a'", "'b'", "webhook_receivers = 'a.test'"),
        ("webhook_ca", "'a'", "'b'", "webhook_receivers = 'a.test'\nwebhook_key = 'k'"),
    ];

    fn read(text: &str) -> Configuration {
        Configuration::of(&ConfigurationArguments::default(), toml::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn every_setting_is_taken_or_named_and_none_forgotten() {
        let unknown =
            toml::from_str::<super::super::File>("nothing = 1").map(|_| ()).unwrap_err().to_string();
        let known = unknown.split("expected one of ").nth(1).unwrap();
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        let here: Vec<&str> = SETTINGS.map(|(name, ..)| name).to_vec();
        let sorted = |mut names: Vec<&'static str>| {
            names.sort_unstable();
            names
        };
        assert_eq!(sorted(here), {
            let mut known = known;
            known.sort_unstable();
            known
        });
        for (name, before, now, beside) in SETTINGS {
            let [before, now] = [before, now].map(|value| read(&format!("{name} = {value}\n{beside}\n")));
            assert_eq!(before.differing(&now), [name]);
            assert_eq!(before.differing(&before.clone()), [""; 0]);
            for process in [Process::Up, Process::Gateway, Process::Worker, Process::Orchestrator] {
                let (next, waiting) = before.followed_by(&now, process);
                match process.fate(name) {
                    Fate::Start => {
                        assert_eq!(
                            (&waiting[..], next.differing(&before)),
                            (&[name][..], vec![]),
                            "{process:?}"
                        );
                        // It is named again, until there is a new start.
                        assert_eq!(next.followed_by(&now, process).1, [name], "{process:?}");
                    }
                    Fate::Taken | Fate::Unused => assert_eq!(waiting, [""; 0], "{process:?} {name}"),
                }
            }
        }
        // Nothing means nothing to everybody.
        for (name, ..) in SETTINGS {
            assert_ne!(Process::Up.fate(name), Fate::Unused, "{name}");
        }
    }

    #[test]
    fn another_password_is_taken_and_another_place_is_not() {
        for (setting, before, now, is_taken) in [
            ("database", "postgres://u:a@h/d", "postgres://u:b@h/d", true),
            ("database", "postgres://u:a@h/d", "postgres://v:b@h/d?sslmode=require", true),
            ("database", "postgres://u:a@h/d", "postgres://u:a@h/e", false),
            ("database", "postgres://u:a@h/d", "sqlite:d", false),
            ("database", "sqlite:d", "sqlite:e", false),
            ("doorbell", "redis://:a@h", "redis://:b@h", true),
            ("doorbell", "amqp://u:a@h/x", "amqp://v:b@h/x", true),
            ("doorbell", "redis://:a@h", "rediss://:a@h", false),
            ("doorbell", "redis://:a@h", "none", false),
            ("doorbell", "none", "redis://:a@h", false),
            // Where these lead nobody can say.
            ("doorbell", "redis://:a#b@h", "redis://:a#b@i", false),
        ] {
            let [before, now] = [before, now].map(|url| read(&format!("{setting} = '{url}'")));
            for process in [Process::Up, Process::Worker] {
                let (next, waiting) = before.followed_by(&now, process);
                let expected: &[&str] = if is_taken { &[] } else { &[setting] };
                assert_eq!(waiting, expected, "{setting} {process:?}");
                assert_eq!(next.differing(&now).is_empty(), is_taken, "{setting} {process:?}");
            }
        }
        // Whoever sends nothing so far serves no such tasks.
        let (before, now) = (read(""), read("webhook_receivers = 'a.test'\nwebhook_key = 'k'"));
        let (next, waiting) = before.followed_by(&now, Process::Worker);
        assert_eq!((waiting, next.webhooks.are_sent()), (vec!["webhook_receivers", "webhook_key"], false));
        let beside = |replica: &str| read(&format!("database = 'postgres://u:a@h/d'\nreplica = '{replica}'"));
        let (before, now) = (beside("postgres://u:a@r/d"), beside("postgres://u:b@r/d"));
        let (next, waiting) = before.followed_by(&now, Process::Gateway);
        assert_eq!((waiting, next.differing(&now)), (vec![], vec![]));
    }
}
