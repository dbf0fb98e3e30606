//! Elasticsearch and OpenSearch: a JSON object with the name of the cluster, the version and a motto.

use super::Page;
use crate::services::engine::Recognised;
#[cfg(test)]
use crate::services::engine::{Sample, sample};

pub(super) fn recognise(page: &Page<'_>) -> Option<Recognised> {
    if !page.body.contains("\"tagline\"") {
        // With security on, only the realm tells.
        let realm = page.status == 401 && page.header("WWW-Authenticate").contains("realm=\"security\"");
        let product = page.header("X-elastic-product") == "Elasticsearch" || realm;
        return product.then(|| Recognised::product("Elasticsearch"));
    }
    let version = page.member("number");
    Some(if page.member("distribution") == Some("opensearch") {
        Recognised::product("OpenSearch").version(version).cpe("amazon", "opensearch")
    } else {
        Recognised::product("Elasticsearch").version(version).cpe("elastic", "elasticsearch")
    })
}

#[cfg(test)]
pub(super) const SAMPLES: &[Sample] = &[
    sample(b"HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\n\r\n{\n  \"name\" : \"n1\",\n  \"cluster_name\" : \"logs\",\n  \"version\" : {\n    \"number\" : \"8.11.1\"\n  },\n  \"tagline\" : \"You Know, for Search\"\n}", "Elasticsearch", "8.11.1", "cpe:2.3:a:elastic:elasticsearch:8.11.1:*:*:*:*:*:*:*"),
    sample(b"HTTP/1.1 200 OK\r\n\r\n{\"version\":{\"distribution\":\"opensearch\",\"number\":\"2.11.0\"},\"tagline\":\"x\"}", "OpenSearch", "2.11.0", "cpe:2.3:a:amazon:opensearch:2.11.0:*:*:*:*:*:*:*"),
    sample(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"security\" charset=\"UTF-8\"\r\n\r\n{}", "Elasticsearch", "", ""),
];
