//! Where log lines go and how they look.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::flags::{LogFormat, LogLevel};

/// Sends log lines to stderr from now on. What libraries say is of use only when it is a warning,
/// or when everything is asked for.
pub(crate) fn init(level: LogLevel, format: LogFormat) {
    let ours = LevelFilter::from(level);
    let theirs = if level == LogLevel::Trace { LevelFilter::TRACE } else { LevelFilter::WARN };
    let filter =
        Targets::new().with_target(env!("CARGO_CRATE_NAME"), ours).with_default(theirs.min(ours));
    // A line that cannot be written is lost: saying so on stderr could not be written either, and a
    // failure to write there ends the process.
    let lines = fmt::layer().with_writer(stderr).log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.with_target(false).with_ansi(is_coloured()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_target(false).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}

/// At a terminal, unless its owner wants none (no-color.org).
fn is_coloured() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        }
    }
}
