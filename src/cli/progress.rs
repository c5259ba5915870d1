//! Draws what the nodes of an execution do. On a terminal every run that is at work has a line that changes in place, and what is
//! over stays above; elsewhere there is a line for everything that is over or waits.

use std::io::{self, IsTerminal, Write};

use super::output::printable;
use crate::{
    app::embedded::{Step, StepState},
    model::{duration::DurationMs, problem::counted},
};

/// Lines that change in place: few enough for every terminal.
const LIVE_LINES_MAX: usize = 10;
/// Moves up and clears what is below; lines that are too long are cut, not wrapped.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";

/// Where progress is drawn.
pub(super) struct Screen<W: Write> {
    out: W,
    style: Style,
    /// The runs at work with their lines, oldest first.
    live: Vec<((String, u32), String)>,
    /// Live lines that are on the screen.
    drawn: usize,
}

/// How progress looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Terminal,
}

impl Screen<io::Stderr> {
    /// Draws on standard error, as fits what that is.
    pub(super) fn on_stderr() -> Self {
        let style = if io::stderr().is_terminal() { Style::Terminal } else { Style::Plain };
        Self::new(io::stderr(), style)
    }
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, style: Style) -> Self {
        Self { out, style, live: Vec::new(), drawn: 0 }
    }

    /// Shows a step.
    pub(super) fn show(&mut self, step: &Step) {
        let text = match self.style {
            Style::Plain => self.plain(step),
            Style::Terminal => self.redrawn(step),
        };
        // A screen that is gone is no reason to stop watching.
        if let Err(error) = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            tracing::debug!(cause = %error, "cannot draw progress");
        }
    }

    fn plain(&self, step: &Step) -> String {
        match step.state {
            StepState::Started | StepState::Progressed { .. } => String::new(),
            StepState::Waiting { .. } | StepState::Succeeded | StepState::Failed { .. } => line(step, self.style) + "\n",
        }
    }

    fn redrawn(&mut self, step: &Step) -> String {
        let key = (step.node.to_string(), step.run);
        let line = line(step, self.style);
        let place = self.live.iter().position(|(other, _)| *other == key);
        let mut text = self.erase();
        match (is_over(&step.state), place) {
            (true, place) => {
                if let Some(place) = place {
                    self.live.remove(place);
                }
                text += &format!("{line}\n");
            }
            (false, Some(place)) => self.live[place].1 = line,
            (false, None) => self.live.push((key, line)),
        }
        text + &self.draw()
    }

    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }

    fn draw(&mut self) -> String {
        if self.live.is_empty() {
            return String::new();
        }
        let mut lines: Vec<&str> = self.live.iter().take(LIVE_LINES_MAX).map(|(_, line)| line.as_str()).collect();
        let more = format!("\x1b[2m… and {} more\x1b[0m", self.live.len().saturating_sub(LIVE_LINES_MAX));
        if self.live.len() > LIVE_LINES_MAX {
            lines.push(&more);
        }
        self.drawn = lines.len();
        format!("{WRAP_OFF}{}\n{WRAP_ON}", lines.join("\n"))
    }
}

/// Whether nothing more comes of an attempt.
fn is_over(state: &StepState) -> bool {
    match state {
        StepState::Succeeded | StepState::Failed { .. } => true,
        StepState::Started | StepState::Progressed { .. } | StepState::Waiting { .. } => false,
    }
}

/// One line for one attempt.
fn line(step: &Step, style: Style) -> String {
    let (faint, reset) = match style {
        Style::Plain => ("", ""),
        Style::Terminal => ("\x1b[2m", "\x1b[0m"),
    };
    let run = if step.run > 0 { format!(" #{}", step.run) } else { String::new() };
    let attempt = if step.attempt > 1 { format!(" attempt {}", step.attempt) } else { String::new() };
    let duration = DurationMs(step.duration_ms);
    let rest = match &step.state {
        StepState::Started => String::new(),
        StepState::Progressed { items } => format!(" {faint}{} done{reset}", counted(*items, "item")),
        StepState::Waiting { wait } => format!(" {faint}{}{reset}", printable(wait)),
        StepState::Succeeded => format!(" {faint}{duration}{reset}"),
        StepState::Failed { failure } => format!(" {faint}{duration}{reset}  {}", printable(failure)),
    };
    format!("{} {}{run}{attempt}{rest}", mark(&step.state, style), printable(&step.node))
}

fn mark(state: &StepState, style: Style) -> &'static str {
    match (state, style) {
        (StepState::Started | StepState::Progressed { .. }, Style::Plain) => "runs  ",
        (StepState::Started | StepState::Progressed { .. }, Style::Terminal) => "\x1b[36m●\x1b[0m",
        (StepState::Waiting { .. }, Style::Plain) => "waits ",
        (StepState::Waiting { .. }, Style::Terminal) => "\x1b[33m◦\x1b[0m",
        (StepState::Succeeded, Style::Plain) => "ok    ",
        (StepState::Succeeded, Style::Terminal) => "\x1b[32m✓\x1b[0m",
        (StepState::Failed { .. }, Style::Plain) => "failed",
        (StepState::Failed { .. }, Style::Terminal) => "\x1b[31m✗\x1b[0m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(node: &str, state: StepState) -> Step {
        Step { node: node.into(), run: 0, attempt: 1, duration_ms: 1_250, state }
    }

    fn failed(failure: &str) -> StepState {
        StepState::Failed { failure: failure.to_owned() }
    }

    fn shown(style: Style, steps: &[Step]) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, style);
        steps.iter().for_each(|step| screen.show(step));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn has_a_line_for_everything_that_is_over_where_nothing_can_be_drawn() {
        let again = Step { run: 2, attempt: 3, ..step("fetch", failed("timeout: too slow")) };
        let waiting = step("ask", StepState::Waiting { wait: "for decision".to_owned() });
        let steps = [step("fetch", StepState::Started), step("fetch", StepState::Succeeded), again, waiting];
        let expected = "ok     fetch 1s250ms\nfailed fetch #2 attempt 3 1s250ms  timeout: too slow\nwaits  ask for decision\n";
        assert_eq!(shown(Style::Plain, &steps), expected);
    }

    #[test]
    fn changes_the_line_of_a_run_in_place() {
        let steps = [
            step("a", StepState::Started),
            step("b", StepState::Started),
            step("a", StepState::Progressed { items: 7 }),
            step("a", StepState::Succeeded),
        ];
        let text = shown(Style::Terminal, &steps);
        let frames: Vec<&str> = text.split(WRAP_ON).collect();
        assert!(!frames[0].contains("\x1b[J"), "nothing to erase at first");
        assert!(frames[1].starts_with("\x1b[1A\x1b[J") && frames[1].contains("● \x1b") || frames[1].contains(" b"), "{text:?}");
        assert!(frames[2].starts_with("\x1b[2A\x1b[J") && frames[2].contains("7 items done"), "{text:?}");
        // What is over is written once, above what is still at work.
        let (above, live) = frames[3].split_once(WRAP_OFF).unwrap();
        assert!(above.contains('✓') && above.contains(" a ") && live.contains(" b") && !live.contains(" a"), "{text:?}");
    }

    #[test]
    fn live_lines_obeyed_and_violated() {
        let last_frame = |count: usize| {
            let steps: Vec<Step> = (0..count).map(|n| step(&format!("n{n}"), StepState::Started)).collect();
            let text = shown(Style::Terminal, &steps);
            text.rsplit(WRAP_OFF).next().unwrap().to_owned()
        };
        assert_eq!(last_frame(LIVE_LINES_MAX).matches('\n').count(), LIVE_LINES_MAX);
        let full = last_frame(LIVE_LINES_MAX + 3);
        assert_eq!(full.matches('\n').count(), LIVE_LINES_MAX + 1);
        assert!(full.contains("and 3 more"), "{full:?}");
    }

    #[test]
    fn keeps_escape_sequences_of_servers_out() {
        assert!(!shown(Style::Plain, &[step("a\x1b[2J", failed("\x1b]0;x"))]).contains('\x1b'));
    }
}
