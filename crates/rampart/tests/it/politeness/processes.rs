//! Several processes on one scan keep its rates together.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use super::{arrivals::busiest_second, web::CountingServers};
use crate::installation::Installation;

const PATIENCE: Duration = Duration::from_secs(180);
const HOSTS: u8 = 9;
const CAP: usize = 30;
const CAP_OF_HOST: usize = 8;

#[test]
fn workers_in_three_processes_send_no_more_than_one_would() {
    let installation = Installation::start(&format!(
        "authorised_by = 'the test'\nnetworks = ['127.92.0.0/24']\nports = '1-65535'\n\
         [limits]\nrequests_per_second = {CAP}\nrequests_per_second_per_host = {CAP_OF_HOST}\n"
    ));
    let servers = CountingServers::start(HOSTS, 1);
    let worker = ["worker", "--stage", "crawl,report", "--concurrency", "3"];
    let roles = installation.roles(&[&worker, &worker, &worker, &["orchestrator"]]);
    let urls: Vec<String> = servers.addresses.iter().map(|address| format!("http://{address}/")).collect();
    let mut submit =
        vec!["scan", "submit", "--scope", "test", "--stages", "crawl", "--deadline", "15s", "--wait"];
    submit.extend(urls.iter().map(String::as_str));
    let quiet = || Stdio::null();
    let mut submitted = installation.command(&submit).stdout(quiet()).stderr(quiet()).spawn().unwrap();
    let mut most_at_work = 0;
    let begun = Instant::now();
    while submitted.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "the scan does not end");
        let sql = "SELECT count(DISTINCT worker) FROM rampart.tasks WHERE state = 'running'";
        let at_work: u32 = installation.postgres.sql(&installation.database, sql).trim().parse().unwrap();
        most_at_work = most_at_work.max(at_work);
    }
    drop(roles);
    let count = servers.count();
    assert_eq!(most_at_work, 3, "every process has its part of the work");
    assert!(count.requests.len() > CAP * 4, "only {} requests arrived", count.requests.len());
    let busiest = busiest_second(count.requests.iter().map(|request| request.arrived));
    println!("{} requests, {busiest} in the busiest second", count.requests.len());
    assert!(busiest <= CAP, "{busiest} requests in a second, the cap is {CAP}");
    for host in 0..usize::from(HOSTS) {
        let of_host = count.requests.iter().filter(|request| request.host == host);
        let busiest = busiest_second(of_host.map(|request| request.arrived));
        assert!(
            busiest <= CAP_OF_HOST,
            "{busiest} requests in a second at one host, the cap is {CAP_OF_HOST}"
        );
    }
}
