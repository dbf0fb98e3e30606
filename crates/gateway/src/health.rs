//! What a supervisor asks: does the process live, and can it work?

use std::{convert::Infallible, time::Instant};

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    Gateway,
    problem::{Kind, Problem},
};

/// Why it is not ready at its end.
pub(crate) const ENDING: &str = "it is ending, and takes nothing new";

/// The process lives: nothing else is asked, so that nothing else makes somebody kill it.
pub(crate) async fn alive() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// It can work: the store answers, and nobody asked it to end. Whoever asks, and however often, the store is asked once a second.
pub(crate) async fn ready(State(gateway): State<Gateway>) -> Result<Json<Value>, Problem> {
    if gateway.around.ending.is_cancelled() {
        return Err(Problem::new(Kind::Unavailable, ENDING));
    }
    started(State(gateway)).await
}

/// It has begun to work: the same, but for that it may be asked to end.
pub(crate) async fn started(State(gateway): State<Gateway>) -> Result<Json<Value>, Problem> {
    let look = async || {
        let stops = gateway.store.stops().await.map_err(Problem::from);
        Ok::<_, Infallible>(stops.map(|stops| stops.len()))
    };
    let Ok(seen) = gateway.readiness.get(&(), Instant::now(), look).await;
    let stops = seen.as_ref().clone()?;
    Ok(Json(json!({ "status": "ready", "stops": stops })))
}
