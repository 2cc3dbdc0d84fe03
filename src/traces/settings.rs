//! Where traces go and in whose name, by the variables of OpenTelemetry
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::tls::TlsFiles;

/// A collector, and the attributes of this process that it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSettings {
    /// `host:port`.
    pub(super) address: String,
    pub(super) path: String,
    /// For `https`.
    pub(super) tls: Option<TlsFiles>,
    pub(super) headers: Vec<(String, String)>,
    /// Attributes of the process.
    pub(super) resource: Vec<(String, String)>,
}

const PATH: &str = "/v1/traces";

impl TraceSettings {
    /// The settings that `flag`, a base address, and variables ask for; `None` when they ask for none. A flag beats a variable, and the
    /// variable for traces the one for everything.
    pub fn read(
        flag: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<TraceSettings>, String> {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let of = |name: &str| {
            let [traces, all] = ["TRACES_", ""].map(|of| variable(&format!("OTEL_EXPORTER_OTLP_{of}{name}")));
            traces.or(all)
        };
        let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
        let base = |url: &str| format!("{}{PATH}", url.trim_end_matches('/'));
        let url = flag.map(base).or_else(|| variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"));
        let url = url.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT").map(|url| base(&url)));
        let Some(url) = url.filter(|_| !is_off) else { return Ok(None) };
        if of("PROTOCOL").is_some_and(|protocol| protocol == "grpc") {
            return Err(
                "traces are sent by HTTP: set OTEL_EXPORTER_OTLP_PROTOCOL=http/json, and the collector's port \
                        for it, which is 4318 by default"
                    .into(),
            );
        }
        let (is_secure, address, path) = read_url(&url)?;
        let file = |name: &str| of(name).map(PathBuf::from);
        let identity = match (file("CLIENT_CERTIFICATE"), file("CLIENT_KEY")) {
            (Some(chain), Some(key)) => Some((chain, key)),
            (None, None) => None,
            (chain, _) => {
                let (given, missing) = if chain.is_some() { ("CERTIFICATE", "KEY") } else { ("KEY", "CERTIFICATE") };
                return Err(format!(
                    "OTEL_EXPORTER_OTLP_CLIENT_{given} is set: set OTEL_EXPORTER_OTLP_CLIENT_{missing} too"
                ));
            }
        };
        let tls = is_secure.then(|| TlsFiles { authorities: file("CERTIFICATE"), identity });
        if let Some(tls) = &tls {
            tls.config().map_err(|problem| format!("TLS to {url}: {problem}"))?;
        }
        let mut resource = pairs(&variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        if let Some(name) = variable("OTEL_SERVICE_NAME") {
            resource.retain(|(key, _)| key != "service.name");
            resource.push(("service.name".into(), name));
        }
        for (key, value) in [("service.name", "sheetstream"), ("service.version", env!("CARGO_PKG_VERSION"))] {
            if !resource.iter().any(|(given, _)| given == key) {
                resource.push((key.into(), value.into()));
            }
        }
        let headers = pairs(&of("HEADERS").unwrap_or_default());
        if headers.iter().any(|(name, value)| (name.clone() + value).contains(['\r', '\n'])) {
            return Err("OTEL_EXPORTER_OTLP_HEADERS: a header has one line".into());
        }
        Ok(Some(TraceSettings { address, path, tls, headers, resource }))
    }
}

/// Whether an URL is one of `https`, its address and its path.
fn read_url(url: &str) -> Result<(bool, String, String), String> {
    let (is_secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(format!("\"{url}\" begins neither with https:// nor with http://")),
    };
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if host.is_empty() || url.contains(char::is_whitespace) {
        return Err(format!("\"{url}\" names no host"));
    }
    let port = if is_secure { 443 } else { 80 };
    Ok((is_secure, if has_port { host.to_owned() } else { format!("{host}:{port}") }, path.to_owned()))
}

/// `key=value,key=value`, values percent-encoded as in W3C Baggage.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some((key.trim().to_owned(), percent_decode_str(value.trim()).decode_utf8_lossy().into_owned()))
    };
    text.split(',').filter_map(pair).filter(|(key, _)| !key.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flag: Option<&str>, given: &[(&str, &str)]) -> Result<Option<TraceSettings>, String> {
        TraceSettings::read(flag, |name| given.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()))
    }
    fn place(flag: Option<&str>, given: &[(&str, &str)]) -> String {
        let found = read(flag, given).expect("usable").expect("asked for");
        format!("{}{}", found.address, found.path)
    }

    #[test]
    fn the_place_is_that_of_the_flag_then_of_traces_then_of_everything() {
        assert_eq!(read(None, &[]), Ok(None));
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other/take");
        assert_eq!(place(None, &[all]), "collector:4318/v1/traces");
        assert_eq!(place(None, &[all, traces]), "other:80/take");
        assert_eq!(place(Some("http://[::1]:1"), &[all, traces]), "[::1]:1/v1/traces");
        for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(read(Some("http://collector:4318"), &[off]), Ok(None));
        }
    }

    #[test]
    fn names_and_headers_are_taken_and_what_is_not_spoken_is_said() {
        let given = [
            ("OTEL_SERVICE_NAME", "sheets"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=a%20b%2Cc, empty"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret,x=1%"),
        ];
        let found = read(Some("http://c:1"), &given).expect("usable").expect("asked for");
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(found.headers, [pair("api-key", "secret"), pair("x", "1%")]);
        assert_eq!(found.resource[..2], [pair("deployment.environment.name", "a b,c"), pair("service.name", "sheets")]);
        assert_eq!(found.resource[2].0, "service.version");
        let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        assert!(read(Some("http://c:4317"), &grpc).is_err_and(|why| why.contains("4318")));
        assert!(read(Some("ftp://c"), &[]).is_err_and(|why| why.contains("neither")));
        assert!(read(Some("http://"), &[]).is_err());
        let half = [("OTEL_EXPORTER_OTLP_CLIENT_KEY", "key.pem")];
        assert!(read(Some("https://c"), &half).is_err_and(|why| why.contains("OTLP_CLIENT_CERTIFICATE too")));
        let no_file = [("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem")];
        assert!(read(Some("https://c"), &no_file).is_err_and(|why| why.contains("/nowhere/ca.pem")));
        let two_lines = [("OTEL_EXPORTER_OTLP_HEADERS", "a=b%0D%0Ac: d")];
        assert!(read(Some("http://c:1"), &two_lines).is_err());
    }
}
