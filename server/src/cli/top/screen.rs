//! What `quipu top` shows: nodes above, counters below, from the hottest down.
//!
//! Colours only where they say something that the words beside them say too: an operator who does
//! not see them, or has a terminal without any, misses nothing.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Sparkline, Table};

use super::rates::{Quantiles, Rates};
use super::sample::{COUNTERS_MAX, Peer, Sample};

/// Rates that are remembered: a column each, and no terminal is wider.
const HISTORY_MAX: usize = 512;

/// Rows that the nodes may take before the counters have theirs.
const NODE_ROWS_MAX: usize = 12;

/// Columns that an address may take: what is longer, a long name, is cut.
const ADDRESS_WIDTH_MAX: usize = 48;

/// What is shown.
#[derive(Debug)]
pub(super) struct Screen {
    node: String,
    sample: Sample,
    rates: Option<Rates>,
    history: VecDeque<u64>,
    by_value: bool,
    /// Why there is no newer sample.
    trouble: Option<String>,
}

impl Screen {
    pub(super) fn new(node: &str) -> Self {
        Screen {
            node: node.to_owned(),
            sample: Sample::default(),
            rates: None,
            history: VecDeque::new(),
            by_value: false,
            trouble: None,
        }
    }

    /// Takes in a newer sample.
    pub(super) fn show(&mut self, sample: Sample) {
        if !self.sample.status.version.is_empty() {
            let rates = Rates::between(&self.sample, &sample);
            if self.history.len() == HISTORY_MAX {
                self.history.pop_front();
            }
            self.history.push_back(rates.increments as u64);
            self.rates = Some(rates);
        }
        self.sample = sample;
        self.trouble = None;
    }

    /// Takes in that there is none. What was seen last stays.
    pub(super) fn lament(&mut self, trouble: String) {
        self.trouble = Some(trouble);
    }

    pub(super) fn sort_otherwise(&mut self) {
        self.by_value = !self.by_value;
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let nodes = self.sample.status.peers.len().clamp(1, NODE_ROWS_MAX) as u16;
        let [head, rates, peers, counters, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(5),
            Constraint::Length(nodes + 2),
            Constraint::Min(0),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(self.head(), head);
        self.draw_rates(frame, rates);
        self.draw_peers(frame, peers);
        self.draw_counters(frame, counters);
        frame.render_widget(self.foot(), foot);
    }

    fn head(&self) -> Line<'_> {
        let status = &self.sample.status;
        let mut head = vec![
            Span::from(self.node.as_str()).bold(),
            Span::from(format!(
                "  quipu {}, up for {}, {} counters, {}",
                status.version,
                up_for(Duration::from_millis(status.uptime_ms)),
                grouped(status.counters.into()),
                status.fsync
            )),
        ];
        if status.removed {
            head.push(Span::from("  removed from its cluster").fg(Color::Red).bold());
        }
        Line::from(head)
    }

    fn draw_rates(&self, frame: &mut Frame<'_>, area: Rect) {
        let [words, chart] =
            Layout::horizontal([Constraint::Length(56), Constraint::Min(0)]).areas(area);
        if let Some(rates) = &self.rates {
            let (increments, reads) = (per_s(rates.increments), per_s(rates.reads));
            let lines = vec![
                Line::from(format!("{increments:>12} increments/s {reads:>12} reads/s")),
                Line::from(format!("{:>12} added/s", per_s(rates.added))),
                Line::from(format!("{:>12} {}", "answered", shown(rates.replies))),
                Line::from(format!(
                    "{:>12} {} at the others",
                    "confirmed",
                    shown(rates.confirmation)
                )),
                Line::from(format!(
                    "{:>12} {} from the others",
                    "converged",
                    shown(rates.convergence)
                )),
            ];
            frame.render_widget(Paragraph::new(lines), words);
        }
        let newest = self.history.iter().rev().take(chart.width.into()).copied();
        let columns: Vec<u64> = newest.collect::<Vec<_>>().into_iter().rev().collect();
        frame.render_widget(Sparkline::default().data(columns).fg(Color::Green), chart);
    }

    fn draw_peers(&self, frame: &mut Frame<'_>, area: Rect) {
        let peers = &self.sample.status.peers;
        if peers.is_empty() {
            let alone = Paragraph::new("  no peers: this node counts alone");
            return frame.render_widget(alone.block(titled("other nodes".to_owned())), area);
        }
        let rows = peers.iter().map(|peer| {
            let line = Row::new([peer.address.clone(), peer.state.clone(), lag(peer)]);
            line.style(match peer.state.as_str() {
                "alive" => Style::new(),
                "down" | "removed" => Style::new().fg(Color::Red),
                _ => Style::new().fg(Color::Yellow),
            })
        });
        let longest = peers.iter().map(|peer| peer.address.len()).max().unwrap_or_default();
        let address = Constraint::Length(longest.min(ADDRESS_WIDTH_MAX) as u16);
        let widths = [address, Constraint::Length(8), Constraint::Fill(1)];
        let title = match peers.len().saturating_sub(NODE_ROWS_MAX) {
            0 => "other nodes".to_owned(),
            more => format!("other nodes, the first {NODE_ROWS_MAX}, {more} more"),
        };
        let table = Table::new(rows.take(NODE_ROWS_MAX), widths).block(titled(title));
        frame.render_widget(table, area);
    }

    fn draw_counters(&self, frame: &mut Frame<'_>, area: Rect) {
        let counters = &self.sample.counters;
        let grown = |place: usize| {
            self.rates.as_ref().and_then(|rates| rates.counters.get(place)).copied().unwrap_or(0.0)
        };
        let mut places: Vec<usize> = (0..counters.len()).collect();
        // Rates as whole thousandths, so that they can be sorted; equal ones by value, then by name.
        let hot = |place: usize| if self.by_value { 0 } else { (grown(place).abs() * 1e3) as u64 };
        places.sort_by_key(|&place| Reverse((hot(place), counters[place].1, Reverse(place))));
        let rows = places.into_iter().take(area.height.into()).map(|place| {
            let (name, value) = &counters[place];
            let rate = match grown(place) {
                0.0 => String::new(),
                rate => format!("{} /s", per_s(rate)),
            };
            Row::new([
                Line::from(name.as_str()),
                Line::from(grouped(*value)).right_aligned(),
                Line::from(rate).right_aligned(),
            ])
        });
        let widths = [Constraint::Min(12), Constraint::Length(27), Constraint::Length(16)];
        let order = if self.by_value { "the largest first" } else { "the hottest first" };
        let title = match self.sample.status.counters > COUNTERS_MAX {
            true => {
                format!("counters, {order}, of the first {} by name", grouped(COUNTERS_MAX.into()))
            }
            false => format!("counters, {order}"),
        };
        frame.render_widget(Table::new(rows, widths).block(titled(title)), area);
    }

    fn foot(&self) -> Line<'_> {
        match &self.trouble {
            Some(trouble) => Line::from(trouble.as_str()).fg(Color::Red),
            None => Line::from("q quit   s sort by value or by rate").dim(),
        }
    }
}

fn titled(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP).title(format!("─ {title} "))
}

/// How far a peer is behind, in words.
fn lag(peer: &Peer) -> String {
    match &peer.link {
        None => "no link".to_owned(),
        Some(link) if link.behind => {
            format!(
                "behind: asks for what it lacks ({} changes)",
                grouped(link.lag_versions.into())
            )
        }
        Some(link) if link.lag_versions == 0 => "has all our changes".to_owned(),
        Some(link) => format!(
            "lacks the last {:.1} ms ({} B on the way)",
            link.lag_ms,
            grouped(link.unconfirmed_bytes.into())
        ),
    }
}

fn shown(quantiles: Quantiles) -> String {
    let one = |seconds: Option<f64>| match seconds {
        None => "-".to_owned(),
        Some(f64::INFINITY) => ">10 s".to_owned(),
        Some(seconds) if seconds < 1.0 => format!("≤{} ms", seconds * 1e3),
        Some(seconds) => format!("≤{seconds} s"),
    };
    format!("p50 {} p99 {}", one(quantiles.p50), one(quantiles.p99))
}

fn per_s(rate: f64) -> String {
    let is_small = rate.abs() < 10.0 && rate != rate.trunc();
    if is_small { format!("{rate:.1}") } else { grouped(rate.round() as i128) }
}

/// Digits in threes.
fn grouped(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn up_for(up: Duration) -> String {
    match up.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        seconds => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::sample::{Link, Status, Steps};
    use super::*;

    fn peer(address: &str, state: &str, link: Option<Link>) -> Peer {
        Peer { address: address.to_owned(), state: state.to_owned(), link }
    }

    fn link(lag_versions: u64, behind: bool) -> Option<Link> {
        Some(Link { lag_versions, lag_ms: 1.25, unconfirmed_bytes: 12_345, behind })
    }

    fn sample(at: u64, increments: u64, counters: &[(&str, i128)]) -> Sample {
        Sample {
            at: Duration::from_secs(at),
            status: Status {
                version: "1.2.3".to_owned(),
                uptime_ms: 3_661_000 + at * 1000,
                fsync: "always".to_owned(),
                counters: 1_234_567,
                counted: increments,
                removed: false,
                peers: vec![
                    peer("10.0.0.2:8088", "alive", link(0, false)),
                    peer("10.0.0.3:8088", "alive", link(7, false)),
                    peer("10.0.0.4:8088", "suspect", link(1_000, true)),
                    peer("10.0.0.5:8088", "down", None),
                ],
            },
            increments,
            added: 5 * increments,
            reads: increments / 3,
            replies: Steps(vec![(0.001, increments), (f64::INFINITY, increments)]),
            confirmation: Steps(vec![(0.001, 0), (0.0025, increments), (2.5, increments)]),
            convergence: Steps(vec![(0.0005, 0), (0.001, increments), (2.5, increments)]),
            counters: counters.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
        }
    }

    fn drawn(screen: &Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    fn busy() -> Screen {
        let mut screen = Screen::new("10.0.0.1:8088");
        for (at, increments) in [(0, 0), (1, 400), (2, 1200), (3, 3600)] {
            let n = i128::from(increments);
            let counters = [
                ("calm", 9_000_000),
                ("falls", -n),
                ("größer", 2 * n),
                ("page/Ω?", 5 + at as i128),
            ];
            screen.show(sample(at, increments, &counters));
        }
        screen
    }

    #[test]
    fn a_busy_cluster_is_drawn_with_the_hottest_counter_first() {
        insta::assert_snapshot!(drawn(&busy(), 100, 19));
    }

    #[test]
    fn the_largest_counter_is_first_where_that_is_wished() {
        let mut screen = busy();
        screen.sort_otherwise();
        let drawn = drawn(&screen, 100, 19);
        let first = drawn.lines().skip_while(|line| !line.contains("largest")).nth(1).unwrap();
        assert!(first.contains("calm") && first.contains("9,000,000"), "{drawn}");
    }

    #[test]
    fn a_node_that_does_not_answer_is_said_below_what_was_seen_last_until_it_answers() {
        let mut screen = busy();
        screen.lament("no node answers at 10.0.0.1:8088".to_owned());
        let text = drawn(&screen, 100, 19);
        assert!(text.contains("no node answers") && text.contains("größer"), "{text}");
        screen.show(sample(4, 3600, &[]));
        assert!(!drawn(&screen, 100, 19).contains("no node answers"));
    }

    #[test]
    fn no_terminal_is_too_small_or_too_large() {
        for (width, height) in [(1, 1), (2, 30), (300, 2), (20, 8), (400, 200)] {
            drawn(&busy(), width, height);
            drawn(&Screen::new("n:1"), width, height);
        }
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(-999), "-999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(i64::MIN.into()), "-9,223,372,036,854,775,808");
    }
}
