//! Where traces are sent, and how many.

use anyhow::{Context, bail};
use clap::Args;
use percent_encoding::percent_decode_str;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TracesArguments {
    /// Collector that traces are sent to, by OTLP over HTTP: `http://HOST:4318` or `https://HOST:4318` [default: none]
    #[arg(
        long,
        value_name = "URL",
        env = "RAMPART_TRACES",
        hide_env_values = true,
        help_heading = "Platform",
        global = true
    )]
    pub(crate) traces: Option<String>,

    /// Headers that the collector wants, such as `Authorization=Bearer%20…`; several with commas between them
    #[arg(
        long,
        value_name = "NAME=VALUE",
        env = "RAMPART_TRACES_HEADERS",
        hide_env_values = true,
        help_heading = "Platform",
        global = true
    )]
    pub(crate) traces_headers: Option<String>,

    /// How much of what happens is traced, from 0 to 1, decided where a trace begins [default: 1]
    #[arg(
        long,
        value_name = "RATIO",
        env = "RAMPART_TRACES_RATIO",
        help_heading = "Platform",
        global = true
    )]
    pub(crate) traces_ratio: Option<f64>,
}

/// Where that collector takes them.
pub(super) fn collector(address: &str) -> anyhow::Result<Url> {
    // It may be a secret that stands in the wrong place.
    ::traces::endpoint(address).context("traces")
}

/// As `OTEL_EXPORTER_OTLP_HEADERS` has them everywhere: `NAME=VALUE,NAME=VALUE`, with what is special in a value written as `%XX`.
pub(super) fn headers(text: &str, collector: Option<&Url>) -> anyhow::Result<HeaderMap> {
    let Some(collector) = collector else {
        bail!(
            "traces_headers: nothing is traced, so nobody is told them: name a collector with traces, or leave them out"
        )
    };
    if collector.scheme() == "http" && !model::is_this_machine(collector) {
        bail!(
            "traces_headers: whoever is on the way to the collector could read them: give traces as https://HOST"
        );
    }
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        // The value is a secret, and so may be what stands where the name should be.
        let unusable = || anyhow::anyhow!("traces_headers: header {} is not NAME=VALUE", headers.len() + 1);
        let (name, value) = pair.split_once('=').ok_or_else(unusable)?;
        let name: HeaderName = name.trim().parse().ok().ok_or_else(unusable)?;
        let value = percent_decode_str(value.trim()).collect::<Vec<u8>>();
        let mut value = HeaderValue::from_bytes(&value).ok().ok_or_else(unusable)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// All of them, unless somebody wants less.
pub(super) fn ratio(ratio: Option<f64>) -> anyhow::Result<f64> {
    match ratio.unwrap_or(1.0) {
        ratio if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        ratio => bail!("traces_ratio: {ratio} is not a number from 0 to 1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_secrets_and_never_told() {
        let collector = collector("https://collector.test").unwrap();
        let text = "Authorization=Bearer%20s3cret, x-team = a%2Cb ,";
        let read = headers(text, Some(&collector)).unwrap();
        let value = |name: &str| read[name].to_str().unwrap().to_owned();
        assert_eq!(
            (read.len(), value("authorization"), value("x-team")),
            (2, "Bearer s3cret".into(), "a,b".into())
        );
        assert!(!format!("{read:?}").contains("s3cret"), "{read:?}");
        let far = "http://collector.test".parse().unwrap();
        let near: Url = "http://127.0.0.1:4318".parse().unwrap();
        headers(text, Some(&near)).unwrap();
        for (text, collector, says) in [
            ("s3cret", Some(&collector), "header 1 is not"),
            ("a=b,s3cret: x=y", Some(&collector), "header 2 is not"),
            ("a=s3cret%0A", Some(&collector), "header 1 is not"),
            (text, None, "nothing is traced"),
            (text, Some(&far), "give traces as https"),
        ] {
            let error = headers(text, collector).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("s3cret"), "{text}: {error}");
        }
    }

    #[test]
    fn a_ratio_is_a_part_of_all() {
        assert_eq!((ratio(None).unwrap(), ratio(Some(0.0)).unwrap()), (1.0, 0.0));
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(ratio(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
