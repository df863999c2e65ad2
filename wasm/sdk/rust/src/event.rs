//! The event that a program looks at.

use crate::column::{Buffer, Column, Value};
use crate::field::{Read, ReadColumn};
use crate::init::Source;
use crate::values::Type;

/// An event: its values, and those that the module gives it. What is read of it lives as long as the call.
pub struct Event<'a> {
    pub(crate) source: u32,
    pub(crate) record: &'a [u8],
    pub(crate) row: usize,
    pub(crate) reads: &'a [ReadColumn<'a>],
    /// Those of all sources.
    pub(crate) columns: &'a mut [Buffer],
}

impl<'a> Event<'a> {
    /// The value of a field; `None` when this event has none, or the gadget has no such (optional) field.
    #[inline]
    pub fn get<R: Read<'a>>(&self, field: R) -> Option<R::Value> {
        field.read(self)
    }

    /// Gives a new field its value; `None` takes it back. An event without has no value: absent in JSON.
    #[inline]
    pub fn set<T: Type>(&mut self, column: Column<T>, value: impl Value<T>) {
        if column.owner != self.source {
            panic!("a value was set in an event of another data source");
        }
        self.columns[column.index].set(self.row, value);
    }

    /// Whether anything reads a new field: an output, a filter, a later module. If not, spare the work.
    pub fn wants<T>(&self, column: Column<T>) -> bool {
        column.owner == self.source && self.columns[column.index].wanted
    }

    /// Whether the event is of this data source, for modules that look at several.
    pub fn is_of(&self, source: &Source) -> bool {
        self.source == source.id()
    }
}
