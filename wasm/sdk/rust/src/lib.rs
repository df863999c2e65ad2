//! What a module for `ig` is written with: a type that implements [`Program`], and `ig::program!(TheType);`.
//! Start with README.md; the interface behind this crate is in wasm/wit.
#![deny(unsafe_code)]
#![warn(missing_docs)]

#[allow(unsafe_code)]
#[doc(hidden)]
pub mod abi;
mod column;
mod event;
mod field;
mod init;
#[doc(hidden)]
pub mod log;
mod output;
mod patch;
mod runtime;
mod schema;
mod values;

pub use column::{Column, Value};
pub use event::Event;
pub use field::{Field, Read};
pub use init::{Init, NewField, NewSource, Source};
pub use log::Level;
pub use output::{Output, Row};
pub use values::{Bytes, Text, TextList, TextListIter};

/// What can fail fails with a sentence for the user: `Err("…".into())`, [`fail!`], or any error by `?`.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on, with the values that were set.
    Keep,
    /// Nobody sees it.
    Drop,
}

/// A module: its state, and what it does with events.
pub trait Program: Sized + 'static {
    /// Looks up fields, declares new ones and reads the parameters. An error ends the run with its text.
    fn init(init: &Init) -> Result<Self>;

    /// Called for each event of the sources named in `init`. An error loses the batch and the state, and is shown.
    fn event(&mut self, event: &mut Event, out: &mut Output) -> Result<Action>;

    /// Called as often as `init` asked for, also when nothing happens. `now_ns` is of the clock of events' timestamps.
    fn tick(&mut self, now_ns: u64, out: &mut Output) -> Result {
        let _ = (now_ns, out);
        Ok(())
    }

    /// Called once, last: the last chance to emit.
    fn finish(&mut self, out: &mut Output) -> Result {
        let _ = out;
        Ok(())
    }
}

/// Returns an error with a sentence, written as for `format!`.
#[macro_export]
macro_rules! fail {
    ($($sentence:tt)+) => {
        return ::std::result::Result::Err(::std::format!($($sentence)+).into())
    };
}
