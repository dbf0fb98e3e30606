//! A simulated day as a table and as a drawing.

use std::{collections::BTreeSet, time::Duration};

use html5gum::{Token, Tokenizer};
use model::simulation::{self, Burst, Outcome, Scenario};
use report::figure::{self, Figure, Line, Panel, Scale, Style};

fn small_day(flood: bool) -> Outcome {
    let at = |minutes: u64| Duration::from_secs(60 * minutes);
    let scenario = Scenario {
        requests: 600,
        day: at(120),
        peak_an_hour: 600,
        flood: flood.then_some(Burst { count: 500, at: at(45) }),
        loss: flood.then_some(Burst { count: 1, at: at(60) }),
        ..Scenario::default()
    };
    simulation::run(&scenario).unwrap()
}

fn drawn(figure: &Figure) -> String {
    let mut out = Vec::new();
    figure::write(figure, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What can be read in a drawing, and the elements it is made of; each one that begins ends.
fn read(svg: &str) -> (Vec<String>, BTreeSet<String>) {
    let (mut texts, mut elements, mut open) = (Vec::new(), BTreeSet::new(), Vec::new());
    for token in Tokenizer::new(svg) {
        match token.unwrap() {
            Token::StartTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name).into_owned();
                elements.insert(name.clone());
                if !tag.self_closing {
                    open.push(name);
                }
            }
            Token::EndTag(tag) => assert_eq!(open.pop().unwrap().as_bytes(), &tag.name[..]),
            Token::String(text) if !text.trim_ascii().is_empty() => {
                texts.push(String::from_utf8_lossy(&text).into_owned());
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} do not end");
    (texts, elements)
}

#[test]
fn the_drawing_has_panels_axes_units_and_a_legend_and_needs_nothing_else() {
    let svg = drawn(&report::simulation::figure(&small_day(true)));
    let (texts, elements) = read(&svg);
    for wanted in [
        "A day of requests, on paper",
        "Requests and results",
        "a minute, averages of 5 minutes, the flood's arrival left out",
        "Queue",
        "Replicas",
        "workers",
        "Waiting time",
        "p95 of the tasks begun within 5 min, logarithmic",
        "Cost",
        "at 0.05 an hour of a worker",
        "requests",
        "results",
        "others wait",
        "flood waits",
        "ready",
        "wanted by the queue",
        "flood of 500",
        "1 node lost",
        "10 min",
        "hours since the beginning of the day",
    ] {
        assert!(texts.iter().any(|text| text == wanted), "no `{wanted}` in {texts:?}");
    }
    let allowed = ["svg", "title", "desc", "style", "rect", "text", "tspan", "path"];
    assert_eq!(elements, allowed.map(str::to_owned).into());
    assert!(svg.contains("role=\"img\" aria-labelledby=\"title description\""));
    let elsewhere: Vec<&str> = svg.split("http").skip(1).collect();
    assert!(
        matches!(elsewhere.as_slice(), [only] if only.starts_with("://www.w3.org/2000/svg")),
        "{elsewhere:?}"
    );
    assert!(!svg.contains("url(") && !svg.contains("NaN") && !svg.contains("inf"));

    let (calm, _) = read(&drawn(&report::simulation::figure(&small_day(false))));
    assert!(
        !calm.iter().any(|text| text.contains("flood") || text.contains("lost,") && text.contains("node")),
        "{calm:?}"
    );
}

#[test]
fn every_line_stays_within_its_panel() {
    let values = [0.0, 1.0, 1e6, 3.0];
    for scale in [Scale::Linear, Scale::Tenfold, Scale::Time] {
        let points = values.iter().enumerate().map(|(hour, value)| (hour as f64, Some(*value))).collect();
        let line = Line { name: "values".to_owned(), style: Style::First, points, end: None };
        let figure = Figure {
            title: "a < b & \"c\"\u{1b}".to_owned(),
            description: Vec::new(),
            hours: 3.0,
            marks: Vec::new(),
            panels: vec![Panel { title: String::new(), unit: String::new(), scale, lines: vec![line] }],
        };
        let svg = drawn(&figure);
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;\u{fffd}"), "{svg}");
        let path = svg.rsplit("class=\"line first\" d=\"M").next().unwrap().split('"').next().unwrap();
        let points: Vec<(f64, f64)> = path
            .split('L')
            .map(|point| point.split_once(' ').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        let xs: Vec<f64> = points.iter().map(|(x, _)| *x).collect();
        assert!(xs.is_sorted() && xs[0] == 74.0 && xs[3] == 966.0, "{xs:?}");
        let (bottom, top) = (points[0].1, points[2].1);
        assert!(points.iter().all(|(_, y)| (top..=bottom).contains(y)) && bottom - top > 100.0, "{points:?}");
    }
}

#[test]
fn the_table_says_what_came_of_it() {
    let day = small_day(true);
    let table = report::simulation::table(&day);
    let line = |begin: &str| {
        let found = table.lines().find(|line| line.trim_start().starts_with(begin));
        found
            .unwrap_or_else(|| panic!("no `{begin}` in {table}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("requests  "), "requests 600 of 20 tenants in 2 h, 600 an hour at the peak");
    assert_eq!(line("flood  "), "flood 500 of one more tenant at once, after 45 min, all urgent");
    assert_eq!(line("loss"), "loss 1 node after 1 h, replaced 5 min 40 s later");
    assert_eq!(line("completed"), "completed 1,100 of 1,100");
    assert_eq!(line("otherwise"), "otherwise 0 lost, 0 doubled, 0 given up after too many tries");
    assert!(line("others").starts_with("others 600 "), "{table}");
    assert_eq!(line("cost").split(' ').nth(1), Some(format!("{:.2}", day.workers.cost).as_str()));
    assert!(table.lines().all(|line| line.chars().count() <= 110), "{table}");
    let calm = report::simulation::table(&small_day(false));
    assert!(!calm.contains("flood") && !calm.contains("late results") && calm.contains("\n  all "), "{calm}");
}
