//! What a process within a cluster tells it of its pods, as the service account that it has.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use client::{ClientError, Trusted};
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};

/// Where a pod finds who it is in the cluster.
pub const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What a pod costs when a Deployment becomes smaller: the cheapest go first.
/// (<https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost>)
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// For how long a question waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the cluster was not told.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The files of its service account cannot be read.
    #[error("this is no pod with a service account: cannot read `{}`: {}", .0.display(), .1)]
    Account(PathBuf, io::Error),
    /// Nobody vouches for the cluster.
    #[error("cannot tell whether it is the cluster: {0}")]
    Authority(#[from] ClientError),
    /// It cannot be reached, or did not answer.
    #[error("the cluster does not answer: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// It does not want to.
    #[error("the cluster refuses ({0}): {1}")]
    Refused(StatusCode, String),
}

/// The cluster that this process is in.
#[derive(Debug)]
pub struct InCluster {
    client: Client,
    server: Url,
    account: PathBuf,
    namespace: String,
}

impl InCluster {
    /// At an address, with the files of a service account in a directory: [`ACCOUNT`] in a pod.
    pub fn at(server: Url, account: &Path) -> Result<InCluster, ApiError> {
        let read = |name: &str| {
            let path = account.join(name);
            fs::read(&path).map_err(|error| ApiError::Account(path, error))
        };
        let trusted = Trusted::Only(read("ca.crt")?);
        let namespace = String::from_utf8_lossy(&read("namespace")?).trim().to_owned();
        let client = Client::builder().tls_backend_preconfigured(trusted.configuration()?);
        let client =
            client.timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
        Ok(InCluster { client, server, account: account.to_owned(), namespace })
    }

    /// Says what a pod costs when its Deployment becomes smaller. One that is gone by now costs nothing.
    pub async fn set_deletion_cost(&self, pod: &str, cost: u64) -> Result<(), ApiError> {
        let change = json!({ "metadata": { "annotations": { DELETION_COST: cost.to_string() } } });
        match self.patch(&["api", "v1", "namespaces", &self.namespace, "pods", pod], &change).await {
            Err(ApiError::Refused(StatusCode::NOT_FOUND, _)) => Ok(()),
            done => done,
        }
    }

    /// Says how many pods a Deployment is to have, and nothing else of it; false when there is no such Deployment.
    pub async fn scale(&self, deployment: &str, count: u32) -> Result<bool, ApiError> {
        let change = json!({ "spec": { "replicas": count } });
        let path = ["apis", "apps", "v1", "namespaces", &self.namespace, "deployments", deployment, "scale"];
        match self.patch(&path, &change).await {
            Ok(()) => Ok(true),
            Err(ApiError::Refused(StatusCode::NOT_FOUND, _)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn patch(&self, path: &[&str], change: &Value) -> Result<(), ApiError> {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        // It is another one each hour.
        let token = self.account.join("token");
        let token = fs::read_to_string(&token).map_err(|error| ApiError::Account(token, error))?;
        let request = self.client.patch(url).bearer_auth(token.trim());
        let request = request.header("content-type", "application/merge-patch+json").body(change.to_string());
        let answer = request.send().await?;
        let status = answer.status();
        match status.is_success() {
            true => Ok(()),
            false => {
                let said: Value = serde_json::from_slice(&answer.bytes().await?).unwrap_or_default();
                Err(ApiError::Refused(
                    status,
                    said["message"].as_str().unwrap_or("it says no more").to_owned(),
                ))
            }
        }
    }
}
