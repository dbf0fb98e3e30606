//! What a template becomes.

use model::{Confidence, Severity};

use super::{ProtocolKind, Redirects, parse};
use crate::template::{BlockRequest, HttpRequests};

const WHOLE: &str = r#"
id: sample-check
info:
  name: A sample
  author: one, two
  severity: High
  description: |
    Something.
  impact: Bad.
  remediation: Mend it.
  reference:
    - https://example.com/a
    - https://example.com/b
  tags: Panel,intrusive,dos
  classification:
    cve-id: cve-2024-0001
    cwe-id: [cwe-200, CWE-16]
    cvss-metrics: CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N
    cvss-score: 5.3
    epss-score: 0.1
  metadata:
    max-request: 2
    confidence: certain
    queries: [a, b]
dns:
  - name: "{{FQDN}}"
    type: cname
    matchers:
      - {type: word, words: [x]}
http:
  - method: head
    path: ["{{BaseURL}}/a", "{{BaseURL}}/b"]
    host-redirects: true
    matchers:
      - {type: word, words: [x]}
  - raw: ["GET / HTTP/1.1\n\n"]
    matchers:
      - {type: word, words: [x]}
tcp:
  - host: ["{{Hostname}}"]
    port: 21
    matchers:
      - {type: word, words: [x]}
# digest: 00
"#;

#[test]
fn every_field_arrives() {
    let template = parse(WHOLE, "sample.yaml").unwrap();
    assert_eq!((template.id.as_str(), template.origin.as_str()), ("sample-check", "sample.yaml"));
    let info = &template.info;
    assert_eq!(
        (info.name.as_str(), info.severity, info.confidence),
        ("A sample", Severity::High, Confidence::Certain)
    );
    assert_eq!(
        (info.author.as_slice(), info.tags.as_slice()),
        (&["one", "two"].map(String::from)[..], &["panel", "intrusive", "dos"].map(String::from)[..])
    );
    assert_eq!(
        (info.description.as_str(), info.impact.as_str(), info.remediation.as_str()),
        ("Something.", "Bad.", "Mend it.")
    );
    assert_eq!(info.references, ["https://example.com/a", "https://example.com/b"]);
    assert_eq!(
        (info.classification.cve.as_slice(), info.classification.cvss_score),
        (&["CVE-2024-0001".to_owned()][..], Some(5.3))
    );
    assert_eq!(info.classification.cwe, ["CWE-200", "CWE-16"]);
    assert_eq!(info.metadata["queries"], "a, b");
    assert_eq!(template.risk_tags(), ["intrusive", "dos"]);
    let kinds: Vec<ProtocolKind> = template.protocol_kinds().into_iter().collect();
    assert_eq!(kinds, [ProtocolKind::Http, ProtocolKind::Dns, ProtocolKind::Tcp]);
    assert_eq!(template.tcp_ports().into_iter().collect::<Vec<_>>(), [21]);
    assert_eq!(template.max_requests(), 5);
    let order: Vec<(ProtocolKind, usize)> =
        template.blocks.iter().map(|block| (block.request.protocol(), block.number)).collect();
    assert_eq!(
        order,
        [(ProtocolKind::Dns, 1), (ProtocolKind::Http, 1), (ProtocolKind::Http, 2), (ProtocolKind::Tcp, 1)]
    );
    let BlockRequest::Http(http) = &template.blocks[1].request else { panic!("{:?}", template.blocks[1]) };
    assert_eq!(http.redirects, Redirects::SameHost);
    let HttpRequests::Paths { method, .. } = &http.requests else { panic!("{http:?}") };
    assert_eq!(method, "HEAD");
    let BlockRequest::Dns(dns) = &template.blocks[0].request else { panic!("{:?}", template.blocks[0]) };
    assert_eq!((dns.record_type, dns.class, dns.recursion), ("CNAME", "IN", true));
}

#[test]
fn confidence_is_firm_unless_said() {
    let text = WHOLE.replace("confidence: certain", "verified: true");
    assert_eq!(parse(&text, "sample.yaml").unwrap().info.confidence, Confidence::Firm);
    let text = WHOLE.replace("confidence: certain", "confidence: absolute");
    assert!(parse(&text, "sample.yaml").unwrap_err()[0].to_string().contains("tentative, firm or certain"));
}
