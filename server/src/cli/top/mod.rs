//! `quipu top`: a cluster as it counts, in a terminal.
//!
//! One task draws, and is woken by what it shows: a sample, a key, a new size of the terminal, a
//! signal. A thread asks the node, since a node that does not answer must not hold up the keys;
//! another one reads the keys, since reading a terminal blocks.
//!
//! Rejected: a stream of changes from the node. It would save the listing once a second, and a
//! watcher is the node's to serve for as long as it looks; what is asked here costs nothing while
//! no operator looks, and is what every client can ask.

mod rates;
mod sample;
mod screen;

use std::io::{self, IsTerminal};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::sample::Sample;
use self::screen::Screen;
use super::Failure;
use super::client::Client;
use crate::words;

/// What waits for being drawn. A thread that brings more waits in turn.
const WAITING_MAX: usize = 16;

/// The shortest and the longest rest between two looks: more often is no easier to read, and costs
/// the node; less often looks dead.
const EVERY_MIN: Duration = Duration::from_millis(100);
const EVERY_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// How often to look: 100ms to 60s; a number alone is of seconds
    #[arg(long, value_name = "TIME", default_value = "1s")]
    #[arg(value_parser = words::time_within(EVERY_MIN..=EVERY_MAX))]
    every: Duration,
    /// Which node [default: the one that this environment would start]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(super) node: Option<String>,
}

/// What the screen is woken by.
enum News {
    Sample(Result<Box<Sample>, Failure>),
    Terminal(io::Result<Event>),
}

impl Top {
    pub(super) fn run(&self, client: &Client) -> Result<(), Failure> {
        if !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
            return Err(Failure::NoTerminal);
        }
        // What does not work at all is said in one line, and not on a screen of its own.
        let start = Instant::now();
        let mut screen = Screen::new(client.node());
        screen.show(Sample::of(client, start.elapsed())?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (tell, told) = mpsc::channel(WAITING_MAX);
        sample(client.clone(), start, self.every, tell.clone());
        let mut terminal = ratatui::try_init()?;
        watch_terminal(tell);
        let shown = runtime.block_on(show(&mut terminal, screen, told));
        ratatui::try_restore()?;
        Ok(shown?)
    }
}

/// Asks the node again and again, until the screen is gone.
fn sample(client: Client, start: Instant, every: Duration, tell: mpsc::Sender<News>) {
    thread::spawn(move || {
        loop {
            thread::sleep(every);
            let sample = Sample::of(&client, start.elapsed()).map(Box::new);
            if tell.blocking_send(News::Sample(sample)).is_err() {
                return;
            }
        }
    });
}

/// Reads keys and sizes, until the screen is gone or there are none any more.
fn watch_terminal(tell: mpsc::Sender<News>) {
    thread::spawn(move || {
        loop {
            let event = event::read();
            let is_over = event.is_err();
            if tell.blocking_send(News::Terminal(event)).is_err() || is_over {
                return;
            }
        }
    });
}

/// Draws until it is told to stop.
async fn show(
    terminal: &mut ratatui::DefaultTerminal,
    mut screen: Screen,
    mut told: mpsc::Receiver<News>,
) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        terminal.draw(|frame| screen.draw(frame))?;
        let news = tokio::select! {
            news = told.recv() => news,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
        };
        match news {
            Some(News::Sample(Ok(sample))) => screen.show(*sample),
            Some(News::Sample(Err(failure))) => screen.lament(failure.to_string()),
            Some(News::Terminal(Ok(Event::Key(key)))) => match pressed(key) {
                Some(Wish::Quit) => return Ok(()),
                Some(Wish::Sort) => screen.sort_otherwise(),
                None => {}
            },
            // A new size is seen by drawing.
            Some(News::Terminal(Ok(_))) => {}
            Some(News::Terminal(Err(error))) => return Err(error),
            None => return Ok(()),
        }
    }
}

/// What a key is pressed for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Quit,
    Sort,
}

fn pressed(key: KeyEvent) -> Option<Wish> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(Wish::Quit)
        }
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Some(Wish::Quit),
        KeyCode::Char('s' | 'S') => Some(Wish::Sort),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_every_tenth_of_a_second_to_every_minute_makes_sense() {
        let every = words::time_within(EVERY_MIN..=EVERY_MAX);
        assert_eq!(every("0.1"), Ok(Duration::from_millis(100)));
        assert_eq!(every("60"), Ok(Duration::from_secs(60)));
        assert_eq!(every("1s"), Ok(Duration::from_secs(1)));
        for text in ["0", "61", "-1", "NaN", "inf", ""] {
            assert!(every(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn q_escape_and_control_c_quit_and_a_letter_typed_by_mistake_does_nothing() {
        let press = |code, modifiers| pressed(KeyEvent::new(code, modifiers));
        assert_eq!(press(KeyCode::Char('q'), KeyModifiers::NONE), Some(Wish::Quit));
        assert_eq!(press(KeyCode::Esc, KeyModifiers::NONE), Some(Wish::Quit));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Wish::Quit));
        assert_eq!(press(KeyCode::Char('s'), KeyModifiers::NONE), Some(Wish::Sort));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::NONE), None);
    }
}
