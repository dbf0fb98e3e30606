//! Several processes on one scan keep its rates together.

use std::time::{Duration, Instant};

use super::{arrivals::busiest, web::CountingServers};
use crate::{installation::Installation, run::assert_exit};

const PATIENCE: Duration = Duration::from_secs(180);
const PROCESSES: usize = 3;
const UNITS_OF_PROCESS: usize = 3;
const HOSTS: u8 = (PROCESSES * UNITS_OF_PROCESS) as u8;
const CAP: usize = 30;
const CAP_OF_HOST: usize = 8;
/// Requests that each of a site's units may be late with. Turns are given in time, and a busy machine may send what had its turn
/// long after that, together with what has its turn then: with one connection for each unit that is one request of each.
const LATE: usize = 1;

#[test]
fn workers_in_three_processes_send_no_more_than_one_would() {
    let installation = Installation::start(&format!(
        "authorised_by = 'the test'\nnetworks = ['127.92.0.0/24']\nports = '1-65535'\n\
         [limits]\nrequests_per_second = {CAP}\nrequests_per_second_per_host = {CAP_OF_HOST}\nconnections_per_host = 1\n"
    ));
    let servers = CountingServers::start(HOSTS, 1);
    let units = UNITS_OF_PROCESS.to_string();
    let worker = ["worker", "--stage", "crawl", "--concurrency", &units];
    let roles = installation.roles(&[&worker, &worker, &worker, &["orchestrator"]]);
    let begun = Instant::now();
    let wait_for = |what: &str, holds: &mut dyn FnMut() -> bool| {
        while !holds() {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        }
    };
    let count_of = |sql: &str| -> usize {
        installation.postgres.sql(&installation.database, sql).trim().parse().unwrap()
    };
    wait_for("every process is there", &mut || count_of("SELECT count(*) FROM rampart.workers") == PROCESSES);
    let urls: Vec<String> = servers.addresses.iter().map(|address| format!("http://{address}/")).collect();
    // In depth, so that all of a site's pages are fetched, which look the same.
    let mut submit = vec!["scan", "submit", "--scope", "test", "--stages", "crawl", "--profile", "deep"];
    submit.extend(urls.iter().map(String::as_str));
    assert_exit(&installation.command(&submit).output().unwrap(), 0);
    wait_for("every process has its part of the work", &mut || {
        count_of("SELECT count(DISTINCT worker) FROM rampart.tasks WHERE state = 'running'") == PROCESSES
    });
    let before = servers.arrived();
    wait_for("all of them send for a while", &mut || servers.arrived() >= before + CAP * 8);
    drop(roles);
    let count = servers.count();
    println!("{} requests in {:?}", count.requests.len(), begun.elapsed());
    for seconds in 1..=10 {
        let window = Duration::from_secs(seconds as u64);
        let sent = busiest(count.requests.iter().map(|request| request.arrived), window);
        let most = CAP * seconds + usize::from(HOSTS) * LATE;
        println!("{sent} in the busiest {seconds} s");
        assert!(sent <= most, "{sent} requests in {seconds} s, the cap is {CAP} a second");
        for host in 0..usize::from(HOSTS) {
            let of_host = count.requests.iter().filter(|request| request.host == host);
            let sent = busiest(of_host.map(|request| request.arrived), window);
            let most = CAP_OF_HOST * seconds + LATE;
            assert!(
                sent <= most,
                "{sent} requests in {seconds} s at one host, the cap is {CAP_OF_HOST} a second"
            );
        }
    }
}
