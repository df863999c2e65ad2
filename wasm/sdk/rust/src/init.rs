//! What a program asks and declares before the first event.

use crate::column::{Column, NEW_SOURCE};
use crate::field::Field;
use crate::schema::{HostField, HostSource, HostText, Place, Plan, PlannedField, PlannedSource};
use crate::values::Type;
use crate::{fail, Result};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What the host offers, and what the module made of it.
pub struct Shared {
    params: Vec<(HostText, HostText)>,
    sources: Vec<HostSource>,
    pub plan: RefCell<Plan>,
    /// Ids of the sources whose events the module looks at.
    pub used: RefCell<Vec<u32>>,
}

/// The start of a module: its parameters, the data sources there are, and what it declares.
pub struct Init {
    pub(crate) shared: Rc<Shared>,
}

impl Init {
    pub(crate) fn new(params: Vec<(HostText, HostText)>, sources: Vec<HostSource>) -> Self {
        let (plan, used) = Default::default();
        Init { shared: Rc::new(Shared { params, sources, plan, used }) }
    }

    /// A parameter; empty if there is none of this key.
    pub fn param(&self, key: &str) -> &'static str {
        self.shared.params.iter().find(|(name, _)| *name == key).map_or("", |(_, value)| value)
    }

    /// The data source of this name, whose events the module will get; `"*"` = the first there is.
    pub fn source(&self, name: &str) -> Result<Source> {
        let matches = |source: &HostSource| name == "*" || source.name == name;
        let index = match self.shared.sources.iter().position(matches) {
            Some(index) => index,
            None => fail!("there is no data source {name}, which the module needs"),
        };
        let source = Source { shared: self.shared.clone(), index };
        self.shared.used.borrow_mut().push(source.id());
        Ok(source)
    }

    /// Makes a data source: aggregates, alerts. [`Output::emit`](crate::Output::emit) gives it events.
    pub fn new_source(&self, name: &str) -> NewSource {
        let emits = &mut self.shared.plan.borrow_mut().emits;
        emits.push(PlannedSource { name: name.into(), fields: vec![] });
        NewSource { shared: self.shared.clone(), index: emits.len() - 1 }
    }

    /// Wants [`Program::tick`](crate::Program::tick) to be called this often; at least every 10 ms.
    pub fn tick_every(&self, interval: Duration) {
        self.shared.plan.borrow_mut().tick_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
    }
}

/// A data source whose events the module gets.
#[derive(Clone)]
pub struct Source {
    shared: Rc<Shared>,
    index: usize,
}

impl Source {
    fn host(&self) -> &HostSource {
        &self.shared.sources[self.index]
    }

    pub(crate) fn id(&self) -> u32 {
        self.host().id
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.host().name
    }

    /// A field to read. An error when there is none of this name, or it is not of type `T`.
    pub fn field<T: Type>(&self, name: &str) -> Result<Field<T>> {
        match self.optional(name)? {
            Some(field) => Ok(field),
            None => fail!("field {name} of data source {} does not exist, but the module needs it", self.name()),
        }
    }

    /// A field to read if there is one of this name. An error when it is not of type `T`.
    pub fn optional<T: Type>(&self, name: &str) -> Result<Option<Field<T>>> {
        let fields = &self.host().fields;
        let number = match fields.iter().position(|field| field.name == name) {
            Some(number) => number,
            None => return Ok(None),
        };
        let field = &fields[number];
        if !T::reads(field.kind, field.length) {
            let (source, kind, wanted) = (self.name(), kind_of(field), T::name());
            fail!("field {name} of data source {source} is {kind}, but the module reads it as {wanted}");
        }
        let column = if field.place == Place::Column { self.read_column(number as u32) } else { 0 };
        Ok(Some(Field::new(self.id(), field, column)))
    }

    /// Asks the host for a column. Returns its number among those of this source.
    fn read_column(&self, field: u32) -> usize {
        let reads = &mut self.shared.plan.borrow_mut().reads;
        let wanted = (self.id(), field);
        let before = reads.iter().position(|read| *read == wanted).unwrap_or(reads.len());
        if before == reads.len() {
            reads.push(wanted);
        }
        reads[..before].iter().filter(|(source, _)| *source == wanted.0).count()
    }

    /// A field that the module adds, or replaces if there is one of this name.
    pub fn add<T: Type>(&self, field: impl Into<NewField>) -> Column<T> {
        let columns = &mut self.shared.plan.borrow_mut().columns;
        columns.push((self.id(), field.into().planned::<T>()));
        Column::new(self.id(), columns.len() - 1)
    }
}

/// How error texts name the type of a field, as `Type::name` does.
fn kind_of(field: &HostField) -> String {
    match field.length {
        1 => field.kind.name().into(),
        length => format!("{length} of {}", field.kind.name()),
    }
}

/// A data source that the module makes.
#[derive(Clone)]
pub struct NewSource {
    shared: Rc<Shared>,
    pub(crate) index: usize,
}

impl NewSource {
    /// Gives it a field.
    pub fn add<T: Type>(&self, field: impl Into<NewField>) -> Column<T> {
        let fields = &mut self.shared.plan.borrow_mut().emits[self.index].fields;
        fields.push(field.into().planned::<T>());
        Column::new(NEW_SOURCE + self.index as u32, fields.len() - 1)
    }
}

/// The name of a new field, and what else is said of it; a plain `&str` is a field with a name only.
pub struct NewField {
    name: String,
    tags: Vec<String>,
    annotations: Vec<(String, String)>,
}

impl NewField {
    /// A field of this name, which may have dots: `proc.comm`.
    pub fn new(name: &str) -> Self {
        NewField { name: name.into(), tags: vec![], annotations: vec![] }
    }

    /// What the field is, for users.
    #[must_use]
    pub fn description(self, text: &str) -> Self {
        self.annotation("description", text)
    }

    /// An annotation as in gadget.yaml: `columns.width`, …
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.push((key.into(), value.into()));
        self
    }

    /// A tag: `type:gadget_mntns_id`, …
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.into());
        self
    }

    fn planned<T: Type>(self) -> PlannedField {
        let NewField { name, tags, annotations } = self;
        PlannedField { name, kind: T::KIND, length: T::LENGTH, tags, annotations, width: T::WIDTH }
    }
}

impl From<&str> for NewField {
    fn from(name: &str) -> Self {
        NewField::new(name)
    }
}
