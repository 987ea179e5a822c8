//! Reads lines from the terminal without echo.
//!
//! Whichever signal arrives meanwhile, the terminal becomes as it was, and only then does the signal
//! what it does to any program: end it, or stop it until it continues.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::mem;
use std::os::fd::AsFd;

use nix::sys::signal::Signal::{self, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use nix::sys::signal::{SigSet, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use rustix::termios::{QueueSelector, tcflush, tcgetattr, tcsetattr};

/// Asks for a line with `prompt`, again after a stop; returns the line, without its end.
/// Fails if this process has no terminal.
pub(crate) fn read_hidden(prompt: &str) -> io::Result<Vec<u8>> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let signals = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP].into_iter();
    let ignored = ignored();
    let signals: SigSet = signals.filter(|it| ignored >> (*it as i32 - 1) & 1 == 0).collect();
    let waiting = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK)?;
    loop {
        // They wait until the terminal is as it was.
        signals.thread_block()?;
        let saved = tcgetattr(&terminal)?;
        let mut hidden = saved.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL);
        // Ctrl-C and Ctrl-Z end the line instead: from the terminal, the signal would also go to a
        // shell that runs a script, and the script's caller would have taken the terminal back
        // before it is as it was.
        for (signal, key, end) in [
            (SIGINT, SpecialCodeIndex::VINTR, SpecialCodeIndex::VEOL),
            (SIGTSTP, SpecialCodeIndex::VSUSP, SpecialCodeIndex::VEOL2),
        ] {
            if signals.contains(signal) {
                hidden.special_codes[end] = mem::take(&mut hidden.special_codes[key]);
            }
        }
        tcsetattr(&terminal, OptionalActions::Now, &hidden)?;
        let read = terminal.write_all(prompt.as_bytes());
        let read = read.and_then(|()| read_line(&terminal, &waiting, &saved));
        tcsetattr(&terminal, OptionalActions::Now, &saved)?;
        let done = read?;
        if let Err((process, signal)) = done {
            // The shell would read, and show, what was typed of the password.
            tcflush(&terminal, QueueSelector::IFlush)?;
            terminal.write_all(b"\n")?;
            kill(process, signal)?;
        }
        signals.thread_unblock()?;
        if let Ok(line) = done {
            return Ok(line);
        }
    }
}

/// Reads a line, or a signal and the process that gets it: 0 is this one's group.
fn read_line(
    mut terminal: &File,
    waiting: &SignalFd,
    saved: &Termios,
) -> io::Result<Result<Vec<u8>, (Pid, Signal)>> {
    let mut events = [waiting.as_fd(), terminal.as_fd()]
        .map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN));
    poll(&mut events, None)?;
    if let Some(signal) = waiting.read_signal()? {
        return Ok(Err((Pid::this(), Signal::try_from(signal.ssi_signo.cast_signed())?)));
    }
    let mut line = vec![0; 4096];
    let count = terminal.read(&mut line)?;
    line.truncate(count);
    let is = |end, key| end == saved.special_codes[key] && end != 0;
    Ok(match line.pop() {
        Some(end) if is(end, SpecialCodeIndex::VINTR) => Err((Pid::from_raw(0), SIGINT)),
        Some(end) if is(end, SpecialCodeIndex::VSUSP) => Err((Pid::from_raw(0), SIGTSTP)),
        None | Some(b'\n') => Ok(line),
        // The end of the file after a text.
        Some(end) => Ok([line, vec![end]].concat()),
    })
}

/// The signals that this process ignores, a bit each.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
