//! Where a finding is, in SARIF's terms: a file there, a network place here.

use std::fmt::Write as _;

use model::Location;
use serde_json::{Value, json};
use url::Url;

use crate::visible::{Shape, visible};

/// One physical location with a valid URI (RFC 3986), which viewers insist on, and one logical location.
pub(super) fn locations(location: &Location) -> Value {
    let (uri, kind) = match location {
        Location::Domain(name) => (format!("dns:{name}"), "domain"), // RFC 4501
        Location::Service(endpoint) => (format!("tcp://{endpoint}"), "service"),
        Location::Url(url) => (uri(url), "url"),
    };
    let shown = location.to_string();
    json!([{
        "physicalLocation": { "artifactLocation": { "uri": uri } },
        "logicalLocations": [{ "fullyQualifiedName": visible(&shown, Shape::Line), "kind": kind }],
    }])
}

/// A URL as an RFC 3986 URI: the URL standard lets characters stand that the RFC does not.
pub(super) fn uri(url: &Url) -> String {
    let authority = &url[..url::Position::BeforePath];
    let mut uri = if authority.is_ascii() { authority.to_owned() } else { format!("{}:", url.scheme()) };
    encode(url.path(), &mut uri);
    for (mark, part) in [('?', url.query()), ('#', url.fragment())] {
        if let Some(part) = part {
            uri.push(mark);
            encode(part, &mut uri);
        }
    }
    uri
}

fn encode(part: &str, uri: &mut String) {
    for (index, byte) in part.bytes().enumerate() {
        let stays = match byte {
            b'%' => part
                .as_bytes()
                .get(index + 1..index + 3)
                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
            byte => byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=".contains(&byte),
        };
        if stays {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_url_standard_lets_stand_is_encoded() {
        let table = [
            (
                "http://a.test/x[1]|y?q={{7*7}}&z=[#f#g",
                "http://a.test/x%5B1%5D%7Cy?q=%7B%7B7*7%7D%7D&z=%5B#f%23g",
            ),
            ("http://[::1]:8080/%zz%41", "http://[::1]:8080/%25zz%41"),
            ("http://a.test/\"><img>", "http://a.test/%22%3E%3Cimg%3E"),
        ];
        for (given, expected) in table {
            assert_eq!(uri(&given.parse().unwrap()), expected);
        }
    }
}
