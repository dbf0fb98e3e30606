//! Schedules.

use model::{
    ScheduleId,
    record::{NewSchedule, ScheduleChange, ScheduleRecord},
};
use reqwest::Method;
use serde::Deserialize;
use uuid::Uuid;

use crate::{Client, ClientError, Expected, Page, Versioned, scopes::versioned};

#[derive(Deserialize)]
struct Schedules {
    schedules: Vec<ScheduleRecord>,
    next: Option<String>,
}

impl Client {
    /// So many schedules of the tenant by name, from one on.
    pub async fn schedules(
        &self,
        limit: usize,
        after: Option<String>,
    ) -> Result<Page<ScheduleRecord, String>, ClientError> {
        let request = self.get(&["schedules"]).query("limit", limit).query_if("after", after);
        request.answer().await.map(|Schedules { schedules, next }| Page { items: schedules, next })
    }

    /// A schedule as it stands.
    pub async fn schedule(&self, id: ScheduleId) -> Result<Versioned<ScheduleRecord>, ClientError> {
        self.get(&["schedules", &id.to_string()]).answer_with_headers().await.map(versioned)
    }

    /// Makes a schedule. It begins its first scan when its rule says so, counted from now. A connection that breaks neither loses nor
    /// doubles it.
    pub async fn create_schedule(&self, new: &NewSchedule) -> Result<ScheduleRecord, ClientError> {
        let own = Uuid::now_v7().to_string();
        self.post(&["schedules"]).body(new).once(&own)?.answer().await
    }

    /// Changes a schedule, if it is what is expected; what is not given stays.
    pub async fn change_schedule(
        &self,
        id: ScheduleId,
        change: &ScheduleChange,
        expected: Expected,
    ) -> Result<ScheduleRecord, ClientError> {
        let request = self.request(Method::PATCH, &["schedules", &id.to_string()]);
        request.body(change).expecting(expected).answer().await
    }

    /// Forgets a schedule. The scans that it began stay.
    pub async fn delete_schedule(&self, id: ScheduleId) -> Result<(), ClientError> {
        self.delete(&["schedules", &id.to_string()]).done().await
    }
}
