//! What a simulated day was like, as a table and as a drawing.

use std::{fmt::Write as _, time::Duration};

use model::simulation::{Outcome, Sample, Scenario, Service, Staffing, Wait};

use crate::{
    figure::{Figure, Line, Panel, Scale, Style},
    words::{counted, grouped, span},
};

/// For people at a terminal.
pub fn table(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (name, line) in conditions(&outcome.scenario) {
        row(&mut text, name, &line);
    }
    text.push_str("\nWaiting, from the request until a worker begins\n");
    let _ =
        writeln!(text, "{:<24}{:>10}{:>14}{:>14}{:>14}{:>14}", "", "requests", "p50", "p95", "p99", "max");
    let waiting = &outcome.waiting;
    wait_row(&mut text, if waiting.flood.is_some() { "others" } else { "all" }, &waiting.others);
    for of in &waiting.others_by_priority {
        wait_row(&mut text, &format!("  {}", of.priority), &of.wait);
    }
    if let Some(of) = &waiting.slowest_tenant {
        wait_row(&mut text, &format!("  slowest, tenant {}", of.tenant), &of.wait);
    }
    if let Some(wait) = &waiting.flood {
        wait_row(&mut text, "flood", wait);
    }
    text.push_str("\nWorkers\n");
    for (name, line) in workers(outcome) {
        row(&mut text, name, &line);
    }
    text.push_str("\nTasks\n");
    for (name, line) in tasks(outcome) {
        row(&mut text, name, &line);
    }
    text
}

fn row(text: &mut String, name: &str, line: &str) {
    let _ = writeln!(text, "  {name:<14}{line}");
}

fn wait_row(text: &mut String, name: &str, wait: &Wait) {
    let requests = grouped(wait.requests);
    let _ = write!(text, "  {name:<22}{requests:>10}");
    for length in [wait.p50, wait.p95, wait.p99, wait.max] {
        let _ = write!(text, "{:>14}", span(length));
    }
    text.push('\n');
}

fn conditions(scenario: &Scenario) -> Vec<(&'static str, String)> {
    let mut lines = vec![(
        "requests",
        format!(
            "{} of {} in {}, {} an hour at the peak",
            grouped(scenario.requests.into()),
            counted(scenario.tenants.into(), "tenant", "tenants"),
            span(scenario.day),
            grouped(scenario.peak_an_hour.into())
        ),
    )];
    if let Some(flood) = scenario.flood {
        let count = grouped(flood.count.into());
        lines.push((
            "flood",
            format!("{count} of one more tenant at once, after {}, all urgent", span(flood.at)),
        ));
    }
    lines.push((
        "service",
        match scenario.service {
            Service::LogNormal { median, p95 } => {
                format!(
                    "p50 {}, p95 {}, never more than {}",
                    span(median),
                    span(p95),
                    span(scenario.longest_service)
                )
            }
            Service::Exponential { mean } => format!("{} on average", span(mean)),
        },
    ));
    let (staffing, node) = (staffing(&scenario.workers), scenario.workers_a_node);
    lines.push(("workers", format!("{staffing}, {node} a node, {} to start", span(scenario.start))));
    if let Some(loss) = scenario.loss {
        let nodes = counted(loss.count.into(), "node", "nodes");
        let replaced = span(scenario.replaced_after);
        lines.push(("loss", format!("{nodes} after {}, replaced {replaced} later", span(loss.at))));
    }
    lines.push(("seed", scenario.seed.to_string()));
    lines
}

fn staffing(workers: &Staffing) -> String {
    match workers {
        Staffing::Scaled(pace) => {
            let doubling =
                if pace.up_percent == 0 { String::new() } else { format!(" or {} %", pace.up_percent) };
            let (most, seconds) = (grouped(pace.most), pace.up_seconds);
            format!("up to {most}, {}{doubling} more within {seconds} s", pace.up_workers)
        }
        Staffing::Fixed { workers } => format!("always {}", grouped((*workers).into())),
    }
}

fn workers(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let workers = &outcome.workers;
    vec![
        ("first ready", format!("{} after the first request", span(workers.first_ready))),
        ("replicas", format!("{} at most, {:.0} on average", grouped(workers.most), workers.mean)),
        (
            "worker-hours",
            format!(
                "{}, at work in {:.0} % of them",
                grouped(workers.hours.round() as u64),
                workers.at_work * 100.0
            ),
        ),
        (
            "cost",
            format!(
                "{:.2} in all, {:.4} a request, {} an hour of a worker",
                workers.cost, workers.cost_of_request, outcome.scenario.price_of_worker_hour
            ),
        ),
    ]
}

fn tasks(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let tasks = &outcome.tasks;
    let mut lines = vec![
        ("completed", format!("{} of {}", grouped(tasks.completed), grouped(tasks.requests))),
        (
            "otherwise",
            format!(
                "{} lost, {} doubled, {} given up after too many tries",
                grouped(tasks.lost),
                grouped(tasks.doubled),
                grouped(tasks.given_up)
            ),
        ),
        (
            "last result",
            format!("after {}, the last worker gone {} later", span(tasks.last), span(tasks.over)),
        ),
    ];
    if outcome.scenario.loss.is_some() {
        let again = |wait: &Option<Wait>| match wait {
            None => "none".to_owned(),
            Some(wait) => {
                let (half, most) = (span(wait.p50), span(wait.max));
                format!("{} after p50 {half}, max {most}", grouped(wait.requests))
            }
        };
        let flood = match outcome.scenario.flood {
            None => String::new(),
            Some(_) => format!("; flood: {}", again(&tasks.flood_again)),
        };
        lines.push(("begun again", format!("others: {}{flood}", again(&tasks.others_again))));
        lines.push(("late results", format!("{} refused", grouped(tasks.late_results_refused))));
    }
    lines
}

/// For everybody.
pub fn figure(outcome: &Outcome) -> Figure {
    let scenario = &outcome.scenario;
    let hours = outcome.minutes.last().map_or(0.0, |last| last.at_seconds / 3_600.0);
    let marks = [
        scenario.flood.map(|burst| (burst, "flood")),
        scenario.loss.map(|burst| (burst, if burst.count == 1 { "node lost" } else { "nodes lost" })),
    ];
    let mark = |(burst, what): (model::simulation::Burst, &str)| {
        let count = grouped(burst.count.into());
        let name = if what == "flood" { format!("flood of {count}") } else { format!("{count} {what}") };
        (burst.at.as_secs_f64() / 3_600.0, name)
    };
    Figure {
        title: "A day of requests, on paper".to_owned(),
        description: description(outcome),
        hours,
        marks: marks.into_iter().flatten().map(mark).collect(),
        panels: vec![rates(outcome), queue(outcome), replicas(outcome), waiting(outcome), cost(outcome)],
    }
}

fn description(outcome: &Outcome) -> Vec<String> {
    let (scenario, waiting) = (&outcome.scenario, &outcome.waiting);
    let (requests, tenants) = (grouped(scenario.requests.into()), scenario.tenants);
    let length = span(scenario.day);
    let mut lines = vec![format!(
        "{requests} requests of {} in {length}, seed {}. Workers: {}.",
        counted(tenants.into(), "tenant", "tenants"),
        scenario.seed,
        staffing(&scenario.workers),
    )];
    let p95 = |wait: &Wait| format!("p50 {}, p95 {}, p99 {}", span(wait.p50), span(wait.p95), span(wait.p99));
    lines.push(match &waiting.flood {
        None => format!("They waited {}.", p95(&waiting.others)),
        Some(flood) => format!("They waited {}; the flood waited {}.", p95(&waiting.others), p95(flood)),
    });
    lines.push(format!(
        "{} lost, {} doubled. {} worker-hours, at work in {:.0} % of them.",
        grouped(outcome.tasks.lost),
        grouped(outcome.tasks.doubled),
        grouped(outcome.workers.hours.round() as u64),
        outcome.workers.at_work * 100.0
    ));
    lines
}

/// Points of a line: more of them nobody could tell apart.
const POINTS: usize = 900;

fn line(name: &str, style: Style, points: Vec<(f64, Option<f64>)>) -> Line {
    Line { name: name.to_owned(), style, points, end: None }
}

/// One value of each minute; of several that share a point, the highest.
fn by_minute(outcome: &Outcome, value: impl Fn(&Sample) -> f64) -> Vec<(f64, Option<f64>)> {
    let several = outcome.minutes.len().div_ceil(POINTS).max(1);
    let highest = |minutes: &[Sample]| {
        let at = minutes.last().map_or(0.0, |minute| minute.at_seconds / 3_600.0);
        (at, Some(minutes.iter().map(&value).fold(0.0, f64::max)))
    };
    std::iter::once((0.0, Some(0.0))).chain(outcome.minutes.chunks(several).map(highest)).collect()
}

/// Averages of five minutes, or of more when there are many.
fn rates(outcome: &Outcome) -> Panel {
    let several = 5 * outcome.minutes.len().div_ceil(5 * POINTS).max(1);
    let middle = |number: usize, minutes: usize| (number * several) as f64 / 60.0 + minutes as f64 / 120.0;
    let arrivals = outcome.arrivals.chunks(several).enumerate().map(|(number, counts)| {
        (middle(number, counts.len()), Some(counts.iter().sum::<u64>() as f64 / counts.len() as f64))
    });
    let mut ended = 0;
    let mut from = 0.0;
    let mut completions = Vec::new();
    for (number, minutes) in outcome.minutes.chunks(several).enumerate() {
        let Some(last) = minutes.last() else { continue };
        let length = (last.at_seconds - from) / 60.0;
        if length > 0.5 {
            let rate = (last.ended - ended) as f64 / length;
            completions.push((middle(number, minutes.len()), Some(rate)));
        }
        (ended, from) = (last.ended, last.at_seconds);
    }
    let flood = if outcome.scenario.flood.is_some() { ", the flood's arrival left out" } else { "" };
    Panel {
        title: "Requests and results".to_owned(),
        unit: format!("a minute, averages of {several} minutes{flood}"),
        scale: Scale::Linear,
        lines: vec![
            line("results", Style::Second, completions),
            line("requests", Style::First, arrivals.collect()),
        ],
    }
}

fn queue(outcome: &Outcome) -> Panel {
    let mut lines =
        vec![line("at work", Style::Background, by_minute(outcome, |minute| minute.running as f64))];
    if outcome.scenario.flood.is_some() {
        let mut flood = by_minute(outcome, |minute| minute.flood_waiting as f64);
        // No flood is no line along the bottom.
        flood.iter_mut().for_each(|(_, waiting)| *waiting = waiting.filter(|waiting| *waiting > 0.0));
        lines.push(line("flood waits", Style::Second, flood));
    }
    let others = by_minute(outcome, |minute| minute.others_waiting as f64);
    let name = if lines.len() > 1 { "others wait" } else { "waiting" };
    lines.push(line(name, Style::First, others));
    Panel { title: "Queue".to_owned(), unit: "tasks, logarithmic".to_owned(), scale: Scale::Tenfold, lines }
}

fn replicas(outcome: &Outcome) -> Panel {
    let lines = vec![
        line("ready", Style::Area, by_minute(outcome, |minute| minute.workers_ready as f64)),
        line(
            "wanted by the queue",
            Style::Background,
            by_minute(outcome, |minute| minute.workers_wanted as f64),
        ),
    ];
    Panel { title: "Replicas".to_owned(), unit: "workers".to_owned(), scale: Scale::Linear, lines }
}

fn waiting(outcome: &Outcome) -> Panel {
    let half = model::simulation::WINDOW.as_secs_f64() / 2.0;
    let by_window = |value: fn(&model::simulation::WindowWait) -> Option<f64>| {
        let points = outcome.windows.iter();
        points.map(|window| ((window.from_seconds + half) / 3_600.0, value(window))).collect()
    };
    let mut lines = Vec::new();
    if outcome.scenario.flood.is_some() {
        lines.push(line("flood", Style::Second, by_window(|window| window.flood_p95_seconds)));
    }
    let name = if lines.is_empty() { "all" } else { "others" };
    lines.push(line(name, Style::First, by_window(|window| window.others_p95_seconds)));
    Panel {
        title: "Waiting time".to_owned(),
        unit: format!(
            "p95 of the tasks begun within {}, logarithmic",
            span(Duration::from_secs_f64(half * 2.0))
        ),
        scale: Scale::Time,
        lines,
    }
}

fn cost(outcome: &Outcome) -> Panel {
    let mut paid = line("paid so far", Style::Area, by_minute(outcome, |minute| minute.cost));
    paid.end = Some(format!("{:.2}", outcome.workers.cost));
    Panel {
        title: "Cost".to_owned(),
        unit: format!("at {} an hour of a worker", outcome.scenario.price_of_worker_hour),
        scale: Scale::Linear,
        lines: vec![paid],
    }
}
