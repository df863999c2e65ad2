//! Fields to read: where their values stand, and how they are found in a batch.

use crate::event::Event;
use crate::schema::{HostField, Kind, Place};
use crate::values::{Decode, Type};
use std::marker::PhantomData;

/// Annotation: the raw value that means "none", in decimal.
const UNDEFINED_VALUE: &str = "value.undefined";

/// A field to read, of type `T`: `bool`, a number, `[number; N]`, [`Text`](crate::Text), [`Bytes`](crate::Bytes) or
/// [`TextList`](crate::TextList).
pub struct Field<T> {
    place: Place,
    kind: Kind,
    /// In the record; of a column: its number among those of the batch.
    offset: usize,
    size: usize,
    /// The bytes that mean "none".
    undefined: Option<&'static [u8]>,
    source: u32,
    of: PhantomData<T>,
}

impl<T> Clone for Field<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Field<T> {}

impl<T: Type> Field<T> {
    /// `number` is that of the column, for a field that stands beside the records.
    pub(crate) fn new(source: u32, field: &HostField, number: usize) -> Self {
        let offset = if field.place == Place::Column { number } else { field.offset as usize };
        Field {
            place: field.place,
            kind: field.kind,
            offset,
            size: field.size as usize,
            undefined: undefined_bytes::<T>(field),
            source,
            of: PhantomData,
        }
    }
}

fn undefined_bytes<T: Type>(field: &HostField) -> Option<&'static [u8]> {
    if T::WIDTH == 0 || field.place != Place::Fixed {
        return None;
    }
    let (_, value) = field.annotations.iter().find(|(key, _)| *key == UNDEFINED_VALUE)?;
    let value: i128 = value.parse().ok()?;
    let mut bytes = value.to_le_bytes().to_vec();
    bytes.resize(field.size as usize, if value < 0 { 0xff } else { 0 });
    Some(Box::leak(bytes.into_boxed_slice()))
}

/// What [`Event::get`] reads: a [`Field`], or an `Option` of one.
pub trait Read<'a> {
    /// What it reads.
    type Value;
    #[doc(hidden)]
    fn read(self, event: &Event<'a>) -> Option<Self::Value>;
}

impl<'a, T: Decode<'a>> Read<'a> for Field<T> {
    type Value = T::Value;

    #[inline]
    fn read(self, event: &Event<'a>) -> Option<T::Value> {
        if self.source != event.source {
            panic!("a field was read of an event of another data source");
        }
        let bytes = match self.place {
            Place::Fixed => {
                let bytes = event.record.get(self.offset..self.offset + self.size)?;
                if self.undefined == Some(bytes) {
                    return None;
                }
                bytes
            }
            Place::Tail => tail(event.record, self.offset)?,
            Place::Column => event.reads.get(self.offset)?.locate(event.row, T::WIDTH)?,
        };
        T::decode(bytes, self.kind)
    }
}

impl<'a, R: Read<'a>> Read<'a> for Option<R> {
    type Value = R::Value;

    #[inline]
    fn read(self, event: &Event<'a>) -> Option<R::Value> {
        self?.read(event)
    }
}

/// The value whose offset and size stand at `at`. The kernel side is not trusted: one outside the record is none.
#[inline]
fn tail(record: &[u8], at: usize) -> Option<&[u8]> {
    let start = u32_at(record, at)? as usize;
    let size = u32_at(record, at + 4)? as usize;
    if start == 0 {
        return None;
    }
    record.get(start..start.checked_add(size)?)
}

/// A column of the batch.
pub struct ReadColumn<'a> {
    values: &'a [u8],
    /// One byte per record; empty = all are defined.
    defined: &'a [u8],
    /// Number of records.
    count: usize,
}

impl<'a> ReadColumn<'a> {
    /// Nothing when the column has no value in this batch.
    #[inline]
    fn locate(&self, row: usize, width: usize) -> Option<&'a [u8]> {
        if !self.defined.is_empty() && *self.defined.get(row)? == 0 {
            return None;
        }
        if width > 0 {
            return self.values.get(row * width..(row + 1) * width);
        }
        let bytes = self.values.get(4 * (self.count + 1)..)?;
        bytes.get(u32_at(self.values, 4 * row)? as usize..u32_at(self.values, 4 * row + 4)? as usize)
    }
}

/// Reads the trailer of a batch: the bytes that say what is kept (empty = all), and the columns.
pub fn read_trailer(batch: &[u8], count: usize) -> Option<(&[u8], Vec<ReadColumn<'_>>)> {
    let trailer = batch.get(u32_at(batch, 4 * count)? as usize..)?;
    let keep = part(batch, u32_at(trailer, 0)?, count)?;
    let columns = u32_at(trailer, 4)? as usize;
    let column = |at: usize| {
        let position = u32_at(trailer, at)?;
        let size = u32_at(trailer, at + 4)? as usize;
        let defined = part(batch, u32_at(trailer, at + 8)?, count)?;
        Some(ReadColumn { values: part(batch, position, size)?, defined, count })
    };
    let columns = (0..columns).map(|c| column(8 + 12 * c)).collect::<Option<Vec<_>>>()?;
    Some((keep, columns))
}

/// What stands at `position`; 0 = nothing.
fn part(batch: &[u8], position: u32, size: usize) -> Option<&[u8]> {
    match position as usize {
        0 => Some(&[]),
        start => batch.get(start..start.checked_add(size)?),
    }
}

#[inline(always)]
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
