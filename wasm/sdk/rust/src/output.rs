//! What a program emits: events of the data sources that it makes.

use crate::column::{Buffer, Column, Value, NEW_SOURCE};
use crate::init::NewSource;
use crate::schema::PlannedSource;
use crate::values::Type;

/// Where a module emits events of its own.
pub struct Output {
    pub(crate) sources: Vec<Emitted>,
}

/// The events of a new source since the last patch.
pub struct Emitted {
    pub count: usize,
    pub columns: Vec<Buffer>,
}

impl Output {
    pub(crate) fn new(sources: &[PlannedSource]) -> Self {
        let buffers = |(i, source): (usize, &PlannedSource)| {
            let buffer = |width| Buffer::new(NEW_SOURCE + i as u32, width);
            source.fields.iter().map(|field| buffer(field.width)).collect()
        };
        let emitted = |columns| Emitted { count: 0, columns };
        Output { sources: sources.iter().enumerate().map(buffers).map(emitted).collect() }
    }

    /// Emits an event: `out.emit(&self.alerts).set(self.text, "…").set(self.code, 7);`. What is not set has no value.
    pub fn emit(&mut self, source: &NewSource) -> Row<'_> {
        let emitted = &mut self.sources[source.index];
        emitted.count += 1;
        Row { owner: NEW_SOURCE + source.index as u32, emitted }
    }
}

/// An event that is emitted.
pub struct Row<'a> {
    owner: u32,
    emitted: &'a mut Emitted,
}

impl Row<'_> {
    /// Gives a field its value.
    pub fn set<T: Type>(&mut self, column: Column<T>, value: impl Value<T>) -> &mut Self {
        if column.owner != self.owner {
            panic!("a value was set in an emitted event of another data source");
        }
        self.emitted.columns[column.index].set(self.emitted.count - 1, value);
        self
    }
}
