//! Is anybody at work? Who waits is told when nobody is, and how somebody comes.

use std::collections::BTreeSet;

use model::{
    Stage,
    attendance::{HEARD_EVERY, Missing},
};
use tokio::time::Instant;

use super::place::Place;
use crate::{
    cli::say,
    configuration::{Configuration, DatabaseUrl},
};

/// Watches for those whom some work needs, and tells each change once.
pub(super) struct Watch {
    stages: BTreeSet<Stage>,
    told: Option<Missing>,
    /// Seen once: an office changes hands between two looks.
    unled: bool,
    told_unled: bool,
    looked: Instant,
}

impl Watch {
    /// Tells at once when somebody is missing.
    pub(super) async fn begin(place: &Place, stages: BTreeSet<Stage>) -> anyhow::Result<Watch> {
        let mut watch = Watch { stages, told: None, unled: false, told_unled: false, looked: Instant::now() };
        watch.look(place).await?;
        Ok(watch)
    }

    /// Looks when it is time to.
    pub(super) async fn look_again(&mut self, place: &Place) -> anyhow::Result<()> {
        if self.looked.elapsed() >= HEARD_EVERY { self.look(place).await } else { Ok(()) }
    }

    async fn look(&mut self, place: &Place) -> anyhow::Result<()> {
        // Who works for a server is known where its database is.
        let Place::Here(desk) = place else { return Ok(()) };
        self.looked = Instant::now();
        let attendance = desk.store.attendance().await?;
        let missing = attendance.missing(&self.stages);
        if missing != self.told {
            match &missing {
                Some(missing) => say(&format!("{}\n", tell(missing, &desk.configuration))),
                None => say("somebody is at work now\n"),
            }
            self.told = missing;
        }
        // Without workers nothing goes on anyway.
        let unled = !attendance.is_led && self.told.is_none();
        if unled && self.unled && !self.told_unled {
            say(&format!("{}\n", tell_unled()));
        }
        self.told_unled = unled && (self.told_unled || self.unled);
        self.unled = unled;
        Ok(())
    }
}

/// Who is missing, and the command that starts somebody.
pub(super) fn tell(missing: &Missing, configuration: &Configuration) -> String {
    match (missing, &configuration.database) {
        (Missing::Everybody, DatabaseUrl::Sqlite(_)) => {
            "nobody is at work: it waits until `rampart up` runs on this database".to_owned()
        }
        (Missing::Everybody, DatabaseUrl::Postgres(_)) => {
            "nobody is at work: it waits until somebody is; `rampart worker` and `rampart orchestrator` start them".to_owned()
        }
        (Missing::Stages(stages), _) => {
            let words: Vec<&str> = stages.iter().map(|stage| stage.as_str()).collect();
            format!(
                "nobody works for {}: it waits there; `rampart worker --stage {}` starts somebody",
                words.join(" and "),
                words.join(",")
            )
        }
    }
}

/// What does not go on without an orchestrator.
pub(super) fn tell_unled() -> &'static str {
    "no orchestrator leads: schedules, deadlines and what lost workers had wait until `rampart orchestrator` or `rampart up` runs"
}
