//! Reads lines from the terminal without echo.
//!
//! Whichever signal arrives meanwhile, the terminal becomes as it was, and only then does the signal
//! what it does to any program: end it, or stop it until it continues.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// The terminal of this process.
struct Terminal {
    file: File,
    /// What is asked for; `None` between two lines.
    prompt: Option<String>,
    /// The settings to restore, while the echo is off.
    saved: Option<Termios>,
    /// The signals that this process ignores, a bit each.
    ignored: u64,
}

impl Terminal {
    /// Turns the echo off, and prints the prompt; again after a stop.
    fn hide(&mut self) -> io::Result<()> {
        let Some(prompt) = &self.prompt else { return Ok(()) };
        let saved = tcgetattr(&self.file)?;
        let mut hidden = saved.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL);
        // Ctrl-C and Ctrl-Z end the line instead: the signal then comes from `read_line`, after the
        // terminal is restored. From here, it would also go to a shell that runs a script, and the
        // script's caller would have taken the terminal back by then.
        for (signal, key, end) in [
            (SIGINT, SpecialCodeIndex::VINTR, SpecialCodeIndex::VEOL),
            (SIGTSTP, SpecialCodeIndex::VSUSP, SpecialCodeIndex::VEOL2),
        ] {
            if !is_in(self.ignored, signal) {
                hidden.special_codes[end] = mem::take(&mut hidden.special_codes[key]);
            }
        }
        tcsetattr(&self.file, OptionalActions::Now, &hidden)?;
        self.saved = Some(saved);
        self.file.write_all(prompt.as_bytes())
    }

    fn restore(&mut self) -> io::Result<()> {
        let Some(saved) = self.saved.take() else { return Ok(()) };
        Ok(tcsetattr(&self.file, OptionalActions::Now, &saved)?)
    }

    /// Restores the terminal for a signal, on a new line.
    fn leave(&mut self) {
        if self.saved.is_some() && self.restore().is_ok() {
            let _ = self.file.write_all(b"\n");
        }
    }
}

fn lock(terminal: &Mutex<Terminal>) -> MutexGuard<'_, Terminal> {
    terminal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks for a line with each of `prompts`; returns the lines, without their ends.
/// Fails if this process has no terminal.
pub(crate) fn read_hidden<const N: usize>(prompts: [String; N]) -> io::Result<[Vec<u8>; N]> {
    let file = File::options().read(true).write(true).open("/dev/tty")?;
    let input = file.try_clone()?;
    let ignored = ignored();
    let terminal = Arc::new(Mutex::new(Terminal { file, prompt: None, saved: None, ignored }));
    let signals = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP];
    let signals = signals.into_iter().filter(|signal| !is_in(ignored, *signal));
    let (signals, shared) = (Signals::new(signals)?, terminal.clone());
    thread::spawn(move || obey(signals, &shared));

    let mut lines = [const { Vec::new() }; N];
    for (line, prompt) in lines.iter_mut().zip(prompts) {
        lock(&terminal).prompt = Some(prompt);
        let shown = lock(&terminal).hide();
        let read = shown.and_then(|()| read_line(&input, &terminal));
        let mut terminal = lock(&terminal);
        terminal.prompt = None;
        terminal.restore()?;
        *line = read?;
    }
    Ok(lines)
}

fn read_line(mut input: &File, terminal: &Mutex<Terminal>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = input.read(&mut part)?;
        line.extend(&part[..count]);
        let saved = lock(terminal).saved.clone();
        let is =
            |end, key| saved.as_ref().is_some_and(|it| end == it.special_codes[key] && end != 0);
        let signal = match line.last() {
            None | Some(b'\n') => {
                line.pop();
                return Ok(line);
            }
            Some(end) if is(*end, SpecialCodeIndex::VINTR) => Signal::INT,
            Some(end) if is(*end, SpecialCodeIndex::VSUSP) => Signal::TSTP,
            // The end of the file after a text.
            Some(_) if count == 0 => return Ok(line),
            Some(_) => continue,
        };
        line.clear();
        lock(terminal).leave();
        kill_current_process_group(signal)?;
    }
}

/// Lets each of `signals` do what it does.
fn obey(mut signals: Signals, terminal: &Mutex<Terminal>) {
    for signal in signals.forever() {
        let mut terminal = lock(terminal);
        terminal.leave();
        let _ = emulate_default_handler(signal);
        // It was stopped and continues. In the background, this stops it again.
        let _ = terminal.hide();
    }
}

fn is_in(signals: u64, signal: i32) -> bool {
    signals >> (signal - 1) & 1 == 1
}

/// The signals that this process ignores, a bit each: a handler would end that.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
