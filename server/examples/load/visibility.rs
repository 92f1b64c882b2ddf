//! How long an increment on one node takes to be seen on another.
//!
//! From its acknowledgement until an answer of the other node shows it, polled over a kept connection:
//! so it holds the time of the last poll. Beside it the same from before the increment is sent, which
//! holds the increment's own time too.

use std::time::{Duration, Instant};

use clap::Args;
use serde::Deserialize;

use crate::client::{Client, Target};
use crate::latencies::Latencies;

/// A node that does not show an increment for so long is not slow but broken.
const TRY_TIME_MAX: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(crate) struct Visibility {
    /// Where to increment, as http://host:port
    #[arg(long)]
    write: Target,
    /// Where to look
    #[arg(long)]
    read: Target,
    /// How many increments
    #[arg(long, default_value_t = 300)]
    tries: u32,
    /// Rest between them, so that each meets an idle cluster
    #[arg(long, default_value_t = 20)]
    pause_ms: u64,
}

#[derive(Deserialize)]
struct Count {
    count: i64,
}

impl Visibility {
    pub(crate) async fn run(&self) -> Result<String, String> {
        let connect = |error| format!("cannot connect: {error}");
        let mut writer =
            Client::connect(&self.write, "POST", "/increment", Some("")).await.map_err(connect)?;
        let mut reader =
            Client::connect(&self.read, "GET", "/count", None).await.map_err(connect)?;
        let (mut since_acknowledged, mut since_sent) = (Latencies::new(), Latencies::new());
        for number in 1..=self.tries {
            tokio::time::sleep(Duration::from_millis(self.pause_ms)).await;
            let sent = Instant::now();
            let wanted = count(&mut writer).await?;
            let acknowledged = Instant::now();
            loop {
                let seen = count(&mut reader).await?;
                if seen >= wanted {
                    since_acknowledged.add(acknowledged.elapsed());
                    break since_sent.add(sent.elapsed());
                }
                if sent.elapsed() > TRY_TIME_MAX {
                    return Err(format!(
                        "try {number}: expected a count of {wanted} within {TRY_TIME_MAX:?}, \
                         found {seen}"
                    ));
                }
            }
        }
        Ok(format!(
            "tries {} {since_acknowledged} sent_p50_us {} sent_p99_us {}",
            self.tries,
            since_sent.per_mille(500).as_micros(),
            since_sent.per_mille(990).as_micros(),
        ))
    }
}

async fn count(client: &mut Client) -> Result<i64, String> {
    let answer = client.call().await.map_err(|error| format!("no answer: {error}"))?;
    match serde_json::from_slice::<Count>(answer.body) {
        Ok(count) if answer.status == 200 => Ok(count.count),
        _ => Err(format!(
            "expected a count, found status {}: {}",
            answer.status,
            String::from_utf8_lossy(answer.body)
        )),
    }
}
