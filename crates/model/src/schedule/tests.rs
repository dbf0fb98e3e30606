use super::*;

mod daylight;
mod deciding;
mod writing;

fn cron(pattern: &str) -> Rhythm {
    Rhythm::Cron(pattern.parse().unwrap_or_else(|error| panic!("{pattern}: {error}")))
}

fn every(length: &str) -> Rhythm {
    Rhythm::Every(length.parse().unwrap_or_else(|error| panic!("{length}: {error}")))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Planned times after the first moment, up to the last.
fn planned(schedule: &Schedule, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    std::iter::successors(schedule.next_after(after), |last| schedule.next_after(*last))
        .take_while(|planned| *planned <= until)
        .collect()
}
