//! What row-level security costs: the median time of the store's usual questions, in two databases with the same rows, of which one
//! has its policies switched off.
//!
//! ```text
//! cargo run --release -p store --example row_level_security_cost [ROUNDS]
//! ```
//!
//! Needs Debian's PostgreSQL. Runs a server of its own on loopback, whose data is gone afterwards.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{
    collections::BTreeMap,
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use model::{NewTask, ScanRequest, Scope, Stage, TenantId, Work, WorkerId};
use store::{
    ClaimRequest, Ending, FindingFilter, Location, NewScan, NewTenant, ScanFilter, Settlement, Store,
    TaskFilter,
};
use testkit::postgres::Server;

const TENANTS: usize = 50;

/// For each tenant 5,000 tasks that are done, 2,000 findings and as many assets, beside what the store has written itself.
const ROWS: &str = "
INSERT INTO rampart.tasks (tenant_id, task_id, stage, work, priority, state, not_before, most_attempts, backoff_base, backoff_cap,
    deadline, created_at, ended_at)
SELECT tenant_id, gen_random_uuid(), 'exercise', '{}', 2, 'completed', now(), 5, 1000, 60000, 3600000, now(), now()
    FROM rampart.tenants, generate_series(1, 5000);
INSERT INTO rampart.findings (tenant_id, fingerprint, check_id, severity, location, body, first_seen, last_seen)
SELECT tenant_id, decode(md5(number::text), 'hex'), 'check', number % 5, 'http://localhost/', '{}', now(), now()
    FROM rampart.tenants, generate_series(1, 2000) AS number;
INSERT INTO rampart.assets (tenant_id, asset_key, kind, identity, body, first_seen, last_seen)
SELECT tenant_id, decode(md5(number::text), 'hex'), 'page', number::text, '{}', now(), now()
    FROM rampart.tenants, generate_series(1, 2000) AS number;
";

/// The same rows, seen by whoever sees all of them: what a policy would hide is what a condition leaves out anyway.
const WITHOUT: &str = "
DO $$ DECLARE name regclass; BEGIN
    FOR name IN SELECT oid::regclass FROM pg_class WHERE relnamespace = 'rampart'::regnamespace AND relrowsecurity LOOP
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', name);
    END LOOP;
END $$";

struct Side {
    store: Store,
    tenant: TenantId,
    times: BTreeMap<&'static str, Vec<Duration>>,
}

async fn side(server: Arc<Server>, with_policies: bool) -> Result<Side, Box<dyn Error>> {
    let database = server.create_database();
    let login = format!("app_{database}");
    server.sql(&database, &format!("CREATE ROLE {login} LOGIN PASSWORD 'of-the-example'"));
    let (superuser, password) = server.superuser();
    store::migrate(&server.url(superuser, password, &database), std::slice::from_ref(&login)).await?;
    let url = server.url(&login, "of-the-example", &database);
    let store = Store::open(&Location::Postgres { url, connections: 1, replica: None }).await?;
    let mut tenant = None;
    for number in 0..TENANTS {
        let made =
            store.create_tenant(NewTenant::named(&format!("tenant {number}")), "example".to_owned()).await?;
        tenant = Some(made.id);
    }
    let tenant = tenant.ok_or("there is a tenant")?;
    store.put_scope(tenant, "home", Scope::loopback(), "example".to_owned()).await?;
    let targets =
        (1..200).map(|number| format!("127.0.1.{number}").parse()).collect::<Result<Vec<_>, _>>()?;
    let new = NewScan {
        request: ScanRequest::within("home"),
        targets,
        by: "example".into(),
        checks: "1".to_owned(),
        price: None,
    };
    store.submit_scan(tenant, new).await?;
    server.sql(&database, ROWS);
    if !with_policies {
        server.sql(&database, WITHOUT);
    }
    server.sql(&database, "VACUUM ANALYZE");
    Ok(Side { store, tenant, times: BTreeMap::new() })
}

impl Side {
    async fn timed<T, E>(
        &mut self,
        name: &'static str,
        asked: impl AsyncFnOnce(&Store, TenantId) -> Result<T, E>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let answer = asked(&self.store, self.tenant).await;
        self.times.entry(name).or_default().push(begun.elapsed());
        answer
    }

    async fn round(&mut self, worker: &ClaimRequest) -> Result<(), Box<dyn Error>> {
        let tasks = || (0..10).map(|_| NewTask::new(Work::Exercise { hold: Duration::ZERO })).collect();
        let asked =
            self.timed("enqueue, 10", async |store, tenant| store.enqueue(tenant, tasks()).await).await?;
        let claimed = self.timed("claim, 10", async |store, _| store.claim(worker.clone()).await).await?;
        let leases: Vec<_> = claimed.iter().map(|claim| claim.lease).collect();
        let length = worker.lease;
        let beating = leases.clone();
        self.timed("heartbeat, 10", async |store, _| store.heartbeat(beating, length).await).await?;
        let settlements: Vec<_> =
            leases.iter().map(|lease| Settlement::silent(*lease, Ending::Completed)).collect();
        self.timed("settle, 10", async |store, _| store.settle(settlements).await).await?;
        let one = asked.first().ok_or("tasks were asked for")?.id;
        self.timed("one task", async |store, tenant| store.task(tenant, one).await).await?;
        let dead = TaskFilter { state: Some("dead"), ..TaskFilter::default() };
        self.timed("dead tasks", async |store, tenant| store.tasks(tenant, dead, None, 100).await).await?;
        self.timed("count of tasks", async |store, tenant| store.task_counts(tenant).await).await?;
        let scans = ScanFilter::default();
        let scans = self.timed("scans", async |store, tenant| store.scans(tenant, scans, 100).await).await?;
        let scan = scans.first().ok_or("there is a scan")?.id;
        self.timed("one scan", async |store, tenant| store.scan(tenant, scan).await).await?;
        self.timed("its settings", async |store, tenant| store.scan_settings(tenant, scan).await).await?;
        self.timed("its targets, 100", async |store, tenant| store.targets(tenant, scan, 0, 100).await)
            .await?;
        self.timed("its results", async |store, tenant| store.unit_results(tenant, scan, None, 100).await)
            .await?;
        self.timed("its assets", async |store, tenant| store.assets(tenant, scan, None, 100).await).await?;
        let of_scan = FindingFilter { scan: Some(scan), ..FindingFilter::default() };
        self.timed("its findings", async |store, tenant| store.findings(tenant, of_scan, 100).await).await?;
        let severe = FindingFilter { at_least: Some(model::Severity::Critical), ..FindingFilter::default() };
        let all = async |store: &Store, tenant| store.findings(tenant, severe, 100).await;
        // They have no sightings, so none of them is shown: what is timed is finding them.
        self.timed("severe findings", all).await?;
        self.timed("scopes", async |store, tenant| store.scopes(tenant).await).await?;
        self.timed("schedules", async |store, tenant| store.schedules(tenant).await).await?;
        self.timed("backlog", async |store, _| store.backlog().await).await?;
        self.timed("stops", async |store, _| store.stops().await).await?;
        let put = async |store: &Store, tenant| {
            store.put_scope(tenant, "home", Scope::loopback(), "example".to_owned()).await
        };
        self.timed("put a scope", put).await?;
        Ok(())
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(300), |text| text.parse())?;
    let server = Arc::new(Server::start());
    let mut with = side(Arc::clone(&server), true).await?;
    let mut without = side(Arc::clone(&server), false).await?;
    let worker = ClaimRequest {
        worker: WorkerId::from_random(1),
        stages: vec![Stage::Exercise],
        most: 10,
        lease: Duration::from_secs(60),
        turns: Arc::default(),
    };
    // One after the other, so that whatever else the machine does falls on both; the first rounds warm up.
    for round in 0..rounds + 20 {
        with.round(&worker).await?;
        without.round(&worker).await?;
        if round == 19 {
            with.times.clear();
            without.times.clear();
        }
    }
    println!("{:<20} {:>12} {:>12} {:>9}", "median of", "with", "without", "");
    let (mut sums, mut count) = ([Duration::ZERO; 2], 0);
    for (name, times) in &mut with.times {
        let with = median(times);
        let without = without.times.get_mut(name).map(|times| median(times)).unwrap_or_default();
        let share = (with.as_secs_f64() / without.as_secs_f64() - 1.0) * 100.0;
        println!("{name:<20} {with:>12.1?} {without:>12.1?} {share:>+8.1}%");
        sums = [sums[0] + with, sums[1] + without];
        count += 1;
    }
    let share = (sums[0].as_secs_f64() / sums[1].as_secs_f64() - 1.0) * 100.0;
    println!("{:<20} {:>12.1?} {:>12.1?} {share:>+8.1}%", format!("all {count}"), sums[0], sums[1]);
    Ok(())
}
