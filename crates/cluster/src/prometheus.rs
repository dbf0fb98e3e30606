//! Asking Prometheus for one number: <https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries>.

use std::time::Duration;

use client::{ClientError, Trusted};
use reqwest::{Client, Url};
use serde_json::Value;

use crate::manifests::{list, text};

/// For how long a question waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no number.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// Nobody vouches for it.
    #[error("cannot tell whether it is Prometheus: {0}")]
    Authority(#[from] ClientError),
    /// It cannot be reached.
    #[error("Prometheus does not answer: {}", .0)]
    Unreachable(#[from] reqwest::Error),
    /// It does not want to, or is something else.
    #[error("Prometheus does not say: {0}")]
    Refused(String),
}

/// A Prometheus that looks at the cluster.
#[derive(Debug)]
pub struct Prometheus {
    client: Client,
    query: Url,
}

impl Prometheus {
    /// At its own address, as `kubectl port-forward` brings it.
    pub fn at(server: &Url) -> Result<Prometheus, PrometheusError> {
        let mut query = server.clone();
        if let Ok(mut segments) = query.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1", "query"]);
        }
        let client = Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        let client = match server.scheme() {
            "https" => client.tls_backend_preconfigured(Trusted::OfThisMachine.configuration()?),
            // Where it was brought to this machine no proxy finds it.
            _ => client.no_proxy().tls_backend_preconfigured(Trusted::nobody()?),
        };
        Ok(Prometheus { client: client.build()?, query })
    }

    /// The number that a question has for an answer; none when there is none.
    pub async fn ask(&self, question: &str) -> Result<Option<f64>, PrometheusError> {
        let mut url = self.query.clone();
        url.query_pairs_mut().append_pair("query", question);
        let answer = self.client.get(url).send().await?.bytes().await?;
        let answer: Value = serde_json::from_slice(&answer)
            .map_err(|_| PrometheusError::Refused("what answers there is something else".to_owned()))?;
        if text(&answer, "/status") != Some("success") {
            let why = text(&answer, "/error").unwrap_or("it does not say why");
            return Err(PrometheusError::Refused(why.to_owned()));
        }
        let value = list(&answer, "/data/result").next().and_then(|sample| text(sample, "/value/1"));
        // `NaN` is what there is of nothing.
        Ok(value.and_then(|value| value.parse().ok()).filter(|value: &f64| value.is_finite()))
    }
}
