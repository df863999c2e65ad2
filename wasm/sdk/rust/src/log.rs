//! What a module says to the user. A line is made only if its level is seen.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::Write;

/// How much of what a module says is seen; each level includes those before it. Numbered as in the WIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is wrong.
    Error,
    /// Something may be wrong.
    Warn,
    /// What a user may want to know.
    Info,
    /// For who writes the module.
    Debug,
    /// Everything.
    Trace,
}

/// Lines that wait for the next patch.
#[derive(Default)]
pub struct Lines {
    /// Level, and where the line ends in `text`.
    pub ends: Vec<(Level, usize)>,
    pub text: Vec<u8>,
}

thread_local! {
    static SEEN: Cell<u8> = const { Cell::new(0) };
    static LINES: RefCell<Lines> = RefCell::default();
}

/// Sets the level that is seen.
pub fn set_level(level: u8) {
    SEEN.with(|seen| seen.set(level));
}

/// Whether lines of this level are seen.
pub fn enabled(level: Level) -> bool {
    SEEN.with(Cell::get) >= level as u8
}

/// Says a line.
pub fn log(level: Level, line: fmt::Arguments) {
    LINES.with(|lines| {
        let lines = &mut *lines.borrow_mut();
        // Writing to a vector does not fail; a value's own `Display` may, and then the line ends there.
        let _ = lines.text.write_fmt(line);
        lines.ends.push((level, lines.text.len()));
    });
}

/// Takes the lines, if there are any, and forgets them.
pub fn take(use_lines: impl FnOnce(&Lines)) {
    LINES.with(|lines| {
        let lines = &mut *lines.borrow_mut();
        if !lines.ends.is_empty() {
            use_lines(lines);
            lines.ends.clear();
            lines.text.clear();
        }
    });
}

/// Says a line of this [`Level`], written as for `format!`. Nothing is evaluated when the level is not seen.
#[macro_export]
macro_rules! log {
    ($level:expr, $($line:tt)+) => {
        if $crate::log::enabled($level) {
            $crate::log::log($level, ::std::format_args!($($line)+));
        }
    };
}

/// [`log!`] at [`Level::Error`].
#[macro_export]
macro_rules! error {
    ($($line:tt)+) => { $crate::log!($crate::Level::Error, $($line)+) };
}

/// [`log!`] at [`Level::Warn`].
#[macro_export]
macro_rules! warn {
    ($($line:tt)+) => { $crate::log!($crate::Level::Warn, $($line)+) };
}

/// [`log!`] at [`Level::Info`].
#[macro_export]
macro_rules! info {
    ($($line:tt)+) => { $crate::log!($crate::Level::Info, $($line)+) };
}

/// [`log!`] at [`Level::Debug`].
#[macro_export]
macro_rules! debug {
    ($($line:tt)+) => { $crate::log!($crate::Level::Debug, $($line)+) };
}

/// [`log!`] at [`Level::Trace`].
#[macro_export]
macro_rules! trace {
    ($($line:tt)+) => { $crate::log!($crate::Level::Trace, $($line)+) };
}
