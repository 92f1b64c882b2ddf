//! The two text formats in which metrics are told.
//!
//! OpenMetrics is what the library writes. Who does not ask for it gets the text format that is
//! older and that everything reads: there a counter is called with its `_total`, an information is
//! a gauge, and units are in names only.

use axum::http::{HeaderMap, header};

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Text,
}

impl Format {
    /// The one that a request prefers; the older one where it has no preference.
    pub(super) fn asked_for(headers: &HeaderMap) -> Format {
        let accepts =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut open, mut text) = (0.0, 0.0);
        for range in accepts.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).unwrap_or("1");
            let weight: f32 = weight.trim().parse().unwrap_or(0.0);
            match kind.as_str() {
                "application/openmetrics-text" => open = weight.max(open),
                "text/plain" => text = weight.max(text),
                _ => {}
            }
        }
        if open > 0.0 && open >= text { Format::OpenMetrics } else { Format::Text }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// What was written as OpenMetrics, in this format.
    pub(super) fn told(self, open_metrics: String) -> String {
        match self {
            Format::OpenMetrics => open_metrics,
            Format::Text => older(&open_metrics),
        }
    }
}

/// A family's lines stand together, and its type behind its help: so the help waits for the type,
/// which tells the name.
fn older(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => {}
            (Some("#"), Some("HELP"), Some(_), Some(said)) => help = Some(said),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (ending, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    other => ("", other),
                };
                if let Some(said) = help.take() {
                    text.push_str(&format!("# HELP {name}{ending} {said}\n"));
                }
                text.push_str(&format!("# TYPE {name}{ending} {kind}\n"));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_for(accept: &[&str]) -> Format {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        Format::asked_for(&headers)
    }

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        for accept in [
            &[][..],
            &["*/*"],
            &["text/plain"],
            &["text/html,application/xhtml+xml,*/*;q=0.8"],
            &["application/openmetrics-text;q=0"],
            &["application/openmetrics-text;q=nonsense"],
            &["application/openmetrics-text;q=0.2,text/plain;q=0.3"],
        ] {
            assert_eq!(asked_for(accept), Format::Text, "{accept:?}");
        }
        // The first is what Prometheus asks.
        for accept in [
            &["application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
               application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,\
               */*;q=0.2"][..],
            &["application/openmetrics-text"],
            &["Application/OpenMetrics-Text; version=1.0.0"],
            &["text/plain;q=0.5", "application/openmetrics-text;q=0.5"],
        ] {
            assert_eq!(asked_for(accept), Format::OpenMetrics, "{accept:?}");
        }
    }

    #[test]
    fn the_older_format_names_a_family_as_its_samples_are_named() {
        let open = "# HELP n_a Some a.\n# TYPE n_a counter\nn_a_total{x=\"# HELP\"} 1\n\
                    # HELP n_s_seconds Time.\n# TYPE n_s_seconds counter\n# UNIT n_s_seconds seconds\n\
                    n_s_seconds_total 2.5\n\
                    # HELP n_build The program.\n# TYPE n_build info\nn_build_info{version=\"1\"} 1\n\
                    # HELP n_g Level.\n# TYPE n_g gauge\nn_g 3\n# EOF\n";
        let text = "# HELP n_a_total Some a.\n# TYPE n_a_total counter\nn_a_total{x=\"# HELP\"} 1\n\
                    # HELP n_s_seconds_total Time.\n# TYPE n_s_seconds_total counter\n\
                    n_s_seconds_total 2.5\n\
                    # HELP n_build_info The program.\n# TYPE n_build_info gauge\n\
                    n_build_info{version=\"1\"} 1\n\
                    # HELP n_g Level.\n# TYPE n_g gauge\nn_g 3\n";
        assert_eq!(Format::Text.told(open.to_owned()), text);
        assert_eq!(Format::OpenMetrics.told(open.to_owned()), open);
    }
}
