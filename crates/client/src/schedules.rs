//! Schedules.

use model::{
    ScheduleId,
    record::{NewSchedule, ScheduleRecord},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::{Client, ClientError};

#[derive(Deserialize)]
struct Schedules {
    schedules: Vec<ScheduleRecord>,
}

impl Client {
    /// Every schedule of the tenant, by name.
    pub async fn schedules(&self) -> Result<Vec<ScheduleRecord>, ClientError> {
        self.get(&["schedules"]).answer().await.map(|Schedules { schedules }| schedules)
    }

    /// A schedule as it stands.
    pub async fn schedule(&self, id: ScheduleId) -> Result<ScheduleRecord, ClientError> {
        self.get(&["schedules", &id.to_string()]).answer().await
    }

    /// Makes a schedule. It begins its first scan when its rule says so, counted from now. A connection that breaks neither loses nor
    /// doubles it.
    pub async fn create_schedule(&self, new: &NewSchedule) -> Result<ScheduleRecord, ClientError> {
        let own = Uuid::now_v7().to_string();
        self.post(&["schedules"]).body(new).once(&own)?.answer().await
    }

    /// Says whether a schedule begins scans.
    pub async fn enable_schedule(
        &self,
        id: ScheduleId,
        enabled: bool,
    ) -> Result<ScheduleRecord, ClientError> {
        let request = self.request(Method::PATCH, &["schedules", &id.to_string()]);
        request.body(&json!({ "enabled": enabled })).answer().await
    }

    /// Forgets a schedule. The scans that it began stay.
    pub async fn delete_schedule(&self, id: ScheduleId) -> Result<(), ClientError> {
        self.delete(&["schedules", &id.to_string()]).done().await
    }
}
