//! What a supervisor asks: does the process live, and can it work?

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    Gateway,
    problem::{Kind, Problem},
};

/// The process lives: nothing else is asked, so that nothing else makes somebody kill it.
pub(crate) async fn alive() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// It can work: the store answers, and nobody asked it to end.
pub(crate) async fn ready(State(gateway): State<Gateway>) -> Result<Json<Value>, Problem> {
    if gateway.around.ending.is_cancelled() {
        return Err(Problem::new(Kind::Unavailable, "it is ending, and takes nothing new"));
    }
    let stops = gateway.store.stops().await?;
    Ok(Json(json!({ "status": "ready", "stops": stops.len() })))
}
